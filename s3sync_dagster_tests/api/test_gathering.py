"""Requests that are stored together: all are answered, whatever happens."""

import threading

import pytest

from s3sync_dagster.api.gathering import Gathering
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.model.errors import S3SyncError, Unavailable
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
        insert(rows)

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


def test_what_waits_is_stored_before_the_end(catalog):
    gathering = Gathering(catalog)
    futures = [gathering.put(row(catalog, f"{number}")) for number in range(2500)]
    gathering.start()
    gathering.stop()
    assert all(future.done() for future in futures)
    assert len(catalog.invocations.rows(limit=5000)) == 2500
    with pytest.raises(Unavailable):
        gathering.put(row(catalog, "late"))
