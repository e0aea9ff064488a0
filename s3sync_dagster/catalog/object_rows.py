"""What listings, events and requests tell of objects, written without losing newer news."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import objects, sources
from s3sync_dagster.core.events import compare_sequencers
from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.model.object import ObjectRef

Told = tuple[ObjectRef, str | None]
"""An object and selection's verdict on it."""


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


def known_rows(
    tx: sa.Connection, source_id: str, keys: Iterable[str]
) -> dict[str, sa.Row[tuple[object, ...]]]:
    """Return the object rows of these keys."""
    found: dict[str, sa.Row[tuple[object, ...]]] = {}
    for part in groups(keys):
        for row in tx.execute(
            sa.select(objects).where(
                objects.c.source_id == source_id, objects.c.object_key.in_(part)
            )
        ):
            found[row.object_key] = row
    return found


def outdated_news(
    known: Mapping[str, sa.Row[tuple[object, ...]]], sequencers: Mapping[str, str]
) -> set[str]:
    """Return the keys whose event is older than one that was told before.

    Only sequencers of equal length are believed (see ``core.events``).
    """
    old: set[str] = set()
    for key, sequencer in sequencers.items():
        row = known.get(key)
        before = str(row.sequencer) if row is not None and row.sequencer else ""
        if len(before) == len(sequencer) and compare_sequencers(before, sequencer) == 1:
            old.add(key)
    return old


def note_sequencers(tx: sa.Connection, source_id: str, sequencers: Mapping[str, str]) -> None:
    """Store the sequencers of removals, so that older news is known for what it is."""
    if sequencers:
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, objects.c.object_key == sa.bindparam("b_key"))
            .values(sequencer=sa.bindparam("b_sequencer")),
            [{"b_key": key, "b_sequencer": value} for key, value in sequencers.items()],
        )


def doubted(known: Mapping[str, sa.Row[tuple[object, ...]]], refs: Sequence[Told]) -> list[Told]:
    """Return what events told, without the details that something else contradicts.

    Two tellers whose order is not known leave an etag that may be old: a document that has just
    this etag would pass for unchanged. An empty one makes the next reader ask the bucket.
    """
    answer: list[Told] = []
    for ref, skip in refs:
        row = known.get(ref.key)
        if row is not None and _contradicts(row, ref):
            answer.append((ObjectRef(key=ref.key, etag="", size=-1), skip))
        else:
            answer.append((ref, skip))
    return answer


def limited(tx: sa.Connection, source_id: str, refs: Sequence[Told]) -> list[Told]:
    """Return the refs with ``document_limit`` as the reason where the source's limit is met.

    Listings count exactly; between two of them an object is taken when fewer selected keys than
    the limit stand before it.
    """
    limit = tx.execute(
        sa.select(sources.c.config["document_limit"].as_integer()).where(sources.c.id == source_id)
    ).scalar_one_or_none()
    if limit is None:
        return list(refs)
    answer: list[Told] = []
    for ref, skip in refs:
        if skip is None:
            before = tx.execute(
                sa.select(sa.func.count())
                .select_from(objects)
                .where(
                    objects.c.source_id == source_id,
                    objects.c.object_key < ref.key,
                    objects.c.skip_reason.is_(None),
                    objects.c.gone.is_(False),
                )
            ).scalar_one()
            answer.append((ref, "document_limit" if before >= limit else None))
        else:
            answer.append((ref, skip))
    return answer


def _contradicts(row: sa.Row[tuple[object, ...]], ref: ObjectRef) -> bool:
    if row.gone:
        return True
    worked_on = row.outcome == "indexed" and row.outcome_etag == row.etag
    return row.etag != ref.etag and not worked_on
