"""Removals that HEADs alone told, counted over the batches of a day."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.core.guard import HEADS_SECONDS


def went_lately(now: float) -> sa.ColumnElement[int]:
    """Return the expression on a source for how many documents went like that lately."""
    counting = sources.c.heads_counted_since > now - HEADS_SECONDS
    return sa.case((counting, sources.c.removed_by_heads), else_=0)


def count_heads(tx: sa.Connection, source_id: str, went: int, *, now: float) -> None:
    """Count documents that went although HEADs alone told it, from the first of a day on."""
    if went:
        lately = went_lately(now)
        tx.execute(
            sources.update()
            .where(sources.c.id == source_id)
            .values(
                removed_by_heads=lately + went,
                heads_counted_since=sa.case((lately > 0, sources.c.heads_counted_since), else_=now),
            )
        )
