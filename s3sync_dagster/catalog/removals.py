"""Removals under a batch, and those among them that HEADs alone told, counted over a day."""

from collections.abc import Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.rows import document_of, groups, is_due
from s3sync_dagster.catalog.tables import documents, has_records, sources
from s3sync_dagster.core.guard import HEADS_SECONDS, heads_need_approval
from s3sync_dagster.core.state import DocumentPhase, DocumentState


def claim_removals(
    tx: sa.Connection, token: str, source_id: str, states: Sequence[DocumentState]
) -> list[DocumentState]:
    """Turn documents ``removing`` under a batch; returns those that were there, as they were.

    A row that another key or batch has taken over since it was read is left alone. Both may
    come at once: the document that it was, and the one it became and that was refused.
    """
    rows = _claimable(tx, token, source_id, states)
    for part in groups([row.id for row in rows]):
        tx.execute(
            documents.update()
            .where(documents.c.id.in_(part))
            .values(phase="removing", batch_token=token)
        )
    return rows


def claim_told_by_heads(
    tx: sa.Connection, token: str, source_id: str, states: Sequence[DocumentState], *, now: float
) -> bool:
    """Claim and count removals of which nothing but a HEAD tells; False: too many went lately.

    For a transaction that has locked the source: of batches side by side each sees what those
    before it have claimed. All or none is claimed. One on its way out already was counted then.
    """
    going = [
        one
        for one in _claimable(tx, token, source_id, states)
        if one.phase is not DocumentPhase.REMOVING
    ]
    counted = [one.object_key for one in going if one.high_water]
    if not count_told_by_heads(tx, source_id, keys=len(set(counted)), going=len(counted), now=now):
        return False
    claim_removals(tx, token, source_id, going)
    return True


def went_lately(now: float) -> sa.ColumnElement[int]:
    """Return the expression on a source for how many documents went like that lately."""
    ends = sources.c.heads_counted_since + HEADS_SECONDS
    over = is_due(ends, now=now, at_most=HEADS_SECONDS)
    return sa.case((sa.not_(over), sources.c.removed_by_heads), else_=0)


def _claimable(
    tx: sa.Connection, token: str, source_id: str, states: Sequence[DocumentState]
) -> list[DocumentState]:
    asked = {(state.id, state.object_key) for state in states}
    rows: list[DocumentState] = []
    for part in groups({state.id for state in states}):
        found = tx.execute(
            sa.select(documents).where(
                documents.c.id.in_(part),
                documents.c.source_id == source_id,
                sa.or_(documents.c.batch_token.is_(None), documents.c.batch_token == token),
            )
        ).all()
        rows += [document_of(row) for row in found if (row.id, row.object_key) in asked]
    return rows


def count_told_by_heads(
    tx: sa.Connection, source_id: str, *, keys: int, going: int, now: float
) -> bool:
    """Count documents that go although HEADs alone told it, from the first of a day on.

    For a transaction that has locked the source. False: too many with those that went lately, and
    none is counted.
    """
    lately = went_lately(now)
    before = tx.execute(sa.select(lately).where(sources.c.id == source_id)).scalar_one_or_none()
    total = tx.execute(
        sa.select(sa.func.count())
        .select_from(documents)
        .where(documents.c.source_id == source_id, documents.c.phase != "removing", has_records)
    ).scalar_one()
    if heads_need_approval(keys, documents=going, before=before or 0, total=total):
        return False
    if going:
        tx.execute(
            sources.update()
            .where(sources.c.id == source_id)
            .values(
                removed_by_heads=lately + going,
                heads_counted_since=sa.case((lately > 0, sources.c.heads_counted_since), else_=now),
            )
        )
    return True
