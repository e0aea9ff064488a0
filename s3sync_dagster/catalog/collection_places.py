"""Conditions on a collection's rows and documents, by its place."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.tables import collections, documents
from s3sync_dagster.core.state import (
    DocumentState,
    KnownCollection,
)


def in_collection_as_known() -> sa.ColumnElement[bool]:
    """Return what holds for documents written to the collection that their source knows."""
    return ~sa.exists().where(
        collections.c.source_id == documents.c.source_id,
        collections.c.tenant == documents.c.tenant,
        collections.c.database_name == documents.c.database_name,
        collections.c.collection_name == documents.c.collection_name,
        collections.c.collection_id != documents.c.collection_id,
    )


def collection_of(row: sa.Row[Any]) -> KnownCollection:
    """Return the value of a row of ``collections``."""
    return KnownCollection(
        tenant=row.tenant,
        database_name=row.database_name,
        collection_name=row.collection_name,
        collection_id=row.collection_id,
        deleting_since=row.deleting_since,
    )


def id_as_known(tx: sa.Connection, source_id: str, place: KnownCollection) -> str | None:
    """Return Chroma's id of a collection as a source knows it, None where it knows none."""
    where = (place.tenant, place.database_name, place.collection_name)
    return tx.execute(*_id_of(source_id, *where)).scalar_one_or_none()


@built_once
def _id_of(source_id: str, tenant: str, database_name: str, collection_name: str) -> sa.Select[Any]:
    return sa.select(collections.c.collection_id).where(
        collections.c.source_id == source_id,
        collections.c.tenant == tenant,
        collections.c.database_name == database_name,
        collections.c.collection_name == collection_name,
    )


def row_of(source_id: str, place: KnownCollection) -> sa.ColumnElement[bool]:
    """Return what holds for the row of a source's collection."""
    return sa.and_(
        collections.c.source_id == source_id,
        collections.c.tenant == place.tenant,
        collections.c.database_name == place.database_name,
        collections.c.collection_name == place.collection_name,
    )


def as_looked_at(
    source_id: str, place: KnownCollection, one: DocumentState
) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of an untrusted document that nobody has written since it was seen."""
    return (
        *documents_there(source_id, place),
        documents.c.id == one.id,
        documents.c.phase == "writing",
        documents.c.digests == one.digests,
        documents.c.collection_id == one.collection_id,
    )


def documents_there(source_id: str, place: KnownCollection) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what holds for a source's documents in a collection."""
    return (
        documents.c.source_id == source_id,
        documents.c.tenant == place.tenant,
        documents.c.database_name == place.database_name,
        documents.c.collection_name == place.collection_name,
    )


def holders_of(
    tx: sa.Connection, place: KnownCollection, document_ids: Sequence[str]
) -> list[DocumentState]:
    """Return the documents, of whichever source, that have these ids in a collection."""
    found: list[DocumentState] = []
    for part in groups(document_ids):
        query = sa.select(documents).where(
            documents.c.tenant == place.tenant,
            documents.c.database_name == place.database_name,
            documents.c.collection_name == place.collection_name,
            documents.c.document_id.in_(part),
        )
        found += map(document_of, tx.execute(query))
    return found
