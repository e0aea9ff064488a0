"""Counts and lists for people: every object is in exactly one state."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import documents, invocations, objects


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """Objects of a source by state; the numbers add up to ``objects``."""

    objects: int
    indexed: int
    pending: int
    processing: int
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    failed: dict[str, int] = field(default_factory=dict[str, int])
    documents: int = 0
    chunks: int = 0
    outdated: int = 0


_LIVE = (
    sa.select(
        invocations.c.source_id,
        invocations.c.object_key,
        sa.func.max(invocations.c.status).label("status"),  # processing > pending
    )
    .where(invocations.c.status.in_(["pending", "processing"]))
    .group_by(invocations.c.source_id, invocations.c.object_key)
)


def _state_query(source_id: str) -> sa.Select[Any]:
    live = _LIVE.where(invocations.c.source_id == source_id).subquery()
    # Selection's word of today comes before what became of the object when it was still taken;
    # a sidecar's own key is always read.
    left_out = sa.and_(
        objects.c.skip_reason.is_not(None),
        objects.c.skip_reason != "sidecar",
        sa.func.coalesce(objects.c.outcome, "") != "indexed",
    )
    state = sa.case(
        (live.c.status.is_not(None), live.c.status),
        (left_out, "skipped"),
        (objects.c.outcome.is_not(None), objects.c.outcome),
        (objects.c.skip_reason.is_not(None), "skipped"),
        else_="pending",
    ).label("state")
    reason = sa.case(
        (live.c.status.is_not(None), None),
        (left_out, objects.c.skip_reason),
        (objects.c.outcome.is_not(None), objects.c.reason),
        else_=objects.c.skip_reason,
    ).label("state_reason")
    return (
        sa.select(objects, state, reason)
        .select_from(
            objects.outerjoin(
                live,
                sa.and_(
                    live.c.source_id == objects.c.source_id,
                    live.c.object_key == objects.c.object_key,
                ),
            )
        )
        .where(objects.c.source_id == source_id, objects.c.gone.is_(False))
    )


class Views:
    """Reads that decide nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def counts(self, source_id: str, *, fingerprint: str | None = None) -> SourceCounts:
        """Return a source's objects by state."""
        states = _state_query(source_id).subquery()
        with self._db.read() as tx:
            rows = tx.execute(
                sa.select(states.c.state, states.c.state_reason, sa.func.count()).group_by(
                    states.c.state, states.c.state_reason
                )
            ).all()
            written = tx.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.coalesce(sa.func.sum(documents.c.chunks), 0),
                    sa.func.coalesce(
                        sa.func.sum(
                            sa.case((documents.c.fingerprint != (fingerprint or ""), 1), else_=0)
                        ),
                        0,
                    ),
                ).where(documents.c.source_id == source_id, documents.c.phase == "clean")
            ).one()
        totals = Counter[str]()
        reasons: dict[str, Counter[str]] = {"skipped": Counter(), "failed": Counter()}
        for state, reason, number in rows:
            totals[state] += number
            if state in reasons:
                reasons[state][reason or "unknown"] += number
        return SourceCounts(
            objects=sum(totals.values()),
            indexed=totals["indexed"],
            pending=totals["pending"],
            processing=totals["processing"],
            skipped=dict(reasons["skipped"]),
            failed=dict(reasons["failed"]),
            documents=written[0],
            chunks=int(written[1]),
            outdated=int(written[2]) if fingerprint else 0,
        )

    def object_rows(
        self,
        source_id: str,
        *,
        state: str | None = None,
        reason: str | None = None,
        key: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[sa.Row[Any]]:
        """Return objects with ``state``, ``state_reason`` and ``chunks``, in key order."""
        states = _state_query(source_id).subquery()
        chunks = (
            sa.select(sa.func.sum(documents.c.chunks))
            .where(
                documents.c.source_id == states.c.source_id,
                documents.c.object_key == states.c.object_key,
                documents.c.phase == "clean",
            )
            .scalar_subquery()
        )
        query = (
            sa.select(states, sa.func.coalesce(chunks, 0).label("chunks"))
            .order_by(states.c.object_key)
            .limit(limit)
        )
        if state is not None:
            query = query.where(states.c.state == state)
        if reason is not None:
            query = query.where(states.c.state_reason == reason)
        if key is not None:
            query = query.where(states.c.object_key == key)
        if after is not None:
            query = query.where(states.c.object_key > after)
        with self._db.read() as tx:
            return tx.execute(query).all()
