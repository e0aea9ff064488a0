"""What a restored catalog has forgotten: it goes on the evidence of all else, and for a time."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.moving import how_far
from s3sync_dagster.engine.rolling_check import check_some
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.document import Record
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.test_rules_moved import everything, finish, move
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.core.test_rules_restored_owners import delete

PLACE = {"tenant": "default_tenant", "database": "default_database"}


def copy_by_hand(world, name):
    copy = world.collections.open(name, embedder=world.embedder, **PLACE)
    for record_id, metadata in world.metadata().items():
        text = world.texts()[record_id]
        record = Record(id=record_id, document=text, embedding_text=text, metadata=metadata)
        copy.upsert([record], world.embedder.embed_documents([text]))


def check(world):
    check_some(
        world.source,
        catalog=world.catalog,
        collections=lambda: world.collections,
        clock=world.clock,
        records_per_day=5000,
        log=lambda _: None,
    )


@pytest.mark.parametrize("looked", [False, True])
def test_the_end_of_a_move_lets_what_was_forgotten_go_through_the_guard(world, looked):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in ("a.md", "b.md"):
        world.bucket.put(key, key)
    world.sync()
    copy = back_up(world)
    for number in range(60):
        world.bucket.put(f"n{number}.md", f"new {number}")
    world.sync()
    restore(world, copy)
    if looked:
        check(world)
    before = move(world, bucket_name="bucket-eu")
    world.bucket = MemoryBucket()
    world.store = MemoryObjectStore(world.bucket)
    for key in ("a.md", "b.md"):
        world.bucket.put(key, key)
    world.sync()
    for _ in range(3):
        said = finish(world)
    assert "60 of 60 have no successor" in said
    assert said.endswith(how_far(world.source, catalog=world.catalog))
    assert len(everything(world, before)) == 62


@pytest.mark.parametrize("looks", ["a batch", "the check"])
def test_a_copy_that_somebody_makes_after_a_restore_stays(world, looks):
    world.bucket.put("a.md", "one")
    world.sync()
    restore(world, back_up(world))
    if looks == "a batch":
        world.sync()
    else:
        check(world)
    copy_by_hand(world, "copy")
    delete(world)
    assert world.texts() == {}
    assert list(world.texts("copy").values()) == ["one"]


def test_beside_what_was_forgotten_a_later_copy_stays(world):
    world.bucket.put("a.md", "one")
    world.sync()
    copy = back_up(world)
    world.ask("a.md", target_collection_name="asked")
    world.sync()
    restore(world, copy)
    world.sync()
    copy_by_hand(world, "copy")
    delete(world)
    assert world.texts("asked") == world.texts() == {}
    assert list(world.texts("copy").values()) == ["one"]


def test_verify_removes_nothing_that_was_forgotten_while_the_guard_holds_a_listing(world):
    for number in range(20):
        world.bucket.put(f"old{number}.md", f"old {number}")
    world.sync()
    copy = back_up(world)
    for number in range(30):
        world.bucket.put(f"new{number}.md", f"new {number}")
    world.sync()
    restore(world, copy)
    for kind, count in (("old", 20), ("new", 30)):
        for number in range(count):
            world.bucket.delete(f"{kind}{number}.md")
    world.listing()

    def fix():
        return verify_collection(
            world.source,
            collection=open_collection(world),
            documents=world.catalog.documents,
            fix=True,
        )

    found = fix()
    assert (len(found.held_back), found.stray, found.sound) == (30, [], False)
    assert len(world.texts()) == 50
    world.approve()
    world.run_batches()
    world.sync()
    assert len(world.texts()) == 30
    assert (len(fix().stray), world.texts()) == (30, {})


def test_verify_removes_nothing_that_was_forgotten_before_the_source_was_listed(world):
    for key in ("old.md", "gone.md"):
        world.bucket.put(key, key)
    world.sync()
    copy = back_up(world)
    for key in ("new.md", "came.md"):
        world.bucket.put(key, key)
    world.sync()
    world.bucket.delete("came.md")
    restore(world, copy)

    def fix():
        return verify_collection(
            world.source,
            collection=open_collection(world),
            documents=world.catalog.documents,
            fix=True,
        )

    found = fix()
    assert (found.held_back, found.unlisted, found.stray) == (["came.md", "new.md"], True, [])
    assert not found.sound
    assert len(world.texts()) == 4
    world.listing()
    found = fix()
    assert (found.held_back, found.unlisted, found.unsettled) == (["new.md"], False, True)
    assert len(found.stray) == 1  # its object was not seen
    assert sorted(world.texts().values()) == ["gone.md", "new.md", "old.md"]
    world.run_batches()
    assert fix().sound
    assert sorted(world.texts().values()) == ["gone.md", "new.md", "old.md"]
