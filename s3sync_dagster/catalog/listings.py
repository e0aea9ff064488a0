"""Listings: one ordered pass, committed page by page, that may die at any point."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups, listing_of, object_of
from s3sync_dagster.catalog.tables import documents, invocations, listings, objects
from s3sync_dagster.core.catalog_port import PageCommit, PageWindow
from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.state import ListingRow, ListingState
from s3sync_dagster.model.object import ObjectRef

LEASE_SECONDS = 90.0
KEEP_SKIPPED = ("archived", "sidecar")
"""Skips that leave records where they are: the object is still wanted."""


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
            None while another live owner works on one.
        """
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
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

    def window(self, source_id: str, *, after: str | None, until: str | None) -> PageWindow:
        """Return what is known of the keys in (after, until]."""
        with self._db.read() as tx:
            known = tx.execute(
                sa.select(objects)
                .where(
                    objects.c.source_id == source_id, *_stretch(objects.c.object_key, after, until)
                )
                .where(objects.c.gone.is_(False) | objects.c.outcome.is_not(None))
            ).all()
            live = tx.execute(
                sa.select(invocations.c.object_key)
                .where(
                    invocations.c.source_id == source_id,
                    invocations.c.status.in_(["pending", "processing"]),
                    *_stretch(invocations.c.object_key, after, until),
                )
                .distinct()
            ).scalars()
            return PageWindow(
                objects={row.object_key: object_of(row) for row in known}, live=frozenset(live)
            )

    def commit_page(
        self, listing: ListingRow, page: PageCommit, *, owner: str
    ) -> ListingRow | None:
        """Store a page with its invocations; None when the listing is no longer ours."""
        now = self._now()
        with self._db.write() as tx:
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
            seen = (
                objects.update()
                .where(
                    objects.c.source_id == listing.source_id,
                    *_stretch(objects.c.object_key, page.after, page.until),
                )
                .values(listing_id=listing.id)
            )
            if len(page.missing) <= 500:
                tx.execute(seen.where(objects.c.object_key.not_in(page.missing)))
            else:  # many are gone: mark all, then take the missing ones back
                tx.execute(seen)
                for keys in groups(page.missing):
                    tx.execute(
                        objects.update()
                        .where(
                            objects.c.source_id == listing.source_id,
                            objects.c.object_key.in_(keys),
                        )
                        .values(listing_id=listing.id - 1)
                    )
            upsert_objects(
                self._db, tx, listing.source_id, page.upserts, listing_id=listing.id, now=now
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
        guard_share: float,
        guard_minimum: int,
        removes: bool,
        approved: bool = False,
    ) -> ListingRow:
        """End a complete listing: what it did not see is gone, unless the guard stops it.

        Args:
            listing: the running listing.
            owner: its owner.
            guard_share: part of the source's documents that may go without a person's word.
            guard_minimum: number of documents that may always go (but never all).
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
            keys = self._gone_keys(tx, row)
            total = tx.execute(
                sa.select(sa.func.count())
                .select_from(documents)
                .where(documents.c.source_id == listing.source_id, documents.c.phase != "removing")
            ).scalar_one()
            doomed = tx.execute(
                sa.select(sa.func.count())
                .select_from(documents)
                .where(
                    documents.c.source_id == listing.source_id,
                    documents.c.phase != "removing",
                    documents.c.object_key.in_(self._gone_select(row)),
                )
            ).scalar_one()
            blocked = (
                removes
                and not approved
                and doomed > 0
                and (doomed > max(guard_minimum, guard_share * total) or doomed == total)
            )
            state = ListingState.BLOCKED if blocked else ListingState.COMPLETE
            if not blocked:
                self._remove(tx, row, keys, removes=removes, now=now)
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
            done = tx.execute(
                listings.update()
                .where(listings.c.id == listing.id)
                .values(state=state.value, finished_at=now, gone=doomed)
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
            self._remove(tx, row, self._gone_keys(tx, row), removes=True, now=now)
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

    def _gone_select(self, row: sa.Row) -> sa.Select:
        """Keys whose records this listing ends: not seen and not touched since, or deselected."""
        unseen = sa.and_(
            objects.c.listing_id != row.id,
            objects.c.seen_at < row.started_at,
            objects.c.gone.is_(False),
        )
        deselected = sa.and_(
            objects.c.listing_id == row.id,
            objects.c.skip_reason.is_not(None),
            objects.c.skip_reason.not_in(KEEP_SKIPPED),
        )
        return sa.select(objects.c.object_key).where(
            objects.c.source_id == row.source_id, unseen | deselected
        )

    def _gone_keys(self, tx: sa.Connection, row: sa.Row) -> list[str]:
        """Return unseen keys, and deselected ones that still have documents."""
        unseen = tx.execute(
            sa.select(objects.c.object_key).where(
                objects.c.source_id == row.source_id,
                objects.c.listing_id != row.id,
                objects.c.seen_at < row.started_at,
                objects.c.gone.is_(False),
            )
        ).scalars()
        deselected = tx.execute(
            sa.select(documents.c.object_key)
            .join(
                objects,
                sa.and_(
                    objects.c.source_id == documents.c.source_id,
                    objects.c.object_key == documents.c.object_key,
                ),
            )
            .where(
                documents.c.source_id == row.source_id,
                documents.c.phase != "removing",
                objects.c.listing_id == row.id,
                objects.c.skip_reason.is_not(None),
                objects.c.skip_reason.not_in(KEEP_SKIPPED),
            )
            .distinct()
        ).scalars()
        return [*unseen, *deselected]

    def _remove(
        self, tx: sa.Connection, row: sa.Row, keys: Collection[str], *, removes: bool, now: float
    ) -> None:
        """Mark unseen objects gone; in modes that remove, ask for the removal of documents."""
        for part in groups(keys):
            tx.execute(
                objects.update()
                .where(
                    objects.c.source_id == row.source_id,
                    objects.c.object_key.in_(part),
                    objects.c.listing_id != row.id,
                )
                .values(gone=True, outcome=None, reason=None, error=None, next_retry_at=None)
            )
            # Gone or deselected: what was still waiting for these keys has lost its object.
            if not removes:
                continue
            with_documents = set(
                tx.execute(
                    sa.select(documents.c.object_key).where(
                        documents.c.source_id == row.source_id, documents.c.object_key.in_(part)
                    )
                ).scalars()
            ) | set(
                tx.execute(
                    sa.select(objects.c.object_key).where(
                        objects.c.source_id == row.source_id,
                        objects.c.object_key.in_(part),
                        objects.c.skip_reason == "sidecar",
                        objects.c.gone.is_(True),
                    )
                ).scalars()
            )
            insert_automatic(
                self._db,
                tx,
                row.source_id,
                sorted(with_documents),
                trigger="listing",
                kind="remove",
                now=now,
            )

    def _now(self) -> float:
        return self._db.clock.now().timestamp()


def upsert_objects(
    database: Database,
    tx: sa.Connection,
    source_id: str,
    refs: Sequence[tuple[ObjectRef, str | None]],
    *,
    listing_id: int | None,
    now: float,
    sequencers: dict[str, str] | None = None,
) -> None:
    """Insert or refresh object rows; outcomes stay, they belong to ``outcome_etag``."""
    if not refs:
        return
    insert = database.insert(objects)
    replaced = {
        name: insert.excluded[name]
        for name in (
            "etag",
            "size",
            "last_modified",
            "version_id",
            "storage_class",
            "seen_at",
            "skip_reason",
            "gone",
        )
    }
    if listing_id is not None:
        replaced["listing_id"] = insert.excluded["listing_id"]
    if sequencers is not None:
        replaced["sequencer"] = insert.excluded["sequencer"]
    tx.execute(
        insert.on_conflict_do_update(index_elements=["source_id", "object_key"], set_=replaced),
        [
            {
                "source_id": source_id,
                "object_key": ref.key,
                "partition_key": partition_key(ref.key),
                "etag": ref.etag,
                "size": ref.size,
                "last_modified": ref.last_modified.timestamp() if ref.last_modified else None,
                "version_id": ref.version_id,
                "storage_class": ref.storage_class,
                "sequencer": (sequencers or {}).get(ref.key),
                "listing_id": listing_id or 0,
                "seen_at": now,
                "gone": False,
                "skip_reason": skip,
            }
            for ref, skip in refs
        ],
    )


def _stretch(
    column: sa.ColumnElement[str], after: str | None, until: str | None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if after is not None:
        conditions.append(column > after)
    if until is not None:
        conditions.append(column <= until)
    return conditions
