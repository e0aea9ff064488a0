"""Records behind a document's own, of which a catalog that was put back knows nothing."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster.ports.memory_chroma import MemoryCollection
from s3sync_dagster_tests.core.rules import Died, Refusing, sidecar
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.engine_fixture import make_world

KEY = "pay.md"
OWN = document_id(KEY, custom_id=None, id_prefix="")
REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]


def text_of(parts, word="salary"):
    return "\n\n".join(f"{word} {number}" for number in range(parts))


def grown_since(mode):
    """Return a world where a document has six records, and a copy of its catalog with one."""
    world = make_world(mode=mode)
    world.bucket.put(KEY, text_of(1))
    world.sync()
    copy = back_up(world)
    world.bucket.put(KEY, text_of(6))
    goes_on(world, 1)
    assert len(world.texts()) == 6
    return world, copy


def standing(world):
    """Return the ids of what names the object."""
    return {name for name, one in world.metadata().items() if one["document_key"] == KEY}


def dies_before_its_tail_is_deleted(world):
    def die(step):
        if step == "before_delete":
            raise Died

    world.bucket.put(KEY, text_of(3, "pay"))
    world.clock.seconds += 7200
    world.listing()
    with pytest.raises(Died):
        world.run_batches(at=die)
    assert len(standing(world)) == 6


def first_is_taken_away(world):
    open_collection(world).delete([f"{OWN}-0"])


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("before", [dies_before_its_tail_is_deleted, first_is_taken_away])
def test_what_a_restored_catalog_does_not_know_behind_a_document_is_cleared(mode, before):
    world, copy = grown_since(mode)
    before(world)
    restore(world, copy)
    world.bucket.put(KEY, text_of(2, "wage"))
    goes_on(world)
    assert world.texts() == {f"{OWN}-0": "wage 0", f"{OWN}-1": "wage 1"}


@pytest.mark.parametrize("mode", REPLACES)
def test_a_death_between_two_deletions_of_a_tail_hides_none_of_it_from_a_restored_catalog(
    mode,
):
    world, copy = grown_since(mode)
    plain = MemoryCollection.delete

    def half(ids):
        away.on = False
        plain(open_collection(world), ids)
        raise Died

    away = Refusing(world, delete=half)
    world.bucket.put(KEY, text_of(1))
    world.clock.seconds += 7200
    world.listing()
    limits = open_collection(world).write_limits
    open_collection(world).write_limits = type(limits)(max_records=2)
    with pytest.raises(Died):
        world.run_batches(collections=away)
    assert set(world.texts()) == {f"{OWN}-{number}" for number in range(4)}
    restore(world, copy)
    goes_on(world)
    assert world.texts() == {f"{OWN}-0": "salary 0"}


def is_deleted(world):
    world.bucket.delete(KEY)


def is_left_out(world):
    world.configure(exclude_globs=(KEY,))


def has_another_id(world):
    world.bucket.put(f"{KEY}.meta.json", sidecar(KEY, "n"))


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("before", [dies_before_its_tail_is_deleted, first_is_taken_away])
@pytest.mark.parametrize("goes", [is_deleted, is_left_out, has_another_id])
def test_what_a_restored_catalog_does_not_know_behind_a_document_goes_with_it(mode, before, goes):
    """As far as it stands there: what its first record tells is of the write that was cut off."""
    world, copy = grown_since(mode)
    before(world)
    restore(world, copy)
    goes(world)
    goes_on(world)
    named = {name for name, one in world.metadata().items() if one["document_key"] == KEY}
    documents = world.catalog.documents.of_key(world.source.id, KEY)
    assert {name.rpartition("-")[0] for name in named} == {one.document_id for one in documents}
    parts = 6 if before is first_is_taken_away else 3
    if mode is DeleteMode.MIRROR or goes is has_another_id:
        assert named == ({f"n-{n}" for n in range(parts)} if goes is has_another_id else set())


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("again", [True, False], ids=["moved again", "as it was"])
@pytest.mark.parametrize("how", ["same", "shorter", "gone"])
def test_what_a_forgotten_move_left_behind_a_document_is_cleared(mode, again, how):
    world = make_world(mode=mode)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put(KEY, text_of(1))
    for number in range(4):
        world.bucket.put(f"{number}.md", "other")
    world.sync()
    copy = back_up(world)
    move(world, bucket_name="bucket-eu")
    for _ in range(3):
        goes_on(world, 1)
        finish(world)
    world.bucket.put(KEY, text_of(6))
    goes_on(world, 1)
    dies_before_its_tail_is_deleted(world)
    restore(world, copy)
    if again:
        move(world, bucket_name="bucket-eu")
    if how == "shorter":
        world.bucket.put(KEY, text_of(2, "wage"))
    if how == "gone":
        world.bucket.delete(KEY)
    for _ in range(3):
        goes_on(world, 1)
        finish(world)
    if how != "gone":
        assert standing(world) == {f"{OWN}-{n}" for n in range(3 if how == "same" else 2)}
    elif mode is DeleteMode.MIRROR:
        assert standing(world) == set()


def test_what_is_left_behind_an_id_is_cleared_by_the_object_that_takes_it():
    """Its sidecar was renamed with it: the id is the same, the object that records name is not."""
    world = make_world(mode=DeleteMode.MIRROR, auto_sync=AutoSync.DIRECT)
    world.bucket.put(KEY, text_of(1))
    world.bucket.put("s.meta.json", sidecar(KEY))
    goes_on(world, 1)
    copy = back_up(world)
    world.bucket.put(KEY, text_of(6))
    goes_on(world, 1)
    assert set(world.texts()) == {f"x-{number}" for number in range(6)}
    dies_before_its_tail_is_deleted(world)
    restore(world, copy)
    world.bucket.delete(KEY)
    world.bucket.put("b.md", text_of(2, "wage"))
    world.bucket.put("s.meta.json", sidecar("b.md"))
    goes_on(world)
    assert world.texts() == {"x-0": "wage 0", "x-1": "wage 1"}
