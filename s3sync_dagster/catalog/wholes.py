"""Invocations of a whole commit or site, which the first listing after them answers."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import listing_of
from s3sync_dagster.catalog.tables import invocations, listings, objects, sources, wholes
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.core.whole import state_of_whole
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.invocation import Invocation, InvocationStatus, Trigger
from s3sync_dagster.model.source import Source

KEPT = 200
"""Of a source, of those that have ended."""
_ENDED = ("complete", "failed", "cancelled")


class Wholes:
    """The table ``wholes``. Its rows are shown as invocations without an object key."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def insert(self, source: Source, *, ref: Mapping[str, str]) -> str:
        """Note that a whole source is asked for; returns the invocation's id.

        Args:
            source: the source; it is the caller's to have it listed after this.
            ref: ``sha`` or ``branch`` and its name; empty for a site.
        """
        name = str(uuid.uuid4())
        with self._db.write() as tx:
            self._db.lock_source(tx, source.id)
            newest = sa.select(sa.func.coalesce(sa.func.max(listings.c.id), 0)).where(
                listings.c.source_id == source.id
            )
            tx.execute(
                wholes.insert().values(
                    id=name,
                    source_id=source.id,
                    tenant=source.tenant,
                    database_name=source.database_name,
                    collection_name=source.collection_name,
                    place_type=source.place.type,
                    ref=dict(ref),
                    after_listing=tx.execute(newest).scalar_one(),
                    status="pending",
                    created_at=self._db.now(),
                )
            )
            ended = (
                sa.select(wholes.c.id)
                .where(wholes.c.source_id == source.id, wholes.c.status.in_(_ENDED))
                .order_by(wholes.c.created_at.desc())
                .offset(KEPT)
                .limit(KEPT)
            )
            old = tx.execute(ended).scalars().all()
            tx.execute(wholes.delete().where(wholes.c.id.in_(old)))
        return name

    def find(self, invocation_id: str, *, tenant: str) -> Invocation | None:
        """Return one as it is now; None: there is none of this tenant."""
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(wholes).where(wholes.c.id == invocation_id, wholes.c.tenant == tenant)
            ).first()
        return None if row is None else self._now(row)

    def rows(
        self,
        *,
        tenant: str,
        source_ids: Sequence[str] | None,
        database_name: str | None,
        source_type: str | None,
    ) -> list[Invocation]:
        """Return all of a tenant that fit, as they are now, in no order."""
        query = sa.select(wholes).where(wholes.c.tenant == tenant)
        if source_ids is not None:
            query = query.where(wholes.c.source_id.in_(source_ids))
        for column, value in (
            (wholes.c.database_name, database_name),
            (wholes.c.place_type, source_type),
        ):
            if value is not None:
                query = query.where(column == value)
        with self._db.read() as tx:
            found = tx.execute(query).all()
        return [self._now(row) for row in found]

    def cancel(self, invocation: Invocation) -> None:
        """Cancel one that no listing has begun with. Raises ``Conflict`` in any other state."""
        changed = 0
        if invocation.status is InvocationStatus.PENDING:
            changed = self._end(invocation.id, "cancelled", None, finished_at=self._db.now())
        if not changed:
            raise Conflict(
                f"Invocation {invocation.id!r} is no longer pending; only pending ones can be "
                "cancelled.",
                reason="not_pending",
            )

    def _now(self, row: sa.Row[Any]) -> Invocation:
        """Return a row as it is now; how it ended is kept from the first look on."""
        if row.status in _ENDED:
            return _shown(row, row.status, row.error, row.finished_at)
        with self._db.read() as tx:
            found = tx.execute(
                sa.select(listings)
                .where(listings.c.source_id == row.source_id, listings.c.id > row.after_listing)
                .order_by(listings.c.id)
                .limit(1)
            ).first()
            listing = None if found is None else listing_of(found)
            name = tx.execute(
                sa.select(sources.c.name).where(sources.c.id == row.source_id)
            ).scalar_one_or_none()
            live, failed = _left(tx, row.source_id)
            state = state_of_whole(listing, live=live, failed=failed, name=name or "")
            finished_at = _finished(tx, row.source_id, listing)
        if name is None:
            self._end(row.id, "cancelled", None, finished_at=self._db.now())
            return _shown(row, "cancelled", None, self._db.now())
        if state.status.value in _ENDED:
            self._end(row.id, state.status.value, state.error, finished_at=finished_at)
        return _shown(row, state.status.value, state.error, finished_at)

    def _end(self, name: str, status: str, error: str | None, *, finished_at: float) -> int:
        still = sa.and_(wholes.c.id == name, wholes.c.status.not_in(_ENDED))
        with self._db.write() as tx:
            return tx.execute(
                wholes.update()
                .where(still)
                .values(status=status, error=error, finished_at=finished_at)
            ).rowcount


def _left(tx: sa.Connection, source_id: str) -> tuple[int, int]:
    live = sa.select(sa.func.count()).where(
        invocations.c.source_id == source_id, invocations.c.status.in_(["pending", "processing"])
    )
    failed = sa.select(sa.func.count()).where(
        objects.c.source_id == source_id,
        objects.c.outcome == "failed",
        objects.c.gone.is_(False),
        objects.c.skip_reason.is_(None),
    )
    return tx.execute(live).scalar_one(), tx.execute(failed).scalar_one()


def _finished(tx: sa.Connection, source_id: str, listing: ListingRow | None) -> float:
    """Return when the last of what a listing asked for ended, or the listing itself."""
    if listing is None or listing.finished_at is None:
        return 0.0
    last = sa.select(sa.func.max(invocations.c.finished_at)).where(
        invocations.c.source_id == source_id,
        invocations.c.created_at >= listing.started_at,
        invocations.c.created_at <= listing.finished_at,
    )
    return max(listing.finished_at, tx.execute(last).scalar_one() or 0.0)


def _shown(
    row: sa.Row[Any], status: str, error: str | None, finished_at: float | None
) -> Invocation:
    ended = finished_at if status in _ENDED else None
    return Invocation(
        id=row.id,
        source_id=row.source_id,
        object_key="",
        tenant=row.tenant,
        database_name=row.database_name,
        collection_name=row.collection_name,
        kind="sync",
        trigger=Trigger.API,
        status=InvocationStatus(status),
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        metadata=row.ref,
        error=error,
        finished_at=None if ended is None else datetime.fromtimestamp(ended, UTC),
    )
