"""What a collection holds by the catalog: its objects, for who looks at a few of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.state import DocumentPhase

ROWS = 2000
"""Fetched together: a collection of millions is walked through in bounded memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedObject:
    """An object whose document stands whole in a collection."""

    source_id: str
    key: str
    """Object key."""
    etag: str
    """Of the bytes that were indexed; empty: not known."""
    metadata: Mapping[str, Any]
    """The user's, of source, sidecar and invocation."""
    chunks: int


def places_of(database: Database, collection_name: str) -> list[tuple[str, str]]:
    """Return tenant and database of each collection of that name which some source has filled."""
    table = documents.c
    query = (
        sa.select(table.tenant, table.database_name)
        .where(table.collection_name == collection_name, table.phase == DocumentPhase.CLEAN)
        .distinct()
        .order_by(table.tenant, table.database_name)
    )
    with database.read() as connection:
        return [(row.tenant, row.database_name) for row in connection.execute(query)]


def indexed_objects(
    database: Database, *, tenant: str, database_name: str, collection_name: str
) -> Iterator[IndexedObject]:
    """Yield the objects of a collection, in the order in which they came to it."""
    table = documents.c
    query = (
        sa.select(
            table.id,
            table.source_id,
            table.object_key,
            table.etag,
            table.metadata,
            table.chunks,
        )
        .where(
            table.tenant == tenant,
            table.database_name == database_name,
            table.collection_name == collection_name,
            table.phase == DocumentPhase.CLEAN,
        )
        .order_by(table.id)
        .limit(ROWS)
    )
    after = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(table.id > after)).all()
        for row in rows:
            yield IndexedObject(
                source_id=row.source_id,
                key=row.object_key,
                etag=row.etag or "",
                metadata=row.metadata,
                chunks=row.chunks,
            )
        if len(rows) < ROWS:
            return
        after = rows[-1].id
