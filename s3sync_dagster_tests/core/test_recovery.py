"""Documents read back from records: whose they are, and what they say."""

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.records import build_records
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.rebuilding import recover_catalog, recover_documents
from s3sync_dagster.model.document import Chunk, Record
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.core.rules import sidecar, states
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed, s3_source

TENANT, DATABASE = "default_tenant", "default_database"
EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
SOURCE = s3_source(
    id="s1", name="docs", bucket_name="b", path_prefix="docs/", collection_name="c",
    metadata={"team": "x"},
)  # fmt: skip


def id_of(source, key, custom_id=None):
    return document_id(key, custom_id=custom_id, id_prefix=source.id_prefix)


def write(collection, source, key, count, custom_id=None, **metadata):
    chunks = [
        Chunk(
            index=n, text=f"{key} {n}", start_line=1, end_line=1, start_col=1, end_col=9,
            start_byte=0, end_byte=9, strategy="lines", page="1",
        )
        for n in range(count)
    ]  # fmt: skip
    records = build_records(
        source, object_key=key, document_id=id_of(source, key, custom_id), etag="e",
        version_key="v", custom_id=custom_id, metadata={**source.metadata, **metadata},
        chunks=chunks,
    )  # fmt: skip
    collection.upsert(records, EMBEDDER.embed_documents([r.document for r in records]))


def test_documents_say_what_their_records_do():
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    write(collection, SOURCE, "docs/a.md", 3, colour="red")
    write(collection, SOURCE, "docs/b.md", 1, custom_id="hand-book")
    write(collection, SOURCE.with_changes(id="lost"), "docs/c.md", 2)
    write(collection, SOURCE.with_changes(id="lost"), "other/d.md", 1)
    write(collection, changed(SOURCE, id="lost", bucket_name="x"), "docs/e.md", 1)
    write(collection, SOURCE.with_changes(id="alive"), "docs/f.md", 1)
    foreign = Record(id="x", document="x", embedding_text="x", metadata={"document_key": "docs/x"})
    collection.upsert([foreign], EMBEDDER.embed_documents(["x"]))

    found = recover_documents(SOURCE, collection, known_sources={"s1", "alive"})
    assert found.left_alone == 0
    by_key = {one.object_key: one for one in found.documents}
    assert set(by_key) == {"docs/a.md", "docs/b.md", "docs/c.md"}
    first, second = by_key["docs/a.md"], by_key["docs/b.md"]
    assert (first.document_id, first.custom_id, first.etag) == (
        id_of(SOURCE, "docs/a.md"),
        None,
        "e",
    )
    assert first.high_water == 3
    assert first.metadata == {"colour": "red"}
    assert {"colour", "team", "page", "s3sync_chunk_count"} <= first.metadata_keys
    assert (second.document_id, second.custom_id) == ("hand-book", "hand-book")
    assert second.metadata == {}


@pytest.mark.parametrize("place", ["999999999", "9999999999", "²", "007"])
@pytest.mark.parametrize("beside", [0, 3])
def test_an_id_that_somebody_made_up_has_nobody_ask_for_all_before_it(place, beside):
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    if beside:
        write(collection, SOURCE, "docs/a.md", beside)
    name = id_of(SOURCE, "docs/a.md")
    theirs = {"s3sync_source": "s1", "document_key": "docs/a.md", "s3sync_etag": "e"}
    made_up = Record(id=f"{name}-{place}", document="x", embedding_text="x", metadata=theirs)
    collection.upsert([made_up], EMBEDDER.embed_documents(["x"]))
    asked = collection.get

    def get(ids, **options):
        assert len(ids) < 5000
        return asked(ids, **options)

    collection.get = get
    found = recover_documents(SOURCE, collection, known_sources={"s1"}).documents
    assert [(one.high_water, one.etag) for one in found] == ([(3, "e")] if beside else [])


@pytest.mark.parametrize("number", [1, 3])
def test_a_count_that_somebody_made_up_has_nobody_ask_for_so_many(number):
    """Nor is the document whole: it is written anew."""
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    write(collection, SOURCE, "docs/a.md", number)
    first = f"{id_of(SOURCE, 'docs/a.md')}-0"
    told = {**collection.get([first])[first].metadata, "s3sync_chunk_count": 999_999_999}
    collection.update_metadata([first], [told])
    (found,) = recover_documents(SOURCE, collection, known_sources={"s1"}).documents
    assert (found.high_water, found.etag) == (number, "")


def test_what_a_source_said_of_all_before_it_was_edited_is_no_word_of_the_document():
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    write(collection, SOURCE, "docs/a.md", 1, colour="red")
    write(collection, SOURCE, "docs/b.md", 1, custom_id="hand-book", team="of this one")
    edited = SOURCE.with_changes(metadata={"team": "y"})
    found = recover_documents(edited, collection, known_sources={"s1"})
    assert {one.object_key: one.metadata for one in found.documents} == {
        "docs/a.md": {"colour": "red"},
        "docs/b.md": {"team": "of this one"},
    }


@pytest.mark.parametrize("closed", [0, 2])
def test_records_that_say_two_things_of_readers_are_read_as_the_one_that_is_not_told(closed):
    """A write that was cut off: whichever record is met first."""
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    source = SOURCE.with_changes(reader_keys=("team",))
    write(collection, source, "docs/a.md", 3)
    name = id_of(source, "docs/a.md")
    collection.update_metadata([f"{name}-{closed}"], [{"team": "hr"}])
    (found,) = recover_documents(source, collection, known_sources={"s1"}).documents
    assert found.metadata == {"team": "hr"}


def test_holes_do_not_lower_the_high_water_mark():
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    write(collection, SOURCE, "docs/a.md", 5)
    name = id_of(SOURCE, "docs/a.md")
    collection.delete([f"{name}-0", f"{name}-3"])
    (found,) = recover_documents(SOURCE, collection, known_sources={"s1"}).documents
    assert found.high_water == 5


@pytest.mark.parametrize("custom_id", [None, "hand-book"])
def test_only_what_a_source_would_write_itself_is_taken_from_an_unknown_one(custom_id):
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    theirs = SOURCE.with_changes(id="another installation", id_prefix="b-")
    write(collection, theirs, "docs/a.md", 3, custom_id=custom_id)
    found = recover_documents(SOURCE, collection, known_sources={"s1"})
    assert (found.documents, found.left_alone) == ([], 1)
    (taken,) = recover_documents(SOURCE, collection, known_sources={"s1"}, adopt=True).documents
    assert taken.document_id == id_of(theirs, "docs/a.md", custom_id)
    (own,) = recover_documents(
        theirs.with_changes(id="s2"), collection, known_sources={"s2"}
    ).documents
    assert own.document_id == taken.document_id


def test_a_lost_catalog_leaves_another_installation_its_records():
    ours, theirs = make_world(), make_world(path_prefix="docs/", id_prefix="b-")
    theirs.bucket, theirs.collections = ours.bucket, ours.collections
    theirs.__post_init__()
    theirs.catalog.documents.drop_source(theirs.source.id)
    theirs.source = theirs.source.with_changes(id="00000000-0000-4000-8000-0000000000bb")
    theirs.catalog.sources.add(theirs.source)
    for n in range(3):
        ours.bucket.put(f"docs/{n}.md", f"text {n}")
    theirs.sync()
    ours.sync()
    whole = ours.metadata()
    ours.catalog.close()
    ours.catalog = open_catalog("sqlite://", clock=ours.clock)
    ours.catalog.sources.add(ours.source)
    port = ours.collections.open(
        "docs", tenant=ours.source.tenant, database=ours.source.database_name, embedder=None
    )
    found = recover_documents(ours.source, port, known_sources={ours.source.id})
    store_recovered(
        ours.catalog.database, ours.source, found.documents,
        collection_name="docs", collection_id=port.id,
    )  # fmt: skip
    for _ in range(3):
        ours.listing()
        ours.catalog.documents.enqueue_unclean(ours.source.id)
        ours.run_batches()
        ours.clock.seconds += 4000
    assert ours.metadata() == whole
    ours.catalog.close()
    theirs.catalog.close()


def lost_catalog(world, **changes):
    """Return a world of the same bucket and collections, whose catalog has a source made again."""
    fields = {"id": "00000000-0000-4000-8000-000000000009", **changes}
    again = make_world(clock=world.clock, **fields)
    again.bucket, again.collections = world.bucket, world.collections
    again.__post_init__()
    return again


def read_back(world, **options):
    return recover_catalog(
        world.source,
        catalog=world.catalog,
        collections=world.collections,
        embedder=world.embedder,
        **options,
    )


def settle(world):
    for _ in range(4):
        world.clock.seconds += 90_000
        world.listing()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.catalog.invocations.retry_failed(world.source)
        world.run_batches()


def of_two_collections():
    world = make_world()
    for key in ("0.txt", "1.txt", "gone.txt"):
        world.bucket.put(key, f"text of {key}")
        asked = sidecar(key, custom_id=f"c-{key}", target_collection_name="second")
        world.bucket.put(f"{key}.meta.json", asked)
    for _ in range(3):
        world.sync()
    world.bucket.delete("gone.txt")
    world.bucket.delete("gone.txt.meta.json")
    world.bucket.put("0.txt", "another text")
    return world


def test_a_lost_catalog_comes_back_from_every_collection_that_the_source_wrote_to():
    again = lost_catalog(of_two_collections())
    found = read_back(again)
    assert (found.stored, found.left_alone, found.unread) == (6, 0, [])
    settle(again)
    assert sorted(again.texts().values()) == ["another text", "text of 1.txt"]
    assert sorted(again.texts("second").values()) == ["another text", "text of 1.txt"]
    assert {state for state, _ in states(again).values()} == {"indexed", "skipped"}


def test_what_a_lost_catalog_had_of_many_that_are_gone_waits_for_an_approval():
    world = make_world()
    for number in range(70):
        world.bucket.put(f"{number:02}.txt", f"text {number}")
    world.sync()
    for number in range(60):
        world.bucket.delete(f"{number:02}.txt")
    again = lost_catalog(world)
    read_back(again)
    settle(again)
    assert len(again.texts()) == 70
    blocked = again.catalog.listings.blocked(again.source.id)
    assert blocked is not None
    assert blocked.gone == 60
    again.approve()
    again.run_batches()
    assert len(again.texts()) == 10
    assert again.catalog.documents.enqueue_unclean(again.source.id) == 0


def test_another_collection_is_read_back_unasked_only_where_the_own_one_proves_the_owner():
    """In metadata mode nothing may stand in the source's own: whose the other is, a person says."""
    world = make_world(auto_sync=AutoSync.METADATA)
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", target_collection_name="second"))
    for _ in range(3):
        world.sync()
    again = lost_catalog(world, auto_sync=AutoSync.METADATA)
    again.collections.open("docs", tenant=TENANT, database=DATABASE, embedder=again.embedder)
    found = read_back(again)
    assert (found.stored, found.unread) == (0, ["second"])
    assert (read_back(again, also=["second"]).stored, again.texts()) == (1, {})
    again.bucket.put("a.txt", "another text")
    settle(again)
    assert list(again.texts("second").values()) == ["another text"]


def test_the_whole_work_of_another_lost_source_is_not_taken_for_a_second_collection():
    """As after ``reindex --into``: two sources of one bucket were lost together."""
    world = make_world()
    world.bucket.put("a.txt", "text")
    world.sync()
    beside = lost_catalog(world, collection_name="docs-2")
    beside.sync()
    again = lost_catalog(world, id="00000000-0000-4000-8000-00000000000a")
    found = read_back(again)
    assert (found.stored, found.unread) == (1, ["docs-2"])
    settle(again)
    assert len(again.texts("docs-2")) == len(again.texts()) == 1


def keeping_records(world):
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    take_down(
        world.source,
        catalog=world.catalog,
        collections=lambda: world.collections,
        clock=world.clock,
        drop_partitions=lambda _until: True,
        log=lambda _line: None,
    )


@pytest.mark.parametrize("excluded", [True, False])
def test_what_a_deleted_source_kept_is_taken_over_when_a_person_says_so(excluded):
    world = make_world(path_prefix="docs/")
    for n in range(4):
        world.bucket.put(f"docs/{n}.txt", f"kept {n}")
    for n in range(3):
        world.bucket.put(f"x/{n}.txt", f"other {n}")
    world.sync()
    keeping_records(world)
    globs = ("docs/**",) if excluded else ()
    other = changed(
        world.source, id="00000000-0000-4000-8000-000000000002", name="b", path_prefix="",
        exclude_globs=globs,
    )  # fmt: skip
    world.catalog.sources.add(other)
    world.source = other
    world.sync()
    assert (read_back(world).stored, read_back(world).left_alone) == (0, 4)
    settle(world)
    assert {f"kept {n}" for n in range(4)} <= set(world.texts().values())
    assert read_back(world, adopt=True).stored == 4


def test_a_key_that_the_source_leaves_out_is_not_its_own_by_a_lost_catalog_alone():
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    write(collection, SOURCE.with_changes(id="lost"), "docs/a.md", 2)
    write(collection, SOURCE.with_changes(id="lost"), "docs/old/b.md", 2)
    narrower = SOURCE.with_changes(exclude_globs=("old/**",))
    found = recover_documents(narrower, collection, known_sources={"s1"})
    assert ([one.object_key for one in found.documents], found.left_alone) == (["docs/a.md"], 1)
    taken = recover_documents(narrower, collection, known_sources={"s1"}, adopt=True)
    assert len(taken.documents) == 2
