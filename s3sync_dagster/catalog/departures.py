"""What a complete listing ends: objects it did not see, and documents of what is left out now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, invocations, objects, sidecars

KEEP_SKIPPED = ("archived", "sidecar")
"""Skips that leave records where they are: the object is still wanted."""
# Text, because SQLite takes a partial index only for a condition that reads like its own.
_GONE = sa.text("objects.gone")
_MISSED = sa.text("objects.missed_listing_id > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Departures:
    """What a listing ends, before anything of it is done."""

    unseen: list[str]
    """Known keys that the listing did not see and that nothing has told of since it began."""
    others: list[str]
    """Keys with documents that are deselected, or whose object was gone before."""
    documents: int
    """Documents of all these keys."""
    of: int
    """Documents of the source, those included."""


def departures(tx: sa.Connection, listing: sa.Row[Any]) -> Departures:
    """Return what a listing ends, by the state of the catalog now.

    A later listing that missed an object as well does not hide it; one that saw it does.
    """
    source_id = listing.source_id
    unseen = list(
        tx.execute(
            sa.select(objects.c.object_key).where(
                objects.c.source_id == source_id,
                _MISSED,
                objects.c.missed_listing_id >= listing.id,
                objects.c.seen_at < listing.started_at,
                objects.c.gone.is_(False),
            )
        ).scalars()
    )
    waiting = sa.select(invocations.c.object_key).where(
        invocations.c.source_id == source_id,
        invocations.c.status.in_(["pending", "processing"]),
        invocations.c.kind == "remove",
    )
    deselected = sa.and_(
        objects.c.skip_reason.is_not(None),
        objects.c.skip_reason.not_in(KEEP_SKIPPED),
        objects.c.gone.is_(False),
    )
    others = list[str]()
    for condition in (deselected, _GONE):
        others += tx.execute(
            sa.select(objects.c.object_key)
            .join(
                documents,
                sa.and_(
                    documents.c.source_id == objects.c.source_id,
                    documents.c.object_key == objects.c.object_key,
                ),
            )
            .where(
                objects.c.source_id == source_id,
                condition,
                objects.c.missed_listing_id < listing.id,
                documents.c.phase != "removing",
                objects.c.object_key.not_in(waiting),
            )
            .distinct()
        ).scalars()
    here = (documents.c.source_id == source_id, documents.c.phase != "removing")
    doomed = sum(
        tx.execute(
            sa.select(sa.func.count())
            .select_from(documents)
            .where(*here, documents.c.object_key.in_(part))
        ).scalar_one()
        for part in groups([*unseen, *others])
    )
    total = (
        tx.execute(sa.select(sa.func.count()).select_from(documents).where(*here)).scalar_one()
        if doomed
        else 0
    )
    return Departures(unseen=unseen, others=others, documents=doomed, of=total)


def let_depart(
    database: Database,
    tx: sa.Connection,
    listing: sa.Row[Any],
    leaving: Departures,
    *,
    removes: bool,
    now: float,
) -> None:
    """Mark unseen objects gone and, in modes that remove, ask for the removal of documents.

    A sidecar that is gone asks for nothing any more in every mode.
    """
    source_id = listing.source_id
    for part in groups(leaving.unseen):
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, objects.c.object_key.in_(part))
            .values(gone=True, outcome=None, reason=None, error=None, next_retry_at=None)
        )
        keys = set(_with_rows(tx, sidecars.c.sidecar_key, source_id, part))
        if removes:
            keys |= set(_with_rows(tx, documents.c.object_key, source_id, part))
        _ask(database, tx, source_id, keys, now=now)
    if removes:
        for part in groups(leaving.others):
            _ask(database, tx, source_id, part, now=now)


def _with_rows(
    tx: sa.Connection, column: sa.Column[str], source_id: str, keys: Sequence[str]
) -> Sequence[str]:
    table = column.table
    return (
        tx.execute(sa.select(column).where(table.c.source_id == source_id, column.in_(keys)))
        .scalars()
        .all()
    )


def _ask(
    database: Database,
    tx: sa.Connection,
    source_id: str,
    keys: Sequence[str] | set[str],
    *,
    now: float,
) -> None:
    insert_automatic(
        database, tx, source_id, sorted(keys), trigger="listing", kind="remove", now=now
    )
