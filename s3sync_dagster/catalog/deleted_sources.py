"""Sources that are no more, or soon, and what workers who did not know it wrote for them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import ROWS_A_PART, Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import document_of, groups, source_of
from s3sync_dagster.catalog.tables import (
    collections,
    deleted_sources,
    documents,
    earlier_places,
    invocations,
    is_live,
    objects,
    sources,
)
from s3sync_dagster.core.patience import BUSY
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.core.writers import Ended
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source

LATE_SECONDS = 7 * 86_400.0
"""No worker is late by more. What names a source that ended before may be another installation's,
which has had one of that name since."""
REMEMBER_SECONDS = 400 * 86_400.0
"""Hardly a copy of Chroma is older that somebody puts back."""
_LEFT_BEHIND = (
    documents.c.source_id.in_(sa.select(deleted_sources.c.id)),
    documents.c.phase == "removing",
)
_IDS_OF_OTHERS = (BUSY, "record_ids_taken")
SWEEPER = "sweeper"
"""Stands as the batch of a document whose records are being swept: nobody takes its ids over."""


def remember_deleted(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> None:
    """Note the end of a source, in the transaction that ends it; what is old is forgotten.

    Those whose records stay are remembered for good: whoever searches may read them, since none of
    them has said who may (``sources.mark_deleting``).
    """
    deleting = tx.execute(
        sa.select(sources.c.deleting).where(sources.c.id == source_id)
    ).scalar_one_or_none()
    tx.execute(
        deleted_sources.delete().where(
            deleted_sources.c.deleted_at < now - REMEMBER_SECONDS,
            deleted_sources.c.keeps_records.is_(False),
        )
    )
    tx.execute(earlier_places.delete().where(earlier_places.c.ended_at < now - REMEMBER_SECONDS))
    tx.execute(
        database.insert(deleted_sources).on_conflict_do_nothing(),
        {
            "id": source_id,
            "keeps_records": deleting == "keep",
            "deleted_at": now,
            "was": _where_it_was(tx, source_id),
        },
    )


def _where_it_was(tx: sa.Connection, source_id: str) -> dict[str, Any] | None:
    row = tx.execute(sa.select(sources).where(sources.c.id == source_id)).first()
    return None if row is None else _where_it_is(tx, row)


def _where_it_is(tx: sa.Connection, row: sa.Row[Any]) -> dict[str, Any] | None:
    try:
        source = source_of(row)
    except InvalidSetting:  # of another version: it ends like any, and its place is not known
        return None
    known = tx.execute(
        sa.select(
            collections.c.tenant, collections.c.database_name, collections.c.collection_name
        ).where(collections.c.source_id == source.id)
    ).all()
    own = (source.tenant, source.database_name, source.collection_name)
    return {
        "places": sorted({own, *map(tuple, known)}),
        "bucket_name": source.place.identity().bucket_name,
        "path_prefix": source.place.path_prefix,
    }


_KEPT = sa.union(
    sa.select(deleted_sources.c.id).where(deleted_sources.c.keeps_records.is_(True)),
    sa.select(sources.c.id).where(sources.c.deleting == "keep"),
)


def ended(tx: sa.Connection) -> dict[str, list[Ended]]:
    """Return where sources had their records that were moved or took them along, by their ids.

    One that was moved is there as long as a mode keeps documents of it, which may be for good. Of
    what a catalog has forgotten that was put back from a copy nobody knows whether it is kept, too.
    One that is declared again has ended where it was before. Of one whose records a person has
    kept since nothing is told: what is of its first life, and what of its last, nobody knows.
    """
    found: dict[str, list[Ended]] = {}
    left = sa.select(sources).where(
        sources.c.moved_to.is_not(None),
        sources.c.looked_through.is_(None),
        sources.c.id.not_in(_KEPT),
    )
    for row in tx.execute(left).all():
        if (was := _where_it_is(tx, row)) is not None:
            found[row.id] = [_ended_there(was)]
    query = sa.select(deleted_sources.c.id, deleted_sources.c.was).where(
        deleted_sources.c.keeps_records.is_(False),
        deleted_sources.c.was.is_not(None),
        deleted_sources.c.id.not_in(sa.select(sources.c.id)),
    )
    for row in tx.execute(query):
        found[row.id] = [_ended_there(row.was)]
    query = sa.select(earlier_places.c.source_id, earlier_places.c.were).where(
        earlier_places.c.source_id.not_in(_KEPT)
    )
    for row in tx.execute(query).all():
        by_now = tx.execute(sa.select(sources).where(sources.c.id == row.source_id)).first()
        try:
            again = None if by_now is None else source_of(by_now)
        except InvalidSetting:  # of another version: what is its own is not known
            continue
        found.setdefault(row.source_id, []).extend(_ended_there(one, again) for one in row.were)
    return found


def _ended_there(was: Mapping[str, Any], again: Source | None = None) -> Ended:
    return Ended(
        again=again,
        places=frozenset(map(tuple, was["places"])),
        bucket_name=was["bucket_name"],
        path_prefix=was["path_prefix"],
    )


def is_there_again(tx: sa.Connection, source_id: str) -> None:
    """Forget the end of a source that is declared once more: code gives it the id that it had.

    What a late worker left of it is its own now, and nobody sweeps what it has. Where it was is
    known still.
    """
    ended_once = sa.select(deleted_sources).where(
        deleted_sources.c.id == source_id,
        deleted_sources.c.keeps_records.is_(False),
        deleted_sources.c.was.is_not(None),
    )
    if (row := tx.execute(ended_once).first()) is not None:
        here = earlier_places.c.source_id == source_id
        known = tx.execute(sa.select(earlier_places.c.were).where(here)).scalar_one_or_none()
        were: list[dict[str, Any]] = known or []
        if row.was not in were:
            were = [*were, row.was]
        tx.execute(earlier_places.delete().where(here))
        tx.execute(
            earlier_places.insert().values(source_id=source_id, ended_at=row.deleted_at, were=were)
        )
    tx.execute(deleted_sources.delete().where(deleted_sources.c.id == source_id))
    tx.execute(
        documents.update()
        .where(documents.c.source_id == source_id, documents.c.batch_token == SWEEPER)
        .values(batch_token=None)
    )


def may_adopt(tx: sa.Connection, source_id: str) -> bool:
    """Return whether records without an owner are to be removed in the name of this source."""
    if tx.execute(sa.select(sources.c.id).where(sources.c.id == source_id)).first() is not None:
        return True
    keeps = sa.select(deleted_sources.c.keeps_records).where(deleted_sources.c.id == source_id)
    return tx.execute(keeps).scalar_one_or_none() is False


def cleared_owners(tx: sa.Connection, source_ids: Collection[str]) -> set[str]:
    """Return which of these sources have their records taken away, for good: wait for it."""
    if not source_ids:
        return set()
    going = sa.union_all(
        sa.select(sources.c.id).where(sources.c.deleting == "records"),
        sa.select(deleted_sources.c.id).where(deleted_sources.c.keeps_records.is_(False)),
    ).subquery()
    return set(tx.execute(sa.select(going.c.id).where(going.c.id.in_(source_ids))).scalars())


def ended_lately(
    tx: sa.Connection, source_ids: Collection[str], *, now: float
) -> dict[str, Ended | None]:
    """Return which of these sources have been no more for a while, and took their records along.

    With where they had them; None: that was not noted.
    """
    if not source_ids:
        return {}
    rows = tx.execute(*_ended(list(source_ids), now - LATE_SECONDS))
    return {row.id: None if row.was is None else _ended_there(row.was) for row in rows}


@built_once
def _ended(source_ids: Sequence[str], since: float) -> Any:
    return sa.select(deleted_sources.c.id, deleted_sources.c.was).where(
        deleted_sources.c.id.in_(source_ids),
        deleted_sources.c.keeps_records.is_(False),
        deleted_sources.c.deleted_at >= since,
    )


def being_cleared(
    tx: sa.Connection, source: Source, collection_name: str, document_ids: Collection[str]
) -> set[str]:
    """Return which record ids belong to sources whose records are taken away."""
    owners: dict[str, str] = {}
    for part in groups(document_ids):
        owned = _owners_of(source.tenant, source.database_name, collection_name, part)
        for row in tx.execute(*owned):
            owners[row.document_id] = row.source_id
    ending = cleared_owners(tx, set(owners.values()) - {source.id})
    return {name for name, owner in owners.items() if owner in ending}


def waiting_for_ids(tx: sa.Connection) -> list[str]:
    """Return the ids of sources that have keys whose record ids were others'."""
    failed = sa.exists().where(
        objects.c.source_id == sources.c.id,
        objects.c.outcome == "failed",
        objects.c.reason.in_(_IDS_OF_OTHERS),
    )
    waits = sa.exists().where(
        invocations.c.source_id == sources.c.id,
        invocations.c.status == "pending",
        invocations.c.reason.in_(_IDS_OF_OTHERS),
    )
    return list(tx.execute(sa.select(sources.c.id).where(sa.or_(failed, waits))).scalars())


def ask_for_freed(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> int:
    """Let keys of a source whose record ids were others' come now; returns how many.

    Args:
        database: gives the dialect.
        tx: an open transaction that has locked the source.
        source_id: the source.
        now: the time.
    """
    here = (invocations.c.source_id == source_id,)
    hurried = tx.execute(
        invocations.update()
        .where(
            *here,
            invocations.c.status == "pending",
            invocations.c.next_attempt_at > now,
            invocations.c.reason.in_(_IDS_OF_OTHERS),
        )
        .values(next_attempt_at=0)
    ).rowcount
    asked = sa.select(invocations.c.object_key).where(*here, is_live)
    failed = (
        tx.execute(
            sa.select(objects.c.object_key)
            .where(
                objects.c.source_id == source_id,
                objects.c.outcome == "failed",
                objects.c.reason.in_(_IDS_OF_OTHERS),
                objects.c.object_key.not_in(asked),
            )
            .limit(ROWS_A_PART)
        )
        .scalars()
        .all()
    )
    return hurried + insert_automatic(database, tx, source_id, failed, trigger="retry", now=now)


@built_once
def _owners_of(
    tenant: str, database_name: str, collection_name: str, document_ids: Sequence[str]
) -> Any:
    return sa.select(documents.c.document_id, documents.c.source_id).where(
        documents.c.tenant == tenant,
        documents.c.database_name == database_name,
        documents.c.collection_name == collection_name,
        documents.c.document_id.in_(document_ids),
    )


_ANY_LEFT_BEHIND = sa.select(documents.c.id).where(*_LEFT_BEHIND).limit(1)


def is_left_behind(tx: sa.Connection) -> bool:
    """Return whether a document of a deleted source is there."""
    return tx.execute(_ANY_LEFT_BEHIND).first() is not None


def claim_left_behind(tx: sa.Connection, *, after_id: int, limit: int) -> list[DocumentState]:
    """Take documents of deleted sources; their records may go, then the rows."""
    rows = tx.execute(
        sa.select(documents)
        .where(*_LEFT_BEHIND, documents.c.id > after_id)
        .order_by(documents.c.id)
        .limit(limit)
    ).all()
    if rows:
        tx.execute(
            documents.update()
            .where(documents.c.id.in_([row.id for row in rows]))
            .values(batch_token=SWEEPER)
        )
    return [document_of(row) for row in rows]


def forget_swept(tx: sa.Connection, ids: Sequence[int]) -> list[DocumentState]:
    """Delete rows that a sweeper took, whose records are gone.

    Returns those that it has no more: their source was declared again meanwhile, and may have
    written what went as a late worker's.
    """
    taken: list[DocumentState] = []
    for part in groups(ids):
        here = documents.c.id.in_(part)
        tx.execute(documents.delete().where(here, documents.c.batch_token == SWEEPER))
        taken += map(document_of, tx.execute(sa.select(documents).where(here)))
    return taken
