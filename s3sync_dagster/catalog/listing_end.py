"""What a complete listing ends: objects it did not see, and documents of what is left out now.

It may be a million keys, so it goes in parts: each is found without a lock and carried out in a
short transaction of its own, which looks again at what it was told meanwhile.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.overtaken import REMOVAL_STANDS
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import (
    documents,
    has_records,
    invocations,
    is_gone,
    is_kept,
    is_missed,
    listings,
    objects,
    sidecars,
    sources,
)
from s3sync_dagster.core.selection import KEEPS_RECORDS
from s3sync_dagster.core.sidecar_owners import SIDECAR_OWNER
from s3sync_dagster.core.state import Departing, DepartureCursor, ListingState, page_number
from s3sync_dagster.model.source import AutoSync

KINDS, KINDS_KEPT = 5, 2
"""Of departure, in modes that remove and in those that keep records."""


def departing(tx: sa.Connection, listing: sa.Row[Any]) -> Departing:
    """Return how many documents a listing ends, by the state of the catalog now."""
    mine, blocked = _values(listing), _is_blocked(listing)
    doomed = sum(
        tx.execute(*_doomed(*mine, blocked=blocked, kind=kind)).scalar_one()
        for kind in range(KINDS)
    )
    doomed += tx.execute(*_asked_by_gone_sidecars(*mine, blocked=blocked)).scalar_one()
    if not doomed:
        return Departing(documents=0, of=0)
    total = tx.execute(*_that_stay(*mine, blocked=blocked)).scalar_one()
    return Departing(documents=doomed, of=total)


@built_once
def _doomed(
    source_id: str, listing_id: int, number: int, *, blocked: bool, kind: int
) -> sa.Select[Any]:
    kinds = _kinds(source_id, listing_id, number, blocked=blocked, removes=True)
    query = (
        sa.select(sa.func.count())
        .select_from(documents.join(objects, _same_key(documents)))
        .where(*_with_records(source_id), *kinds[kind])
    )
    return query.where(_is_kept()) if kind == KINDS - 1 else query


@built_once
def _that_stay(source_id: str, listing_id: int, number: int, *, blocked: bool) -> sa.Select[Any]:
    # What is on its way out already stays no more than what this listing ends: beside one that
    # still waits, all the others would go as "not all of them".
    leaving = (
        sa.select(invocations.c.source_id)
        .join(objects, _same_key(invocations))
        .where(_same_key(invocations, documents), *REMOVAL_STANDS)
        .correlate(documents)
        .exists()
    )
    kinds = _kinds(source_id, listing_id, number, blocked=blocked, removes=True)
    unseen = sa.select(objects.c.object_key).where(*kinds[0])
    stays = sa.or_(sa.not_(leaving), documents.c.object_key.in_(unseen))
    here = _with_records(source_id)
    return sa.select(sa.func.count()).select_from(documents).where(*here, stays)


@built_once
def _asked_by_gone_sidecars(
    source_id: str, listing_id: int, number: int, *, blocked: bool
) -> sa.Select[Any]:
    """Return how many documents go because only the sidecar goes that asks for them.

    Not those in the source's own collection where it takes objects by itself: the object is
    indexed on its own then.
    """
    *kinds, _ = _kinds(source_id, listing_id, number, blocked=blocked, removes=True)
    owner = SIDECAR_OWNER + sa.cast(objects.c.object_key, sa.Text)
    owners = [sa.select(owner).where(*one) for one in (kinds[0], kinds[-1])]
    going = [sa.select(objects.c.object_key).where(*conditions) for conditions in kinds]
    return (
        sa.select(sa.func.count())
        .select_from(documents)
        .where(
            *_with_records(source_id),
            sa.or_(*[documents.c.owner.in_(one) for one in owners]),
            *[documents.c.object_key.not_in(keys) for keys in going],
            sa.not_(_made_without_sidecar()),
        )
    )


def _with_records(source_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return documents.c.source_id == source_id, documents.c.phase != "removing", has_records


def _is_kept() -> sa.ColumnElement[bool]:
    """Return what holds for documents that a mode has kept and whose sidecar is gone."""
    return sa.and_(
        is_kept,
        documents.c.phase != "removing",
        sa.not_(_made_without_sidecar()),
    )


def _made_without_sidecar() -> sa.ColumnElement[bool]:
    return sa.exists().where(
        sources.c.id == documents.c.source_id,
        sources.c.collection_name == documents.c.collection_name,
        sources.c.config["auto_sync"].as_string() == AutoSync.DIRECT.value,
    )


def next_part(
    tx: sa.Connection, listing: sa.Row[Any], cursor: DepartureCursor, *, removes: bool, limit: int
) -> tuple[list[str], DepartureCursor | None]:
    """Return the next keys that depart, and where they end; None: these were the last."""
    keys, kinds = list[str](), KINDS if removes else KINDS_KEPT
    mine, blocked = _values(listing), _is_blocked(listing)
    while cursor.kind < kinds and len(keys) < limit:
        wanted = limit - len(keys)
        query = _next_keys(
            *mine, cursor.after or "", wanted, blocked=blocked, removes=removes, kind=cursor.kind
        )
        found = tx.execute(*query).scalars().all()
        keys += found
        whole = len(found) < wanted
        cursor = (
            DepartureCursor(kind=cursor.kind + 1)
            if whole
            else DepartureCursor(kind=cursor.kind, after=found[-1])
        )
    return keys, cursor if cursor.kind < kinds else None


@built_once
def _next_keys(
    source_id: str,
    listing_id: int,
    number: int,
    after: str,
    limit: int,
    *,
    blocked: bool,
    removes: bool,
    kind: int,
) -> sa.Select[Any]:
    kinds = _kinds(source_id, listing_id, number, blocked=blocked, removes=removes)
    key = objects.c.object_key
    return sa.select(key).where(*kinds[kind], key > after).order_by(key).limit(limit)


def show_departing(tx: sa.Connection, listing: sa.Row[Any], keys: Sequence[str]) -> None:
    """Note which objects a listing shows that is about to be blocked."""
    for part in groups(keys):
        tx.execute(
            objects.update()
            .where(objects.c.source_id == listing.source_id, objects.c.object_key.in_(part))
            .values(shown_listing_id=listing.id)
        )


def is_blocked(source_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what holds for at most one listing of a source: one that ends ends the others."""
    return listings.c.source_id == source_id, listings.c.state == ListingState.BLOCKED.value


def blocked_listing(tx: sa.Connection, source_id: str) -> int | None:
    """Return the id of the listing that waits for a person's word; None: none does."""
    return tx.execute(*_newest_blocked(source_id)).scalar()


@built_once
def _newest_blocked(source_id: str) -> sa.Select[Any]:
    query = sa.select(listings.c.id).where(*is_blocked(source_id))
    return query.order_by(listings.c.id.desc()).limit(1)


def is_departing(tx: sa.Connection, listing: sa.Row[Any], object_key: str) -> bool:
    """Return whether a listing ends an object, or documents of it."""
    return any(_of(tx, listing, kind, [object_key], removes=True) for kind in range(KINDS))


def let_depart(
    database: Database,
    tx: sa.Connection,
    listing: sa.Row[Any],
    keys: Sequence[str],
    *,
    removes: bool,
    now: float,
) -> int:
    """Mark unseen objects gone and, in modes that remove, ask for the removal of documents.

    A sidecar that is gone asks for nothing any more in every mode. Returns how many documents go.
    """
    source_id, going = listing.source_id, 0
    for part in groups(keys):
        left = _of(tx, listing, 0, part, removes=removes)
        tx.execute(*_mark_gone(source_id, left))
        asked = set(_with_rows(tx, sidecars.c.sidecar_key, source_id, left))
        if removes:
            asked |= set(_with_rows(tx, documents.c.object_key, source_id, left))
        kept = list[str]()
        for kind in range(1, KINDS if removes else KINDS_KEPT):
            kept = _of(tx, listing, kind, part, removes=removes)
            asked.update(kept)
        if removes:  # of objects that stay, what a mode kept goes alone: the last kind
            others = sorted(asked.difference(kept))
            going += tx.execute(*_documents(source_id, others, kept=False)).scalar_one()
            going += tx.execute(*_documents(source_id, kept, kept=True)).scalar_one()
        insert_automatic(
            database, tx, source_id, sorted(asked), trigger="listing", kind="remove", now=now
        )
    return going


def _values(listing: sa.Row[Any]) -> tuple[str, int, int]:
    """Return what ``_kinds`` takes of a listing."""
    return listing.source_id, listing.id, page_number(listing.id, pages=listing.pages)


def _is_blocked(listing: sa.Row[Any]) -> bool:
    return listing.state == ListingState.BLOCKED


def _kinds(
    source_id: str, listing_id: int, number: int, *, blocked: bool, removes: bool
) -> list[list[Any]]:
    """Return the conditions on objects of each kind of departure; no object is of two kinds.

    Other listings may have begun since this one was blocked: what counts is what this one missed.
    One that missed an object as well does not hide it; one that saw it does, and what only a later
    one missed, or was told to be left out after this one's last page, is not this one's to end.
    Of one that is blocked it is what it has shown: what was found gone since, nobody has seen.
    """
    here = objects.c.source_id == source_id
    if blocked:
        here = sa.and_(here, objects.c.shown_listing_id == listing_id)
    missed = sa.and_(
        objects.c.first_missed_listing_id <= listing_id, objects.c.missed_listing_id >= listing_id
    )
    unseen: list[Any] = [here, is_missed, missed, objects.c.gone.is_(False)]
    waiting = _exists(invocations, *REMOVAL_STANDS)
    # Its removal has failed: what it asked for would be done for ever.
    asks = (
        sa.select(sidecars.c.source_id)
        .where(
            sidecars.c.source_id == objects.c.source_id,
            sidecars.c.sidecar_key == objects.c.object_key,
        )
        .correlate(objects)
        .exists()
    )
    sidecar: list[Any] = [here, sa.not_(missed), asks, sa.not_(waiting), is_gone]
    if not removes:
        return [unseen, sidecar]
    # A word without records waits for its object, and there is nothing to remove.
    wanted = _exists(documents, documents.c.phase != "removing", has_records)
    others: list[Any] = [here, sa.not_(missed), wanted, sa.not_(waiting)]
    deselected: list[Any] = [
        *others,
        objects.c.skip_reason.is_not(None),
        objects.c.skip_reason.not_in(KEEPS_RECORDS),
        objects.c.gone.is_(False),
        objects.c.told_number < number,
    ]
    kept: list[Any] = [
        *others,
        objects.c.gone.is_(False),
        sa.func.coalesce(objects.c.skip_reason, KEEPS_RECORDS[0]).in_(KEEPS_RECORDS),
        objects.c.object_key.in_(
            sa.select(documents.c.object_key)
            .where(documents.c.source_id == source_id, _is_kept())
            .correlate(None)
        ),
    ]
    return [unseen, deselected, [*others, is_gone], sidecar, kept]


def _exists(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return _exists_beside(objects, table, *conditions)


def _exists_beside(
    row: sa.Table, table: sa.Table, *conditions: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    same = _same_key(table, row)
    return sa.select(table.c.source_id).where(same, *conditions).correlate(row).exists()


def _same_key(table: sa.Table, row: sa.Table = objects) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.source_id == row.c.source_id, table.c.object_key == row.c.object_key)


def _of(
    tx: sa.Connection, listing: sa.Row[Any], kind: int, keys: Sequence[str], *, removes: bool
) -> list[str]:
    """Return those of some keys that depart in one way."""
    query = _these_keys(
        *_values(listing), keys, blocked=_is_blocked(listing), removes=removes, kind=kind
    )
    return list(tx.execute(*query).scalars())


@built_once
def _these_keys(
    source_id: str,
    listing_id: int,
    number: int,
    keys: Sequence[str],
    *,
    blocked: bool,
    removes: bool,
    kind: int,
) -> sa.Select[Any]:
    kinds = _kinds(source_id, listing_id, number, blocked=blocked, removes=removes)
    return sa.select(objects.c.object_key).where(*kinds[kind], objects.c.object_key.in_(keys))


@built_once
def _mark_gone(source_id: str, keys: Sequence[str]) -> sa.Update:
    return (
        objects.update()
        .where(objects.c.source_id == source_id, objects.c.object_key.in_(keys))
        .values(gone=True, outcome=None, reason=None, error=None, next_retry_at=None)
    )


def _with_rows(
    tx: sa.Connection, column: sa.Column[str], source_id: str, keys: Sequence[str]
) -> Sequence[str]:
    return tx.execute(*_of_keys(source_id, keys, column=column)).scalars().all()


@built_once
def _of_keys(source_id: str, keys: Sequence[str], *, column: sa.Column[str]) -> sa.Select[Any]:
    return sa.select(column).where(column.table.c.source_id == source_id, column.in_(keys))


@built_once
def _documents(source_id: str, keys: Sequence[str], *, kept: bool) -> sa.Select[Any]:
    here = (*_with_records(source_id), documents.c.object_key.in_(keys))
    query = sa.select(sa.func.count()).select_from(documents).where(*here)
    return query.where(_is_kept()) if kept else query
