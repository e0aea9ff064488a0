"""Rows of documents that were read back from records, or are another source's, to be written."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import source_gone
from s3sync_dagster.catalog.object_rows import store_objects
from s3sync_dagster.catalog.reports import list_anew
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.said import handed_on, to_be_written
from s3sync_dagster.catalog.sidecar_rows import hand_on_sidecars
from s3sync_dagster.catalog.tables import documents, listings, sidecars
from s3sync_dagster.core.document_targets import word_on
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.sidecar_owners import SIDECAR_OWNER
from s3sync_dagster.core.state import BESIDE, RECOVERED, RESTORED, UNTOLD
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

    Each has its object, of which nothing has told yet: a listing that does not see it ends it like
    any other, and what a mode keeps of it comes to rest.

    Raises ``NotFound`` for a source that is deleted: nobody would take them away.
    """
    added = 0
    for part in groups(found):
        rows: list[dict[str, Any]] = [
            {
                **_found_in(collection_name, source, one),
                "metadata": dict(one.metadata),
                "withheld": _withheld(source, one),
                "owner": "source" if one.custom_id is None else "request",
                "phase": UNTRUSTED,
                "collection_id": collection_id,
                "written_as": sorted(one.owners - {source.id}),
            }
            for one in part
        ]
        with database.write() as connection:
            if not database.open_source(connection, source.id):
                raise source_gone()
            asks = _asking(connection, source, [one.object_key for one in part], collection_name)
            for row, one in zip(rows, part, strict=True):
                row["owner"] = asks.get((one.object_key, one.custom_id), row["owner"])
            statement = database.insert(documents).values(rows).on_conflict_do_nothing()
            added += connection.execute(statement).rowcount
            store_objects(database, connection, source.id, [one.object_key for one in part])
            list_anew(connection, listings.c.source_id == source.id)
    return added


def _asking(
    tx: sa.Connection, source: Source, keys: Sequence[str], collection_name: str
) -> dict[tuple[str, str | None], str]:
    """Return (key, custom id) -> the owner, where a sidecar that is known asks for just that.

    Nothing on the records tells whether a sidecar or a request did: what a request asked for would
    stay once the sidecar asks for something else.
    """
    told = sidecars.c.target_collection_name
    asked = told == collection_name
    if collection_name == source.collection_name:
        asked = sa.or_(asked, told.is_(None))
    rows = tx.execute(
        sa.select(sidecars.c.path, sidecars.c.custom_id, sidecars.c.sidecar_key)
        .where(
            sidecars.c.source_id == source.id,
            sidecars.c.path.in_(keys),
            asked,
        )
        .order_by(sidecars.c.sidecar_key.desc())  # the smallest has the claim
    )
    return {(row.path, row.custom_id): SIDECAR_OWNER + row.sidecar_key for row in rows}


def store_beside(
    database: Database,
    source: Source,
    found: Sequence[RecoveredDocument],
    *,
    collection_name: str,
    collection_id: str,
) -> int:
    """Add documents of objects of which another one stands in their collection, to be removed.

    Each goes once the other is whole (``core.gave_way.outlives``). Until then none of its object is
    for readers with groups: what has been said of them since these records were written is not in
    the records.

    Returns:
        How many; none where the id has got an owner, or where none stands any more.
    """
    added = 0
    here = (
        documents.c.source_id == source.id,
        documents.c.tenant == source.tenant,
        documents.c.database_name == source.database_name,
        documents.c.collection_name == collection_name,
        documents.c.phase != "removing",
    )
    for part in groups(found):
        with database.write() as tx:
            if not database.open_source(tx, source.id):
                raise source_gone()
            keys = sorted({one.object_key for one in part})
            query = sa.select(documents.c.object_key).where(*here, documents.c.object_key.in_(keys))
            stand = set(tx.execute(query).scalars())
            rows: list[dict[str, Any]] = [
                {
                    **_found_in(collection_name, source, one),
                    "metadata": {},
                    "withheld": UNTOLD,
                    "owner": BESIDE,
                    "phase": "removing",
                    # Whoever deletes them asks each whose it is.
                    "collection_id": f"{RESTORED}{collection_id}",
                }
                for one in part
                if one.object_key in stand
            ]
            if rows:
                statement = database.insert(documents).values(rows).on_conflict_do_nothing()
                added += tx.execute(statement).rowcount
    return added


def _found_in(collection_name: str, source: Source, document: RecoveredDocument) -> dict[str, Any]:
    """Return of a document's row what its records tell."""
    return {
        "source_id": source.id,
        "object_key": document.object_key,
        "tenant": source.tenant,
        "database_name": source.database_name,
        "collection_name": collection_name,
        "document_id": document.document_id,
        "custom_id": document.custom_id,
        "etag": document.etag,  # says that the records are this source's own to write over
        "high_water": document.high_water,
        "digests": b"",
        "metadata_keys": sorted(document.metadata_keys),
    }


def forget_bytes(tx: sa.Connection, token: str, ids: Sequence[int]) -> None:
    """Forget of which bytes documents are that were read back, before a batch writes over them.

    Until then they are what they were, and append mode keeps them so; from then on, half of them.
    """
    for part in groups(ids):
        tx.execute(
            documents.update()
            .where(
                documents.c.id.in_(part),
                documents.c.batch_token == token,
                documents.c.fingerprint.is_(None),
            )
            .values(etag="")
        )


def forget_texts(tx: sa.Connection, ids: Sequence[int]) -> list[str]:
    """Forget of which bytes untrusted documents were whose records are all gone.

    Returns their keys, which nobody works on.
    """
    keys = set[str]()
    for part in groups(ids):
        query = (
            documents.update()
            .where(
                documents.c.id.in_(part),
                documents.c.phase == "writing",
                documents.c.batch_token.is_(None),
                documents.c.fingerprint.is_(None),
            )
            .values(etag="")
            .returning(documents.c.object_key)
        )
        keys.update(tx.execute(query).scalars())
    return sorted(keys)


def hand_on_requests(
    database: Database, tx: sa.Connection, source: Source, other: Source
) -> Source:
    """Give another source of the same objects what requests said of a source's documents.

    Ids, metadata and who may read are kept with documents alone. Each that was asked for is one of
    the other source, to be written; and each of which nobody knows who said what its records do.

    Args:
        database: of the catalog.
        tx: in which the other source is added.
        source: whose documents these are.
        other: of the same keys, with a collection that is new.
    """
    theirs = sa.select(documents).where(
        documents.c.source_id == source.id,
        documents.c.collection_name == source.collection_name,
        sa.or_(
            documents.c.owner == "request",
            documents.c.said.is_not(None),
            sa.and_(documents.c.owner == "source", documents.c.withheld.is_not(None)),
        ),
        documents.c.phase != "removing",
    )
    found = [
        (one, said)
        for one in map(document_of, tx.execute(theirs))
        if (said := word_on(one)) is not None
    ]
    for part in groups(found):
        rows = [
            to_be_written(
                other,
                one.object_key,
                collection_name=other.collection_name,
                document_id=document_id(
                    one.object_key, custom_id=said.custom_id, id_prefix=other.id_prefix
                ),
                custom_id=said.custom_id,
                metadata=said.metadata,
                withheld=handed_on(one),
                owner=said.owner,
                etag=one.etag or "",
            )
            for one, said in part
        ]
        tx.execute(database.insert(documents).values(rows).on_conflict_do_nothing())
        store_objects(database, tx, other.id, [one.object_key for one, _ in part])
    hand_on_sidecars(database, tx, source.id, other)
    return other


def _withheld(source: Source, document: RecoveredDocument) -> str | None:
    """Return ``DocumentState.withheld``: nobody knows who gave the metadata."""
    if names_any(document.metadata, source.reader_keys):
        return RECOVERED
    return NOTHING if document.metadata else None
