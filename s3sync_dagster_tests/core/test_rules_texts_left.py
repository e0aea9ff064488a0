"""Texts that a write was announced for, or that the catalog has as another's: a mode keeps them."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.own_records import IDS_AT_ONCE
from s3sync_dagster.model.errors import RecordRejected, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, sidecar
from s3sync_dagster_tests.core.test_rules_move_append import (
    claims_and_dies,
    has_no_model,
    is_refused,
)
from s3sync_dagster_tests.core.test_rules_moved import declare, finish, move
from s3sync_dagster_tests.core.test_rules_restored import (
    another,
    back_up,
    open_collection,
    restore,
)
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world

KEEPS = [DeleteMode.APPEND, DeleteMode.KEEP_DELETED]
BEGINS = [claims_and_dies, is_refused, has_no_model]


def from_code(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    return world


def settle(world, turns=3):
    for _ in range(turns):
        world.clock.seconds += 7200
        world.sync(approve_deletes=True)
        world.catalog.documents.enqueue_unclean(world.source.id)  # as the dispatcher does
        world.run_batches()


def texts(world):
    return sorted(world.texts().values())


@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("how", ["forgotten", "rebuilt", "verified"])
def test_append_keeps_a_text_of_which_a_write_was_begun_and_nothing_done(begins, how):
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    world.bucket.put("a.md", "one")
    world.sync()
    if how == "rebuilt":
        world.catalog.documents.distrust_all(world.source.id)
        world.catalog.documents.enqueue_unclean(world.source.id)
    else:
        restore(world, copy)
        if how == "verified":
            fix(world)
        world.listing()
    begins(world)
    world.bucket.put("a.md", "two")
    settle(world)
    assert texts(world) == ["old", "one"]


def test_append_keeps_a_text_that_a_person_wanted_written_anew_in_vain():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "one")
    world.sync()
    world.ask("a.md", force=True)
    away = refuse_with(
        RecordRejected("no"), lambda some: any(one.document == "one" for one in some)
    )
    world.run_batches(collections=Refusing(world, upsert=away))
    world.bucket.put("a.md", "two")
    settle(world)
    assert texts(world) == ["one"]


@pytest.mark.parametrize("how", ["event", "sidecar"])
def test_append_keeps_a_text_that_mode_mirror_had_only_claimed(how):
    world = from_code(make_world(mode=DeleteMode.MIRROR))
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    world.bucket.put("a.md", "one")
    world.sync()
    restore(world, copy)
    move(world, bucket_name="bucket-eu")
    world.listing()
    claims_and_dies(world)
    world.configure(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "two")
    settle(world)
    assert "one" in texts(world)
    if how == "event":
        world.bucket.delete("a.md")
        event(world, "a.md", remove=True)
        world.run_batches()
    else:
        world.bucket.put("a.md.meta.json", sidecar("a.md"))
        settle(world)
    assert "one" in texts(world)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("now", ["one", "three"])
def test_append_keeps_a_text_that_bears_the_id_of_a_lost_source(again, now):
    world = from_code(make_world(mode=DeleteMode.APPEND))
    world.bucket.put("a.md", "one")
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    move(world, bucket_name="bucket-eu")
    settle(world)
    assert finish(world) is None
    world.bucket.put("a.md", "two")
    world.ask("a.md")
    world.run_batches()
    world.bucket.put("a.md", now)
    restore(world, copy)
    if again:
        declare(world, bucket_name="bucket-eu")
        world.source = world.catalog.moves.begin("docs")
    settle(world)
    assert texts(world) == ["old", "two"]


@pytest.mark.parametrize("begins", [claims_and_dies, is_refused])
@pytest.mark.parametrize("mode", KEEPS)
@pytest.mark.parametrize("leaves", ["gone", "changed"])
def test_a_text_that_was_only_begun_at_the_time_of_a_backup_is_kept(mode, begins, leaves):
    world = make_world(mode=mode)
    world.bucket.put("old.md", "old")
    world.sync()
    world.bucket.put("a.md", "one")
    world.listing()
    begins(world)
    copy = back_up(world)
    settle(world, 1)
    assert texts(world) == ["old", "one"]
    if leaves == "gone":
        world.bucket.delete("a.md")
    else:
        world.bucket.put("a.md", "two")
    restore(world, copy)
    settle(world)
    written = mode is DeleteMode.KEEP_DELETED and leaves == "changed"
    assert texts(world) == ["old", "two" if written else "one"]


@pytest.mark.parametrize("left", ["gone", "damaged"])
def test_the_text_of_another_object_that_got_the_id_after_a_backup_stays(left):
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "a one")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    settle(world)
    copy = back_up(world)
    world.bucket.put("a.md.meta.json", sidecar("a.md", "y"))
    settle(world)
    world.bucket.put("b.md", "b one")
    world.bucket.put("b.md.meta.json", sidecar("b.md", "x"))
    settle(world)
    if left == "gone":
        world.bucket.delete("b.md")
        world.bucket.delete("b.md.meta.json")
    else:
        world.bucket.put("b.md", "BAD")
    settle(world)
    assert world.texts() == {"y-0": "a one", "x-0": "b one"}
    restore(world, copy)
    settle(world)
    assert world.texts() == {"y-0": "a one", "x-0": "b one"}


@pytest.mark.parametrize("mode", KEEPS)
def test_nothing_is_written_over_the_text_of_another_object_that_got_the_id(mode):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "a one")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    settle(world)
    copy = back_up(world)
    world.bucket.delete("a.md.meta.json")
    world.ask("a.md", custom_id="z")
    settle(world)
    world.bucket.put("b.md", "b one")
    world.ask("b.md", custom_id="x")
    settle(world)
    assert "b one" in texts(world)
    world.bucket.delete("b.md")
    settle(world)
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.bucket.put("a.md", "a two")
    restore(world, copy)
    settle(world)
    assert "b one" in texts(world)


def test_verify_leaves_the_later_of_two_texts_of_an_object_that_is_gone():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "one")
    world.sync()
    copy = back_up(world)
    world.bucket.put("a.md", "two")
    world.bucket.put("a.md.meta.json", sidecar("a.md"))
    world.listing()
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    world.run_batches(collections=Refusing(world, delete=away))
    assert texts(world) == ["one", "two"]
    world.bucket.delete("a.md")
    world.bucket.delete("a.md.meta.json")
    restore(world, copy)
    settle(world)
    fix(world)
    settle(world)
    assert "two" in texts(world)


def test_a_number_of_records_that_somebody_made_up_costs_no_more_than_a_look():
    world = make_world(mode=DeleteMode.APPEND)
    copy = back_up(world)
    world.bucket.put("a.md", "one")
    world.sync()
    restore(world, copy)
    open_collection(world).update_metadata(
        list(world.texts()),
        [{**one, "s3sync_chunk_count": 10**8} for one in world.metadata().values()],
    )
    world.bucket.put("a.md", "two")
    asked: list[int] = []

    def count(ids):
        asked.append(len(ids))

    world.listing()
    world.run_batches(collections=Refusing(world, get=count, delete=count))
    assert asked
    assert sum(asked) < 9 * IDS_AT_ONCE


@pytest.mark.parametrize("mode", KEEPS)
def test_a_move_ends_where_what_was_taken_over_of_a_stranger_cannot_be_written(mode):
    world = from_code(make_world(mode=mode))
    world.bucket.put("a.md", "a")
    world.sync()
    another(world, 2)
    move(world, bucket_name="bucket-eu", adopt=True)
    world.bucket.put("2.md", "refused")
    bad = refuse_with(
        RecordRejected("no"), lambda some: any("refused" in one.document for one in some)
    )
    for _ in range(4):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(collections=Refusing(world, upsert=bad))
        said = finish(world)
    assert said is None
