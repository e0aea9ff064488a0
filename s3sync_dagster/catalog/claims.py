"""Intents in bulk: who may write which record ids, decided in one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.claimed_rows import REFRESH, ClaimedRows, insert_new, rows_in_place
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.deleted_sources import cleared_owners
from s3sync_dagster.catalog.doubted import close
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.kept_ids import give_way
from s3sync_dagster.catalog.moves import predecessors
from s3sync_dagster.catalog.quotas import no_room, room_for_documents
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.successions import count_out
from s3sync_dagster.catalog.tables import documents, invocations, objects, sources
from s3sync_dagster.core.gave_way import outlives, still_gives_way
from s3sync_dagster.core.intent import Claim, Intent, Refusal, being_cleared
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.model.source import Source

Row = sa.Row[Any]


def claim_documents(
    database: Database,
    tx: sa.Connection,
    token: str,
    source: Source,
    intents: Sequence[Intent],
) -> list[Claim | Refusal]:
    """Put documents under a batch's intent; returns an answer for each intent, in order.

    Args:
        database: gives dialect and time.
        tx: an open transaction.
        token: of the batch.
        source: whose documents they are to be.
        intents: of one collection, or of several.
    """
    give_way(database, tx, source, intents)
    answers: dict[int, Claim | Refusal] = {}
    by_collection: dict[str, list[int]] = {}
    for place, intent in enumerate(intents):
        by_collection.setdefault(intent.target.collection_name, []).append(place)
    for name, places in by_collection.items():
        part = [intents[place] for place in places]
        found = _Claiming(database, tx, token, source, name).claim(part)
        answers.update(zip(places, found, strict=True))
    return [answers[place] for place in range(len(intents))]


class _Claiming:
    """The claims of one call in one collection."""

    def __init__(
        self,
        database: Database,
        tx: sa.Connection,
        token: str,
        source: Source,
        collection: str,
    ) -> None:
        self._db, self._tx, self._token, self._source = database, tx, token, source
        self._collection = collection
        self._heir_of: set[str] = set()
        self._values = ClaimedRows(source, collection, self._heir_of)
        self._adopters: set[str] = set()
        """Other sources that take over as well: what one has stays its, else they never end."""
        self._only_texts: set[int] = set()
        """Rows that are on their way out for documents which have never come to be."""

    def claim(self, intents: Sequence[Intent]) -> list[Claim | Refusal]:
        rows = self._rows_of(intents)
        others = {row.source_id for row in rows} - {self._source.id}
        if others and not self._db.sqlite:
            self._db.lock_clearing(self._tx)
            rows = self._rows_of(intents, lock=True)  # they may be somebody else's by now
            others = {row.source_id for row in rows} - {self._source.id}
        ending = cleared_owners(self._tx, others)
        if others:
            self._heir_of |= predecessors(self._tx, self._source.id)
        self._adopters = self._that_adopt(others - self._heir_of) if self._source.adopt else set()
        self._only_texts = self._that_still_give_way(intents, rows)
        of_keys = self._of_keys(intents)
        by_id = {row.document_id: row for row in rows}
        by_key = {row.object_key: row for row in of_keys if row.phase != "removing"}
        replaced: dict[str, Row] = {}
        for intent in intents:
            row = by_key.get(intent.key)
            if row is not None and row.document_id != intent.document_id:
                replaced[intent.key] = row
        refusals: dict[int, Refusal] = {}
        taken: dict[str, str] = {}
        for place, intent in enumerate(intents):
            row = by_id.get(intent.document_id)
            if row is not None and row.source_id in ending:  # also with adopt: they go by id
                refusal = self._busy(intent)
            else:
                refusal = self._refusal(intent, row, taken)
            if refusal is not None:
                refusals[place] = refusal
                continue
            taken[intent.document_id] = intent.key
        refusals |= self._beyond_quota(
            {
                place: intent
                for place, intent in enumerate(intents)
                if place not in refusals and intent.key not in replaced
            },
            by_id,
        )
        granted = [one for place, one in enumerate(intents) if place not in refusals]
        self._retire([replaced[one.key] for one in granted if one.key in replaced])
        self._close_others(granted, of_keys)
        self._refresh([one for one in granted if one.document_id in by_id], by_id)
        new = self._insert([one for one in granted if one.document_id not in by_id])
        answers: list[Claim | Refusal] = []
        for place, intent in enumerate(intents):
            before = self._values.before(intent, by_id, new)
            if place in refusals:
                answers.append(refusals[place])
            elif before is None:
                # Another source took the ids between our look and our insert (Postgres).
                answers.append(self._busy(intent))
            else:
                old = replaced.get(intent.key)
                answers.append(
                    Claim(before=before, replaced=document_of(old) if old is not None else None)
                )
        return answers

    def _rows_of(self, intents: Sequence[Intent], *, lock: bool = False) -> list[Row]:
        ids = sorted({intent.document_id for intent in intents})
        return self._rows(documents.c.document_id, ids, lock=lock)

    def _rows(
        self,
        column: sa.Column[str],
        values: Sequence[str],
        *,
        own: bool = False,
        lock: bool = False,
    ) -> list[Row]:
        rows: list[Row] = []
        place = (self._source.tenant, self._source.database_name, self._collection)
        for part in groups(dict.fromkeys(values)):
            query = rows_in_place(*place, part, self._source.id, column=column, own=own, lock=lock)
            rows += self._tx.execute(*query).all()
        return rows

    def _refusal(self, intent: Intent, row: Row | None, taken: Mapping[str, str]) -> Refusal | None:
        if intent.document_id in taken:
            return Refusal(message=self._taken_by_key(intent, taken[intent.document_id]))
        if row is None:
            return None
        if self._values.is_own(intent, row):
            return None
        ours = row.source_id == self._source.id or row.source_id in self._heir_of
        if not ours and (not self._source.adopt or row.source_id in self._adopters):
            return Refusal(message=self._taken_by_source(row, intent))
        # Another document's: free once it is on its way out and nobody clears its records.
        if row.batch_token is not None:
            return self._busy(intent)
        stands = row.phase != "removing" or row.id in self._only_texts
        if ours and row.object_key != intent.key and stands:
            return Refusal(message=self._taken_by_key(intent, row.object_key))
        return None

    def _of_keys(self, intents: Sequence[Intent]) -> list[Row]:
        keys = [intent.key for intent in intents]
        return self._rows(documents.c.object_key, keys, own=True)

    def _that_still_give_way(self, intents: Sequence[Intent], rows: Sequence[Row]) -> set[int]:
        """Return the rows of other objects on their way out that are the only texts of these."""
        asking = {intent.document_id: intent.key for intent in intents}
        leaving = [
            document_of(row)
            for row in rows
            if row.phase == "removing"
            and row.etag is not None
            and row.source_id == self._source.id
            and row.object_key != asking[row.document_id]
        ]
        if not leaving:
            return set()
        known = defaultdict[str, list[DocumentState]](list)
        for row in self._rows(
            documents.c.object_key, [one.object_key for one in leaving], own=True
        ):
            known[row.object_key].append(document_of(row))
        return {
            one.id
            for one in leaving
            if still_gives_way(one, known[one.object_key])
            or outlives(one, known[one.object_key], None)
        }

    def _that_adopt(self, source_ids: set[str]) -> set[str]:
        adopts = sources.c.config["adopt"].as_boolean()
        found = set[str]()
        for part in groups(source_ids):
            query = sa.select(sources.c.id).where(
                sources.c.id.in_(part), sources.c.deleting.is_(None), adopts
            )
            found.update(self._tx.execute(query).scalars())
        return found

    def _beyond_quota(
        self, asked: Mapping[int, Intent], by_id: dict[str, Row]
    ) -> dict[int, Refusal]:
        """Return refusals for documents that are new, where their tenant has no room for them."""
        new = [
            place
            for place, intent in asked.items()
            if (row := by_id.get(intent.document_id)) is None or row.phase == "removing"
        ]
        room = room_for_documents(self._db, self._tx, self._source.tenant) if new else None
        if room is None or self._db.quota is None:
            return {}
        why = no_room(self._db.quota)
        refusal = Refusal(message=why.message, reason=why.reason)
        return dict.fromkeys(new[room:], refusal)

    def _retire(self, replaced: Sequence[Row]) -> None:
        for part in groups([row.id for row in replaced]):
            self._tx.execute(
                documents.update()
                .where(documents.c.id.in_(part))
                .values(phase="removing", batch_token=self._token)
            )

    def _close_others(self, intents: Sequence[Intent], rows: Sequence[Row]) -> None:
        """Close what gives way to these documents, now or before, where it names other readers.

        Its records stay until the document is written, which may be never, and deleted after that.
        """
        by_key = {intent.key: intent for intent in intents}
        told_else = [
            row.id
            for row in rows
            if (intent := by_key.get(row.object_key)) is not None
            and row.document_id != intent.document_id
            and self._values.tells_else(intent, row)
        ]
        for part in groups(told_else):
            close(self._tx, documents.c.id.in_(part))

    def _refresh(self, intents: Sequence[Intent], by_id: dict[str, Row]) -> None:
        if not intents:
            return
        taken = [(intent, by_id[intent.document_id]) for intent in intents]
        self._tell_owners([row for _, row in taken])
        count_out(self._tx, [row for one, row in taken if not self._values.is_followed(one, row)])
        ours = {"b_source_id": self._source.id, "b_batch_token": self._token}
        self._tx.execute(
            REFRESH,
            [ours | self._values.refreshed(one, by_id[one.document_id]) for one in intents],
        )

    def _tell_owners(self, rows: Sequence[Row]) -> None:
        """Have objects of other sources show that what was made of them is taken over.

        A batch that has one of them may have found it whole before: its key is looked at once more.
        """
        taken: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            heir = row.source_id == self._source.id or row.source_id in self._heir_of
            if heir or row.phase == "removing":
                continue
            taken[row.source_id].append(row.object_key)
            here = (objects.c.source_id == row.source_id, objects.c.object_key == row.object_key)
            self._tx.execute(
                objects.update()
                .where(*here, objects.c.gone.is_(False), objects.c.outcome == "indexed")
                .values(
                    outcome="failed",
                    reason="record_ids_taken",
                    error=f"The source {self._source.name!r} has taken over the record ids of "
                    f"{row.object_key!r} in collection {self._collection!r} (adopt): use another "
                    "collection, or give one of the two an id_prefix.",
                    retry_class="configuration",
                    next_retry_at=None,
                )
            )
        for source_id, keys in sorted(taken.items()):
            insert_automatic(
                self._db,
                self._tx,
                source_id,
                sorted(self._at_work(source_id, keys)),
                trigger="retry",
                now=self._db.now(),
            )

    def _at_work(self, source_id: str, keys: Sequence[str]) -> set[str]:
        found = set[str]()
        for part in groups(keys):
            query = sa.select(invocations.c.object_key).where(
                invocations.c.source_id == source_id,
                invocations.c.status == "processing",
                invocations.c.object_key.in_(part),
            )
            found.update(self._tx.execute(query).scalars())
        return found

    def _insert(self, intents: Sequence[Intent]) -> dict[str, int]:
        """Insert rows; returns document id -> row id of those that were inserted."""
        if not intents:
            return {}
        source = self._source
        insert, _ = insert_new(sqlite=self._db.sqlite)
        return {
            row.document_id: row.id
            for row in self._tx.execute(
                insert,
                [
                    {
                        "source_id": source.id,
                        "object_key": intent.key,
                        "tenant": source.tenant,
                        "database_name": source.database_name,
                        "collection_name": self._collection,
                        "document_id": intent.document_id,
                        "custom_id": intent.target.custom_id,
                        "metadata": dict(intent.target.metadata),
                        "carried": dict(intent.carried),
                        "owner": intent.target.owner,
                        "withheld": self._values.withheld_of_found(intent),
                        "phase": "writing",
                        "etag": intent.found_etag,
                        "high_water": max(intent.count, intent.found),
                        "digests": b"",
                        "metadata_keys": sorted({*intent.metadata_keys, *intent.found_keys}),
                        "batch_token": self._token,
                        "collection_id": intent.collection_id,
                        "written_as": list(intent.found_as),
                    }
                    # Sorted: two sources that insert the same ids wait for each other in turn.
                    for intent in sorted(intents, key=lambda one: one.document_id)
                ],
            )
        }

    def _busy(self, intent: Intent) -> Refusal:
        return Refusal(message=being_cleared(intent.key, self._collection), passes=True)

    def _taken_by_key(self, intent: Intent, owner: str) -> str:
        return (
            f"The custom id {intent.target.custom_id!r} of {intent.key!r} belongs to {owner!r} in "
            f"collection {self._collection!r}; give one of them another id."
        )

    def _taken_by_source(self, row: Row, intent: Intent) -> str:
        owner = self._tx.execute(
            sa.select(sources.c.name).where(
                sources.c.id == row.source_id, sources.c.tenant == self._source.tenant
            )
        ).scalar_one_or_none()
        return (
            f"The record ids of {intent.key!r} in collection {self._collection!r} "
            f"belong to {'the source ' + repr(owner) if owner else 'another source'}, not to "
            f"{self._source.name!r}: use another collection, or give the source an id_prefix."
        )
