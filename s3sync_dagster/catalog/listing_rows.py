"""What the catalog knows of listings, to be read."""

from collections.abc import Collection

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.listing_end import (
    departing,
    is_blocked,
    is_departing,
    next_part,
)
from s3sync_dagster.catalog.listing_owner import is_home
from s3sync_dagster.catalog.rows import groups, listing_of, object_of
from s3sync_dagster.catalog.tables import invocations, is_live, listings, objects
from s3sync_dagster.core.page import PageWindow
from s3sync_dagster.core.state import (
    Departing,
    DepartureCursor,
    ListingRow,
)


@again_after_collisions
class ListingRows:
    """Listings as they are known; nothing here changes any."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def live_owner(self, source_id: str) -> str | None:
        """Return the owner of the running listing, if there is one."""
        with self._db.read() as tx:
            return tx.execute(
                sa.select(listings.c.owner).where(
                    listings.c.source_id == source_id, listings.c.state == "running"
                )
            ).scalar_one_or_none()

    def process_of(self, source_id: str) -> str | None:
        """Return the process that lists a source; None where a data folder keeps the listing."""
        owner = self.live_owner(source_id)
        return None if owner is None or is_home(owner) else owner

    def live_sources(self) -> set[str]:
        """Return the ids of all sources with a running listing."""
        with self._db.read() as tx:
            running = sa.select(listings.c.source_id).where(listings.c.state == "running")
            return set(tx.execute(running).scalars())

    def window(
        self, source_id: str, *, after: str | None, until: str | None, limit: int
    ) -> PageWindow:
        """Return what is known of the first ``limit`` keys in (after, until]."""
        with self._db.read() as tx:
            known = tx.execute(
                sa.select(objects)
                .where(
                    objects.c.source_id == source_id, *_stretch(objects.c.object_key, after, until)
                )
                .where(objects.c.gone.is_(False))
                .order_by(objects.c.object_key)
                .limit(limit + 1)
            ).all()
        return PageWindow(
            objects={row.object_key: object_of(row) for row in known[:limit]},
            until=known[limit - 1].object_key if len(known) > limit else None,
        )

    def marks(self, source_id: str, after: str | None, *, every: int, limit: int) -> list[str]:
        """Return each ``every``-th known key behind ``after`` that another one follows.

        Args:
            source_id: the source.
            after: a key; None: the first one counts.
            every: keys between two marks.
            limit: marks.
        """
        known = (
            sa.select(objects.c.object_key)
            .where(objects.c.source_id == source_id, *_stretch(objects.c.object_key, after, None))
            .where(objects.c.gone.is_(False))
            .order_by(objects.c.object_key)
            .limit(every * limit + 1)
            .subquery()
        )
        key = known.c.object_key
        counted = sa.select(
            sa.func.lag(key).over(order_by=key).label("mark"),
            sa.func.row_number().over(order_by=key).label("place"),
        ).subquery()
        marks = sa.select(counted.c.mark).where(
            counted.c.place > 1, counted.c.place % every == 1 % every
        )
        with self._db.read() as tx:
            return list(tx.execute(marks.order_by(counted.c.place)).scalars())

    def live(self, source_id: str, keys: Collection[str]) -> dict[str, str]:
        """Return the status of those keys that have a pending or processing invocation.

        ``pending`` where a key has one of both.
        """
        with self._db.read() as tx:
            return live_kinds(tx, source_id, keys)

    def departing(self, listing: ListingRow) -> Departing:
        """Return how many documents a listing that has seen all pages would end."""
        with self._db.read() as tx:
            row = tx.execute(sa.select(listings).where(listings.c.id == listing.id)).first()
            return departing(tx, row) if row is not None else Departing(documents=0, of=0)

    def blocked(self, source_id: str) -> ListingRow | None:
        """Return the listing that the guard stopped; newer ones may have failed or go on."""
        return self.all_blocked([source_id]).get(source_id)

    def all_blocked(self, source_ids: Collection[str]) -> dict[str, ListingRow]:
        """Return the listings that the guard stopped, by their sources."""
        found: dict[str, ListingRow] = {}
        with self._db.read() as tx:
            for part in groups(source_ids):
                query = sa.select(listings).where(
                    listings.c.source_id.in_(part), listings.c.state == "blocked"
                )
                found |= {row.source_id: listing_of(row) for row in tx.execute(query)}
        return found

    def departing_keys(
        self, listing: ListingRow, *, kind: int = 0, after: str | None = None, limit: int = 100
    ) -> tuple[list[str], DepartureCursor | None]:
        """Return keys whose documents an approval of a blocked listing would remove.

        Args:
            listing: which was blocked; of one that is not any more there are none.
            kind: where the page before ended (``DepartureCursor``).
            after: its last key.
            limit: at most so many.

        Returns:
            The keys and where the next page goes on, None at the end.
        """
        with self._db.read() as tx:
            which = (*is_blocked(listing.source_id), listings.c.id == listing.id)
            row = tx.execute(sa.select(listings).where(*which)).first()
            if row is None:
                return [], None
            cursor = DepartureCursor(kind=kind, after=after)
            keys, rest = next_part(tx, row, cursor, removes=True, limit=limit)
            if rest is not None and not next_part(tx, row, rest, removes=True, limit=1)[0]:
                rest = None  # a full page, and the last one
            return keys, rest

    def holds(self, source_id: str, object_key: str) -> bool:
        """Return whether what was made of an object waits for an approval to go."""
        with self._db.read() as tx:
            row = tx.execute(sa.select(listings).where(*is_blocked(source_id))).first()
            return row is not None and is_departing(tx, row, object_key)

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


def live_kinds(tx: sa.Connection, source_id: str, keys: Collection[str]) -> dict[str, str]:
    """Return key -> status of what waits for it, or is worked on, among these keys."""
    found: dict[str, str] = {}
    for part in groups(keys):
        query = (
            sa.select(invocations.c.object_key, sa.func.min(invocations.c.status).label("status"))
            .where(
                invocations.c.source_id == source_id,
                is_live,
                invocations.c.object_key.in_(part),
            )
            .group_by(invocations.c.object_key)
        )
        found |= {row.object_key: row.status for row in tx.execute(query)}
    return found


def _stretch(
    column: sa.ColumnElement[str], after: str | None, until: str | None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if after is not None:
        conditions.append(column > after)
    if until is not None:
        conditions.append(column <= until)
    return conditions
