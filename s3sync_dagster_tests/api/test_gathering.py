"""Requests that are stored together: all are answered, whatever happens."""

import threading

import pytest

from s3sync_dagster.api.gathering import Gathering
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.model.errors import NotFound, S3SyncError, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="s-1", name="one", bucket_name="bucket", collection_name="ccc")


@pytest.fixture
def catalog(tmp_path):
    opened = open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    opened.sources.add(SOURCE)
    yield opened
    opened.close()


@pytest.fixture
def gathering(catalog):
    found = Gathering(catalog)
    yield found
    found.stop()


def row(catalog, key):
    return catalog.invocations.prepare(SOURCE, key, trigger=Trigger.API)


def test_what_comes_while_one_is_stored_is_stored_together(catalog, gathering):
    parts, held, go_on = [], threading.Event(), threading.Event()
    insert = catalog.invocations.insert

    def slowly(rows):
        parts.append(len(rows))
        held.set()
        assert go_on.wait(10)
        return insert(rows)

    catalog.invocations.insert = slowly
    gathering.start()
    first = gathering.put(row(catalog, "first"))
    assert held.wait(10)
    others = [gathering.put(row(catalog, f"{number}")) for number in range(50)]
    left = gathering.put(row(catalog, "left"))
    assert left.cancel()  # its client went away
    go_on.set()
    for future in [first, *others]:
        assert future.result(10) is None
    assert parts == [1, 50]
    keys = {found.object_key for found in catalog.invocations.rows(limit=1000)}
    assert keys == {"first", *(f"{number}" for number in range(50))}


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (Unavailable("busy", reason="catalog_unavailable"), "catalog_unavailable"),
        (ValueError("secret"), "internal"),
    ],
)
def test_a_failure_is_everybody_s_answer_and_the_next_ones_go_on(
    catalog, gathering, raised, reason
):
    insert = catalog.invocations.insert

    def broken(_rows):
        raise raised

    catalog.invocations.insert = broken
    gathering.start()
    futures = [gathering.put(row(catalog, f"{number}")) for number in range(3)]
    for future in futures:
        with pytest.raises(S3SyncError) as caught:
            future.result(10)
        assert caught.value.reason == reason
        assert "secret" not in caught.value.message
    catalog.invocations.insert = insert
    assert gathering.put(row(catalog, "later")).result(10) is None


def test_a_source_that_is_gone_fails_its_own_requests_and_nobody_else_s(catalog, gathering):
    other = s3_source(
        id="s-2", name="two", bucket_name="other", collection_name="ddd", tenant="another"
    )
    catalog.sources.add(other)
    gone = catalog.invocations.prepare(other, "gone", trigger=Trigger.API)
    with catalog.database.write() as tx:
        tx.execute(sources.delete().where(sources.c.id == other.id))
    futures = [gathering.put(one) for one in (row(catalog, "a"), gone, row(catalog, "b"))]
    gathering.start()
    assert [futures[0].result(60), futures[2].result(60)] == [None, None]
    with pytest.raises(NotFound, match="deleted"):
        futures[1].result(60)
    assert {one.object_key for one in catalog.invocations.rows(limit=10)} == {"a", "b"}


def test_what_waits_is_stored_before_the_end(catalog):
    gathering = Gathering(catalog)
    futures = [gathering.put(row(catalog, f"{number}")) for number in range(2500)]
    gathering.start()
    gathering.stop()
    assert all(future.done() for future in futures)
    assert len(catalog.invocations.rows(limit=5000)) == 2500
    with pytest.raises(Unavailable):
        gathering.put(row(catalog, "late"))
