"""What others do to the collections that a source fills."""

from typing import Any

from s3sync_dagster.engine.identity import check_collections
from s3sync_dagster.engine.rolling_check import check_some
from s3sync_dagster.model.document import Record
from s3sync_dagster_tests.simulation.ports import SimCollections
from s3sync_dagster_tests.simulation.safety import PREFIX
from s3sync_dagster_tests.simulation.worker import current

RECORDS_PER_DAY = (10, 720_000)
"""Looks that end in the middle of a collection or of a document, and looks that take all of it."""


class Neighbours:
    """Others with access to the same Chroma, and the engine's own look at what they did."""

    strangers: int = 0
    disturbed = False
    """True from a neighbour's deed until a check has gone round behind it."""

    def write_by_hand(self, name: str) -> None:
        """Put a record of nobody, under an id of its own, into a collection."""
        self._put_stranger(name, {"by": "hand"})

    def write_by_others(self, name: str) -> None:
        """Put a record of another installation's source into a collection."""
        told = {"s3sync_bucket": self.bucket.name, "document_key": "a.txt"}
        self._put_stranger(name, {"s3sync_source": "elsewhere", **told})

    def delete_collection(self, name: str) -> None:
        self.note(f"somebody deletes the collection {name}")
        self._disturb(name, list(self.records(name)))
        self.collections.delete_collection(
            name, tenant=self.source.tenant, database=self.source.database_name
        )
        self.foreign.pop(name, None)

    def make_collection_anew(self, name: str) -> None:
        self.delete_collection(name)
        self.open(name)

    def rob_collection(self, name: str, place: int) -> None:
        """Delete one record of ours."""
        if mine := self._mine(name):
            record = mine[place % len(mine)]
            self.note(f"somebody deletes {record} of {name}")
            self._disturb(name, [record])
            self.open(name).delete([record])

    def empty_collection(self, name: str) -> None:
        """Delete all records of ours; the collection stays the one it was."""
        if mine := self._mine(name):
            self.note(f"somebody empties {name}")
            self._disturb(name, mine)
            self.open(name).delete(mine)

    def spoil_record(self, name: str, place: int) -> None:
        """Write over one record of ours, by hand."""
        if mine := self._mine(name):
            identity = mine[place % len(mine)]
            self.note(f"somebody writes over {identity} of {name}")
            self._disturb(name, [identity])
            _, metadata = self.records(name)[identity]
            kept = metadata if place % 2 else {**metadata, "s3sync_etag": "none", "by": "hand"}
            record = Record(id=identity, document="spoilt", embedding_text="spoilt", metadata=kept)
            self.open(name).upsert([record], self.embedder.embed_documents(["spoilt"]))

    def start_check(self) -> None:
        """Let the dispatcher look at some records, as it does every minute."""
        self._start("a look at records", lambda: self.look_at_records(self.sim_collections()))

    def look_at_records(self, collections: Any) -> int:
        """Hold some records of each collection that is due against the catalog."""
        worker = current()
        return check_some(
            self.source,
            catalog=self.catalog if worker is None else self.sim_catalog,
            collections=lambda: collections,
            clock=self.clock,
            records_per_day=RECORDS_PER_DAY[self.lot % 2],
            log=self.note,
        )

    def look_at_collections(self, collections: Any) -> None:
        """Look which collections there are, as each listing does."""
        check_collections(
            self.source,
            catalog=self.sim_catalog,
            collections=lambda: collections,
            log=self.note,
        )

    def sim_collections(self) -> SimCollections:
        return SimCollections(
            self.collections, self.weather, self._late, self.check_pillars, self.check_lease
        )

    def _mine(self, name: str) -> list[str]:
        return sorted(self.records(name).keys() - self.foreign.get(name, {}).keys())

    def _disturb(self, name: str, ids: list[str]) -> None:
        self.disturbed = True
        if name == self.source.collection_name:
            self.excused |= {one.removeprefix(PREFIX) for one in ids} & self.pillars.keys()

    def _put_stranger(self, name: str, metadata: dict[str, str]) -> None:
        self.strangers += 1
        identity = f"stranger-{self.strangers}"
        self.note(f"somebody writes {identity} into {name}")
        record = Record(
            id=identity, document="strange", embedding_text="strange", metadata=metadata
        )
        self.open(name).upsert([record], self.embedder.embed_documents(["strange"]))
        self.foreign.setdefault(name, {})[identity] = self.records(name)[identity]
