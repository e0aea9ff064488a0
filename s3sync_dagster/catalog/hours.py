"""What each source was like, hour by hour: for charts alone. Nothing here decides anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import groups, no_index
from s3sync_dagster.catalog.tables import batches, hours, invocations, is_live
from s3sync_dagster.catalog.views import SourceCounts

HOUR_SECONDS = 3600.0
LOOK_BACK_HOURS = 24
"""So far back it is counted what ended, where nothing was noted for long."""
_ENDED = ("complete", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """An hour of a source."""

    hour: int
    """Hours since 1970, UTC."""
    states: Mapping[str, int] | None
    """Objects by state, all but ``failed``, as they were noted last in it; None: never."""
    failed: Mapping[str, int]
    """Failed objects by reason, at the same time."""
    lag_seconds: float
    """Age of the oldest work that waited: the greatest that was noted."""
    complete_invocations: int
    """Invocations that ended well in it."""
    failed_invocations: int
    """Invocations that failed in it."""
    texts: int
    """That a model read for it, as far as batches came to their end."""


@again_after_collisions
class Hours:
    """The table ``hours``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, source_id: str, counts: SourceCounts) -> None:
        """Note how a source is now, and what ended since it was noted last.

        Hours are counted anew until they are over, so that nobody has to remember how far he came.
        It costs a look at each live invocation, and at each that ended since the hour of the last
        note began.
        """
        now = self._db.now()
        last = int(now // HOUR_SECONDS)
        with self._db.read() as tx:
            noted = sa.select(sa.func.max(hours.c.hour)).where(
                hours.c.source_id == source_id, hours.c.noted_at.is_not(None)
            )
            before = tx.execute(noted).scalar_one()
            first = max(before or 0, last - LOOK_BACK_HOURS)
            ended = self._ended(tx, source_id, since=first * HOUR_SECONDS)
            oldest = (
                sa.select(sa.func.min(invocations.c.created_at))
                .where(invocations.c.source_id == source_id, is_live)
                .group_by(invocations.c.source_id)  # else SQLite looks through all in their order
            )
            waits_since = tx.execute(oldest).scalar_one_or_none()
        lag_seconds = 0.0 if waits_since is None else max(0.0, now - waits_since)
        rows = [{"hour": one, **_counted(ended.get(one, {}))} for one in sorted({*ended, last})]
        with self._db.write() as tx:
            if not self._db.has_source(tx, source_id):
                return
            for row in rows:
                self._put(tx, source_id, row, add=False)
            lag = hours.c.lag_seconds
            tx.execute(
                hours.update()
                .where(hours.c.source_id == source_id, hours.c.hour == last)
                .values(
                    noted_at=now,
                    states={
                        "indexed": counts.indexed,
                        "pending": counts.pending,
                        "processing": counts.processing,
                        "skipped": sum(counts.skipped.values()),
                    },
                    failed=counts.failed,
                    lag_seconds=sa.case((lag > lag_seconds, lag), else_=lag_seconds),
                )
            )

    def embedded(self, source_id: str, texts: int) -> None:
        """Add texts that a model read for a source, to the hour that is now."""
        if not texts:
            return
        with self._db.write() as tx:
            if self._db.has_source(tx, source_id):
                row = {"hour": int(self._db.now() // HOUR_SECONDS), "texts": texts}
                self._put(tx, source_id, row, add=True)

    def of_source(self, source_id: str, *, since: int) -> list[Hour]:
        """Return the hours of a source from ``since`` on, in order.

        Those of which nothing is known are left out. At most a row an hour, by the primary key.
        """
        query = sa.select(hours).where(hours.c.source_id == source_id, hours.c.hour >= since)
        with self._db.read() as tx:
            return [_hour_of(row) for row in tx.execute(query.order_by(hours.c.hour))]

    def prune(self, *, older_than_seconds: float) -> int:
        """Delete hours by age."""
        oldest = int((self._db.now() - older_than_seconds) // HOUR_SECONDS)
        with self._db.write() as tx:
            return tx.execute(hours.delete().where(hours.c.hour < oldest)).rowcount

    def _put(self, tx: sa.Connection, source_id: str, row: Mapping[str, int], *, add: bool) -> None:
        insert = self._db.insert(hours).values(source_id=source_id, **row)
        kept = {name: value for name, value in row.items() if name != "hour"}
        if add:
            kept = {name: hours.c[name] + value for name, value in kept.items()}
        keys = list(hours.primary_key.columns)
        tx.execute(insert.on_conflict_do_update(index_elements=keys, set_=kept))

    def _ended(
        self, tx: sa.Connection, source_id: str, *, since: float
    ) -> dict[int, dict[str, int]]:
        """Return invocations that ended since then, by hour and status, found by their runs."""
        runs = sa.select(batches.c.run_id).where(
            batches.c.source_id == source_id,
            batches.c.run_id.is_not(None),
            sa.or_(batches.c.finished_at.is_(None), batches.c.finished_at >= since),
        )
        hour = invocations.c.finished_at / HOUR_SECONDS
        # Postgres rounds where it is told to cast, and not every SQLite has floor().
        hour = sa.cast(hour, sa.Integer) if self._db.sqlite else sa.func.floor(hour)
        found: dict[int, dict[str, int]] = {}
        for part in groups(tx.execute(runs.distinct()).scalars().all()):
            query = sa.select(hour, invocations.c.status, sa.func.count()).where(
                invocations.c.run_id.in_(part),
                no_index(invocations.c.source_id) == source_id,  # as in ``History``
                invocations.c.status.in_(_ENDED),
                invocations.c.finished_at >= since,
            )
            for when, status, number in tx.execute(query.group_by(hour, invocations.c.status)):
                one = found.setdefault(int(when), {})
                one[status] = one.get(status, 0) + number
        return found


def _counted(ended: Mapping[str, int]) -> dict[str, int]:
    return {f"{status}_invocations": ended.get(status, 0) for status in _ENDED}


def _hour_of(row: sa.Row[Any]) -> Hour:
    return Hour(
        hour=row.hour,
        states=row.states,
        failed=row.failed or {},
        lag_seconds=row.lag_seconds,
        complete_invocations=row.complete_invocations,
        failed_invocations=row.failed_invocations,
        texts=row.texts,
    )
