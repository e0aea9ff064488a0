"""A sidecar that names another object by now: a mode that keeps texts keeps the first one's."""

import pytest

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import event, sidecar, states
from s3sync_dagster_tests.engine_fixture import make_world

EDITS = {
    "its id goes along": {"custom_id": "x"},
    "another id": {"custom_id": "y"},
    "another collection": {"custom_id": "x", "target_collection_name": "other"},
}


def rests(world, passes=3):
    for _ in range(passes):
        world.clock.seconds += 7200
        world.listing()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()


def world_of(**fields):
    world = make_world(auto_sync=AutoSync.METADATA, **fields)
    for key in ("a.md", "b.md"):
        world.bucket.put(key, f"text of {key}")
    world.bucket.put("1.meta.json", sidecar("a.md", "x"))
    world.sync()
    assert world.texts() == {"x-0": "text of a.md"}
    return world


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_the_text_of_the_first_object_stays_under_its_id(edit, there, mode):
    world = world_of(mode=mode)
    asked = EDITS[edit]
    key = "b.md" if there else "none.md"
    world.bucket.put("1.meta.json", sidecar(key, **asked))
    rests(world)
    new = {f"{asked['custom_id']}-0": "text of b.md"} if there else {}
    if "target_collection_name" in asked:
        assert (world.texts(), world.texts("other")) == ({"x-0": "text of a.md"}, new)
    else:
        assert world.texts() == {**new, "x-0": "text of a.md"}
    if there and edit == "its id goes along":
        assert states(world)["b.md"] == ("failed", "record_ids_taken")


def test_it_goes_by_a_listing_once_the_mode_is_mirror_and_the_id_goes_to_who_is_to_have_it():
    world = world_of(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("1.meta.json", sidecar("b.md", "x"))
    rests(world)
    world.configure(mode=DeleteMode.MIRROR)
    rests(world)
    assert world.texts() == {"x-0": "text of b.md"}


def test_two_objects_whose_sidecars_are_exchanged_exchange_their_ids():
    world = world_of(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("2.meta.json", sidecar("b.md", "y"))
    world.sync()
    world.bucket.put("1.meta.json", sidecar("b.md", "x"))
    world.bucket.put("2.meta.json", sidecar("a.md", "y"))
    rests(world)
    assert world.texts() == {"x-0": "text of b.md", "y-0": "text of a.md"}


@pytest.mark.parametrize("told", ["listing", "event"])
def test_what_the_source_takes_by_itself_gives_the_id_up_for_its_own_document(told):
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    for key in ("a.md", "b.md"):
        world.bucket.put(key, f"text of {key}")
    world.bucket.put("1.meta.json", sidecar("a.md", "x"))
    world.sync()
    world.bucket.put("1.meta.json", sidecar("b.md", "x"))
    if told == "event":
        event(world, "1.meta.json")
        world.run_batches()
    else:
        rests(world)
    own = document_id("a.md", custom_id=None, id_prefix="")
    assert world.texts() == {"x-0": "text of b.md", f"{own}-0": "text of a.md"}
