"""Sources that are no more, or soon, and what workers who did not know it wrote for them."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import ROWS_A_PART, Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.lives import REMEMBER_SECONDS, end_life
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.tables import (
    deleted_sources,
    documents,
    invocations,
    is_live,
    objects,
    sources,
)
from s3sync_dagster.core.patience import BUSY
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.model.source import Source

_LEFT_BEHIND = (
    documents.c.source_id.in_(sa.select(deleted_sources.c.id)),
    documents.c.phase == "removing",
)
_IDS_OF_OTHERS = (BUSY, "record_ids_taken")
SWEEPER = "sweeper"
"""Stands as the batch of a document whose records are being swept: nobody takes its ids over."""


def remember_deleted(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> None:
    """Note the end of a source, in the transaction that ends it; what is old is forgotten.

    Those whose records stay are remembered for good: whoever searches may read them, since none of
    them has said who may (``sources.mark_deleting``).
    """
    row = tx.execute(sa.select(sources).where(sources.c.id == source_id)).first()
    tx.execute(
        deleted_sources.delete().where(
            deleted_sources.c.deleted_at < now - REMEMBER_SECONDS,
            deleted_sources.c.keeps_records.is_(False),
        )
    )
    tx.execute(
        database.insert(deleted_sources).on_conflict_do_nothing(),
        {
            "id": source_id,
            "keeps_records": row is not None and row.deleting == "keep",
            "deleted_at": now,
        },
    )
    if row is not None:
        end_life(tx, row, now=now)


def may_adopt(tx: sa.Connection, source_id: str) -> bool:
    """Return whether records without an owner are to be removed in the name of this source."""
    if tx.execute(sa.select(sources.c.id).where(sources.c.id == source_id)).first() is not None:
        return True
    keeps = sa.select(deleted_sources.c.keeps_records).where(deleted_sources.c.id == source_id)
    return tx.execute(keeps).scalar_one_or_none() is False


def cleared_owners(tx: sa.Connection, source_ids: Collection[str]) -> set[str]:
    """Return which of these sources have their records taken away, for good: wait for it."""
    if not source_ids:
        return set()
    going = sa.union_all(
        sa.select(sources.c.id).where(sources.c.deleting == "records"),
        sa.select(deleted_sources.c.id).where(deleted_sources.c.keeps_records.is_(False)),
    ).subquery()
    return set(tx.execute(sa.select(going.c.id).where(going.c.id.in_(source_ids))).scalars())


def being_cleared(
    tx: sa.Connection, source: Source, collection_name: str, document_ids: Collection[str]
) -> set[str]:
    """Return which record ids belong to sources whose records are taken away."""
    owners: dict[str, str] = {}
    for part in groups(document_ids):
        owned = _owners_of(source.tenant, source.database_name, collection_name, part)
        for row in tx.execute(*owned):
            owners[row.document_id] = row.source_id
    ending = cleared_owners(tx, set(owners.values()) - {source.id})
    return {name for name, owner in owners.items() if owner in ending}


def waiting_for_ids(tx: sa.Connection) -> list[str]:
    """Return the ids of sources that have keys whose record ids were others'."""
    failed = sa.exists().where(
        objects.c.source_id == sources.c.id,
        objects.c.outcome == "failed",
        objects.c.reason.in_(_IDS_OF_OTHERS),
    )
    waits = sa.exists().where(
        invocations.c.source_id == sources.c.id,
        invocations.c.status == "pending",
        invocations.c.reason.in_(_IDS_OF_OTHERS),
    )
    return list(tx.execute(sa.select(sources.c.id).where(sa.or_(failed, waits))).scalars())


def ask_for_freed(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> int:
    """Let keys of a source whose record ids were others' come now; returns how many.

    Args:
        database: gives the dialect.
        tx: an open transaction that has locked the source.
        source_id: the source.
        now: the time.
    """
    here = (invocations.c.source_id == source_id,)
    hurried = tx.execute(
        invocations.update()
        .where(
            *here,
            invocations.c.status == "pending",
            invocations.c.next_attempt_at > now,
            invocations.c.reason.in_(_IDS_OF_OTHERS),
        )
        .values(next_attempt_at=0)
    ).rowcount
    asked = sa.select(invocations.c.object_key).where(*here, is_live)
    failed = (
        tx.execute(
            sa.select(objects.c.object_key)
            .where(
                objects.c.source_id == source_id,
                objects.c.outcome == "failed",
                objects.c.reason.in_(_IDS_OF_OTHERS),
                objects.c.object_key.not_in(asked),
            )
            .limit(ROWS_A_PART)
        )
        .scalars()
        .all()
    )
    return hurried + insert_automatic(database, tx, source_id, failed, trigger="retry", now=now)


@built_once
def _owners_of(
    tenant: str, database_name: str, collection_name: str, document_ids: Sequence[str]
) -> Any:
    return sa.select(documents.c.document_id, documents.c.source_id).where(
        documents.c.tenant == tenant,
        documents.c.database_name == database_name,
        documents.c.collection_name == collection_name,
        documents.c.document_id.in_(document_ids),
    )


_ANY_LEFT_BEHIND = sa.select(documents.c.id).where(*_LEFT_BEHIND).limit(1)


def is_left_behind(tx: sa.Connection) -> bool:
    """Return whether a document of a deleted source is there."""
    return tx.execute(_ANY_LEFT_BEHIND).first() is not None


def claim_left_behind(tx: sa.Connection, *, after_id: int, limit: int) -> list[DocumentState]:
    """Take documents of deleted sources; their records may go, then the rows."""
    rows = tx.execute(
        sa.select(documents)
        .where(*_LEFT_BEHIND, documents.c.id > after_id)
        .order_by(documents.c.id)
        .limit(limit)
    ).all()
    if rows:
        tx.execute(
            documents.update()
            .where(documents.c.id.in_([row.id for row in rows]))
            .values(batch_token=SWEEPER)
        )
    return [document_of(row) for row in rows]


def forget_swept(tx: sa.Connection, ids: Sequence[int]) -> list[DocumentState]:
    """Delete rows that a sweeper took, whose records are gone.

    Returns those that it has no more: their source was declared again meanwhile, and may have
    written what went as a late worker's.
    """
    taken: list[DocumentState] = []
    for part in groups(ids):
        here = documents.c.id.in_(part)
        tx.execute(documents.delete().where(here, documents.c.batch_token == SWEEPER))
        taken += map(document_of, tx.execute(sa.select(documents).where(here)))
    return taken
