"""Ids that objects exchange by their sidecars: each waits for one that the next one gives up."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import documents, objects, sidecars
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.sidecar_owners import SIDECAR_OWNER
from s3sync_dagster.model.source import DeleteMode, Source

Row = sa.Row[Any]
Place = tuple[str, str]
"""Collection and document id."""
MOST = 1_000


def ring_of(
    tx: sa.Connection, source: Source, key: str, place: Place, *, ready: Collection[str] = ()
) -> list[str] | None:
    """Return the objects of a ring in which ids are exchanged; None: ``key`` may not take this one.

    An id is taken of another object only where that one comes to another place itself: each of them
    has been read and lacks nothing but an id, and the last one's is what ``key`` gives up. Else its
    text would go and nothing come for it. Append mode keeps all.

    Args:
        tx: an open transaction.
        source: whose they are.
        key: of the object that asks.
        place: what it asks for.
        ready: keys that are being written.
    """
    if source.mode is DeleteMode.APPEND:
        return None
    asked, ring = place, [key]
    while len(ring) < MOST:
        row = _there(tx, source, asked)
        if row is None or row.phase == "removing" or not row.owner.startswith(SIDECAR_OWNER):
            return None
        wanted = _asked_instead(tx, source, row)
        if wanted is None or wanted == asked:
            return None
        if row.object_key == key:
            return ring
        if row.object_key in ring or not (row.object_key in ready or _lacks_an_id(tx, row)):
            return None
        ring.append(row.object_key)
        asked = wanted
    return None


def _there(tx: sa.Connection, source: Source, place: Place) -> Row | None:
    return tx.execute(
        sa.select(documents).where(
            documents.c.source_id == source.id,
            documents.c.tenant == source.tenant,
            documents.c.database_name == source.database_name,
            documents.c.collection_name == place[0],
            documents.c.document_id == place[1],
        )
    ).first()


def _asked_instead(tx: sa.Connection, source: Source, row: Row) -> Place | None:
    """Return what the sidecar that made a document asks for of the same object by now."""
    told = tx.execute(
        sa.select(sidecars).where(
            sidecars.c.source_id == source.id,
            sidecars.c.sidecar_key == row.owner.removeprefix(SIDECAR_OWNER),
            sidecars.c.path == row.object_key,
        )
    ).first()
    if told is None:
        return None
    name = document_id(row.object_key, custom_id=told.custom_id or None, id_prefix=source.id_prefix)
    return told.target_collection_name or source.collection_name, name


def _lacks_an_id(tx: sa.Connection, row: Row) -> bool:
    """Return whether its object was read, and failed of the id alone that it is to have."""
    query = sa.select(objects.c.object_key).where(
        objects.c.source_id == row.source_id,
        objects.c.object_key == row.object_key,
        objects.c.gone.is_(False),
        objects.c.outcome == "failed",
        objects.c.reason == "record_ids_taken",
    )
    return tx.execute(query).first() is not None
