"""Documents read back from records: whose they are, and what they say."""

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.records import build_records
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.model.document import Chunk, Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed, s3_source

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
