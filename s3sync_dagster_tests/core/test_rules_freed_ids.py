"""Who was refused an id is asked for again when that is free, by events alone."""

import pytest
import sqlalchemy as sa

from s3sync_dagster_tests.core.rules import event, hold, sidecar, states, work_on
from s3sync_dagster_tests.core.test_rules_move_append import has_no_model
from s3sync_dagster_tests.engine_fixture import make_world


@pytest.fixture
def world():
    """a has the id x, and the sidecar of b, which nobody has read yet, gives it x as well."""
    world = make_world()
    world.bucket.put("a.md", "a")
    world.bucket.put("a.md.meta.json", sidecar("a.md"))
    world.sync()
    world.bucket.put("b.md", "b")
    world.bucket.put("b.md.meta.json", sidecar("b.md"))
    event(world, "b.md.meta.json")
    event(world, "b.md")
    return world


def goes(world, key):
    world.bucket.delete(key)
    event(world, key, remove=True)


def rest_on_events(world):
    for _ in range(12):
        world.clock.seconds += 4000
        world.run_batches()


def test_what_another_batch_frees_before_a_refusal_is_settled_is_asked_for(world, monkeypatch):
    from s3sync_dagster.engine.batch.ledger import Ledger

    batch = hold(world, "b.md")
    goes(world, "a.md")
    other = [hold(world, "a.md")]
    refuse = Ledger.refuse

    def and_freed(self, *arguments, **options):
        refuse(self, *arguments, **options)
        while other:
            work_on(world, other.pop())

    monkeypatch.setattr(Ledger, "refuse", and_freed)
    work_on(world, batch)
    assert not other
    rest_on_events(world)
    assert list(world.texts().values()) == ["b"]


def test_what_a_later_batch_frees_is_asked_for(world):
    world.run_batches()
    goes(world, "a.md")
    rest_on_events(world)
    assert list(world.texts().values()) == ["b"]


def test_the_id_of_a_document_of_unknown_bytes_is_asked_for(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE documents SET phase = 'writing', etag = '', fingerprint = NULL"))
    world.run_batches()
    goes(world, "a.md")
    rest_on_events(world)
    assert list(world.texts().values()) == ["b"]


@pytest.mark.parametrize("leaves", ["is gone", "is empty"])
def test_the_id_of_a_document_that_was_only_begun_is_asked_for_once_its_object_leaves(leaves):
    world = make_world()
    world.bucket.put("a.md", "a")
    world.bucket.put("a.md.meta.json", sidecar("a.md"))
    world.listing()
    has_no_model(world)
    world.bucket.put("b.md", "b")
    world.bucket.put("b.md.meta.json", sidecar("b.md"))
    event(world, "b.md.meta.json")
    event(world, "b.md")
    world.run_batches()
    assert states(world)["b.md"] == ("failed", "record_ids_taken")
    if leaves == "is gone":
        goes(world, "a.md")
    else:
        world.bucket.put("a.md", "")
        event(world, "a.md")
    rest_on_events(world)
    assert list(world.texts().values()) == ["b"]
