"""Listings: one ordered pass, committed page by page, that may die at any point."""

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.departures import departures, let_depart
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.object_rows import upsert_objects
from s3sync_dagster.catalog.rows import groups, listing_of, object_of
from s3sync_dagster.catalog.tables import invocations, listings, objects
from s3sync_dagster.core.guard import needs_approval
from s3sync_dagster.core.page import PageCommit, PageWindow
from s3sync_dagster.core.state import ListingRow, ListingState

LEASE_SECONDS = 90.0


class Listings:
    """The table ``listings`` and the objects that listings see."""

    def __init__(self, database: Database) -> None:
        self._db = database

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
                if row.lease_until > now and row.owner != owner:
                    return None
                if not fresh:
                    tx.execute(
                        listings.update()
                        .where(listings.c.id == row.id)
                        .values(owner=owner, lease_until=now + LEASE_SECONDS)
                    )
                    return listing_of(row)
                tx.execute(
                    listings.update()
                    .where(listings.c.id == row.id)
                    .values(state="failed", finished_at=now, error="replaced by a new listing")
                )
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

    def live_owner(self, source_id: str) -> str | None:
        """Return the owner of the running listing, if there is one."""
        with self._db.read() as tx:
            return tx.execute(
                sa.select(listings.c.owner).where(
                    listings.c.source_id == source_id, listings.c.state == "running"
                )
            ).scalar_one_or_none()

    def live_sources(self) -> set[str]:
        """Return the ids of all sources with a running listing."""
        with self._db.read() as tx:
            running = sa.select(listings.c.source_id).where(listings.c.state == "running")
            return set(tx.execute(running).scalars())

    def window(self, source_id: str, *, after: str | None, until: str | None) -> PageWindow:
        """Return what is known of the keys in (after, until]."""
        with self._db.read() as tx:
            known = tx.execute(
                sa.select(objects)
                .where(
                    objects.c.source_id == source_id, *_stretch(objects.c.object_key, after, until)
                )
                .where(objects.c.gone.is_(False))
            ).all()
            live: dict[str, str] = {
                row.object_key: row.status
                for row in tx.execute(
                    sa.select(
                        invocations.c.object_key, sa.func.min(invocations.c.status).label("status")
                    )
                    .where(
                        invocations.c.source_id == source_id,
                        invocations.c.status.in_(["pending", "processing"]),
                        *_stretch(invocations.c.object_key, after, until),
                    )
                    .group_by(invocations.c.object_key)
                )
            }
        return PageWindow(
            objects={row.object_key: object_of(row) for row in known},
            live=frozenset(live),
            waiting=frozenset(key for key, status in live.items() if status == "pending"),
        )

    def commit_page(
        self, listing: ListingRow, page: PageCommit, *, owner: str
    ) -> ListingRow | None:
        """Store a page with its invocations; None when the listing is no longer ours."""
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, listing.source_id)
            mine = tx.execute(
                listings.update()
                .where(
                    listings.c.id == listing.id,
                    listings.c.state == "running",
                    listings.c.owner == owner,
                )
                .values(
                    cursor=page.cursor,
                    lease_until=now + LEASE_SECONDS,
                    listed=listings.c.listed + page.listed,
                    new=listings.c.new + page.new,
                    changed=listings.c.changed + page.changed,
                    selected=listings.c.selected + page.selected,
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
                        objects.c.seen_at < page.asked_at,
                    )
                    .values(missed_listing_id=listing.id)
                )
            upsert_objects(
                self._db, tx, listing.source_id, page.upserts, now=now, asked_at=page.asked_at
            )
            insert_automatic(
                self._db, tx, listing.source_id, page.invoke, trigger="listing", now=now
            )
        return listing_of(mine)

    def finish(
        self,
        listing: ListingRow,
        *,
        owner: str,
        removes: bool,
        approved: bool = False,
    ) -> ListingRow:
        """End a complete listing: what it did not see is gone, unless the guard stops it.

        Args:
            listing: the running listing.
            owner: its owner.
            removes: False for delete modes that keep the records.
            approved: a person approved the removals in advance (``--approve-deletes``).
        """
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, listing.source_id)
            row = tx.execute(
                sa.select(listings).where(listings.c.id == listing.id, listings.c.owner == owner)
            ).first()
            if row is None or row.state != "running":
                return listing_of(row) if row else listing
            leaving = departures(tx, row)
            blocked = (
                removes and not approved and needs_approval(leaving.documents, total=leaving.of)
            )
            if not blocked:
                let_depart(self._db, tx, row, leaving, removes=removes, now=now)
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
            state = ListingState.BLOCKED if blocked else ListingState.COMPLETE
            done = tx.execute(
                listings.update()
                .where(listings.c.id == listing.id)
                .values(
                    state=state.value, finished_at=now, gone=leaving.documents if removes else 0
                )
                .returning(listings)
            ).one()
            return listing_of(done)

    def approve(self, source_id: str) -> ListingRow | None:
        """Carry out what the guard stopped in the newest listing; None when nothing is blocked."""
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            row = tx.execute(
                sa.select(listings).where(
                    listings.c.source_id == source_id, listings.c.state == "blocked"
                )
            ).first()
            if row is None:
                return None
            let_depart(self._db, tx, row, departures(tx, row), removes=True, now=now)
            done = tx.execute(
                listings.update()
                .where(listings.c.id == row.id)
                .values(state="approved")
                .returning(listings)
            ).one()
            return listing_of(done)

    def fail(self, listing: ListingRow, *, owner: str, error: str) -> None:
        """End a listing that cannot go on; it removes nothing."""
        with self._db.write() as tx:
            tx.execute(
                listings.update()
                .where(
                    listings.c.id == listing.id,
                    listings.c.owner == owner,
                    listings.c.state == "running",
                )
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
                .values(state="failed", finished_at=self._now(), error="its process died")
            )

    def pause(self, listing: ListingRow, *, owner: str) -> None:
        """Give a running listing back between two ticks; its cursor stays."""
        with self._db.write() as tx:
            tx.execute(
                listings.update()
                .where(listings.c.id == listing.id, listings.c.owner == owner)
                .values(lease_until=0)
            )

    def latest(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source."""
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(listings)
                .where(listings.c.source_id == source_id)
                .order_by(listings.c.id.desc())
                .limit(1)
            ).first()
        return listing_of(row) if row else None

    def _now(self) -> float:
        return self._db.clock.now().timestamp()


def _stretch(
    column: sa.ColumnElement[str], after: str | None, until: str | None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if after is not None:
        conditions.append(column > after)
    if until is not None:
        conditions.append(column <= until)
    return conditions
