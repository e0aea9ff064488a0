"""A restored catalog is older than the buckets and the collections, and knows that it is."""

import pytest

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.hybrid import Searcher
from s3sync_dagster.engine.readable import Readable
from s3sync_dagster.engine.rolling_check import check_some
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, requests, states
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, KEY, ask, seen
from s3sync_dagster_tests.core.test_rules_moved import KEYS, _of, declare, finish, move
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.simulation.people import dump_catalog, load_catalog
from s3sync_dagster_tests.sources import changed

HR = {"reader_keys": ("dept",), "metadata": {"dept": ["hr"]}}


def back_up(world):
    return world.source, dump_catalog(world.catalog)


def restore(world, backup):
    world.source, dump = backup
    load_catalog(world.catalog, dump)
    begin_anew(world.catalog.database)


def open_collection(world):
    return world.collections.open(
        "docs", tenant=world.source.tenant, database="default_database", embedder=world.embedder
    )


def seen_by_sales(world, *, limit=20):
    """Return the texts that a reader finds who is of no group of the source's."""
    reader = Reader(frozenset({"sales"}))
    rights = rights_of(world.catalog, reader, tenant=world.source.tenant)
    guarded = Readable(open_collection(world), rights)
    found = Searcher(guarded, world.embedder, rights=rights).search(
        "text", ranking="dense", limit=limit, where=None
    )
    scanned = {name for page in guarded.scan() for name in (one.id for one in page)}
    assert {hit.id for hit in found} <= scanned
    if limit == 20:
        assert len(found) == len(scanned)
    return sorted(hit.document for hit in found)


def another(world, number, **fields):
    """Return a world of a further source that writes into the same collection."""
    source = changed(
        world.source, id=f"0000000{number}-0000-4000-8000-000000000009", name=f"other_{number}",
        bucket_name=f"bucket-{number}", **fields,
    )  # fmt: skip
    world.catalog.sources.add(source)
    made = _of(world, source)
    made.bucket.put(f"{number}.md", f"text of {number}")
    made.sync()
    return made


@pytest.fixture
def foreign(world):
    """Of a program that knows nothing of us."""
    record = Record(id="f", document="foreign", embedding_text="foreign", metadata={"team": "hr"})
    open_collection(world).upsert([record], world.embedder.embed_documents(["foreign"]))
    return world


def test_a_source_that_the_restored_catalog_does_not_know_is_read_by_owners_alone(foreign):
    world = foreign
    world.bucket.put("a.md", "text a")
    world.sync()
    backup = back_up(world)
    for number in (1, 2, 3):
        another(world, number, **HR)
    assert seen_by_sales(world) == ["foreign", "text a"]
    restore(world, backup)
    world.sync()
    assert seen_by_sales(world) == ["foreign", "text a"]
    assert len(seen_by_sales(world, limit=2)) == 2  # others do not take their places


def test_the_records_of_a_restricted_source_that_was_moved_after_the_backup_stay_closed(world):
    world.configure(**HR)
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET origin = 'python'")
    world.bucket.put("a.md", "text a")
    world.sync()
    backup = back_up(world)
    move(world, bucket_name="bucket-eu")
    world.sync()
    finish(world)
    assert seen_by_sales(world) == []
    restore(world, backup)
    assert seen_by_sales(world) == []


def test_records_that_a_deleted_source_left_go_on_being_read(world):
    world.bucket.put("a.md", "text a")
    world.sync()
    other = another(world, 1)
    before = seen_by_sales(world)
    world.catalog.sources.mark_deleting(other.source.id, keep_records=True)
    take_down(
        other.source, catalog=world.catalog, collections=lambda: world.collections,
        clock=world.clock, log=lambda _: None, drop_partitions=lambda _until: True,
    )  # fmt: skip
    assert world.catalog.sources.ids() == {world.source.id}
    world.clock.seconds += 30 * 86_400
    third = another(world, 3)
    world.catalog.documents.drop_source(third.source.id)  # old ends are forgotten then
    assert set(before) <= set(world.texts().values())
    assert [text for text in seen_by_sales(world) if text != "text of 3"] == before


class Counting:
    """A model that tells how many texts it was given."""

    def __init__(self, embedder):
        self._embedder, self.texts = embedder, 0

    def embed_documents(self, texts):
        self.texts += len(texts)
        return self._embedder.embed_documents(texts)

    def __getattr__(self, name):
        return getattr(self._embedder, name)


def test_a_text_that_came_and_went_after_the_backup_is_not_believed(world):
    world.bucket.put("a.md", "one\n\nprice 10")
    world.bucket.put("b.md", "b")
    world.sync()
    backup = back_up(world)
    for text in ("two", "price 99"):
        world.bucket.put("a.md", f"one\n\n{text}\n\nand more\n\nof it")
        world.bucket.put("b.md", text)
        world.configure(metadata={"later": text})
        world.sync()
        world.ask("a.md", "b.md", force=True)
        world.run_batches()
    world.bucket.put("a.md", "one, edited\n\nprice 10")
    world.bucket.put("b.md", "b")  # as it was
    restore(world, backup)
    world.sync()
    assert sorted(world.texts().values()) == ["b", "one, edited", "price 10"]
    assert not any("later" in one for one in world.metadata().values())


def test_a_restore_reads_and_embeds_nothing_of_what_stands_as_it_was(world):
    for number in range(30):
        world.bucket.put(f"{number}.md", f"{number} one\n\n{number} two")
    world.sync()
    backup = back_up(world)
    world.bucket.put("7.md", "7 one\n\nseven")
    before = world.store.requests()
    restore(world, backup)
    counting = Counting(world.embedder)
    world.listing()
    ended = {one.key: one.state for one in world.run_batches(embedder=counting)}
    assert ended == {f"{n}.md": "unchanged" for n in range(30)} | {"7.md": "updated"}
    assert counting.texts == 1
    assert world.store.requests()["GET"] == before["GET"] + 1


@pytest.mark.parametrize("gone", ["source", "object"])
def test_records_that_a_document_had_after_the_backup_go_with_it(world, gone):
    world.bucket.put("a.md", "one")
    world.sync()
    backup = back_up(world)
    world.bucket.put("a.md", "\n\n".join(f"part {n}" for n in range(9)))
    world.sync()
    restore(world, backup)
    if gone == "object":
        world.bucket.delete("a.md")
        world.listing(approve_deletes=True)
        world.run_batches()
    else:
        world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
        take_down(
            world.source, catalog=world.catalog, collections=lambda: world.collections,
            clock=world.clock, log=lambda _: None, drop_partitions=lambda _until: True,
        )  # fmt: skip
    assert world.texts() == {}


def test_a_document_that_its_mode_keeps_is_believed_once_it_was_looked_at(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "one")
    world.sync()
    world.bucket.delete("a.md")
    world.sync()
    restore(world, back_up(world))
    world.sync()
    check_some(
        world.source, catalog=world.catalog, collections=lambda: world.collections,
        clock=world.clock, records_per_day=1000, log=lambda _: None,
    )  # fmt: skip
    [document] = world.catalog.documents.of_source(world.source.id)
    assert document.phase is DocumentPhase.CLEAN
    assert list(world.texts().values()) == ["one"]


def test_a_catalog_from_before_a_move_is_moved_again(world):
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET origin = 'python'")
    for key in KEYS:
        world.bucket.put(key, f"{key} one")
    world.sync()
    backup, declared = back_up(world), {"bucket_name": "bucket-eu"}
    move(world, **declared)
    world.sync()
    assert finish(world) is None
    world.bucket.put("a.md", "a.md two")
    world.sync()
    restore(world, backup)
    declare(world, **declared)
    world.source = world.catalog.moves.begin("docs")
    world.sync()
    assert set(states(world).values()) == {("indexed", None)}
    assert "a.md two" in world.texts().values()
    assert {one["s3sync_source"] for one in world.metadata().values()} == {world.source.id}


def test_what_a_move_had_written_by_the_time_of_a_restore_in_its_middle_is_no_stray(world):
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET origin = 'python'")
    world.bucket.put("a.md", "one")
    world.sync()
    move(world, bucket_name="bucket-eu")
    backup = back_up(world)
    world.sync()
    restore(world, backup)
    look = {"collection": open_collection(world), "documents": world.catalog.documents}
    assert verify_collection(world.source, **look, fix=True).stray == []
    assert list(world.texts().values()) == ["one"]
    world.sync()
    assert finish(world) is None
    assert verify_collection(world.source, **look).met == 1


def test_an_order_to_write_anew_what_is_outdated_is_not_lost_to_a_restore(world):
    world.bucket.put("a.md", "one")
    world.sync()
    world.configure(metadata={"team": "red"})
    restore(world, back_up(world))
    world.sync(reindex=True)
    assert {one["team"] for one in world.metadata().values()} == {"red"}


@pytest.mark.parametrize("known", ["whole", "under other settings", "begun"])
def test_what_an_owner_closed_after_the_backup_stays_closed_where_records_alone_know(known):
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    if known == "begun":
        with world.catalog.database.write() as tx:
            tx.exec_driver_sql("UPDATE documents SET phase='writing', etag=NULL, digests=x''")
    backup = back_up(world)
    ask(world, {"team": "hr"}, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)
    restore(world, backup)
    if known == "under other settings":
        world.configure(metadata={"x": "y"})
    for _ in range(2):
        world.sync()
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
        world.clock.seconds += 86_400
    ask(world, {"team": "hr"}, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)


def test_a_tag_that_was_changed_after_the_backup_is_no_word_of_an_owner_s():
    told = {"object_tags": ("team",), "metadata_interval_seconds": 3600}
    world = make_world(reader_keys=("team",), **told)
    world.bucket.put(KEY, "salaries", tags={"team": "sales"})
    world.sync()
    backup = back_up(world)
    world.bucket.tag(KEY, {"team": "hr"})
    world.clock.seconds += 7200
    world.sync()
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)
    restore(world, backup)
    world.sync()
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)


@pytest.mark.parametrize("meanwhile", ["restored", "gone, looked at and back"])
def test_records_that_a_write_never_reached_do_not_pass_for_what_it_was_to_write(world, meanwhile):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "one")
    world.sync()
    world.ask("a.md", metadata={"v": 2}, vouched=True)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, update_metadata=away, upsert=away)
    world.run_batches(collections=refusing)
    refusing.on = False
    if meanwhile == "restored":
        restore(world, back_up(world))
    else:
        world.bucket.delete("a.md")
        world.clock.seconds += 3600
        world.sync()
        check_some(
            world.source, catalog=world.catalog, collections=lambda: world.collections,
            clock=world.clock, records_per_day=1000, log=lambda _: None,
        )  # fmt: skip
        assert states(world) == {}
        world.bucket.put("a.md", "one")
    world.clock.seconds += 3600
    world.sync()
    assert [told["v"] for told in world.metadata().values()] == [2]


def test_a_record_that_stands_as_another_source_s_is_missing(world):
    world.bucket.put("a.md", "one")
    world.sync()
    collection = open_collection(world)
    [name] = world.texts()
    collection.update_metadata([name], [{"s3sync_source": "another"}])
    look = {"collection": collection, "documents": world.catalog.documents}
    assert verify_collection(world.source, **look, fix=True).missing == ["a.md"]
    world.run_batches()
    assert verify_collection(world.source, **look).sound
    assert verify_collection(world.source, **look).met == 1


@pytest.mark.parametrize("by_itself", [False, True])
def test_a_restored_catalog_removes_nothing_that_is_there_again(world, by_itself):
    number = 40 if by_itself else 60
    for n in range(100):
        world.bucket.put(f"{n:02}.md", f"text {n}")
    world.sync()
    for n in range(number):
        world.bucket.delete(f"{n:02}.md")
    listing = world.listing().listing
    assert listing.state == ("complete" if by_itself else "blocked")
    backup = back_up(world)  # with removals that wait, or a listing that waits for its approval
    for n in range(number):
        world.bucket.put(f"{n:02}.md", f"text {n}")
    world.sync()
    restore(world, backup)
    assert world.catalog.listings.approve(world.source.id, listing.id) is None
    world.run_batches()
    assert len(world.keys_indexed()) == 100
    world.sync()
    assert set(states(world).values()) == {("indexed", None)}
    assert len(world.keys_indexed()) == 100


def test_a_restored_catalog_still_removes_what_is_gone(world):
    for n in range(100):
        world.bucket.put(f"{n:02}.md", f"text {n}")
    world.sync()
    for n in range(5):
        world.bucket.delete(f"{n:02}.md")
    world.listing()
    restore(world, back_up(world))
    world.run_batches()
    assert len(world.keys_indexed()) == 95


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_what_came_and_went_since_a_backup_is_kept_by_a_mode_that_keeps(mode):
    world = make_world(mode=mode)
    world.bucket.put("old.txt", "old")
    world.sync()
    backup = back_up(world)
    world.bucket.put("new.txt", "new")
    world.sync()
    world.bucket.delete("new.txt")
    world.sync()
    restore(world, backup)
    world.sync()
    look = verify(world, fix=False)
    assert (look.stray, look.recovered, look.sound) == ([], ["new.txt"], False)
    found = verify(world, fix=True)
    assert (found.stray, found.recovered, found.fixed) == ([], ["new.txt"], True)
    for _ in range(2):
        world.sync()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert world.keys_indexed() == {"new.txt", "old.txt"}
    assert verify(world, fix=True).sound
    world.bucket.put("new.txt", "new again")
    world.sync()
    again = "new" if mode is DeleteMode.APPEND else "new again"
    assert sorted(world.texts().values()) == [again, "old"]


def test_what_was_read_back_of_objects_that_are_gone_rests_and_leaves_by_a_listing():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("old.txt", "old")
    world.sync()
    backup = back_up(world)
    names = [f"{number}.txt" for number in range(12)]
    for name in names:
        world.bucket.put(name, f"text of {name}")
    world.sync()
    for name in names:
        world.bucket.delete(name)
    world.sync()
    restore(world, backup)
    world.sync()
    assert sorted(verify(world, fix=True).recovered) == sorted(names)
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    heads = requests(world, "HEAD")
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
    assert requests(world, "HEAD") == heads
    world.configure(mode=DeleteMode.MIRROR)
    listing = world.listing().listing
    assert (listing.state, listing.gone) == ("complete", len(names))
    world.run_batches()
    assert world.keys_indexed() == {"old.txt"}


def test_what_another_write_left_of_an_object_goes_also_where_a_mode_keeps():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.txt", "one\n\ntwo")
    world.sync()
    (first,) = world.catalog.documents.of_key(world.source.id, "a.txt")
    text = next(iter(world.metadata().values()))
    port = world.collections.open(
        "docs", tenant=first.tenant, database=first.database_name, embedder=world.embedder
    )
    left = [
        Record(id=name, document="x", embedding_text="x", metadata=dict(text))
        for name in (f"{first.document_id}-7", "another-0")
    ]
    port.upsert(left, world.embedder.embed_documents(["x", "x"]))
    found = verify(world, fix=True)
    assert (sorted(found.stray), found.recovered) == (sorted(one.id for one in left), [])
    assert sorted(world.texts().values()) == ["one", "two"]


def verify(world, *, fix):
    port = world.collections.open(
        "docs", tenant=world.source.tenant, database=world.source.database_name, embedder=None
    )
    return verify_collection(
        world.source, collection=port, documents=world.catalog.documents, fix=fix
    )
