"""Records of a restored catalog's documents: whose they are is known, whichever name they bear."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, states
from s3sync_dagster_tests.core.test_rules_moved import KEYS, finish, move, owners
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restore_ends import checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed, s3_source

HR = {"reader_keys": ("team",), "metadata": {"team": ["hr"]}}
SECOND = "00000000-0000-4000-8000-000000000002"


def keeping(**options):
    world = make_world(mode=DeleteMode.KEEP_DELETED, **options)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    return world


def delete(world, source=None, *, turns=9):
    source = source or world.source
    world.catalog.sources.mark_deleting(source.id, keep_records=False)
    for _ in range(turns):
        if world.catalog.sources.deleting(source.id) is not None:
            take_down(
                source,
                catalog=world.catalog,
                collections=lambda: world.collections,
                clock=world.clock,
                drop_partitions=lambda _: True,
                log=lambda _: None,
            )
    assert world.catalog.sources.deleting(source.id) is None


def test_what_a_moved_source_took_over_and_never_wrote_goes_with_it():
    world = keeping()
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    move(world, bucket_name="bucket-eu")
    world.listing()
    away = refuse_with(Unavailable("It does not answer.", reason="chroma_unavailable"))
    world.run_batches(collections=Refusing(world, upsert=away))
    restore(world, back_up(world))
    delete(world)
    assert world.texts() == {}


@pytest.mark.parametrize("goes", ["deletion", "mirror"])
def test_what_a_lost_id_wrote_and_was_read_back_goes_with_its_document(goes):
    lost = keeping()
    lost.bucket.put("a.md", "one\n\ntwo")
    lost.bucket.put("b.md", "other")
    lost.sync()
    lost.bucket.delete("a.md")
    lost.sync()
    world = keeping(id=SECOND)
    world.bucket, world.collections = lost.bucket, lost.collections
    world.__post_init__()
    recover_catalog(
        world.source,
        catalog=world.catalog,
        collections=world.collections,
        embedder=world.embedder,
    )
    world.sync()
    restore(world, back_up(world))
    if goes == "deletion":
        delete(world)
        assert world.texts() == {}
        return
    world.configure(mode=DeleteMode.MIRROR)
    for _ in range(3):
        world.sync()
        world.clock.seconds += 90_000
    assert set(world.texts().values()) == {"other"}


def beside(world):
    """Return the world of a second source in the same collection that takes ids over."""
    second = s3_source(
        id=SECOND, name="second", bucket_name="bucket2", collection_name="docs", adopt=True
    )
    world.catalog.sources.add(second)
    other = type(world)(
        source=second,
        bucket=world.bucket,
        catalog=world.catalog,
        collections=world.collections,
        clock=world.clock,
    )
    other.bucket = MemoryBucket()
    other.store = MemoryObjectStore(other.bucket)
    other.bucket.put("a.md", "of the second")
    return other


@pytest.mark.parametrize("first", [True, False])
def test_what_a_neighbour_took_over_since_goes_with_the_neighbour_alone(first):
    world = make_world()
    world.bucket.put("a.md", "of the first")
    world.sync()
    other = beside(world)
    copy = back_up(world)
    other.sync()
    restore(world, copy)
    delete(world, world.source if first else other.source)
    assert set(world.texts().values()) == {"of the second"}
    delete(world, other.source if first else world.source)
    assert world.texts() == {}


def test_what_a_document_has_beyond_a_first_record_that_is_gone_goes_with_it():
    world = make_world()
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    copy = back_up(world)
    world.bucket.put("a.md", "\n\n".join(f"part {n}" for n in range(9)))
    world.sync()
    first = next(name for name in world.texts() if name.endswith("-0"))
    world.collections.open(
        "docs", tenant="default_tenant", database="default_database", embedder=None, create=False
    ).delete([first])
    restore(world, copy)
    world.bucket.delete("a.md")
    world.bucket.put("b.md", "other")
    world.sync()
    world.approve()
    world.sync()
    assert set(world.texts().values()) == {"other"}


def declared(keys, **fields):
    world = make_world(**fields)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in keys:
        world.bucket.put(key, f"{key} one\n\n{key} two")
    world.sync()
    return world


def moved_since(*, fields=None, **changes):
    """Return a world that was moved after the backup that it goes on with."""
    world = declared(KEYS, **(fields or {}))
    copy = back_up(world)
    move(world, **changes)
    ends(world)
    world.bucket.put("new.md", "new")
    goes_on(world, 1)
    restore(world, copy)
    return world


def made_again_since():
    """Return a world whose source was deleted and made again after the backup; and the other."""
    world = make_world()
    for key in KEYS:
        world.bucket.put(key, f"{key} one\n\n{key} two")
    world.sync()
    copy = back_up(world)
    delete(world)
    again = changed(world.source, id=SECOND)
    world.catalog.sources.add(again)
    world.source = again
    world.sync()
    assert owners(world, again) == {SECOND}
    restore(world, copy)
    return world


def ends(world):
    for _ in range(3):
        goes_on(world, 1)
        finish(world)


@pytest.mark.parametrize("again", [True, False], ids=["moved again", "as it was"])
@pytest.mark.parametrize("when", ["before it is listed", "while its work waits"])
def test_what_a_forgotten_move_wrote_of_an_object_goes_with_it(again, when):
    world = moved_since(bucket_name="bucket-eu")
    if when == "before it is listed":
        world.bucket.delete("a.md")
    if again:
        move(world, bucket_name="bucket-eu")
    if when == "while its work waits":
        world.listing()
        world.bucket.delete("a.md")
    ends(world)
    assert world.keys_indexed() == {*KEYS, "new.md"} - {"a.md"}
    assert {one["document_key"] for one in world.metadata().values()} == world.keys_indexed()


def test_what_a_forgotten_move_wrote_goes_with_the_source():
    world = moved_since(bucket_name="bucket-eu")
    delete(world)
    assert set(world.texts().values()) == {"new"}  # which the copy does not know


def test_what_a_move_wrote_after_a_backup_in_its_middle_goes_with_the_object_of_before():
    world = declared(KEYS)
    move(world, bucket_name="bucket-eu")
    copy = back_up(world)
    goes_on(world, 1)
    assert owners(world, world.source) == {world.source.id}
    restore(world, copy)
    world.bucket.delete("a.md")
    ends(world)
    assert {one["document_key"] for one in world.metadata().values()} == {"b.md", "dir/c.md"}


@pytest.mark.parametrize("when", ["before it is listed", "while its work waits"])
def test_what_a_forgotten_source_wrote_of_an_object_of_the_same_place_goes_with_it(when):
    world = made_again_since()
    if when == "while its work waits":
        world.listing()
    world.bucket.delete("a.md")
    goes_on(world)
    assert {one["document_key"] for one in world.metadata().values()} == {"b.md", "dir/c.md"}


@pytest.mark.parametrize("change", [{"bucket_name": "bucket-eu"}, {"collection_name": "docs2"}])
def test_a_move_that_is_done_again_takes_over_all_that_the_move_of_then_wrote(change):
    world = moved_since(**change)
    world.bucket.put("new.md", "newer")
    world.bucket.put("a.md", "changed")
    move(world, **change)
    ends(world)
    assert set(states(world).values()) == {("indexed", None)}
    assert world.catalog.moves.left_by(world.source.id) == []
    texts = world.texts(world.source.collection_name)
    assert {"newer", "changed"} <= set(texts.values())
    assert not {"new", "a.md one", "a.md two"} & set(texts.values())


def test_moves_that_are_done_again_one_after_the_other_have_their_records():
    world = declared(KEYS)
    copy = back_up(world)
    changes = [{"bucket_name": "bucket-eu"}, {"collection_name": "docs2"}]
    ids = []
    for again in (False, True):
        for change in changes:
            move(world, **change)
            ends(world)
            ids.append(world.source.id)
        if not again:
            world.bucket.put("new.md", "new")
            goes_on(world, 1)
            restore(world, copy)
    assert ids[:2] == ids[2:]
    assert set(states(world).values()) == {("indexed", None)}
    assert owners(world, world.source) == {world.source.id}


def test_a_source_that_is_moved_again_after_its_deletion_is_another_one():
    """Whoever is late wrote for the one that was deleted."""
    world = declared(KEYS)
    first = world.source
    move(world, bucket_name="bucket-eu")
    ends(world)
    deleted = world.source
    delete(world)
    world.source = world.catalog.sources.register(first)
    world.sync()
    move(world, bucket_name="bucket-eu")
    assert world.source.id not in {first.id, deleted.id}
    ends(world)
    assert owners(world, world.source) == {world.source.id}
    assert world.catalog.moves.left_by(world.source.id) == []


def test_what_a_forgotten_move_wrote_of_a_new_object_is_written_over_also_where_it_is_not_moved():
    world = moved_since(bucket_name="bucket-eu")
    world.bucket.put("new.md", "newer")
    goes_on(world)
    assert states(world)["new.md"] == ("indexed", None)
    assert "new" not in world.texts().values()


@pytest.mark.parametrize("readers", [HR, {}], ids=["readers", "none"])
def test_a_move_is_forgotten_also_once_all_was_looked_through(readers):
    """What a new object's id has of it is written over, however late it comes."""
    world = moved_since(bucket_name="bucket-eu", fields=readers)
    world.bucket.delete("new.md")
    for _ in range(4):
        goes_on(world, 1)
        checks(world)
    assert world.catalog.sources.looked_through(world.source.id) == (None if readers else ["docs"])
    world.bucket.put("new.md", "newer")
    goes_on(world, 2)
    assert states(world)["new.md"] == ("indexed", None)
    assert "new" not in world.texts().values()


def neighbour(world, **fields):
    """Return the world of another installation at the same Chroma."""
    other = make_world(**{"id": SECOND, **fields})
    other.collections, other.bucket = world.collections, world.bucket
    if "bucket_name" in fields:
        other.bucket = MemoryBucket()
    other.__post_init__()
    return other


@pytest.mark.parametrize("gone", ["deleted", "left out", "with its source"])
def test_what_another_installation_wrote_under_an_id_that_was_free_stays(gone):
    world = make_world()
    world.bucket.put("a.md", "ours")
    world.bucket.put("b.md", "other")
    world.sync()
    copy = back_up(world)
    other = neighbour(world, bucket_name="bucket2")
    other.bucket.put("a.md", "theirs")
    assert other.sync() == {"a.md": "failed"}
    world.bucket.delete("a.md")
    world.sync()
    goes_on(other, 1)
    assert states(other)["a.md"] == ("indexed", None)
    restore(world, copy)
    if gone == "left out":
        world.bucket.put("a.md", "ours")
        world.configure(exclude_globs=("a.md",))
    if gone == "with its source":
        delete(world)
    else:
        goes_on(world)
    assert "theirs" in world.texts().values()


@pytest.mark.parametrize("named", [True, False], ids=["by the source", "by the environment"])
def test_a_bucket_of_the_same_name_on_another_server_is_another_place(named):
    servers = ("https://minio-a:9000", "https://minio-b:9000")
    here, there = ({"endpoint_url": one} if named else {} for one in servers)
    world = make_world(**here)
    if not named:
        world.catalog.servers.remember(world.source.id, servers[0], same=False)
    world.bucket.put("a.md", "ours")
    world.bucket.put("b.md", "other")
    world.sync()
    copy = back_up(world)
    other = neighbour(world, bucket_name="bucket", **there)
    other.bucket.put("a.md", "theirs")
    world.bucket.delete("a.md")
    world.sync()
    goes_on(other, 1)
    restore(world, copy)
    goes_on(world)
    assert (states(other), set(world.texts().values())) == (
        {"a.md": ("indexed", None)},
        {"theirs", "other"},
    )


def test_another_installation_of_the_same_place_keeps_what_a_restored_catalog_has_not():
    world = make_world(exclude_globs=("b.md",))
    world.bucket.put("a.md", "a")
    world.bucket.put("b.md", "b")
    world.sync()
    copy = back_up(world)
    other = neighbour(world)
    other.sync()
    theirs = {"b": SECOND}
    restore(world, copy)
    world.configure(exclude_globs=())
    world.bucket.put("b.md", "b, edited")
    goes_on(world)
    assert states(world)["b.md"] == ("failed", "record_ids_taken")
    told = world.metadata()
    assert {t: told[n]["s3sync_source"] for n, t in world.texts().items() if t == "b"} == theirs


def test_another_installation_of_the_same_place_keeps_what_goes_with_a_source_of_before():
    """It took the place of one that was deleted, which is there again and is deleted again."""
    world = make_world()
    world.bucket.put("a.md", "a")
    world.sync()
    copy = back_up(world)
    delete(world)
    other = neighbour(world)
    other.sync()
    assert list(world.texts().values()) == ["a"]
    restore(world, copy)
    delete(world)
    assert list(world.texts().values()) == ["a"]
