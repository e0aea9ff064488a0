"""Sources that are no more, and what workers who did not know it wrote for them."""

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import document_of
from s3sync_dagster.catalog.tables import deleted_sources, documents, sources
from s3sync_dagster.core.state import DocumentState

REMEMBER_SECONDS = 7 * 86_400.0
"""No worker is late by more."""
SWEEPER = "sweeper"
"""Stands as the batch of a document whose records are being swept: nobody takes its ids over."""


def remember_deleted(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> None:
    """Note the end of a source, in the transaction that ends it; what is old is forgotten."""
    deleting = tx.execute(
        sa.select(sources.c.deleting).where(sources.c.id == source_id)
    ).scalar_one_or_none()
    tx.execute(
        deleted_sources.delete().where(deleted_sources.c.deleted_at < now - REMEMBER_SECONDS)
    )
    tx.execute(
        database.insert(deleted_sources).on_conflict_do_nothing(),
        {"id": source_id, "keeps_records": deleting == "keep", "deleted_at": now},
    )


def may_adopt(tx: sa.Connection, source_id: str) -> bool:
    """Return whether records without an owner are to be removed in the name of this source."""
    if tx.execute(sa.select(sources.c.id).where(sources.c.id == source_id)).first() is not None:
        return True
    keeps = sa.select(deleted_sources.c.keeps_records).where(deleted_sources.c.id == source_id)
    return tx.execute(keeps).scalar_one_or_none() is False


def claim_left_behind(tx: sa.Connection, *, limit: int) -> list[DocumentState]:
    """Take documents of deleted sources; their records may go, then the rows."""
    ended = sa.select(deleted_sources.c.id)
    rows = tx.execute(
        sa.select(documents)
        .where(documents.c.source_id.in_(ended), documents.c.phase == "removing")
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
