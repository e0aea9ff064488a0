"""What begins, counts and ends a listing: the statements of ``Listings``."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.tables import listings, objects, sources
from s3sync_dagster.core.state import LISTING_ASKED, LISTING_BEGUN


@built_once
def running_of(source_id: str) -> sa.Select[Any]:
    """Return the query for the listing of a source that goes on."""
    return sa.select(listings).where(
        listings.c.source_id == source_id, listings.c.state == "running"
    )


@built_once
def mine_of(listing_id: int, owner: str) -> sa.Select[Any]:
    """Return the query for a listing that goes on, and is its owner's."""
    return sa.select(listings).where(*is_mine(listing_id, owner))


def is_mine(listing_id: int, owner: str) -> list[sa.ColumnElement[bool]]:
    """Return what holds for a listing that goes on, and is its owner's."""
    return [
        listings.c.id == listing_id,
        listings.c.owner == owner,
        listings.c.state == "running",
    ]


@built_once
def config_of(source_id: str) -> sa.Select[Any]:
    """Return the query for a source's configuration."""
    return sa.select(sources.c.config).where(sources.c.id == source_id)


@built_once
def asked_has_begun(source_id: str) -> sa.Update:
    """Return what notes that the listing begins which somebody asked for."""
    asked = (sources.c.id == source_id, sources.c.list_due_at == LISTING_ASKED)
    return sources.update().where(*asked).values(list_due_at=LISTING_BEGUN)


@built_once
def insert_running(source_id: str, owner: str, lease_until: float, now: float) -> Any:
    """Return what begins a listing, and returns its row."""
    new = {"source_id": source_id, "state": "running", "owner": owner}
    new |= {"lease_until": lease_until, "started_at": now}
    return listings.insert().values(new).returning(listings)


@built_once
def count_page(
    listing_id: int,
    owner: str,
    cursor: str | None,
    lease_until: float,
    listed: int,
    new: int,
    changed: int,
    selected: int,
    *,
    tells_missing: bool | None,
) -> Any:
    """Return what counts a page of a listing that is its owner's still, and returns its row."""
    before = listings.c.tells_missing
    # What a listing tells of what it has not named: nothing once a page told nothing.
    told = before
    if tells_missing is not None:
        told = sa.func.coalesce(before, sa.true()) if tells_missing else sa.literal(False)
    return (
        listings.update()
        .where(*is_mine(listing_id, owner))
        .values(
            cursor=cursor,
            lease_until=lease_until,
            pages=listings.c.pages + 1,
            listed=listings.c.listed + listed,
            new=listings.c.new + new,
            changed=listings.c.changed + changed,
            selected=listings.c.selected + selected,
            tells_missing=told,
        )
        .returning(listings)
    )


@built_once
def mark_missed(source_id: str, listing_id: int, keys: Sequence[str], asked: int) -> sa.Update:
    """Return what notes that a listing has missed keys of which nothing was told since."""
    first = objects.c.first_missed_listing_id
    return (
        objects.update()
        .where(
            objects.c.source_id == source_id,
            objects.c.object_key.in_(keys),
            objects.c.told_number < asked,
        )
        .values(
            missed_listing_id=listing_id,
            first_missed_listing_id=sa.case(
                (objects.c.missed_listing_id == 0, listing_id), else_=first
            ),
        )
    )


@built_once
def complete_others(source_id: str, listing_id: int) -> sa.Update:
    """Return what ends other listings that wait for a word: it belongs to one alone."""
    others = (
        listings.c.source_id == source_id,
        listings.c.state.in_(["blocked", "approved"]),
        listings.c.id != listing_id,
    )
    return listings.update().where(*others).values(state="complete")


@built_once
def end_listing(listing_id: int, state: str, now: float, gone: int) -> Any:
    """Return what ends a listing, and returns its row."""
    ended = {"state": state, "finished_at": now, "gone": gone}
    return listings.update().where(listings.c.id == listing_id).values(ended).returning(listings)


@built_once
def due_again(source_id: str, now: float) -> sa.Update:
    """Return what sets when a source is listed next; who asked meanwhile waits for that."""
    interval = sources.c.config["list_interval_seconds"].as_integer()
    begun = (sources.c.id == source_id, sources.c.list_due_at == LISTING_BEGUN)
    due = now + sa.func.coalesce(interval, 0)
    return sources.update().where(*begun).values(list_due_at=due)


@built_once
def forget_heads(source_id: str) -> sa.Update:
    """Return what lets HEADs remove again what the guard had stopped them from."""
    return sources.update().where(sources.c.id == source_id).values(removed_by_heads=0)
