"""What the catalog knows of batches, to be read."""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import batch_of, is_due
from s3sync_dagster.catalog.tables import batches, invocations
from s3sync_dagster.core.patience import (
    LONGEST_BACKOFF_SECONDS,
)
from s3sync_dagster.core.state import BatchRow

MOST_UNBEGUN = 10
"""Batches that are looked at; as many runs that never began make the longest wait."""
IS_LIVE = batches.c.state.in_(["reserved", "running"])


@again_after_collisions
class BatchRows:
    """Batches as they are known; nothing here changes any."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def unbegun(self, source_id: str) -> tuple[int, float]:
        """Return how many runs in a row ended before they began, and when the last one did.

        Of the source's newest ten batches for which a run was asked for, in POSIX seconds.
        """
        query = (
            sa.select(batches)
            .where(batches.c.source_id == source_id, batches.c.state != "reserved")
            .order_by(batches.c.created_at.desc())
            .limit(MOST_UNBEGUN)
        )
        number, last = 0, 0.0
        with self._db.read() as tx:
            for row in tx.execute(query):
                if row.run_id is not None or row.owner is not None or row.state != "released":
                    break
                if row.yielded_at is not None:
                    number, last = number + 1, max(last, row.finished_at)
        return number, last

    def live(self, *, source_id: str | None = None) -> list[BatchRow]:
        """Return rows of live batches, oldest first."""
        with self._db.read() as tx:
            found = tx.execute(*_live(source_id, of_one=source_id is not None))
            return [batch_of(row) for row in found]

    def row(self, token: str) -> BatchRow | None:
        """Return the row of a batch."""
        with self._db.read() as tx:
            row = tx.execute(*_of_token(token)).first()
        return batch_of(row) if row is not None else None

    def keys(self, token: str) -> list[str]:
        """Return the object keys that a batch holds, in key order."""
        with self._db.read() as tx:
            return sorted(
                set(
                    tx.execute(
                        sa.select(invocations.c.object_key).where(
                            invocations.c.batch_token == token
                        )
                    ).scalars()
                )
            )

    def pending_sources(self) -> list[str]:
        """Return ids of sources that have due pending invocations.

        Those that were served longest ago come first: of a tenant that may have few batches each
        source has its turn.
        """
        due = (
            sa.select(invocations.c.source_id)
            .where(invocations.c.status == "pending", attempt_is_due(self._db.now()))
            .distinct()
            .subquery()
        )
        served = (
            sa.select(sa.func.max(batches.c.created_at))
            .where(batches.c.source_id == due.c.source_id)
            .scalar_subquery()
        )
        query = sa.select(due.c.source_id).order_by(sa.func.coalesce(served, 0.0), due.c.source_id)
        with self._db.read() as tx:
            return list(tx.execute(query).scalars())


@built_once
def _live(source_id: str | None, *, of_one: bool) -> sa.Select[Any]:
    query = sa.select(batches).where(IS_LIVE).order_by(batches.c.created_at)
    return query.where(batches.c.source_id == source_id) if of_one else query


@built_once
def _of_token(token: str) -> sa.Select[Any]:
    return sa.select(batches).where(batches.c.token == token)


def attempt_is_due(now: float) -> sa.ColumnElement[bool]:
    """Return whether the next attempt of an invocation is due."""
    return is_due(invocations.c.next_attempt_at, now=now, at_most=LONGEST_BACKOFF_SECONDS)
