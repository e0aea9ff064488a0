"""A source of code that ended is declared again: what is of which life."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.patience import BUSY
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.engine.dropping import drop_collection
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import sidecar, states
from s3sync_dagster_tests.core.test_rules_chroma_put_back import (
    copied,
    delete_ended,
    ended_at,
    opened,
    there,
    verify,
)
from s3sync_dagster_tests.core.test_rules_moved import KEYS, finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_restored_owners import SECOND, declared, delete, ends
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed, s3_source

KEEPS = pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])


class Killed(BaseException):
    """The process is gone: nothing that it had in mind is done."""


def put_back(world, copy, name="docs"):
    """Have a collection hold, besides what it has, what a copy of before had."""
    opened(world, name).upsert(copy, world.embedder.embed_documents([one.document for one in copy]))


def declare(world, **changes):
    world.source = world.catalog.sources.register(changed(world.source, **changes))


def keep_records(world):
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    world.catalog.documents.drop_source(world.source.id)


@KEEPS
@pytest.mark.parametrize(
    "changes",
    [{}, {"bucket_name": "bucket-2"}, {"path_prefix": "a"}, {"collection_name": "docs2"}],
    ids=str,
)
def test_a_mode_that_keeps_what_is_gone_reads_nothing_back_of_a_life_before(mode, changes):
    """A person let it be deleted with its records; this life has never had them."""
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    delete(world)
    for key in KEYS[1:]:
        world.bucket.delete(key)
    declare(world, **changes)
    world.bucket.put("a-new.md", "new")
    world.sync()
    names = sorted({"docs", world.source.collection_name})
    as_it_was = [there(world, name) for name in names]
    held = len(world.catalog.documents.of_source(world.source.id))
    put_back(world, copy)
    for name in names:
        told = verify(world, name, ended=False)
        assert (told.recovered, told.beside, told.stray) == ([], [], [])
    goes_on(world, 1)
    assert len(world.catalog.documents.of_source(world.source.id)) == held
    delete_ended(world)
    goes_on(world, 2)
    assert [there(world, name) for name in names] == as_it_was
    assert all(verify(world, name, fix=False).sound for name in names)


@KEEPS
def test_what_a_restored_catalog_has_forgotten_of_this_life_is_read_back(mode):
    world = declared(KEYS, mode=mode)
    delete(world)
    declare(world)
    copy = back_up(world)
    world.sync()
    world.bucket.delete(KEYS[1])
    as_it_was = world.texts()
    restore(world, copy)
    goes_on(world, 1)
    verify(world)
    goes_on(world, 1)
    assert world.texts() == as_it_was


@pytest.mark.parametrize("place", [{"tenant": "t"}, {"database_name": "db"}], ids=str)
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_collection_of_the_same_name_in_another_database_is_another_one(place, mode):
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    delete(world)
    declare(world, **place)
    world.sync()
    put_back(world, copy)
    assert sorted(ended_at(world, "docs")) == sorted(one.id for one in copy)
    delete_ended(world)
    assert there(world) == []


@pytest.mark.parametrize("dies_at", range(3))
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_is_to_stay_stays_whenever_the_deletion_is_killed(dies_at, mode, monkeypatch):
    world = declared(KEYS, mode=mode)
    as_it_was = there(world)
    world.bucket.delete(KEYS[1])
    steps = []
    plain = Database.delete_in_parts

    def dies(self, *arguments, **options):
        steps.append(arguments)
        if len(steps) > dies_at:
            raise Killed
        return plain(self, *arguments, **options)

    monkeypatch.setattr(Database, "delete_in_parts", dies)
    with pytest.raises(Killed):
        keep_records(world)
    monkeypatch.undo()
    for _ in range(2):
        verify(world)
        delete_ended(world)
    assert there(world) == as_it_was
    keep_records(world)
    delete_ended(world)
    assert there(world) == as_it_was
    assert world.source.id in world.catalog.rebuilding.kept_owners()


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("end", [True, False], ids=["deleted again", "at work"])
@pytest.mark.parametrize(
    "changes", [{"bucket_name": "bucket-2"}, {"collection_name": "docs2"}], ids=str
)
def test_what_a_person_has_kept_of_one_life_stays_whatever_becomes_of_the_next(changes, end, mode):
    world = declared(KEYS, mode=mode)
    as_it_was = there(world)
    keep_records(world)
    first = world.source
    for key in KEYS:
        world.bucket.delete(key)
    declare(world, **changes)
    world.bucket.put("new.md", "new")
    world.sync()
    verify(world)
    if end:
        delete(world)
    delete_ended(world)
    assert [one for one in there(world) if one[2] != "new"] == as_it_was
    assert first.id in world.catalog.rebuilding.kept_owners()


def test_who_is_declared_again_where_it_was_has_what_was_kept_as_its_own():
    world = declared(KEYS)
    as_it_was = there(world)
    keep_records(world)
    declare(world)
    world.bucket.delete(KEYS[1])
    world.sync()
    assert verify(world).of_ended == {}
    left = there(world)
    assert left
    assert {one for one in as_it_was if one not in left} != set()
    assert world.source.id not in world.catalog.rebuilding.kept_owners()


@pytest.mark.parametrize("restored", [True, False])
def test_where_a_life_was_is_not_known_nothing_is_free_of_it(restored):
    """After a restore the id may be another installation's, or have begun another life since."""
    world = declared(["a.md"])
    delete(world)
    copy = back_up(world)
    taken = make_world(bucket_name="bucket-9")
    assert taken.source.id == world.source.id
    taken.collections = world.collections
    taken.__post_init__()
    taken.bucket.put("a.md", "theirs")
    taken.sync()
    if restored:
        restore(world, copy)
    as_it_was = there(world)
    other = s3_source(id=SECOND, name="other", bucket_name="bucket-2", collection_name="docs")
    world.catalog.sources.add(other)
    world.source = other
    world.bucket.put("a.md", "ours")
    world.sync()
    assert there(world) == as_it_was
    assert states(world)["a.md"] in {("failed", "record_ids_taken"), ("waits", BUSY)}


@KEEPS
@pytest.mark.parametrize("adopt", [True, False])
def test_nor_does_a_person_who_has_documents_read_back_unless_they_are_adopted(adopt, mode):
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    delete(world)
    for key in KEYS[1:]:
        world.bucket.delete(key)
    declare(world)
    world.sync()
    put_back(world, copy)
    recover_catalog(
        world.source,
        catalog=world.catalog,
        collections=world.collections,
        embedder=world.embedder,
        adopt=adopt,
    )
    keys = {one.object_key for one in world.catalog.documents.of_source(world.source.id)}
    assert keys == set(KEYS if adopt else KEYS[:1])


@KEEPS
def test_nor_does_the_end_of_a_move(mode):
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    delete(world)
    for key in KEYS[1:]:
        world.bucket.delete(key)
    declare(world)
    world.sync()
    before = move(world, collection_name="docs2")
    put_back(world, copy)
    ends(world)
    assert before.id not in world.catalog.sources.ids()
    assert len(there(world, "docs2")) == 2
    delete_ended(world)
    assert there(world) == []


def test_a_collection_with_what_a_person_has_kept_of_a_life_before_is_not_dropped():
    world = declared(KEYS)
    keep_records(world)
    declare(world, bucket_name="bucket-2")
    as_it_was = there(world)
    for approved in (True, False):
        with pytest.raises(Conflict, match="which was deleted or is of another installation"):
            drop_collection(
                world.source,
                world.listing().listing,
                catalog=world.catalog,
                collections=world.collections,
                approved=approved,
            )
    assert there(world) == as_it_was


@pytest.mark.parametrize("changes", [{"id_prefix": "p-"}, {"bucket_name": "bucket-eu"}], ids=str)
def test_a_text_that_append_mode_keeps_is_not_over_where_its_successor_was_lost(changes):
    """What it has lost by now is written from what the object has by now: these are other bytes."""
    world = declared(KEYS, mode=DeleteMode.APPEND)
    world.bucket.delete(KEYS[1])
    goes_on(world, 1)
    copy = copied(world)
    kept = {one.document for one in copy}
    before = move(world, **changes)
    ends(world)
    assert before.id in world.catalog.sources.ids()
    world.bucket.put(KEYS[0], "edited")
    goes_on(world, 2)
    opened(world).delete([one.id for page in opened(world).scan() for one in page])
    put_back(world, copy)
    for _ in range(3):
        verify(world)
        goes_on(world, 1)
        finish(world)
    assert kept <= {text for _, _, text in there(world)}


@pytest.mark.parametrize("goes", ["object", "source"])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_a_person_has_kept_is_not_written_over_by_the_next_life_of_another_bucket(goes, mode):
    world = declared(KEYS, mode=mode)
    as_it_was = there(world)
    keep_records(world)
    declare(world, bucket_name="bucket-2")  # a copy of the other: the same keys
    world.sync()
    assert set(states(world).values()) == {("failed", "record_ids_taken")}
    if goes == "object":
        world.bucket.delete(KEYS[0])
        world.sync()
    else:
        delete(world)
    delete_ended(world)
    assert there(world) == as_it_was


def test_what_was_kept_of_a_place_that_nobody_noted_is_kept_whatever_is_declared_since():
    world = declared(KEYS)
    first, as_it_was = world.source, there(world)
    keep_records(world)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM lives"))  # of before places were noted
    declare(world, bucket_name="bucket-2")
    world.sync()
    verify(world)
    assert there(world) == as_it_was
    assert world.catalog.rebuilding.kept_owners() == {first.id}


@KEEPS
@pytest.mark.parametrize("deleted_before", [False, True])
def test_what_was_kept_is_read_back_where_a_life_before_that_was_deleted(deleted_before, mode):
    world = declared(KEYS, mode=mode)
    code = world.source
    if deleted_before:
        delete(world)
        declare(world)
        world.sync()
    as_it_was = there(world)
    keep_records(world)
    for key in KEYS:
        world.bucket.delete(key)
    world.source = world.catalog.sources.register(code)
    world.bucket.put("new.md", "new")
    world.sync()
    verify(world)
    goes_on(world, 2)
    assert set(as_it_was) < set(there(world))


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_where_it_was_is_where_it_was_moved_to(moved, mode):
    world = declared(KEYS, mode=mode)
    code = world.source
    if moved:
        move(world, bucket_name="bucket-2")
        ends(world)
        code = changed(code, bucket_name="bucket-2")
    last = world.source
    keep_records(world)
    world.source = world.catalog.sources.register(code)
    assert world.source.id == last.id
    world.sync()
    goes_on(world, 1)
    assert set(states(world).values()) == {("indexed", None)}


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_who_may_read_a_later_life_is_not_said_by_what_was_kept_of_one_before(how):
    world = declared(["open.md"])
    keep_records(world)
    world.bucket.delete("open.md")
    declare(world, bucket_name="bucket-2", reader_keys=("team",), metadata={"team": ["hr"]})
    world.bucket.put("closed.md", "salaries")
    world.sync()
    copy = copied(world)
    if how == "deleted":
        delete(world)
    else:
        move(world, bucket_name="bucket-3", id_prefix="p-")
        ends(world)
    put_back(world, copy)
    rights = rights_of(world.catalog, Reader(frozenset({"sales"})), tenant="default_tenant")
    seen = {one.document for one in copied(world) if rights.allow_record(one.metadata)}
    assert seen == {"open.md one", "open.md two"}


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_tail_that_a_second_life_left_is_a_stray_of_its_own(mode):
    """Chroma accepted its deletion and did not do it."""
    world = declared([], mode=mode)
    world.bucket.put("a.md", "one\n\ntwo\n\nthree")
    world.sync()
    delete(world)
    declare(world)
    world.sync()
    before = copied(world)
    world.bucket.put("a.md", "one")
    world.ask("a.md")
    world.run_batches()
    goes_on(world, 1)
    as_it_was = there(world)
    names = {name for name, _, _ in as_it_was}
    put_back(world, [one for one in before if one.id not in names])
    assert verify(world, ended=False).stray
    assert there(world) == as_it_was


def test_the_place_of_a_life_of_long_ago_is_not_free_since_another_one_ended():
    world = declared(["a.md"])
    old = world.source
    delete(world)
    taken = make_world()  # its code went to another installation, with bucket and collection
    assert taken.source.id == old.id
    taken.collections = world.collections
    taken.__post_init__()
    taken.bucket.put("a.md", "theirs")
    taken.sync()
    as_it_was = there(world)
    world.clock.seconds += 300 * 86_400
    declare(world, bucket_name="bucket-9", collection_name="docs9")
    delete(world)
    other = s3_source(id=SECOND, name="other", bucket_name="bucket-2", collection_name="docs")
    world.catalog.sources.add(other)
    world.source = other
    world.bucket.put("a.md", "ours")
    world.sync()
    goes_on(world, 2)
    assert there(world) == as_it_was


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_was_kept_is_its_own_again_where_the_source_is_moved_back(mode):
    world = declared(KEYS, mode=mode)
    first = world.source.id
    keep_records(world)
    declare(world, collection_name="docs2")
    world.sync()
    move(world, collection_name="docs")
    assert world.source.id == first
    ends(world)
    assert set(states(world).values()) == {("indexed", None)}
    assert (there(world, "docs2"), len(there(world))) == ([], 2 * len(KEYS))


def test_what_was_kept_stays_where_the_next_life_begins_in_another_collection_that_it_filled():
    world = declared(KEYS, auto_sync="direct")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x", target_collection_name="side"))
    goes_on(world, 2)
    as_it_was = there(world)
    assert there(world, "side")
    keep_records(world)
    for key in KEYS:
        world.bucket.delete(key)
    declare(world, collection_name="side")
    world.bucket.put("new.md", "new")
    goes_on(world, 2)
    verify(world)
    goes_on(world, 2)
    assert there(world) == as_it_was


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_a_life_before_had_is_not_kept_in_the_place_of_what_this_one_wrote(mode):
    """It was deleted with its records; append mode keeps the first text of this life."""
    world = declared(["a.md", "b.md"], mode=mode)
    copy = copied(world)
    delete(world)
    world.bucket.put("b.md", "b, edited\n\nb, too")
    declare(world)
    world.sync()
    as_it_was = there(world)
    put_back(world, copy)
    for _ in range(3):
        verify(world)
        delete_ended(world)
        goes_on(world, 1)
    assert there(world) == as_it_was
    assert verify(world, fix=False).sound


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_an_id_that_a_life_before_gave_to_another_object_is_free_for_this_one(mode):
    world = declared(["a.md", "b.md"], mode=mode)
    world.bucket.put("s.meta.json", sidecar("a.md", "x"))
    goes_on(world, 2)
    copy = copied(world)
    delete(world)
    world.bucket.put("s.meta.json", sidecar("b.md", "x"))
    world.bucket.put("a.md", "a, edited")
    declare(world)
    goes_on(world, 2)
    as_it_was = there(world)
    put_back(world, copy)
    for _ in range(3):
        verify(world)
        delete_ended(world)
        goes_on(world, 1)
    assert states(world)["b.md"] == ("indexed", None)
    assert there(world) == as_it_was
