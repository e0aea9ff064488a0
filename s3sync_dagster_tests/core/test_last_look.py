"""The last look at what a source wrote."""

from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.engine.last_look import RECORDS_A_LOOK, delete_what_is_left
from s3sync_dagster.model.document import Record
from s3sync_dagster_tests.sources import s3_source


def test_what_others_hold_does_not_hide_what_nobody_does(world):
    world.bucket.put("a.md", "one")
    world.sync()
    heir = s3_source(
        id="00000000-0000-4000-8000-000000000002",
        name="heir",
        bucket_name="other",
        collection_name="docs",
    )
    world.catalog.sources.add(heir)
    (first,) = world.metadata()
    held = first.rpartition("-")[0]
    with world.catalog.database.write() as tx:
        many = {"high_water": RECORDS_A_LOOK, "chunks": RECORDS_A_LOOK}
        tx.execute(documents.update().values(source_id=heir.id, **many))
    collection = world.collections.open(
        "docs", tenant=heir.tenant, database=heir.database_name, embedder=world.embedder
    )
    names = [*(f"{held}-{place}" for place in range(1, RECORDS_A_LOOK)), f"{'0' * 64}-0"]
    for start in range(0, len(names), 1000):
        part = names[start : start + 1000]
        theirs = {"s3sync_source": world.source.id, "document_key": "a.md"}
        records = [
            Record(id=name, document="x", embedding_text="x", metadata=theirs) for name in part
        ]
        collection.upsert(records, world.embedder.embed_documents(["x"] * len(part)))
    assert (
        delete_what_is_left(world.source, catalog=world.catalog, collections=world.collections) == 1
    )
    assert len(world.metadata()) == RECORDS_A_LOOK
