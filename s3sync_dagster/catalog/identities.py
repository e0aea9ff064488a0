"""What a source is, as its row says it: no two are one, and who becomes another gets a new id."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.claimed_before import MOVERS
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.next_life import kept_in_place
from s3sync_dagster.catalog.rows import source_of
from s3sync_dagster.catalog.sidecar_rows import hand_on_sidecars
from s3sync_dagster.catalog.tables import (
    deleted_sources,
    documents,
    has_records,
    invocations,
    shards,
    sources,
)
from s3sync_dagster.catalog.wholes import hand_wholes
from s3sync_dagster.core.source_identity import prefixes_overlap
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.core.state import LISTING_ASKED
from s3sync_dagster.core.writers import successor_id
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import Source


def stand_in(database: Database, tx: sa.Connection, row: sa.Row[Any], wanted: Source) -> Source:
    """Let another source stand in the place of one, under an id of its own; returns it.

    The one before waits under another name for its deletion, without work.

    Args:
        database: the catalog's.
        tx: an open transaction, with the lock of the places.
        row: all of the one before.
        wanted: what takes its name.

    Raises:
        InvalidSetting: a setting breaks its rule.
        Conflict: it overlaps another source.
    """
    now = database.now()
    new = replace(wanted, id=_id_of_successor(database, tx, row, wanted))
    before = replace(source_of(row), name=f"{row.name} (moved, {row.id})")
    indexed = _indexed()
    database.lock_source(tx, row.id)
    tx.execute(
        sources.update()
        .where(sources.c.id == row.id)
        .values(
            **row_values(before)
            # Its address is free: a change of the id_prefix alone leaves it as it was.
            | {"bucket_name": f"{row.bucket_name} (moved, {row.id})"},
            origin="moved",
            moved_to=new.id,
            moved_documents=indexed,
            paused=True,
            wanted=sa.null(),
            updated_at=now,
        )
    )
    # What has a successor in the middle of a chain may be gone with it from the new place: the
    # guard counts what each still has.
    tx.execute(
        sources.update()
        .where(sources.c.moved_to == row.id)
        .values(moved_to=new.id, moved_documents=sources.c.moved_gone + indexed)
    )
    # Dagster has one set of partitions for both.
    tx.execute(shards.update().where(shards.c.source_id == row.id).values(source_id=new.id))
    require_possible(tx, new)
    tx.execute(
        sources.insert().values(
            id=new.id,
            origin=row.origin,
            paused=row.paused,
            declared=row.declared,
            created_at=now,
            updated_at=now,
            # Who is asked for a bucket that stays is still to be known by what is there.
            asked_server=row.asked_server if same_bucket(before, new) else None,
            **row_values(new),
            **_maybe_forgotten(row, new),
        )
    )
    hand_requests(tx, row.id, new)
    hand_on_sidecars(database, tx, row.id, new)
    return new


def _id_of_successor(
    database: Database, tx: sa.Connection, row: sa.Row[Any], wanted: Source
) -> str:
    """Return the id of who takes a source's place: of the same move the same one.

    A restored catalog that is moved again so knows the records of the move that it has forgotten.
    One that was deleted after such a move, and is declared and moved once more, gets another:
    workers may be late that wrote for it. What a person has kept of one just there goes on.
    """
    if (kept := kept_in_place(tx, wanted)) is not None:
        return kept
    name = successor_id(row.id, wanted)
    met = sa.union_all(
        sa.select(sources.c.id).where(sources.c.id == name),
        sa.select(deleted_sources.c.id).where(deleted_sources.c.id == name),
    )
    return name if tx.execute(met).first() is None else database.clock.uuid()


def _maybe_forgotten(row: sa.Row[Any], new: Source) -> dict[str, object]:
    """Return what a source takes on where it may have been moved so in a catalog that is lost.

    That is in one that was put back from a copy, however long ago. What records say then of who
    may read holds once they were looked at.
    """
    if row.looked_through is None:
        return {}
    return {
        "looked_through": "",
        "closed_unseen": bool(new.reader_keys),
        "list_due_at": LISTING_ASKED,
    }


def hand_requests(tx: sa.Connection, before_id: str, source: Source) -> int:
    """Let what people and requests asked for, and nobody has begun with, be asked of the new one.

    What a late batch has begun with comes when that is handed back.
    """
    hand_wholes(tx, before_id, source)
    return tx.execute(
        invocations.update()
        .where(
            invocations.c.source_id == before_id,
            invocations.c.status == "pending",
            invocations.c.automatic.is_(False),
        )
        .values(
            source_id=source.id,
            tenant=source.tenant,
            database_name=source.database_name,
            collection_name=sa.func.coalesce(
                invocations.c.target_collection_name, source.collection_name
            ),
            next_attempt_at=0,
        )
    ).rowcount


def same_bucket(one: Source, other: Source) -> bool:
    """Return whether two sources have their objects in one bucket, as far as they say it."""
    here, there = one.place.identity(), other.place.identity()
    return (here.place_type, here.bucket_name, here.endpoint_url) == (
        there.place_type,
        there.bucket_name,
        there.endpoint_url,
    )


def own_server(source: Source) -> str:
    """Return the server that a source itself names; empty: none."""
    return source.server


def require_possible(
    tx: sa.Connection, source: Source, *, server_of: Callable[[Source], str] = own_server
) -> None:
    """Refuse what cannot work, and what another source is already.

    Args:
        tx: an open transaction.
        source: what shall be stored.
        server_of: tells the server that is asked for a source.

    Raises:
        InvalidSetting: a setting breaks its rule.
        Conflict: it overlaps another source.
    """
    validate_source(source)
    others = tx.execute(
        sa.select(sources).where(sources.c.id != source.id, _same_but_server(source))
    ).all()
    mine = source.place.identity()
    prefix = mine.path_prefix
    for row in others:
        if row.endpoint_url != mine.endpoint_url and server_of(source_of(row)) != server_of(source):
            continue
        other = (row.path_prefix, row.config.get("id_prefix", ""))
        if prefixes_overlap((prefix, source.id_prefix), other):
            meant = ""
            if row.path_prefix == f"{prefix}/":  # left out where the source was made with it
                meant = f"did you mean {source_of(row).place.address()!r}? Or "
            gone = (
                ""
                if row.origin == "catalog"
                else f" Where no code declares {row.name!r} any more, as after another name: "
                f"`s3sync source delete {row.name} --undeclared`."
            )
            raise Conflict(
                f"{source.place.address()!r} and collection {source.collection_name!r} overlap "
                f"the source {row.name!r}: {meant}use another collection or prefix, or give one "
                f"of them an id_prefix of its own.{gone}",
                reason="source_overlaps",
            )


def same_target(source: Source) -> sa.ColumnElement[bool]:
    """Return what holds for sources with one target, and one place whatever its prefix."""
    return sa.and_(
        _same_but_server(source),
        sources.c.endpoint_url == source.server,
    )


def _same_but_server(source: Source) -> sa.ColumnElement[bool]:
    place = source.place.identity()
    return sa.and_(
        sources.c.place_type == place.place_type,
        sources.c.bucket_name == place.bucket_name,
        sources.c.tenant == source.tenant,
        sources.c.database_name == source.database_name,
        sources.c.collection_name == source.collection_name,
    )


def row_values(source: Source) -> dict[str, object]:
    """Return what a row says of a source."""
    return {
        "name": source.name,
        "tenant": source.tenant,
        "database_name": source.database_name,
        "collection_name": source.collection_name,
        **source.place.identity()._asdict(),
        "config": source.to_json(),
    }


def _indexed() -> sa.ScalarSelect[int]:
    """Return the expression on a source for how many documents it has that were whole once.

    Those on their way out too, as long as no move has let them go.
    """
    return (
        sa.select(sa.func.count())
        .select_from(documents)
        .where(
            documents.c.source_id == sources.c.id,
            sa.func.coalesce(documents.c.batch_token, "").not_in(MOVERS),
            documents.c.etag.is_not(None),
            has_records,
        )
        .correlate(sources)
        .scalar_subquery()
    )
