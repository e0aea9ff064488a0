"""Whose turn it is in a batch whose objects hand ids on to each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.handed_on_ids import Place, Turns, places_given_up, places_to_come
from s3sync_dagster.core.state import RESTORED, DocumentState, Target
from s3sync_dagster.engine.batch.groups import Write
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.remove import remove_documents
from s3sync_dagster.engine.own_records import by_ids, open_there
from s3sync_dagster.model.errors import FixConfiguration, FixInput, LeaseLost, S3SyncError
from s3sync_dagster.model.source import DeleteMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Keys that are written together."""

    keys: Sequence[str]
    aside: bool = False
    """Whether those step aside that wait for an id: see ``core.handed_on_ids``."""


class HandingOn:
    """The turns of a batch, made before its first claim by what is known of its keys.

    Of a ring of which no other object is in the batch, be it that they are large or were told of
    earlier, the one that closes it steps aside as well: what it had is free for the others, whose
    batches come then, and its own id for itself in the end.
    """

    def __init__(self, parts: BatchParts, lease: Lease, ledger: Ledger) -> None:
        self._parts, self._lease, self._ledger = parts, lease, ledger
        prefix, deeds = parts.source.id_prefix, ledger.deeds()
        self._holders = {
            place: deed.key for deed in deeds for place in places_given_up(deed, id_prefix=prefix)
        }
        self._holders |= self._that_stand_forgotten(deeds)
        self._wanted: dict[str, set[Place]] = {}
        if self._holders:
            for deed in deeds:
                places = set(places_to_come(deed, id_prefix=prefix).values())
                self._wanted[deed.key] = places & self._holders.keys()
        self._alone = self._that_close_rings(deeds)

    def turns(self) -> Iterator[Turn]:
        """Yield whose turn it is; each is written before the next is asked for."""
        order = Turns(
            {
                key: sorted({self._holders[place] for place in places})
                for key, places in self._wanted.items()
            },
            sizes={
                deed.key: ref.size
                for deed in self._ledger.deeds()
                if (ref := deed.decision.facts.ref) is not None
            },
        )
        keys = [one.key for one in self._ledger.deeds() if not order.waits(one.key)]
        if aside := [*dict.fromkeys([*order.aside, *self._alone])]:
            yield Turn(keys=aside, aside=True)
            keys += self._next(order, aside)
        while keys:
            yield Turn(keys=keys)
            keys = self._next(order, keys)

    def waits(self, key: str, target: Target) -> bool:
        """Return whether a key waits for what another one's document gives up."""
        to_come = places_to_come(self._ledger.deed(key), id_prefix=self._parts.source.id_prefix)
        place = to_come[target.collection_name]
        return place in self._wanted.get(key, ()) or place in self._alone.get(key, ())

    def is_to_come(self, write: Write) -> bool:
        """Return whether a key of the batch gives up the ids of a document at its next attempt."""
        holder = self._holders.get((write.target.collection_name, write.document_id))
        if holder is None:
            return False
        deed = self._ledger.deed(holder)
        return not deed.refused and not isinstance(deed.error, FixInput | FixConfiguration)

    def _that_stand_forgotten(self, deeds: Sequence[Deed]) -> dict[Place, str]:
        """Return places where texts of other keys of the batch stand, and whose they are.

        These had the ids after the backup of a restored catalog. A mode that keeps texts writes
        over none of them before it stands where the catalog has it.
        """
        source = self._parts.source
        if source.mode is not DeleteMode.KEEP_DELETED:
            return {}
        writing = {deed.key for deed in deeds if deed.writing}
        found: dict[Place, str] = {}
        for name, rows in self._restored(deeds).items():
            try:
                whose = self._whose_first_records(name, rows)
            except S3SyncError as error:  # their claims look as well, and tell of it
                self._parts.log(f"{name!r} could not be looked at: {error.message}")
                continue
            for one in rows:
                key = whose.get(one.document_id)
                if key in writing and key != one.object_key:
                    found[name, one.document_id] = key
        return found

    def _whose_first_records(self, name: str, rows: Sequence[DocumentState]) -> dict[str, str]:
        source = self._parts.source
        collection = open_there(
            self._parts.collections, name, tenant=source.tenant, database=source.database_name
        )
        if collection is None:
            return {}
        ids = {f"{one.document_id}-0": one.document_id for one in rows}
        return {
            ids[record.id]: str(record.metadata.get("document_key"))
            for found in by_ids(collection, ids)
            for record in found
        }

    def _restored(self, deeds: Sequence[Deed]) -> dict[str, list[DocumentState]]:
        """Return what is to be written of documents whose records nobody has compared, or found."""
        found: dict[str, list[DocumentState]] = {}
        for deed in deeds:
            to_come = set(places_to_come(deed, id_prefix=self._parts.source.id_prefix).values())
            for one in deed.decision.facts.documents if to_come else ():
                restored = (one.collection_id or "").startswith(RESTORED)
                if restored and (one.collection_name, one.document_id) in to_come:
                    found.setdefault(one.collection_name, []).append(one)
        return found

    def _that_close_rings(self, deeds: Sequence[Deed]) -> dict[str, set[Place]]:
        """Return what keys of the batch wait for without whom it is to come from."""
        gives_up, prefix = set(self._holders.values()), self._parts.source.id_prefix
        asked = {
            deed.key: places
            for deed in deeds
            if deed.key in gives_up
            and (places := {*places_to_come(deed, id_prefix=prefix).values()} - {*self._holders})
        }
        if not asked:
            return {}
        return self._parts.catalog.documents.rings_closed(self._parts.source, asked)

    def _next(self, order: Turns, keys: Sequence[str]) -> list[str]:
        elsewhere = {key for key in keys if self._is_elsewhere(key)}
        gave_up = [key for key in keys if key in elsewhere]
        ready = order.after(gave_up, stay=[key for key in keys if key not in elsewhere])
        self._remove_left(ready)
        return ready

    def _is_elsewhere(self, key: str) -> bool:
        deed = self._ledger.deed(key)
        if deed.error is not None or deed.refused or deed.gone:
            return False
        return all(one.collection_name in deed.aside for one in deed.open_targets)

    def _remove_left(self, keys: Sequence[str]) -> None:
        """Remove what has lost its reason in a place that is wanted by one of these keys.

        What a claim has replaced in its collection is gone by now; what has moved to another one,
        or was left by a batch that died, goes at the end of the batch else.
        """
        places = {place for key in keys for place in self._wanted[key]}
        left: dict[str, list[DocumentState]] = {}
        for holder in sorted({self._holders[place] for place in places}):
            for one in self._ledger.doomed(holder) if self._is_elsewhere(holder) else ():
                if (one.collection_name, one.document_id) in places:
                    left.setdefault(one.collection_name, []).append(one)
        for name, documents in left.items():
            try:
                remove_documents(self._parts, self._lease, self._ledger, name, documents)
            except LeaseLost:
                raise
            except S3SyncError as error:  # it is tried again when the batch ends
                self._parts.log(f"{len(documents)} documents of {name!r} stay: {error.message}")
