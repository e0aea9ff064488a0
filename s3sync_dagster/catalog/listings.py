"""Listings: one ordered pass, committed page by page, that may die at any point."""

from collections.abc import Callable
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
from s3sync_dagster.catalog.listing_owner import LEASE_SECONDS, kept_by, next_of
from s3sync_dagster.catalog.listing_rows import ListingRows, live_kinds
from s3sync_dagster.catalog.listing_statements import (
    asked_has_begun,
    complete_others,
    config_of,
    count_page,
    due_again,
    end_listing,
    forget_heads,
    insert_running,
    is_mine,
    mark_missed,
    mine_of,
    running_of,
)
from s3sync_dagster.catalog.object_rows import upsert_objects
from s3sync_dagster.catalog.overtaken import end_removals
from s3sync_dagster.catalog.rows import groups, listing_of
from s3sync_dagster.catalog.tables import listings
from s3sync_dagster.catalog.wholes import fail_of_other_commits, settle_wholes
from s3sync_dagster.core.page import PageCommit, is_held
from s3sync_dagster.core.state import (
    Departing,
    DepartureCursor,
    ListingRow,
    ListingState,
)
from s3sync_dagster.core.whole import REPLACED

DEPARTURES_A_PART = 500
"""Keys whose end one transaction writes."""


@again_after_collisions
class Listings(ListingRows):
    """The table ``listings`` and the objects that listings see."""

    def begin(
        self,
        source_id: str,
        *,
        owner: str,
        fresh: bool = False,
        is_kept: Callable[[ListingRow], bool] | None = None,
    ) -> ListingRow | None:
        """Take up the running listing of a source, or start one.

        Args:
            source_id: the source.
            owner: who works on it, an owner file's name.
            fresh: start from the first page; a dead one ends as failed.
            is_kept: tells whether what one goes on with that stays in a data folder lies here.

        Returns:
            None while another live owner works on one, or keeps it, or the source is being deleted.
        """
        now = self._now()
        with self._db.write() as tx:
            if not self._db.open_source(tx, source_id):
                return None
            row = tx.execute(*running_of(source_id)).first()
            if row is not None:
                kept = is_kept is not None and is_kept(listing_of(row))
                following = next_of(row, owner, fresh=fresh, kept=kept, now=now)
                if following == "leave":
                    return None
                if following == "go on":
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
            config = tx.execute(*config_of(source_id)).scalar_one()
            if keys := config.get("reader_keys"):
                look_again(tx, source_id, keys)
            tx.execute(*asked_has_begun(source_id))
            new = tx.execute(*insert_running(source_id, owner, now + LEASE_SECONDS, now)).one()
            return listing_of(new)

    def commit_page(
        self, listing: ListingRow, page: PageCommit, *, owner: str
    ) -> ListingRow | None:
        """Store a page with its invocations; None when the listing is no longer ours."""
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, listing.source_id)
            counted = count_page(
                *(listing.id, owner, page.cursor, now + LEASE_SECONDS),
                *(page.listed, page.new, page.changed, page.selected),
                tells_missing=page.tells_missing,
            )
            mine = tx.execute(*counted).first()
            if mine is None:
                return None
            for keys in groups(page.missing):
                tx.execute(*mark_missed(listing.source_id, listing.id, keys, page.asked))
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
        mine = mine_of(listing.id, owner)
        return self._depart(mine, cursor, removes=removes, limit=limit)

    def _depart(
        self,
        which: tuple[sa.Select[Any], dict[str, Any]],
        cursor: DepartureCursor,
        *,
        removes: bool,
        limit: int,
        only_shown: bool = False,
    ) -> DepartureCursor | None:
        with self._db.read() as tx:
            row = tx.execute(*which).first()
            if row is None:
                return None
            keys, following = next_part(tx, row, cursor, removes=removes, limit=limit)
        if not keys:
            return following
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, row.source_id)
            row = tx.execute(*which).first()
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
            mine = mine_of(listing.id, owner)
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
            tx.execute(*complete_others(listing.source_id, listing.id))
            state = ListingState.COMPLETE if blocked is None else ListingState.BLOCKED
            gone = row.gone if blocked is None else blocked.documents
            done = tx.execute(*end_listing(listing.id, state.value, self._now(), gone)).one()
            # Who asked for it meanwhile waits for the next one.
            tx.execute(*due_again(listing.source_id, self._now()))
            if state is ListingState.COMPLETE:
                tx.execute(*forget_heads(listing.source_id))
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
        which = (sa.select(listings).where(*blocked), dict[str, Any]())
        with self._db.read() as tx:
            row = tx.execute(*which).first()
            if row is None:
                return None
            going = departing(tx, row).documents  # some may have come back since it ended
        cursor: DepartureCursor | None = DepartureCursor()
        while cursor is not None:
            cursor = self._depart(which, cursor, removes=True, limit=DEPARTURES_A_PART)
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
                .where(*is_mine(listing.id, owner))
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

    def pause(self, listing: ListingRow, *, owner: str, stays_here: bool = False) -> None:
        """Give a running listing back between two ticks; its cursor stays.

        Args:
            listing: the running listing.
            owner: its owner.
            stays_here: it can go on in its owner's data folder alone.
        """
        given = kept_by(owner, now=self._now()) if stays_here else {"lease_until": 0}
        with self._db.write() as tx:
            tx.execute(
                listings.update()
                .where(listings.c.id == listing.id, listings.c.owner == owner)
                .values(given)
            )

    def _now(self) -> float:
        return self._db.now()
