"""What gives way to a document under another id is deleted once that one counts as whole."""

import pytest

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.errors import AccessDenied, LeaseLost, RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Died, Refusing, refuse_with, sidecar, work_and_die
from s3sync_dagster_tests.engine_fixture import make_world

KEEPS = [DeleteMode.APPEND, DeleteMode.KEEP_DELETED]
STEPS = ["claimed", "upserted", "before_commit", "stored", "before_delete", "deleted"]


def renamed(mode):
    """Return a world in which a document is to have another id."""
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "one\n\ntwo\n\nthree")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.sync()
    world.bucket.put("a.md.meta.json", sidecar("a.md", "y"))
    world.listing()
    return world


@pytest.mark.parametrize("mode", KEEPS)
@pytest.mark.parametrize("step", STEPS)
def test_a_death_in_between_and_an_object_that_goes_then_cost_no_text(mode, step):
    world = renamed(mode)
    dead = []

    def die(at):
        if at == step and not dead:
            dead.append(at)
            raise Died

    work_and_die(world, workers=1, at=die)
    world.bucket.delete("a.md")
    for _ in range(3):
        world.clock.seconds += 7200
        world.sync(approve_deletes=True)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert sorted(world.texts().values()) == ["one", "three", "two"]
    assert dead or mode is DeleteMode.APPEND  # which leaves the id that it has


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("step", ["upserted", "before_commit", "after_commit", "claimed_removal"])
def test_a_death_before_what_is_left_in_another_collection_goes_leaves_nothing_there(mode, step):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "one")
    for name in ("first", "other"):
        told = sidecar("a.md", "x", target_collection_name=name)
        world.bucket.put("a.md.meta.json", told)
        world.sync() if name == "first" else world.listing()
    dead = []

    def die(at):
        if at == step and not dead:
            dead.append(at)
            raise Died

    work_and_die(world, workers=2, at=die)
    for _ in range(2):
        world.clock.seconds += 7200
        world.sync()
    assert dead
    assert world.texts("first") == {}
    assert world.texts("other") == {"x-0": "one"}


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("changes", [True, False])
def test_what_is_whole_in_one_collection_stays_where_another_one_refuses_it(mode, changes):
    world = make_world(mode=mode)
    if changes:
        world.bucket.put("a.md", "one")
        world.sync()
    world.bucket.put("a.md", "two")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x", target_collection_name="other"))
    no = refuse_with(RecordRejected("no"), lambda records: records[0].id == "x-0")
    world.listing()
    world.run_batches(collections=Refusing(world, upsert=no))
    kept = "one" if changes and mode is DeleteMode.APPEND else "two"
    assert list(world.texts().values()) == [kept]


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("ids", ["yz", "yzw", "yzx", "yx"])
@pytest.mark.parametrize("then", ["denied", ""])
def test_a_document_outlives_all_that_it_gives_way_to_and_that_never_came(mode, ids, then):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "one")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.sync()
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, upsert=away, update_metadata=away, delete=away)
    for name in ids:
        refusing.on = True
        world.bucket.put("a.md.meta.json", sidecar("a.md", name))
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(collections=refusing)
        refusing.on = False
        assert "one" in world.texts().values()

    def fault(_asked, key):
        if key == "a.md":
            raise AccessDenied("not allowed")

    world.fault = fault if then == "denied" else None
    for _ in range(3):
        world.clock.seconds += 7200
        world.sync()
        assert "one" in world.texts().values()
    world.fault = None
    for _ in range(2):
        world.clock.seconds += 7200
        world.sync()
    assert world.texts() == {f"{ids[-1]}-0": "one"}


def test_what_cannot_be_deleted_for_now_goes_at_the_next_attempt():
    world = renamed(DeleteMode.MIRROR)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, delete=away)
    world.run_batches(collections=refusing)
    assert {name.rsplit("-", 1)[0] for name in world.texts()} == {"x", "y"}
    refusing.on = False
    world.clock.seconds += 7200
    world.run_batches()
    assert {name.rsplit("-", 1)[0] for name in world.texts()} == {"y"}
    assert world.catalog.invocations.live_count(world.source.id) == 0


@pytest.mark.parametrize("step", ["upserted", "before_commit"])
def test_what_others_trust_no_more_costs_nothing_that_it_would_have_replaced(step):
    world = renamed(DeleteMode.KEEP_DELETED)
    done = []

    def distrusted(at):
        if at == step and not done:
            done.append(at)
            world.catalog.documents.distrust_all(world.source.id)
            world.bucket.delete("a.md")

    world.run_batches(at=distrusted)
    for _ in range(3):
        world.clock.seconds += 7200
        world.sync(approve_deletes=True)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert {"one", "two", "three"} <= set(world.texts().values())


def test_a_lease_that_is_lost_later_takes_no_trust_of_what_is_done():
    world = make_world(mode=DeleteMode.KEEP_DELETED, auto_sync=AutoSync.METADATA)
    for key in ("a.md", "b.md"):
        world.bucket.put(key, f"text of {key}")
    for prefix in ("id", "new"):
        for key in ("a.md", "b.md"):
            asks = sidecar(key, f"{prefix}-{key}", target_collection_name=f"of-{key[0]}")
            world.bucket.put(f"{key}.meta.json", asks)
        if prefix == "id":
            world.sync()
    world.listing()
    released = []

    def lose(at):
        if at == "after_commit" and not released:
            for row in world.catalog.batches.live():
                released.append(world.catalog.batches.release(row.token, died=True))

    with pytest.raises(LeaseLost):
        world.run_batches(at=lose)
    [document] = world.catalog.documents.of_key(world.source.id, "a.md")
    assert (document.custom_id, document.phase) == ("new-a.md", DocumentPhase.CLEAN)
