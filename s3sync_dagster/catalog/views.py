"""Counts and lists for people: every object is in exactly one state."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.kept_counts import document_counts, object_counts
from s3sync_dagster.catalog.rows import no_index
from s3sync_dagster.catalog.tables import (
    documents,
    invocations,
    is_live,
    is_missed,
    is_not_indexed,
    objects,
)
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


def _of_itself(
    skip_reason: sa.ColumnElement[Any],
    outcome: sa.ColumnElement[Any],
    reason: sa.ColumnElement[Any],
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """Return state and reason of an object for which nobody waits, from its columns."""
    # Selection's word of today comes before what became of the object when it was still taken;
    # a sidecar's own key is always read.
    left_out = sa.and_(
        skip_reason.is_not(None),
        skip_reason.not_in(["sidecar", "bedrock_sidecar"]),
        sa.func.coalesce(outcome, "") != "indexed",
    )
    state = sa.case(
        (left_out, "skipped"),
        (outcome.is_not(None), outcome),
        (skip_reason.is_not(None), "skipped"),
        else_="pending",
    )
    why = sa.case((left_out, skip_reason), (outcome.is_not(None), reason), else_=skip_reason)
    return state, why


def _state_query(*conditions: Any) -> Any:
    """Return the objects of a source with their states; its work is looked up for each row."""
    asked = (
        sa.select(sa.func.max(invocations.c.status))
        .where(
            invocations.c.source_id == objects.c.source_id,
            invocations.c.object_key == objects.c.object_key,
            is_live,
        )
        .correlate(objects)
        .scalar_subquery()
    )
    alone, why = _of_itself(objects.c.skip_reason, objects.c.outcome, objects.c.reason)
    state = sa.func.coalesce(asked, alone).label("state")
    reason = sa.case((asked.is_not(None), None), else_=why).label("state_reason")
    return sa.select(objects, state, reason).where(
        objects.c.source_id == _OF_SOURCE, objects.c.gone.is_(False), *conditions
    )


def _count_query() -> Any:
    """Return objects by state and reason: what the database has counted, but for live work.

    One statement, and so one moment. It costs a look at each object for which work waits.
    """
    counted = object_counts
    state, why = _of_itself(
        *[sa.func.nullif(counted.c[one], "") for one in ("skip_reason", "outcome", "reason")]
    )
    of_kind = sa.select(state.label("state"), why.label("why"), counted.c.number.label("number"))
    live = _LIVE.where(invocations.c.source_id == _OF_SOURCE).subquery()
    alone, why = _of_itself(objects.c.skip_reason, objects.c.outcome, objects.c.reason)
    asked = (
        sa.select(
            live.c.status.label("status"),
            alone.label("state"),
            why.label("why"),
            sa.func.count().label("number"),
        )
        .select_from(
            live.join(
                objects,
                sa.and_(
                    objects.c.source_id == live.c.source_id,
                    objects.c.object_key == live.c.object_key,
                ),
            )
        )
        .where(objects.c.gone.is_(False))
        .group_by(sa.text("1"), sa.text("2"), sa.text("3"))
        .cte("asked")
    )
    parts = sa.union_all(
        of_kind.where(counted.c.source_id == _OF_SOURCE, counted.c.gone.is_(False)),
        sa.select(asked.c.state, asked.c.why, -asked.c.number),
        sa.select(asked.c.status, sa.null(), asked.c.number),
    ).subquery()
    total = sa.func.sum(parts.c.number)
    return (
        sa.select(parts.c.state, parts.c.why, total.label("number"))
        .group_by(parts.c.state, parts.c.why)
        .having(total != 0)
    )


_COUNTS = _count_query()
_ALL = _state_query().subquery()
_NOT_INDEXED = _state_query(is_not_indexed).subquery()
_asked_for = sa.select(invocations.c.object_key)
_ASKED = _state_query(
    objects.c.object_key.in_(_asked_for.where(invocations.c.source_id == _OF_SOURCE, is_live))
).subquery()
_AT_WORK = _state_query(
    objects.c.object_key.in_(
        _asked_for.where(
            invocations.c.batch_token.is_not(None),  # its index knows all that is at work
            no_index(invocations.c.source_id) == _OF_SOURCE,
        )
    )
).subquery()
_AMONG: dict[str | None, tuple[Any, ...]] = {
    "pending": (_NOT_INDEXED, _ASKED),
    "processing": (_AT_WORK,),
    "skipped": (_NOT_INDEXED,),
    "failed": (_NOT_INDEXED,),
}
"""Where objects of a state are looked for, so that a page of few among a million is a small look.
Made once: to put them together takes longer than to ask for a small source."""


@built_once
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
        with self._db.read() as tx:
            rows = tx.execute(_COUNTS, {"of_source": source_id}).all()
            by_phase = tx.execute(*_document_counts(source_id)).all()
            leaves = any(row.phase == "removing" for row in by_phase)
            leaving = list(tx.execute(*_leaving(source_id))) if leaves else []
        written = [row for row in by_phase if row.phase == "clean"]
        totals = Counter[str]()
        reasons: dict[str, Counter[str]] = {"skipped": Counter(), "failed": Counter()}
        for row in rows:
            totals[row.state] += int(row.number)
            if row.state in reasons:
                reasons[row.state][row.why or "unknown"] += int(row.number)
        return SourceCounts(
            objects=sum(totals.values()),
            indexed=totals["indexed"],
            pending=totals["pending"],
            processing=totals["processing"],
            skipped=dict(reasons["skipped"]),
            failed=dict(reasons["failed"]),
            documents=sum(row.number for row in written),
            chunks=sum(row.chunks for row in written),
            text_bytes=sum(row.text_bytes for row in written),
            outdated=sum(row.number for row in written if row.fingerprint != fingerprint)
            if fingerprint
            else 0,
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

    def keys(self, source_id: str, *, after: str | None = None, limit: int) -> list[str]:
        """Return the keys of objects in their order, at most so many behind one."""
        query = sa.select(objects.c.object_key).where(
            objects.c.source_id == source_id, objects.c.gone.is_(False)
        )
        if after is not None:
            query = query.where(objects.c.object_key > after)
        with self._db.read() as tx:
            return list(tx.execute(query.order_by(objects.c.object_key).limit(limit)).scalars())

    def missing(self, source_id: str) -> int:
        """Return how many objects count that a listing did not find, and nobody has since."""
        here = (objects.c.source_id == source_id, is_missed, objects.c.gone.is_(False))
        with self._db.read() as tx:
            return tx.execute(
                sa.select(sa.func.count()).select_from(objects).where(*here)
            ).scalar_one()

    def seen_at(self, source_id: str, object_key: str) -> float:
        """Return when an object was last told to be there, in seconds since 1970; 0: never."""
        query = sa.select(objects.c.seen_at).where(
            objects.c.source_id == source_id, objects.c.object_key == object_key
        )
        with self._db.read() as tx:
            return tx.execute(query).scalar_one_or_none() or 0.0

    def object_rows(
        self,
        source_id: str,
        *,
        state: str | None = None,
        reason: str | None = None,
        key: str | None = None,
        among: Sequence[str] | None = None,
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
            among: these alone, at most a thousand.
            prefix: keys that begin so, found by the index.
            word: keys in which this stands, case aside; looks at each key of the source.
            after: keys after this one.
            limit: at most so many.
        """
        found: dict[str, ObjectRow] = {}
        for states in _AMONG.get(state, (_ALL,)):
            query = _page(states, state=state, reason=reason, after=after, limit=limit)
            if key is not None:
                query = query.where(states.c.object_key == key)
            if among is not None:
                query = query.where(states.c.object_key.in_(among))
            if prefix:
                end = prefix + chr(0x10FFFF)
                query = query.where(states.c.object_key >= prefix, states.c.object_key < end)
            if word:
                query = query.where(states.c.object_key.icontains(word, autoescape=True))
            with self._db.read() as tx:
                rows = tx.execute(query, {"of_source": source_id})
                found |= {row.object_key: _object_row(row) for row in rows}
        return [found[name] for name in sorted(found, key=str.encode)][:limit]


def _page(
    states: Any, *, state: str | None, reason: str | None, after: str | None, limit: int
) -> Any:
    """Return the question for a page of objects in key order."""
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
    if after is not None:
        query = query.where(states.c.object_key > after)
    return query


def _object_row(row: sa.Row[Any]) -> ObjectRow:
    return ObjectRow(
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


@built_once
def _document_counts(source_id: str) -> sa.Select[Any]:
    return sa.select(document_counts).where(document_counts.c.source_id == source_id)
