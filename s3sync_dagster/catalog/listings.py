"""Listings: one ordered pass, committed page by page, that may die at any point."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.doubted import look_again
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.listing_end import (
    departing,
    is_blocked,
    let_depart,
    next_part,
    show_departing,
)
from s3sync_dagster.catalog.listing_rows import ListingRows, live_kinds
from s3sync_dagster.catalog.object_rows import upsert_objects
from s3sync_dagster.catalog.overtaken import end_removals
from s3sync_dagster.catalog.rows import groups, listing_of
from s3sync_dagster.catalog.tables import listings, objects, sources
from s3sync_dagster.catalog.wholes import fail_of_other_commits, settle_wholes
from s3sync_dagster.core.page import PageCommit, is_held
from s3sync_dagster.core.patience import is_due
from s3sync_dagster.core.state import (
    LISTING_ASKED,
    LISTING_BEGUN,
    Departing,
    DepartureCursor,
    ListingRow,
    ListingState,
)
from s3sync_dagster.core.whole import REPLACED

LEASE_SECONDS = 90.0
DEPARTURES_A_PART = 500
"""Keys whose end one transaction writes."""


@again_after_collisions
class Listings(ListingRows):
    """The table ``listings`` and the objects that listings see."""

    def begin(self, source_id: str, *, owner: str, fresh: bool = False) -> ListingRow | None:
        """Take up the running listing of a source, or start one.

        Args:
            source_id: the source.
            owner: who works on it, an owner file's name.
            fresh: start from the first page; a dead one ends as failed.

        Returns:
            None while another live owner works on one, or the source is being deleted.
        """
        now = self._now()
        with self._db.write() as tx:
            if not self._db.open_source(tx, source_id):
                return None
            row = tx.execute(
                sa.select(listings).where(
                    listings.c.source_id == source_id, listings.c.state == "running"
                )
            ).first()
            if row is not None:
                live = not is_due(row.lease_until, now=now, at_most=LEASE_SECONDS)
                if live and row.owner != owner:
                    return None
                if not fresh:
                    taken = tx.execute(
                        listings.update()
                        .where(listings.c.id == row.id)
                        .values(
                            owner=owner,
                            lease_until=now + LEASE_SECONDS,
                            pages=listings.c.pages + 1,
                        )
                        .returning(listings)
                    ).one()
                    return listing_of(taken)
                tx.execute(
                    listings.update()
                    .where(listings.c.id == row.id)
                    .values(state="failed", finished_at=now, error=REPLACED)
                )
            config = tx.execute(
                sa.select(sources.c.config).where(sources.c.id == source_id)
            ).scalar_one()
            if keys := config.get("reader_keys"):
                look_again(tx, source_id, keys)
            asked = (sources.c.id == source_id, sources.c.list_due_at == LISTING_ASKED)
            tx.execute(sources.update().where(*asked).values(list_due_at=LISTING_BEGUN))
            new = tx.execute(
                listings.insert()
                .values(
                    source_id=source_id,
                    state="running",
                    owner=owner,
                    lease_until=now + LEASE_SECONDS,
                    started_at=now,
                )
                .returning(listings)
            ).one()
            return listing_of(new)

    def commit_page(
        self, listing: ListingRow, page: PageCommit, *, owner: str
    ) -> ListingRow | None:
        """Store a page with its invocations; None when the listing is no longer ours."""
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, listing.source_id)
            mine = tx.execute(
                listings.update()
                .where(*_mine(listing, owner))
                .values(
                    cursor=page.cursor,
                    lease_until=now + LEASE_SECONDS,
                    pages=listings.c.pages + 1,
                    listed=listings.c.listed + page.listed,
                    new=listings.c.new + page.new,
                    changed=listings.c.changed + page.changed,
                    selected=listings.c.selected + page.selected,
                    tells_missing=_tells_missing(page),
                )
                .returning(listings)
            ).first()
            if mine is None:
                return None
            for keys in groups(page.missing):
                tx.execute(
                    objects.update()
                    .where(
                        objects.c.source_id == listing.source_id,
                        objects.c.object_key.in_(keys),
                        objects.c.told_number < page.asked,
                    )
                    .values(
                        missed_listing_id=listing.id,
                        first_missed_listing_id=sa.case(
                            (objects.c.missed_listing_id == 0, listing.id),
                            else_=objects.c.first_missed_listing_id,
                        ),
                    )
                )
            left_out = upsert_objects(
                self._db, tx, listing.source_id, page.upserts, now=now, asked=page.asked
            )
            end_removals(tx, listing, page)
            if left_out:
                mine = tx.execute(
                    listings.update()
                    .where(listings.c.id == listing.id)
                    .values(
                        new=listings.c.new - len(left_out),
                        left_out=listings.c.left_out + len(left_out),
                    )
                    .returning(listings)
                ).one()
            live = live_kinds(tx, listing.source_id, page.invoke)
            asked = [
                key
                for key in page.invoke
                if key not in left_out
                and (page.reindex or not is_held(live.get(key), differs=key in page.differing))
            ]
            insert_automatic(
                self._db,
                tx,
                listing.source_id,
                asked,
                trigger="listing",
                reindex=page.reindex,
                now=now,
            )
        return listing_of(mine)

    def depart(
        self,
        listing: ListingRow,
        *,
        owner: str,
        cursor: DepartureCursor,
        removes: bool,
        limit: int = DEPARTURES_A_PART,
    ) -> DepartureCursor | None:
        """Carry out a part of what a running listing ends, and hold its lease.

        Args:
            listing: which has seen all pages.
            owner: its owner.
            cursor: where the part before has ended.
            removes: False for delete modes that keep the records.
            limit: keys.

        Returns:
            Where the next part begins; None: there is none, or the listing is no longer ours.
        """
        return self._depart(_mine(listing, owner), cursor, removes=removes, limit=limit)

    def _depart(
        self,
        which: Sequence[sa.ColumnElement[bool]],
        cursor: DepartureCursor,
        *,
        removes: bool,
        limit: int,
        only_shown: bool = False,
    ) -> DepartureCursor | None:
        with self._db.read() as tx:
            row = tx.execute(sa.select(listings).where(*which)).first()
            if row is None:
                return None
            keys, following = next_part(tx, row, cursor, removes=removes, limit=limit)
        if not keys:
            return following
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, row.source_id)
            row = tx.execute(sa.select(listings).where(*which)).first()
            if row is None:
                return None
            going = 0
            if only_shown:
                show_departing(tx, row, keys)
            else:
                going = let_depart(self._db, tx, row, keys, removes=removes, now=now)
            running = row.state == ListingState.RUNNING
            tx.execute(
                listings.update()
                .where(listings.c.id == row.id)
                .values(
                    lease_until=now + LEASE_SECONDS if running else row.lease_until,
                    gone=listings.c.gone + (going if running else 0),
                )
            )
        return following

    def meet(self, listing: ListingRow, *, commit: str) -> None:
        """Note which commit a listing that has just begun goes through."""
        with self._db.write() as tx:
            self._db.lock_source(tx, listing.source_id)
            fail_of_other_commits(tx, listing, commit, now=self._now())

    def end(
        self, listing: ListingRow, *, owner: str, blocked: Departing | None = None
    ) -> ListingRow:
        """End a listing that has seen all pages.

        Args:
            listing: the running listing.
            owner: its owner.
            blocked: what waits for a person's word; None: all has departed.
        """
        if blocked is not None:
            mine = _mine(listing, owner)
            cursor: DepartureCursor | None = DepartureCursor()
            while cursor is not None:
                cursor = self._depart(
                    mine, cursor, removes=True, limit=DEPARTURES_A_PART, only_shown=True
                )
        with self._db.write() as tx:
            self._db.lock_source(tx, listing.source_id)
            row = tx.execute(
                sa.select(listings).where(listings.c.id == listing.id, listings.c.owner == owner)
            ).first()
            if row is None or row.state != "running":
                return listing_of(row) if row else listing
            # An approval belongs to one listing: older blocked ones end with this one.
            tx.execute(
                listings.update()
                .where(
                    listings.c.source_id == listing.source_id,
                    listings.c.state.in_(["blocked", "approved"]),
                    listings.c.id != listing.id,
                )
                .values(state="complete")
            )
            state = ListingState.COMPLETE if blocked is None else ListingState.BLOCKED
            done = tx.execute(
                listings.update()
                .where(listings.c.id == listing.id)
                .values(
                    state=state.value,
                    finished_at=self._now(),
                    gone=listings.c.gone if blocked is None else blocked.documents,
                )
                .returning(listings)
            ).one()
            interval = sources.c.config["list_interval_seconds"].as_integer()
            tx.execute(  # who asked for it meanwhile waits for the next one
                sources.update()
                .where(sources.c.id == listing.source_id, sources.c.list_due_at == LISTING_BEGUN)
                .values(list_due_at=self._now() + sa.func.coalesce(interval, 0))
            )
            if state is ListingState.COMPLETE:
                tx.execute(
                    sources.update()
                    .where(sources.c.id == listing.source_id)
                    .values(removed_by_heads=0)
                )
            settle_wholes(tx, listing.source_id, now=self._now())
            return listing_of(done)

    def approve(self, source_id: str, listing_id: int) -> ListingRow | None:
        """Carry out what the guard stopped in one listing.

        Args:
            source_id: whose listing it is.
            listing_id: the listing that a person has seen.

        Returns:
            None where it does not wait: another one has taken its place, or nothing is blocked.
        """
        blocked = (*is_blocked(source_id), listings.c.id == listing_id)
        with self._db.read() as tx:
            row = tx.execute(sa.select(listings).where(*blocked)).first()
            if row is None:
                return None
            going = departing(tx, row).documents  # some may have come back since it ended
        cursor: DepartureCursor | None = DepartureCursor()
        while cursor is not None:
            cursor = self._depart(blocked, cursor, removes=True, limit=DEPARTURES_A_PART)
        with self._db.write() as tx:
            done = tx.execute(
                listings.update()
                .where(*blocked)
                .values(state="approved", gone=going)
                .returning(listings)
            ).first()
        return listing_of(done) if done is not None else None

    def fail(self, listing: ListingRow, *, owner: str, error: str) -> None:
        """End a listing that cannot go on; it removes nothing."""
        with self._db.write() as tx:
            tx.execute(
                listings.update()
                .where(*_mine(listing, owner))
                .values(state="failed", finished_at=self._now(), error=error)
            )

    def end_dead(self, source_id: str, *, owner: str) -> None:
        """End the running listing of an owner that is known to be dead."""
        with self._db.write() as tx:
            tx.execute(
                listings.update()
                .where(
                    listings.c.source_id == source_id,
                    listings.c.state == "running",
                    listings.c.owner == owner,
                )
                .values(
                    state="failed",
                    finished_at=self._now(),
                    error="its process ended before it was done",
                )
            )

    def pause(self, listing: ListingRow, *, owner: str) -> None:
        """Give a running listing back between two ticks; its cursor stays."""
        with self._db.write() as tx:
            tx.execute(
                listings.update()
                .where(listings.c.id == listing.id, listings.c.owner == owner)
                .values(lease_until=0)
            )

    def _now(self) -> float:
        return self._db.now()


def _tells_missing(page: PageCommit) -> sa.ColumnElement[Any]:
    """Return what a listing tells of what it has not named: nothing once a page told nothing."""
    before = listings.c.tells_missing
    if page.tells_missing is None:
        return before
    return sa.func.coalesce(before, sa.true()) if page.tells_missing else sa.literal(False)


def _mine(listing: ListingRow, owner: str) -> list[sa.ColumnElement[bool]]:
    return [
        listings.c.id == listing.id,
        listings.c.owner == owner,
        listings.c.state == "running",
    ]
