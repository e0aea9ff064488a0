"""What listings, events and requests tell of objects, written without losing newer news."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import groups, object_of
from s3sync_dagster.catalog.tables import objects, sources
from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.news import Told, limited
from s3sync_dagster.core.state import ObjectState


def upsert_objects(
    database: Database,
    tx: sa.Connection,
    source_id: str,
    refs: Sequence[Told],
    *,
    now: float,
    asked_at: float | None = None,
    sequencers: Mapping[str, str] | None = None,
) -> None:
    """Insert or refresh object rows; outcomes stay, they belong to ``outcome_etag``.

    Args:
        database: gives the dialect.
        tx: an open transaction.
        source_id: the source.
        refs: what was told.
        now: time of the telling.
        asked_at: when the bucket was asked; rows that were told of since are left alone.
        sequencers: of the events that told it, by key.
    """
    if not refs:
        return
    insert = database.insert(objects)
    told = insert.excluded
    replaced = {
        name: told[name]
        for name in (
            "etag",
            "size",
            "last_modified",
            "storage_class",
            "seen_at",
            "skip_reason",
            "gone",
            "missed_listing_id",
        )
    }
    # Listings do not tell versions: the one that is known stays as long as the bytes do.
    replaced["version_id"] = sa.case(
        (told.version_id.is_not(None), told.version_id),
        (objects.c.etag == told.etag, objects.c.version_id),
        else_=None,
    )
    if sequencers is not None:
        replaced["sequencer"] = sa.func.coalesce(told.sequencer, objects.c.sequencer)
    tx.execute(
        insert.on_conflict_do_update(
            index_elements=["source_id", "object_key"],
            set_=replaced,
            where=None if asked_at is None else objects.c.seen_at < asked_at,
        ),
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
                "missed_listing_id": 0,
                "seen_at": now,
                "gone": False,
                "skip_reason": skip,
            }
            for ref, skip in refs
        ],
    )


def known_objects(tx: sa.Connection, source_id: str, keys: Iterable[str]) -> dict[str, ObjectState]:
    """Return what is known of these keys."""
    found: dict[str, ObjectState] = {}
    for part in groups(keys):
        for row in tx.execute(
            sa.select(objects).where(
                objects.c.source_id == source_id, objects.c.object_key.in_(part)
            )
        ):
            found[row.object_key] = object_of(row)
    return found


def note_sequencers(tx: sa.Connection, source_id: str, sequencers: Mapping[str, str]) -> None:
    """Store the sequencers of removals, so that older news is known for what it is."""
    if sequencers:
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, objects.c.object_key == sa.bindparam("b_key"))
            .values(sequencer=sa.bindparam("b_sequencer")),
            [{"b_key": key, "b_sequencer": value} for key, value in sequencers.items()],
        )


def selected_before(tx: sa.Connection, source_id: str, keys: Iterable[str]) -> dict[str, int]:
    """Return how many selected objects stand before each key."""
    return {
        key: tx.execute(
            sa.select(sa.func.count())
            .select_from(objects)
            .where(
                objects.c.source_id == source_id,
                objects.c.object_key < key,
                objects.c.skip_reason.is_(None),
                objects.c.gone.is_(False),
            )
        ).scalar_one()
        for key in keys
    }


def within_limit(tx: sa.Connection, source_id: str, told: Sequence[Told]) -> list[Told]:
    """Return what was told, with the reason for what stands beyond the source's limit."""
    limit = tx.execute(
        sa.select(sources.c.config["document_limit"].as_integer()).where(sources.c.id == source_id)
    ).scalar_one_or_none()
    if limit is None:  # the usual case: nothing has to be counted
        return list(told)
    taken = [ref.key for ref, skip in told if skip is None]
    return limited(told, limit=limit, before=selected_before(tx, source_id, taken))
