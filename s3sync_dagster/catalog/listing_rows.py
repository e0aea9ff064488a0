"""What the catalog knows of listings, to be read."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
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
            stretch = _window(source_id, after or "", until, limit + 1, whole=until is None)
            known = tx.execute(*stretch).all()
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
        marks = _marks(source_id, after or "", every * limit + 1, every, 1 % every)
        with self._db.read() as tx:
            return list(tx.execute(*marks).scalars())

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
        with self._db.read() as tx:
            row = tx.execute(*_blocked(source_id)).first()
        return listing_of(row) if row else None

    def all_blocked(self, source_ids: Collection[str]) -> dict[str, ListingRow]:
        """Return the listings that the guard stopped, by their sources."""
        found: dict[str, ListingRow] = {}
        with self._db.read() as tx:
            for part in groups(source_ids):
                query = _all_blocked(part)
                found |= {row.source_id: listing_of(row) for row in tx.execute(*query)}
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
            row = tx.execute(*_blocked(listing.source_id)).first()
            if row is None or row.id != listing.id:
                return [], None
            cursor = DepartureCursor(kind=kind, after=after)
            keys, rest = next_part(tx, row, cursor, removes=True, limit=limit)
            if rest is not None and not next_part(tx, row, rest, removes=True, limit=1)[0]:
                rest = None  # a full page, and the last one
            return keys, rest

    def holds(self, source_id: str, object_key: str) -> bool:
        """Return whether what was made of an object waits for an approval to go."""
        with self._db.read() as tx:
            row = tx.execute(*_blocked(source_id)).first()
            return row is not None and is_departing(tx, row, object_key)

    def latest(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source."""
        with self._db.read() as tx:
            row = tx.execute(*_latest(source_id)).first()
        return listing_of(row) if row else None


def live_kinds(tx: sa.Connection, source_id: str, keys: Collection[str]) -> dict[str, str]:
    """Return key -> status of what waits for it, or is worked on, among these keys."""
    found: dict[str, str] = {}
    for part in groups(keys):
        query = _live_kinds(source_id, part)
        found |= {row.object_key: row.status for row in tx.execute(*query)}
    return found


@built_once
def _live_kinds(source_id: str, keys: Sequence[str]) -> Any:
    return (
        sa.select(invocations.c.object_key, sa.func.min(invocations.c.status).label("status"))
        .where(invocations.c.source_id == source_id, is_live, invocations.c.object_key.in_(keys))
        .group_by(invocations.c.object_key)
    )


@built_once
def _blocked(source_id: str) -> sa.Select[Any]:
    return sa.select(listings).where(*is_blocked(source_id)).order_by(listings.c.id.desc())


@built_once
def _all_blocked(source_ids: Sequence[str]) -> sa.Select[Any]:
    return sa.select(listings).where(
        listings.c.source_id.in_(source_ids), listings.c.state == "blocked"
    )


@built_once
def _latest(source_id: str) -> sa.Select[Any]:
    here = sa.select(listings).where(listings.c.source_id == source_id)
    return here.order_by(listings.c.id.desc()).limit(1)


@built_once
def _window(
    source_id: str, after: str, until: str | None, limit: int, *, whole: bool
) -> sa.Select[Any]:
    query = _behind(sa.select(objects), source_id, after).limit(limit)
    return query if whole else query.where(objects.c.object_key <= until)


@built_once
def _marks(source_id: str, after: str, limit: int, every: int, rest: int) -> sa.Select[Any]:
    known = _behind(sa.select(objects.c.object_key), source_id, after).limit(limit).subquery()
    key = known.c.object_key
    counted = sa.select(
        sa.func.lag(key).over(order_by=key).label("mark"),
        sa.func.row_number().over(order_by=key).label("place"),
    ).subquery()
    marked = (counted.c.place > 1, counted.c.place % every == rest)
    return sa.select(counted.c.mark).where(*marked).order_by(counted.c.place)


def _behind(query: sa.Select[Any], source_id: str, after: str) -> sa.Select[Any]:
    """Return what is there behind a key, in order; no key is empty."""
    return query.where(
        objects.c.source_id == source_id,
        objects.c.object_key > after,
        objects.c.gone.is_(False),
    ).order_by(objects.c.object_key)
