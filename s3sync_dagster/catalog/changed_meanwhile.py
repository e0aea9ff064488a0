"""Keys whose object changed while a batch worked on an older version of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, objects
from s3sync_dagster.model.source import DeleteMode, Source


def ask_for_overtaken(
    database: Database,
    tx: sa.Connection,
    source: Source,
    there: Mapping[str, int | None],
    *,
    failed: Mapping[str, int | None],
    gone: Sequence[str],
    known_gone: Collection[str],
    now: float,
) -> None:
    """Ask again for keys that a listing told news of while the batch had them.

    A listing asks for nothing that is being worked on and looks as it was known: the worker may
    all the same have read another version in between, or have written what the listing found
    gone before there was anything to remove.

    Args:
        database: gives the dialect.
        tx: an open transaction that has settled the keys.
        source: of the batch that settled them.
        there: keys whose object the batch has found, or left alone, and how often something had
            been told of each when the batch began with it.
        failed: keys that have failed, of whose documents some may be written all the same, with
            the same number of each: one that is being removed waits for its time.
        gone: keys whose object it has found gone, which now shows where nothing else was told.
        known_gone: keys that had been said to be gone before the batch began with them: where
            nothing was told of one since, a listing tells nothing new, and what the guard has held
            back is not to be asked for. One that was there in between is gone anew.
        now: the time.
    """
    changed = list[str]()
    for part in groups(there):
        for row in tx.execute(*_differing(source.id, part)):
            known = there[row.object_key]
            if known is not None and row.told_count > known:
                changed.append(row.object_key)
    left = _of_gone_objects(tx, source, there, known_gone)
    left += _of_gone_objects(tx, source, failed, known_gone, clean=True)
    for part in groups(gone):
        changed += tx.execute(*_there(source.id, part)).scalars()
    insert_automatic(database, tx, source.id, changed, trigger="listing", now=now)
    insert_automatic(database, tx, source.id, left, trigger="listing", kind="remove", now=now)


@built_once
def _differing(source_id: str, keys: Sequence[str]) -> Any:
    return sa.select(objects.c.object_key, objects.c.told_count).where(
        objects.c.source_id == source_id,
        objects.c.object_key.in_(keys),
        objects.c.gone.is_(False),
        objects.c.outcome.is_not(None),
        objects.c.outcome_etag != objects.c.etag,
    )


@built_once
def _there(source_id: str, keys: Sequence[str]) -> sa.Select[Any]:
    return sa.select(objects.c.object_key).where(
        objects.c.source_id == source_id,
        objects.c.object_key.in_(keys),
        objects.c.gone.is_(False),
    )


def _of_gone_objects(
    tx: sa.Connection,
    source: Source,
    told: Mapping[str, int | None],
    known_gone: Collection[str],
    *,
    clean: bool = False,
) -> list[str]:
    """Return which of these keys have documents, or clean ones, although their object is gone."""
    if source.mode is not DeleteMode.MIRROR:
        return []
    left = list[str]()
    for part in groups(told):
        for row in tx.execute(*_left(source.id, part, clean=clean)):
            known = told[row.object_key]
            if row.object_key not in known_gone or (known is not None and row.told_count > known):
                left.append(row.object_key)
    return left


@built_once
def _left(source_id: str, keys: Sequence[str], *, clean: bool) -> Any:
    same = sa.and_(
        documents.c.source_id == objects.c.source_id,
        documents.c.object_key == objects.c.object_key,
    )
    here = [objects.c.source_id == source_id, objects.c.object_key.in_(keys), objects.c.gone]
    if clean:
        here.append(documents.c.phase == "clean")
    columns = (objects.c.object_key, objects.c.told_count)
    return sa.select(*columns).join(documents, same).where(*here).distinct()
