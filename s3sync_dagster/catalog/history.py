"""What happened to a source: its batches with their counts and failures, and its listings."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.kept_counts import document_counts, object_counts
from s3sync_dagster.catalog.rows import groups, listing_of, no_index
from s3sync_dagster.catalog.tables import (
    batches,
    documents,
    invocations,
    is_live,
    listings,
    sources,
)
from s3sync_dagster.core.state import ListingRow

SHOWN_FAILURES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An invocation of a batch that failed."""

    invocation_id: str
    object_key: str
    reason: str
    error: str
    failed_at: float


@dataclass(slots=True, kw_only=True)
class BatchHistory:
    """One batch: who asked, how many keys, how they ended."""

    token: str
    run_id: str | None
    state: str
    created_at: float
    finished_at: float | None
    size: int
    triggers: dict[str, int] = field(default_factory=dict[str, int])
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    failures: list[Failure] = field(default_factory=list[Failure])
    """At most 20; ``statuses["failed"]`` is the true count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Invocations whose last attempt failed for one reason, and which are tried again."""

    reason: str
    error: str
    """Of one of them."""
    number: int
    next_at: float
    """When the first of them is due, in seconds since 1970."""


class History:
    """Reads over batches, invocations and listings."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_source(
        self, source_id: str, *, limit: int = 20, before: float | None = None
    ) -> list[BatchHistory]:
        """Return the newest batches of a source, newest first; not those that never had a run."""
        query = (
            sa.select(batches)
            .where(
                batches.c.source_id == source_id,
                batches.c.run_id.is_not(None) | (batches.c.state != "released"),
            )
            .order_by(batches.c.created_at.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(batches.c.created_at < before)
        with self._db.read() as tx:
            found = [_history_of(row) for row in tx.execute(query)]
            by_run = {one.run_id: one for one in found if one.run_id is not None}
            for part in groups(by_run):
                self._count(tx, source_id, part, by_run)
        return found

    def listings(self, source_id: str, *, limit: int = 20) -> list[ListingRow]:
        """Return the newest listings of a source, newest first."""
        with self._db.read() as tx:
            return [
                listing_of(row)
                for row in tx.execute(
                    sa.select(listings)
                    .where(listings.c.source_id == source_id)
                    .order_by(listings.c.id.desc())
                    .limit(limit)
                )
            ]

    def oldest_pending(self, source_ids: Sequence[str]) -> dict[str, float]:
        """Return when the oldest live invocation of each source was asked for."""
        of_source, found = invocations.c.source_id, dict[str, float]()
        with self._db.read() as tx:
            for part in groups(source_ids):
                query = sa.select(of_source, sa.func.min(invocations.c.created_at))
                rows = tx.execute(query.where(of_source.in_(part), is_live).group_by(of_source))
                found |= {source_id: moment for source_id, moment in rows}
        return found

    def waiting(self, source_id: str, *, key: str | None = None) -> list[Waiting]:
        """Return what waits for another attempt, by the reason of the last one, the most first."""
        number, columns = sa.func.count(), invocations.c
        query = (
            sa.select(
                columns.reason,
                sa.func.max(columns.error),
                number,
                sa.func.min(columns.next_attempt_at),
            )
            .where(
                columns.source_id == source_id,
                columns.status == "pending",
                columns.reason.is_not(None),
                sa.true() if key is None else columns.object_key == key,
            )
            .group_by(columns.reason)
            .order_by(number.desc(), columns.reason)
        )
        with self._db.read() as tx:
            return [
                Waiting(reason=reason, error=error or "", number=many, next_at=next_at)
                for reason, error, many, next_at in tx.execute(query)
            ]

    def last_indexed(self, source_ids: Sequence[str]) -> dict[str, float]:
        """Return when each source wrote to a collection last."""
        latest = (
            sa.select(sa.func.max(documents.c.indexed_at))
            .where(documents.c.source_id == sources.c.id)
            .scalar_subquery()  # of one source at a time: the last entry of its index
        )
        found: dict[str, float] = {}
        with self._db.read() as tx:
            for part in groups(source_ids):
                query = sa.select(sources.c.id, latest).where(sources.c.id.in_(part))
                for source_id, moment in tx.execute(query):
                    if moment is not None:
                        found[source_id] = moment
        return found

    def queue(self) -> dict[str, dict[str, int]]:
        """Return live invocations of each source by status."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        with self._db.read() as tx:
            for source_id, status, number in tx.execute(
                sa.select(invocations.c.source_id, invocations.c.status, sa.func.count())
                .where(is_live)
                .group_by(invocations.c.source_id, invocations.c.status)
            ):
                found[source_id][status] = number
        return dict(found)

    def outcomes(self) -> dict[str, Counter[tuple[str, str]]]:
        """Return objects of each source by outcome and reason."""
        found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        counted = object_counts
        skip_reason, outcome, reason = (
            sa.func.nullif(counted.c[name], "") for name in ("skip_reason", "outcome", "reason")
        )
        left_out = sa.and_(skip_reason.is_not(None), sa.func.coalesce(outcome, "") != "indexed")
        state = sa.case((left_out, "skipped"), (outcome.is_not(None), outcome), else_="waiting")
        why = sa.case(
            (left_out, skip_reason),
            (outcome == "indexed", ""),
            else_=sa.func.coalesce(reason, ""),
        )
        with self._db.read() as tx:
            for source_id, word, because, number in tx.execute(
                sa.select(counted.c.source_id, state, why, counted.c.number).where(
                    counted.c.gone.is_(False)
                )
            ):
                found[source_id][word, because] += number
        return dict(found)

    def asked_since(
        self, source_ids: Sequence[str], since: float
    ) -> dict[str, Counter[tuple[str, str]]]:
        """Return invocations that were asked for since then, by status and reason."""
        found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        reason = sa.func.coalesce(invocations.c.reason, "")
        with self._db.read() as tx:
            for part in groups(source_ids):
                for source_id, status, why, number in tx.execute(
                    sa.select(
                        invocations.c.source_id, invocations.c.status, reason, sa.func.count()
                    )
                    .where(invocations.c.source_id.in_(part), invocations.c.created_at >= since)
                    .group_by(invocations.c.source_id, invocations.c.status, reason)
                ):
                    found[source_id][status, why] += number
        return dict(found)

    def written(self) -> dict[str, tuple[int, int, int]]:
        """Return documents, chunks and bytes of text that each source has in its collections."""
        found: dict[str, tuple[int, int, int]] = {}
        with self._db.read() as tx:
            for row in tx.execute(
                sa.select(document_counts).where(document_counts.c.phase == "clean")
            ):
                number, chunks, text_bytes = found.get(row.source_id, (0, 0, 0))
                found[row.source_id] = (
                    number + row.number,
                    chunks + row.chunks,
                    text_bytes + row.text_bytes,
                )
        return found

    def _count(
        self,
        tx: sa.Connection,
        source_id: str,
        run_ids: Sequence[str],
        by_run: dict[str, BatchHistory],
    ) -> None:
        # The index is that of the runs: SQLite would go through all that the source ever had.
        mine = sa.and_(
            invocations.c.run_id.in_(run_ids), no_index(invocations.c.source_id) == source_id
        )
        counted = sa.select(
            invocations.c.run_id, invocations.c.trigger, invocations.c.status, sa.func.count()
        )
        for run_id, trigger, status, number in tx.execute(
            counted.where(mine).group_by(
                invocations.c.run_id, invocations.c.trigger, invocations.c.status
            )
        ):
            one = by_run[run_id]
            one.triggers[trigger] = one.triggers.get(trigger, 0) + number
            one.statuses[status] = one.statuses.get(status, 0) + number
        place = (
            sa.func.row_number()
            .over(partition_by=invocations.c.run_id, order_by=invocations.c.object_key)
            .label("place")
        )
        failed = (
            sa.select(invocations, place).where(mine, invocations.c.status == "failed").subquery()
        )
        for row in tx.execute(sa.select(failed).where(failed.c.place <= SHOWN_FAILURES)):
            by_run[row.run_id].failures.append(
                Failure(
                    invocation_id=row.id,
                    object_key=row.object_key,
                    reason=row.reason or "unknown",
                    error=row.error or "",
                    failed_at=row.finished_at,
                )
            )


def _history_of(row: sa.Row[Any]) -> BatchHistory:
    return BatchHistory(
        token=row.token,
        run_id=row.run_id,
        state=row.state,
        created_at=row.created_at,
        finished_at=row.finished_at,
        size=row.size,
    )
