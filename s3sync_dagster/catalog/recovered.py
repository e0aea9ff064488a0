"""Rows of documents that were read back from a collection's records."""

from collections.abc import Sequence

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import source_gone
from s3sync_dagster.catalog.reports import list_anew
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, listings
from s3sync_dagster.core.state import RECOVERED
from s3sync_dagster.core.vouching import NOTHING, names_any
from s3sync_dagster.engine.rebuilding import RecoveredDocument
from s3sync_dagster.model.source import Source

UNTRUSTED = "writing"
"""The phase that makes the next sync write or remove a document, whatever is there."""


def store_recovered(
    database: Database,
    source: Source,
    found: Sequence[RecoveredDocument],
    *,
    collection_name: str,
    collection_id: str,
) -> int:
    """Add documents that the catalog does not have, as not clean; return how many were added.

    Raises ``NotFound`` for a source that is deleted: nobody would take them away.
    """
    added = 0
    for part in groups(found):
        rows = [
            {
                "source_id": source.id,
                "object_key": one.object_key,
                "tenant": source.tenant,
                "database_name": source.database_name,
                "collection_name": collection_name,
                "document_id": one.document_id,
                "custom_id": one.custom_id,
                "metadata": dict(one.metadata),
                "withheld": _withheld(source, one),
                "owner": "source" if one.custom_id is None else "request",
                "phase": UNTRUSTED,
                "etag": one.etag,  # says that the records are this source's own to write over
                "high_water": one.high_water,
                "digests": b"",
                "metadata_keys": sorted(one.metadata_keys),
                "collection_id": collection_id,
            }
            for one in part
        ]
        with database.write() as connection:
            if not database.open_source(connection, source.id):
                raise source_gone()
            statement = database.insert(documents).values(rows).on_conflict_do_nothing()
            added += connection.execute(statement).rowcount
            list_anew(connection, listings.c.source_id == source.id)
    return added


def _withheld(source: Source, document: RecoveredDocument) -> str | None:
    """Return ``DocumentState.withheld``: nobody knows who gave the metadata."""
    if names_any(document.metadata, source.reader_keys):
        return RECOVERED
    return NOTHING if document.metadata else None
