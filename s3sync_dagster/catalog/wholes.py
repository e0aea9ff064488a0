"""Invocations of a whole commit or site, which the first listing after them answers."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import source_gone
from s3sync_dagster.catalog.rows import groups, listing_of
from s3sync_dagster.catalog.tables import (
    invocations,
    is_live,
    listings,
    objects,
    sources,
    wholes,
)
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.core.whole import REPLACED, state_of_whole
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.invocation import ENDED, Invocation, InvocationStatus, Trigger
from s3sync_dagster.model.source import Source

KEPT = 200
"""Of a source, the newest."""


class Wholes:
    """The table ``wholes``. Its rows are shown as invocations without an object key."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def insert(self, source: Source, *, ref: Mapping[str, str]) -> str:
        """Note that a whole source is asked for; returns the invocation's id.

        Who asks for the same before a listing has begun with it gets the same one.

        Args:
            source: the source; it is the caller's to have it listed after this.
            ref: ``sha`` or ``branch`` and its name; empty for a site.

        Raises:
            NotFound: ``source_not_found``: it was deleted or moved meanwhile.
        """
        with self._db.write() as tx:
            self._db.lock_source(tx, source.id)
            there = (sources.c.id == source.id, sources.c.origin != "moved")
            if tx.execute(sa.select(sources.c.id).where(*there)).first() is None:
                raise source_gone()
            newest = sa.select(sa.func.coalesce(sa.func.max(listings.c.id), 0)).where(
                listings.c.source_id == source.id
            )
            after = tx.execute(newest).scalar_one()
            waiting = sa.select(wholes.c.id, wholes.c.ref).where(
                wholes.c.source_id == source.id,
                wholes.c.status == "pending",
                wholes.c.after_listing == after,
            )
            for row in tx.execute(waiting):
                if row.ref == dict(ref):
                    return row.id
            name = str(uuid.uuid4())
            tx.execute(
                wholes.insert().values(
                    id=name,
                    source_id=source.id,
                    tenant=source.tenant,
                    database_name=source.database_name,
                    collection_name=source.collection_name,
                    place_type=source.place.type,
                    ref=dict(ref),
                    after_listing=after,
                    status="pending",
                    created_at=self._db.now(),
                )
            )
            oldest = (
                sa.select(wholes.c.id)
                .where(wholes.c.source_id == source.id)
                .order_by(wholes.c.created_at.desc(), wholes.c.after_listing.desc())
                .offset(KEPT)
                .limit(KEPT)
            )
            old = tx.execute(oldest).scalars().all()
            tx.execute(wholes.delete().where(wholes.c.id.in_(old)))
        return name

    def find(self, invocation_id: str, *, tenant: str) -> Invocation | None:
        """Return one as it is now; None: there is none of this tenant."""
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(wholes).where(wholes.c.id == invocation_id, wholes.c.tenant == tenant)
            ).first()
        return None if row is None else self._now([row])[0]

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
        return self._now(found)

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

    def _now(self, rows: Sequence[sa.Row[Any]]) -> list[Invocation]:
        """Return rows as they are now; what nobody has stored of their end is stored."""
        ids = sorted({row.source_id for row in rows if row.status not in ENDED})
        with self._db.read() as tx:
            ends = _ends(tx, ids, now=self._db.now())
        done = {name: end for name, end in ends.items() if end.status in ENDED}
        if done:
            with self._db.write() as tx:
                _store(tx, done)
        return [
            _shown(row, _End(row.status, row.error, row.finished_at) if end is None else end)
            for row in rows
            for end in [ends.get(row.id) if row.status not in ENDED else None]
        ]

    def _end(self, name: str, status: str, error: str | None, *, finished_at: float) -> int:
        still = sa.and_(wholes.c.id == name, wholes.c.status.not_in(ENDED))
        with self._db.write() as tx:
            return tx.execute(
                wholes.update()
                .where(still)
                .values(status=status, error=error, finished_at=finished_at)
            ).rowcount


def settle_wholes(tx: sa.Connection, source_id: str, *, now: float) -> None:
    """Store how those of a source ended whose listing, and the last key it asked for, just did."""
    ends = _ends(tx, [source_id], now=now)
    _store(tx, {name: end for name, end in ends.items() if end.status in ENDED})


def hand_wholes(tx: sa.Connection, before_id: str, source: Source) -> None:
    """Let what was asked of a source be asked of the one that stands in its place."""
    tx.execute(
        wholes.update()
        .where(wholes.c.source_id == before_id, wholes.c.status.not_in(ENDED))
        .values(
            source_id=source.id,
            tenant=source.tenant,
            database_name=source.database_name,
            collection_name=source.collection_name,
            place_type=source.place.type,
        )
    )


def fail_of_other_commits(
    tx: sa.Connection, listing: ListingRow, commit: str, *, now: float
) -> None:
    """End those that asked for another commit than the listing that answers them has met."""
    open_ones = sa.select(wholes.c.id, wholes.c.ref).where(
        wholes.c.source_id == listing.source_id,
        wholes.c.after_listing < listing.id,
        wholes.c.status.not_in(ENDED),
    )
    error = f"The branch has moved on: the commit {commit} was listed. Ask for that one."
    _store(
        tx,
        {
            row.id: _End("failed", error, now)
            for row in tx.execute(open_ones)
            if row.ref.get("sha") not in (None, commit)
        },
    )


@dataclass(frozen=True, slots=True)
class _End:
    status: str
    error: str | None
    finished_at: float | None


def _store(tx: sa.Connection, ends: Mapping[str, _End]) -> None:
    if not ends:
        return
    same = wholes.c.id == sa.bindparam("b_id")
    tx.execute(
        wholes.update()
        .where(same, *[wholes.c.status != one for one in ENDED])  # no IN: many rows at once
        .values(
            status=sa.bindparam("b_status"),
            error=sa.bindparam("b_error"),
            finished_at=sa.bindparam("b_finished_at"),
        ),
        [
            {
                "b_id": name,
                "b_status": end.status,
                "b_error": end.error,
                "b_finished_at": end.finished_at,
            }
            for name, end in ends.items()
        ],
    )


def _ends(tx: sa.Connection, source_ids: Sequence[str], *, now: float) -> dict[str, _End]:
    """Return how far those of these sources are that have not ended, by id."""
    open_ones: list[Any] = []
    for part in groups(source_ids):
        open_ones += tx.execute(*_open_of(part)).all()
    if not open_ones:
        return {}
    begun = dict[int, ListingRow]()
    for part in groups(sorted({row.listing for row in open_ones if row.listing is not None})):
        query = sa.select(listings).where(listings.c.id.in_(part))
        begun |= {row.id: listing_of(row) for row in tx.execute(query)}
    theirs = sorted({one.source_id for one in begun.values() if one.finished_at is not None})
    live, failed = _numbers(tx, theirs)
    finished = {one.id: _finished(tx, one) for one in begun.values()}
    ends = dict[str, _End]()
    for row in open_ones:
        if row.name is None:
            ends[row.id] = _End("cancelled", None, now)
            continue
        state = state_of_whole(
            begun.get(row.listing),
            live=live.get(row.source_id, 0),
            failed=failed.get(row.source_id, 0),
            name=row.name,
        )
        ends[row.id] = _End(state.status.value, state.error, finished.get(row.listing))
    return ends


@built_once
def _open_of(source_ids: Sequence[str]) -> Any:
    first = (
        sa.select(sa.func.min(listings.c.id))
        .where(
            listings.c.source_id == wholes.c.source_id,
            listings.c.id > wholes.c.after_listing,
            listings.c.error.is_distinct_from(REPLACED),
        )
        .correlate(wholes)
        .scalar_subquery()
    )
    return (
        sa.select(wholes.c.id, wholes.c.source_id, sources.c.name, first.label("listing"))
        .outerjoin(sources, sources.c.id == wholes.c.source_id)
        .where(wholes.c.source_id.in_(source_ids), wholes.c.status.not_in(ENDED))
    )


def _numbers(tx: sa.Connection, source_ids: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return keys that wait or are worked on, and objects that failed, by source."""
    found: list[dict[str, int]] = []
    for table, conditions in (
        (invocations, [is_live]),
        (
            objects,
            [
                objects.c.outcome == "failed",
                objects.c.gone.is_(False),
                objects.c.skip_reason.is_(None),
            ],
        ),
    ):
        numbers = dict[str, int]()
        for part in groups(source_ids):
            query = sa.select(table.c.source_id, sa.func.count()).where(
                table.c.source_id.in_(part), *conditions
            )
            for source_id, number in tx.execute(query.group_by(table.c.source_id)):
                numbers[source_id] = number
        found.append(numbers)
    return found[0], found[1]


def _finished(tx: sa.Connection, listing: ListingRow) -> float | None:
    """Return when the last of what a listing asked for ended, or the listing itself."""
    if listing.finished_at is None:
        return None
    last = sa.select(sa.func.max(invocations.c.finished_at)).where(
        invocations.c.source_id == listing.source_id,
        invocations.c.created_at >= listing.started_at,
        invocations.c.created_at <= listing.finished_at,
    )
    return max(listing.finished_at, tx.execute(last).scalar_one() or 0.0)


def _shown(row: sa.Row[Any], end: _End) -> Invocation:
    ended = end.finished_at if end.status in ENDED else None
    return Invocation(
        id=row.id,
        source_id=row.source_id,
        object_key="",
        tenant=row.tenant,
        database_name=row.database_name,
        collection_name=row.collection_name,
        kind="sync",
        trigger=Trigger.API,
        status=InvocationStatus(end.status),
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        metadata=row.ref,
        error=end.error,
        finished_at=None if ended is None else datetime.fromtimestamp(ended, UTC),
    )
