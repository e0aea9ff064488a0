"""Texts that are found under ids which a restored catalog does not know: a mode keeps them."""

import json

import pytest
import sqlalchemy as sa

from s3sync_dagster.model.errors import RecordRejected, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import (
    Died,
    Refusing,
    refuse_with,
    sidecar,
    states,
    work_and_die,
)
from s3sync_dagster_tests.core.test_rules_move_append import (
    claims_and_dies,
    has_no_model,
    is_refused,
)
from s3sync_dagster_tests.core.test_rules_moved import everything, move
from s3sync_dagster_tests.core.test_rules_restored import another, back_up, open_collection, restore
from s3sync_dagster_tests.engine_fixture import make_world

KEEPS = [DeleteMode.APPEND, DeleteMode.KEEP_DELETED]


def settle(world, turns=3):
    for _ in range(turns):
        world.clock.seconds += 7200
        world.sync(approve_deletes=True)


def forgotten(mode, **settings):
    """Return a world whose catalog was put back from before its one object was indexed."""
    world = make_world(mode=mode, **settings)
    copy = back_up(world)
    world.bucket.put("a.md", "one")
    world.sync()
    restore(world, copy)
    return world


@pytest.mark.parametrize("begins", [claims_and_dies, is_refused, has_no_model])
@pytest.mark.parametrize("mode", KEEPS)
def test_a_forgotten_text_outlives_a_batch_that_writes_nothing_of_it(mode, begins):
    world = forgotten(mode)
    world.listing()
    begins(world)
    world.bucket.delete("a.md")
    settle(world)
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("begins", [claims_and_dies, is_refused, has_no_model])
def test_a_forgotten_text_that_a_person_writes_over_outlives_a_batch_that_does_not(begins):
    world = forgotten(DeleteMode.APPEND)
    world.bucket.put("a.md", "two")
    world.ask("a.md")
    begins(world)
    world.bucket.delete("a.md")
    settle(world)
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("mode", KEEPS)
def test_a_forgotten_text_under_an_id_of_its_own_outlives_a_batch_that_writes_nothing_of_it(mode):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "one")
    world.sync()
    copy = back_up(world)
    world.ask("a.md", custom_id="x")
    world.run_batches()
    assert set(world.texts()) == {"x-0"}
    world.bucket.put("a.md.meta.json", sidecar("a.md"))
    restore(world, copy)
    world.listing()
    claims_and_dies(world)
    world.bucket.delete("a.md")
    settle(world)
    assert world.texts() == {"x-0": "one"}


def with_a_forgotten_text():
    """Return a world in which a copy of the catalog knows nothing of a text, and that copy."""
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "one")
    world.sync()
    copy = back_up(world)
    world.ask("a.md", custom_id="x")
    world.run_batches()
    world.bucket.put("a.md", "two")
    world.bucket.put("a.md.meta.json", sidecar("a.md"))
    return world, copy


def test_a_forgotten_text_that_cannot_be_read_back_is_not_written_over():
    world, copy = with_a_forgotten_text()
    restore(world, copy)
    settle(world)
    assert world.texts() == {"x-0": "one"}
    assert states(world)["a.md"] == ("skipped", "changed_in_append_mode")


def test_a_text_that_is_not_written_over_keeps_its_object_out_of_no_other_collection():
    world, copy = with_a_forgotten_text()
    world.bucket.put("b.meta.json", sidecar("a.md", "y", target_collection_name="second"))
    restore(world, copy)
    settle(world)
    assert (world.texts(), world.texts("second")) == ({"x-0": "one"}, {"y-0": "two"})


@pytest.mark.parametrize("mode", DeleteMode)
def test_what_was_never_whole_and_is_on_its_way_out_is_written_over_by_its_object(mode):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "one")
    world.listing()

    def at(place):
        if place == "upserted":
            raise Died

    work_and_die(world, workers=1, at=at)
    world.bucket.delete("a.md")
    world.listing(approve_deletes=True)
    refusing = Refusing(world, delete=refuse_with(Unavailable("away", reason="chroma_unavailable")))
    world.run_batches(collections=refusing)
    refusing.on = False
    assert list(world.texts().values()) == ["one"]
    world.bucket.put("a.md", "two")
    settle(world)
    assert (list(world.texts().values()), states(world)["a.md"]) == (["two"], ("indexed", None))


@pytest.mark.parametrize("mode", KEEPS)
def test_no_other_object_writes_over_a_forgotten_text(mode):
    world = make_world(mode=mode)
    copy = back_up(world)
    world.bucket.put("a.md", "one")
    world.ask("a.md", custom_id="x")
    world.run_batches()
    world.bucket.delete("a.md")
    restore(world, copy)
    world.bucket.put("b.md", "other")
    world.bucket.put("b.md.meta.json", sidecar("b.md"))
    settle(world)
    assert world.texts() == {"x-0": "one"}
    assert states(world)["b.md"] == ("failed", "record_ids_taken")


def refuse(world, text):
    """Work on what is listed with a Chroma that refuses records with a text."""
    bad = refuse_with(
        RecordRejected("Chroma refused a record"),
        lambda records: any(text in one.document for one in records),
    )
    world.listing()
    world.run_batches(collections=Refusing(world, upsert=bad))
    assert states(world)["a.md"][0] == "failed"


def test_a_refusal_of_new_bytes_costs_no_text_of_before_a_move():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("a.md", "one")
    world.sync()
    before = move(world, bucket_name="bucket-eu")
    world.bucket.put("a.md", "two")
    refuse(world, "two")
    assert everything(world, before, world.source) == {"one"}


def test_a_refusal_of_new_bytes_costs_no_text_that_was_taken_over():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "one")
    world.sync()
    world.bucket.delete("a.md")
    other = another(world, 2, adopt=True)
    other.bucket.put("a.md", "two")
    refuse(other, "two")
    assert everything(world, world.source, other.source) == {"one", "text of 2"}


def test_a_text_that_was_taken_over_twice_is_kept_where_its_first_source_is_forgotten():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "one")
    world.sync()
    with world.catalog.database.write() as tx:
        tx.execute(
            sa.text("UPDATE documents SET phase = 'writing', etag = '', written_as = :before"),
            {"before": json.dumps(["forgotten"])},
        )
        tx.execute(sa.text("UPDATE objects SET outcome = NULL"))
    port = open_collection(world)
    port.update_metadata(
        list(world.texts()),
        [{**one, "s3sync_source": "forgotten"} for one in world.metadata().values()],
    )
    world.bucket.put("a.md", "two")
    settle(world)
    assert list(world.texts().values()) == ["one"]
    assert states(world)["a.md"] == ("skipped", "changed_in_append_mode")
