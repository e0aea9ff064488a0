"""Ids that objects exchange, or hand on: each waits for one that the next one gives up."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, objects, sidecars
from s3sync_dagster.core.handed_on_ids import Turn, turns
from s3sync_dagster.core.intent import Intent
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, SIDECAR_OWNER
from s3sync_dagster.model.source import DeleteMode, Source

Row = sa.Row[Any]
Place = tuple[str, str]
"""Collection and document id."""
MOST = 200
"""Objects of a ring beside those of one batch."""
LACKS_AN_ID = ("record_ids_taken", "record_ids_busy")
"""Why an object has failed that lacks nothing but an id."""


class Rings:
    """The rings of a source, as one transaction sees them: what was looked up is not again.

    Args:
        tx: an open transaction.
        source: whose they are.
        ready: keys of a batch that were read and are to be written, with where they come to: ids
            are taken of these alone, since what failed of an id before may be archived or closed to
            us by now. None: those that have failed of an id, which might come together in one
            batch.
    """

    def __init__(
        self,
        tx: sa.Connection,
        source: Source,
        *,
        ready: Mapping[str, Collection[Place]] | None = None,
    ) -> None:
        self._tx, self.source, self._ready = tx, source, ready
        self._rows: dict[Place, Row | None] = {}
        self._wanted: dict[int, Place | None] = {}
        self._lacking: dict[str, bool] = {}

    def look_up(self, places: Iterable[Place]) -> None:
        """Look up what many places lead to, in few statements."""
        new = dict.fromkeys(one for one in places if one not in self._rows)
        self._rows.update(new)
        for part in groups(new):
            query = sa.select(documents).where(
                documents.c.source_id == self.source.id,
                documents.c.tenant == self.source.tenant,
                documents.c.database_name == self.source.database_name,
                documents.c.collection_name.in_({name for name, _ in part}),
                documents.c.document_id.in_([name for _, name in part]),
            )
            for row in self._tx.execute(query):
                if (place := (row.collection_name, row.document_id)) in new:
                    self._rows[place] = row
        rows = [row for one in new if (row := self._rows[one]) is not None]
        self._look_up_wanted([row for row in rows if _may_move(row)])

    def of(self, key: str, place: Place) -> list[str] | None:
        """Return the objects of a ring in which ids are exchanged; None: ``key`` may not take this.

        An id is taken of another object only where that one comes to another place itself: each of
        them lacks nothing but an id, and the last one's is what ``key`` gives up. Else its text
        would go and nothing come for it. Append mode keeps all.

        Args:
            key: of the object that asks.
            place: what it asks for.
        """
        if self.source.mode is DeleteMode.APPEND:
            return None
        asked, ring, others = place, [key], 0
        there = {key}
        while others <= MOST:
            self.look_up([asked])
            row = self._rows[asked]
            if row is None or not _may_move(row):
                return None
            wanted = self._wanted[row.id]
            if wanted is None or wanted == asked:
                return None
            if row.object_key == key:
                return ring
            if row.object_key in there or not self._comes_to(row.object_key, wanted):
                return None
            ring.append(row.object_key)
            there.add(row.object_key)
            others += self._ready is None
            asked = wanted
        return None

    def _look_up_wanted(self, rows: Collection[Row]) -> None:
        """Look up what the sidecars that made documents ask for of the same objects by now."""
        told: dict[tuple[str, str], Place] = {}
        for part in groups([_sidecar_of(row) for row in rows]):
            query = sa.select(sidecars).where(
                sidecars.c.source_id == self.source.id, sidecars.c.sidecar_key.in_(part)
            )
            for one in self._tx.execute(query):
                name = document_id(
                    one.path, custom_id=one.custom_id or None, id_prefix=self.source.id_prefix
                )
                collection = one.target_collection_name or self.source.collection_name
                told[one.sidecar_key, one.path] = collection, name
        for row in rows:
            self._wanted[row.id] = told.get((_sidecar_of(row), row.object_key))

    def _comes_to(self, key: str, place: Place) -> bool:
        """Return whether an object is being written there, or failed of the id that it wants."""
        if self._ready is not None:
            return place in self._ready.get(key, ())
        if key not in self._lacking:
            query = sa.select(objects.c.object_key).where(
                objects.c.source_id == self.source.id,
                objects.c.object_key == key,
                objects.c.gone.is_(False),
                objects.c.outcome == "failed",
                objects.c.reason.in_(LACKS_AN_ID),
            )
            self._lacking[key] = self._tx.execute(query).first() is not None
        return self._lacking[key]


def _may_move(row: Row) -> bool:
    return row.phase != "removing" and row.owner.startswith((SIDECAR_OWNER, KEPT_OWNER))


def _sidecar_of(row: Row) -> str:
    """Return the sidecar that asked for a document; a mode keeps one of what cannot be read."""
    return row.owner.removeprefix(SIDECAR_OWNER).removeprefix(KEPT_OWNER)


def handed_on(
    rings: Rings,
    collection: str,
    intents: Sequence[Intent],
    rows: Sequence[Row],
    *,
    may_take: Callable[[Intent], bool],
) -> tuple[list[Row], dict[str, int]]:
    """Return who gives ids up to other objects of a claim, at once or one after the other.

    An id is given up once its object's other document is whole; in a ring that cannot be, and all
    of it is written at once.

    Args:
        rings: of the source.
        collection: of the claim.
        intents: of the claim, in the order in which they are granted.
        rows: that have their ids.
        may_take: whether an id can be had that no object of the source holds.

    Returns:
        The rows of rings; key -> how many others of the claim it comes behind.
    """
    held = {
        row.document_id: row
        for row in rows
        if row.source_id == rings.source.id and row.phase != "removing" and row.batch_token is None
    }
    standing = {(name, row.object_key) for name, row in held.items()}
    asking: dict[str, Intent] = {}
    for one in sorted(intents, key=lambda one: (one.document_id, one.key) not in standing):
        asking.setdefault(one.document_id, one)
    others = {name: row for name, row in held.items() if row.object_key != asking[name].key}
    if not others:
        return [], {}
    found: dict[str, Turn] = turns(
        {one.key: name for name, one in asking.items()},
        {name: row.object_key for name, row in others.items()},
        lambda name: may_take(asking[name]),
    )
    turn_of = {name: found[asking[name].key] for name in others}
    if None in turn_of.values():
        rings.look_up((collection, name) for name in asking)
    let_go = [
        row
        for name, row in others.items()
        if turn_of[name] == "ring"
        or (turn_of[name] is None and rings.of(asking[name].key, (collection, name)))
    ]
    later = {asking[name].key: turn for name, turn in turn_of.items() if isinstance(turn, int)}
    return let_go, later
