"""What a retry asks for, on both databases."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.tables import invocations, objects
from s3sync_dagster.model.invocation import Result, Trigger
from s3sync_dagster_tests.catalog.scenes import done, source


def end(catalog, name, status, at):
    ended = invocations.update().where(invocations.c.id == name)
    with catalog.database.write() as tx:
        tx.execute(ended.values(status=status, finished_at=at))


def failing(catalog, src, key):
    values = {"source_id": src.id, "object_key": key, "partition_key": key, "etag": "e"}
    with catalog.database.write() as tx:
        tx.execute(
            objects.insert().values(**values, size=1, seen_at=1, gone=False, outcome="failed")
        )


def waiting(catalog, src):
    query = sa.select(
        invocations.c.object_key, invocations.c.trigger, invocations.c.target_collection_name
    ).where(invocations.c.source_id == src.id, invocations.c.status == "pending")
    with catalog.database.read() as tx:
        return [tuple(row) for row in tx.execute(query.order_by(invocations.c.number))]


def asked(catalog, src, key, status, at, **more):
    (name,) = catalog.invocations.request(src, [key], trigger=Trigger.API, **more)
    end(catalog, name, status, at)


def test_a_retry_asks_for_the_last_request_of_each_collection_that_failed_since(catalog):
    src = catalog.sources.add(source())
    for key in ("a", "b"):
        failing(catalog, src, key)
    asked(catalog, src, "a", "failed", 1, target_collection_name="before")
    asked(catalog, src, "a", "complete", 2)
    asked(catalog, src, "a", "failed", 3, target_collection_name="one", metadata={"n": 1})
    asked(catalog, src, "a", "failed", 4, target_collection_name="two")
    asked(catalog, src, "a", "failed", 5, target_collection_name="one", metadata={"n": 2})
    asked(catalog, src, "a", "cancelled", 6, target_collection_name="three")
    for _ in range(2):
        assert catalog.invocations.retry_failed(src) == 2
    assert sorted(waiting(catalog, src), key=str) == [
        ("a", "api", "one"),
        ("a", "api", "two"),
        ("b", "cli", None),
    ]
    newest = catalog.invocations.latest_by_keys(src.id, ["a"])["a"]
    assert (newest.target_collection_name, newest.metadata) == ("one", {"n": 2})


def work(catalog, src, result):
    """Let a batch take what is due of key ``a``, and end it so; its object counts as failed."""
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    outcome = "failed" if result is Result.FAILED else "indexed"
    ended = done("a", result=result, outcome=outcome)
    catalog.documents.commit(batch.token, src, outcomes=[ended])
    catalog.batches.finish(batch.token)
    with catalog.database.write() as tx:
        tx.execute(objects.update().values(outcome="failed"))


def test_what_was_asked_for_before_a_request_ends_with_it(catalog):
    """So that the order of the asking is that of the ends."""
    src = catalog.sources.add(source())
    failing(catalog, src, "a")
    catalog.sources.set_paused(src.id, paused=True)
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.LISTING)
    catalog.invocations.request(src, ["a"], trigger=Trigger.API, target_collection_name="one")
    work(catalog, src, Result.FAILED)
    assert waiting(catalog, src) == []
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.LISTING)
    catalog.sources.set_paused(src.id, paused=False)
    work(catalog, src, Result.UPDATED)
    assert catalog.invocations.retry_failed(src) == 1
    assert waiting(catalog, src) == [("a", "cli", None)]


@pytest.mark.parametrize("jump", [0, -86_400, 86_400])
def test_a_retry_asks_for_what_failed_under_any_clock(catalog, clock, jump):
    src = catalog.sources.add(source())
    failing(catalog, src, "a")
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.LISTING)
    work(catalog, src, Result.UPDATED)
    clock.skew += jump
    catalog.invocations.request(src, ["a"], trigger=Trigger.API, target_collection_name="one")
    work(catalog, src, Result.FAILED)
    assert catalog.invocations.retry_failed(src) == 1
    assert waiting(catalog, src) == [("a", "api", "one")]
