"""Documents read back from records: whose they are, and what they say."""

from s3sync_dagster.core.records import build_records
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.model.document import Chunk, Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.sources import changed, s3_source

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
SOURCE = s3_source(
    id="s1", name="docs", bucket_name="b", path_prefix="docs/", collection_name="c",
    metadata={"team": "x"},
)  # fmt: skip


def write(collection, source, key, count, custom_id=None, **metadata):
    chunks = [
        Chunk(
            index=n, text=f"{key} {n}", start_line=1, end_line=1, start_col=1, end_col=9,
            start_byte=0, end_byte=9, strategy="lines", page="1",
        )
        for n in range(count)
    ]  # fmt: skip
    records = build_records(
        source, object_key=key, document_id=custom_id or key.replace("/", "-"), etag="e",
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
    by_key = {one.object_key: one for one in found}
    assert set(by_key) == {"docs/a.md", "docs/b.md", "docs/c.md"}
    first, second = by_key["docs/a.md"], by_key["docs/b.md"]
    assert (first.document_id, first.custom_id, first.etag) == ("docs-a.md", None, "e")
    assert first.high_water == 3
    assert first.metadata == {"colour": "red"}
    assert {"colour", "team", "page", "s3sync_chunk_count"} <= first.metadata_keys
    assert (second.document_id, second.custom_id) == ("hand-book", "hand-book")
    assert second.metadata == {}


def test_holes_do_not_lower_the_high_water_mark():
    collection = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    write(collection, SOURCE, "docs/a.md", 5)
    collection.delete(["docs-a.md-0", "docs-a.md-3"])
    (found,) = recover_documents(SOURCE, collection, known_sources={"s1"})
    assert found.high_water == 5
