"""Rings of objects that failed of an id, each of the one that the next one would give up."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.sidecar_rows import claims_on
from s3sync_dagster.catalog.tables import documents, objects
from s3sync_dagster.core.handed_on_ids import Place
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.outcome import LACKS_AN_ID
from s3sync_dagster.core.sidecar_owners import (
    KEPT_OWNER,
    SIDECAR_OWNER,
    collection_of,
    sidecar_claims,
)
from s3sync_dagster.model.source import DeleteMode, Source

Row = sa.Row[Any]
MOST = 20_000
"""Objects of a ring, of a few hundred bytes each: beyond it, one of them has to give its id up."""
LONG = 20
"""Objects on a way, from which on all that lack an id are looked up together."""
_COLUMNS = [
    getattr(documents.c, name)
    for name in ("id", "object_key", "collection_name", "document_id", "phase", "owner")
]


class Rings:
    """The rings of a source, as one transaction sees them: what was looked up is not again.

    Args:
        tx: an open transaction.
        source: whose they are.
    """

    def __init__(self, tx: sa.Connection, source: Source) -> None:
        self._tx, self.source = tx, source
        self._rows: dict[Place, Row | None] = {}
        self._wanted: dict[int, Place | None] = {}
        self._lacking: dict[str, bool] = {}
        self._all_lacking = False
        self._closing = set[tuple[str, Place]]()
        """Objects of rings that were found, and what they ask for."""
        self._ends: dict[Place, str | None] = {}
        """Places -> which object the way from there ends at, as it lacks no id; None: at no one."""

    def look_up(self, places: Iterable[Place]) -> None:
        """Look up what many places lead to, in few statements."""
        new = dict.fromkeys(one for one in places if one not in self._rows)
        self._rows.update(new)
        for part in groups(new):
            rows = self._documents(
                documents.c.collection_name.in_({name for name, _ in part}),
                documents.c.document_id.in_([name for _, name in part]),
            )
            for row in rows:
                if (place := (row.collection_name, row.document_id)) in new:
                    self._rows[place] = row
        found = [row for one in new if (row := self._rows[one]) is not None]
        self._look_up_wanted([row for row in found if _may_move(row)])

    def closed(self, asked: Mapping[str, Collection[Place]]) -> dict[str, set[Place]]:
        """Return which places of many keys, by key, each closes a ring by asking for."""
        self.look_up(place for places in asked.values() for place in places)
        found = {
            key: {place for place in sorted(places) if self.closes(key, place)}  # in one order
            for key, places in asked.items()
        }
        return {key: places for key, places in found.items() if places}

    def closes(self, key: str, place: Place) -> bool:
        """Return whether ``key`` closes a ring of objects by asking for a place.

        Each of the others lacks nothing but an id, and the last one's is what ``key`` would give
        up. Append mode keeps all.

        Args:
            key: of the object that asks.
            place: what it asks for.
        """
        if self.source.mode is DeleteMode.APPEND:
            return False
        if (key, place) in self._closing:
            return True
        asked, way = place, dict[Place, Row]()
        keys = {key}
        while asked not in self._ends and len(way) < MOST:
            if len(way) == LONG:
                self._look_up_lacking()
            self.look_up([asked])
            row = self._rows[asked]
            wanted = self._wanted[row.id] if row is not None and _may_move(row) else None
            if row is None or wanted is None or wanted == asked:
                self._ends[asked] = None
                break
            if row.object_key == key:
                self._closing |= {(key, place)} | {
                    (one.object_key, to_come)
                    for one in way.values()
                    if (to_come := self._wanted[one.id]) is not None
                }
                return True
            if row.object_key in keys:
                return False  # the way leads into a ring of others
            if not self._lacks_an_id(row.object_key):
                self._ends[asked] = row.object_key
                break
            way[asked] = row
            keys.add(row.object_key)
            asked = wanted
        if asked not in self._ends:
            return False
        end = self._ends[asked]
        self._ends |= dict.fromkeys(way, end)
        return end == key

    def _documents(self, *conditions: sa.ColumnElement[bool]) -> list[Any]:
        query = sa.select(*_COLUMNS).where(
            documents.c.source_id == self.source.id,
            documents.c.tenant == self.source.tenant,
            documents.c.database_name == self.source.database_name,
            *conditions,
        )
        return [*self._tx.execute(query)]

    def _look_up_lacking(self) -> None:
        """Look up what all objects that lack an id have and ask for, once, in few statements."""
        if self._all_lacking:
            return
        self._all_lacking = True
        query = sa.select(objects.c.object_key).where(*self._that_lack()).limit(MOST)
        keys = list(self._tx.execute(query).scalars())
        self._lacking |= dict.fromkeys(keys, True)
        for part in groups(keys):
            rows = self._documents(documents.c.object_key.in_(part))
            self._rows |= {(row.collection_name, row.document_id): row for row in rows}
            self._look_up_wanted([row for row in rows if _may_move(row)])

    def _look_up_wanted(self, rows: Collection[Row]) -> None:
        """Look up what is asked for by now in the place of documents that sidecars made.

        In their collection; where nothing is any more, where the same sidecar asks for one instead.
        """
        asking = claims_on(self._tx, self.source.id, {row.object_key for row in rows})
        for row in rows:
            told = asking.get(row.object_key, [])
            claims = sidecar_claims(tuple(told), self.source)
            elsewhere = [
                collection_of(one, self.source)
                for one in told
                if one.sidecar_key == _sidecar_of(row)
            ]
            claim = next(
                (claims[name] for name in (row.collection_name, *elsewhere) if name in claims), None
            )
            self._wanted[row.id] = claim and (
                collection_of(claim, self.source),
                document_id(
                    row.object_key, custom_id=claim.custom_id, id_prefix=self.source.id_prefix
                ),
            )

    def _lacks_an_id(self, key: str) -> bool:
        """Return whether an object has failed of the id that it wants."""
        if key not in self._lacking:
            here = objects.c.object_key == key
            query = sa.select(objects.c.object_key).where(here, *self._that_lack())
            self._lacking[key] = self._tx.execute(query).first() is not None
        return self._lacking[key]

    def _that_lack(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            objects.c.source_id == self.source.id,
            objects.c.gone.is_(False),
            objects.c.outcome == "failed",
            objects.c.reason.in_(LACKS_AN_ID),
        )


def _may_move(row: Row) -> bool:
    return row.phase != "removing" and row.owner.startswith((SIDECAR_OWNER, KEPT_OWNER))


def _sidecar_of(row: Row) -> str:
    """Return the sidecar that asked for a document; a mode keeps one of what cannot be read."""
    return row.owner.removeprefix(SIDECAR_OWNER).removeprefix(KEPT_OWNER)
