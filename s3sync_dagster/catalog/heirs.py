"""Who keeps the texts of sources that were moved, once they are no more."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.lives import KEPT
from s3sync_dagster.catalog.rows import source_of
from s3sync_dagster.catalog.tables import lives, sources
from s3sync_dagster.core.standing import Heir, Nobody
from s3sync_dagster.model.errors import InvalidSetting


def heirs_of(tx: sa.Connection, source_ids: Collection[str]) -> dict[str, Heir]:
    """Return who has the objects of sources by now that ended, or end; absent: it is not known.

    A source that came in the place of one may have been moved itself. Where the last one was
    deleted with its records nobody keeps any of them; where a person has kept those, or nothing
    tells what became of it, nobody knows. Nothing does of what ended before catalogs noted it.
    """
    if not source_ids:
        return {}
    moved: dict[str, str | None] = {}
    untold = set[str]()
    how = (lives.c.source_id, lives.c.moved_to, lives.c.deleted)
    for row in tx.execute(sa.select(*how).order_by(lives.c.id)):
        moved[row.source_id] = row.moved_to or moved.get(row.source_id)
        if row.moved_to is None and not row.deleted:
            untold.add(row.source_id)
    kept = set(tx.execute(KEPT).scalars())
    there = {row.id: row for row in tx.execute(sa.select(sources))}
    found: dict[str, Heir] = {}
    for name in source_ids:
        met, last, tail = {name}, _next(name, there, moved), name
        while last is not None and last not in met and _ended(last, there, moved):
            met.add(last)
            last, tail = _next(last, there, moved), last
        if last is None:
            if not met & kept - {name} and (tail in there or tail not in untold):
                found[name] = Nobody.ENDED
        elif last in there and there[last].deleting is None:
            try:
                found[name] = source_of(there[last])
            except InvalidSetting:  # of another version: what it has is not known
                continue
        elif last in there and there[last].deleting == "records":
            found[name] = Nobody.ENDED
    return found


def _ended(name: str, there: dict[str, sa.Row[Any]], moved: dict[str, str | None]) -> bool:
    if name in there:
        return there[name].moved_to is not None
    return name in moved


def _next(name: str, there: dict[str, sa.Row[Any]], moved: dict[str, str | None]) -> str | None:
    here = there[name].moved_to if name in there else None
    return here or moved.get(name)
