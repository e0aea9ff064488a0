"""Counts and lists for people: every object is in exactly one state."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import documents, invocations, is_live, objects
from s3sync_dagster.core.state import RetryClass


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
    text_bytes: int = 0
    """Of those chunks: what models read, and services bill."""
    outdated: int = 0
    leaving: dict[str, int] = field(default_factory=dict[str, int])
    """Documents that lost their object and are still in Chroma: ``waiting``, or why it failed."""


ObjectWord = Literal["indexed", "pending", "processing", "skipped", "failed"]
"""The states of objects; each is in exactly one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRow:
    """An object as people see it."""

    object_key: str
    state: ObjectWord
    reason: str | None
    """Why it is skipped or failed."""
    error: str | None
    """A sentence about its last attempt."""
    size: int
    etag: str
    chunks: int
    """Records in all collections."""
    missed: bool
    """A listing did not see it, and nothing has told of it since."""
    retry_class: RetryClass | None
    next_retry_at: float | None
    """Seconds since 1970, UTC."""
    last_modified: float | None
    """As the bucket says it, in seconds since 1970."""
    seen_at: float
    """When it was told last, in the same."""


_LIVE = (
    sa.select(
        invocations.c.source_id,
        invocations.c.object_key,
        sa.func.max(invocations.c.status).label("status"),  # processing > pending
    )
    .where(is_live)
    .group_by(invocations.c.source_id, invocations.c.object_key)
)


_OF_SOURCE = sa.bindparam("of_source", type_=sa.String)


def _state_query() -> sa.Select[Any]:
    live = _LIVE.where(invocations.c.source_id == _OF_SOURCE).subquery()
    # Selection's word of today comes before what became of the object when it was still taken;
    # a sidecar's own key is always read.
    left_out = sa.and_(
        objects.c.skip_reason.is_not(None),
        objects.c.skip_reason.not_in(["sidecar", "bedrock_sidecar"]),
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
        .where(objects.c.source_id == _OF_SOURCE, objects.c.gone.is_(False))
    )


_STATES = _state_query().subquery()
"""Made once: to put it together takes longer than to ask for a small source."""


def _leaving(source_id: str) -> sa.Select[Any, int]:
    """Return how many documents wait for their removal, by why it failed before."""
    here = sa.and_(
        objects.c.source_id == documents.c.source_id,
        objects.c.object_key == documents.c.object_key,
    )
    why = sa.case((objects.c.outcome == "failed", objects.c.reason), else_="waiting")
    return (
        sa.select(why.label("why"), sa.func.count().label("documents"))
        .select_from(documents.outerjoin(objects, here))
        .where(documents.c.source_id == source_id, documents.c.phase == "removing")
        .group_by(sa.text("why"))
    )


class Views:
    """Reads that decide nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def counts(self, source_id: str, *, fingerprint: str | None = None) -> SourceCounts:
        """Return a source's objects by state."""
        states = _STATES
        by_state = sa.select(states.c.state, states.c.state_reason, sa.func.count()).group_by(
            states.c.state, states.c.state_reason
        )
        with self._db.read() as tx:
            rows = tx.execute(by_state, {"of_source": source_id}).all()
            written = tx.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.coalesce(sa.func.sum(documents.c.chunks), 0),
                    sa.func.coalesce(sa.func.sum(documents.c.text_bytes), 0),
                    sa.func.coalesce(
                        sa.func.sum(
                            sa.case((documents.c.fingerprint != (fingerprint or ""), 1), else_=0)
                        ),
                        0,
                    ),
                ).where(documents.c.source_id == source_id, documents.c.phase == "clean")
            ).one()
            leaving = tx.execute(_leaving(source_id)).all()
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
            text_bytes=int(written[2]),
            outdated=int(written[3]) if fingerprint else 0,
            leaving={row.why: row.documents for row in leaving},
        )

    def unread(self, source_id: str, *, limit: int) -> list[tuple[str, int]]:
        """Return key and size of objects that are taken and were never read, in no order."""
        query = sa.select(objects.c.object_key, objects.c.size).where(
            objects.c.source_id == source_id,
            objects.c.outcome.is_(None),
            objects.c.skip_reason.is_(None),
            objects.c.gone.is_(False),
        )
        with self._db.read() as tx:
            return [(row.object_key, row.size) for row in tx.execute(query.limit(limit))]

    def object_rows(
        self,
        source_id: str,
        *,
        state: str | None = None,
        reason: str | None = None,
        key: str | None = None,
        prefix: str = "",
        word: str = "",
        after: str | None = None,
        limit: int = 100,
    ) -> list[ObjectRow]:
        """Return objects in key order.

        Args:
            source_id: of this source.
            state: in this state alone.
            reason: skipped or failed for it.
            key: this one alone.
            prefix: keys that begin so, found by the index.
            word: keys in which this stands, case aside; looks at each key of the source.
            after: keys after this one.
            limit: at most so many.
        """
        states = _STATES
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
            sa.select(
                states.c.object_key,
                states.c.state,
                states.c.state_reason,
                states.c.error,
                states.c.size,
                states.c.etag,
                sa.func.coalesce(chunks, 0).label("chunks"),
                states.c.missed_listing_id,
                states.c.retry_class,
                states.c.next_retry_at,
                states.c.last_modified,
                states.c.seen_at,
            )
            .order_by(states.c.object_key)
            .limit(limit)
        )
        if state is not None:
            query = query.where(states.c.state == state)
        if reason is not None:
            query = query.where(states.c.state_reason == reason)
        if key is not None:
            query = query.where(states.c.object_key == key)
        if prefix:
            end = prefix + chr(0x10FFFF)
            query = query.where(states.c.object_key >= prefix, states.c.object_key < end)
        if word:
            query = query.where(states.c.object_key.icontains(word, autoescape=True))
        if after is not None:
            query = query.where(states.c.object_key > after)
        with self._db.read() as tx:
            return [
                ObjectRow(
                    object_key=row.object_key,
                    state=row.state,
                    reason=row.state_reason,
                    error=row.error,
                    size=row.size,
                    etag=row.etag,
                    chunks=int(row.chunks),
                    missed=row.missed_listing_id > 0,
                    retry_class=row.retry_class,
                    next_retry_at=row.next_retry_at,
                    last_modified=row.last_modified,
                    seen_at=row.seen_at,
                )
                for row in tx.execute(query, {"of_source": source_id})
            ]
