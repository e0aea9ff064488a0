"""What owners asked of documents and no batch could write yet, kept with the documents."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.quotas import room_for_documents
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.closing import Closing
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.source import Source


def keep_said(
    database: Database, tx: sa.Connection, source: Source, closings: Mapping[str, Closing]
) -> None:
    """Keep what ended requests have asked for, as their keys end.

    Args:
        database: of the catalog.
        tx: an open transaction.
        source: the batch's.
        closings: by key.
    """
    for closing in closings.values():
        for one, said in closing.said.items():
            tx.execute(
                documents.update()
                .where(
                    documents.c.source_id == source.id,
                    documents.c.id == one,
                    documents.c.phase != "removing",
                )
                .values(said=sa.null() if said is None else asdict(said))
            )
    begun = [
        to_be_written(
            source,
            key,
            collection_name=one.collection_name,
            document_id=document_id(key, custom_id=one.custom_id, id_prefix=source.id_prefix),
            custom_id=one.custom_id,
            metadata=one.metadata,
            withheld=None,
            owner=one.owner,
        )
        for key, closing in sorted(closings.items())
        for one in closing.begun
    ]
    room = room_for_documents(database, tx, source.tenant) if begun else None
    if begun[:room]:
        tx.execute(database.insert(documents).values(begun[:room]).on_conflict_do_nothing())


def to_be_written(
    source: Source, key: str, *, metadata: Metadata, etag: str = "", **values: Any
) -> dict[str, Any]:
    """Return the row of a document that has no records yet, and stays until it can be written."""
    return {
        "source_id": source.id,
        "object_key": key,
        "tenant": source.tenant,
        "database_name": source.database_name,
        "metadata": dict(metadata),
        "phase": "writing",
        "etag": etag,
        "digests": b"",
        "metadata_keys": [],
        **values,
    }
