"""What a word index learns of documents from the catalog."""

from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.catalog.versions import document_versions

PLACE = {"tenant": "t", "database_name": "d", "collection_name": "c"}


def row(document_id, phase, **changes):
    clean = {"etag": "e1", "fingerprint": "f", "indexed_at": 12.5, "batch_token": None}
    busy = {"etag": None, "fingerprint": None, "indexed_at": None, "batch_token": "b"}
    return {
        "source_id": "s",
        "object_key": document_id,
        **PLACE,
        "document_id": document_id,
        "metadata": {},
        "owner": "source",
        "phase": phase,
        "chunks": 2,
        "high_water": 3,
        "digests": b"",
        "metadata_keys": [],
        **(clean if phase == "clean" else busy),
        **changes,
    }


def test_clean_documents_have_a_version_that_changes_with_each_commit(catalog):
    with catalog.database.write() as connection:
        connection.execute(
            documents.insert(),
            [
                row("a", "clean"),
                row("b", "writing"),
                row("c", "removing"),
                row("elsewhere", "clean", collection_name="other"),
            ],
        )
    found = {v.document_id: v for v in document_versions(catalog.database, **PLACE)}
    assert set(found) == {"a", "b"}
    assert found["b"].version is None
    assert found["a"].record_ids() == ["a-0", "a-1"]
    versions = {found["a"].version}
    for changes in ({"indexed_at": 13.0}, {"etag": "e2"}, {"chunks": 3}):
        with catalog.database.write() as connection:
            connection.execute(
                documents.update().where(documents.c.document_id == "a").values(**changes)
            )
        versions |= {
            v.version for v in document_versions(catalog.database, **PLACE) if v.document_id == "a"
        }
    assert len(versions) == 4
