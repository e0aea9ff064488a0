"""The world: one source with all that can happen to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig, Source
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.fresh_catalogs import close_database, fresh_database
from s3sync_dagster_tests.simulation.coincidences import Coincidences
from s3sync_dagster_tests.simulation.hosts import Hosts
from s3sync_dagster_tests.simulation.learning import ASKED, PAGE_KEYS, Learning
from s3sync_dagster_tests.simulation.neighbours import Neighbours
from s3sync_dagster_tests.simulation.outside import Outside
from s3sync_dagster_tests.simulation.people import People
from s3sync_dagster_tests.simulation.places import Buckets, Folders
from s3sync_dagster_tests.simulation.ports import SimCatalog, Weather
from s3sync_dagster_tests.simulation.repositories import Repositories
from s3sync_dagster_tests.simulation.rest import Rest
from s3sync_dagster_tests.simulation.safety import PILLARS, Safety
from s3sync_dagster_tests.simulation.sites import Sites
from s3sync_dagster_tests.simulation.spells import Spells
from s3sync_dagster_tests.simulation.worker import Worker, current
from s3sync_dagster_tests.simulation.working import Working

__all__ = ["ASKED", "KEYS", "OTHER", "PAGE_KEYS", "PILLARS", "SIDECARS", "World"]

KEYS = ("a.txt", "b.txt", "dir/c.md", "dir/ü d.txt", "foreign.txt", "skip.zip")
SIDECARS = ("0.meta.json", "a.txt.meta.json", "z.meta.json")
OTHER = "second"
MOST_STATEMENTS = 100_000
"""Of SQL in one world; those of 150 steps have some 2,000."""
WITHOUT_ORDER = 8
"""One of so many worlds has a bucket whose listings are sorted on the disk."""
DEALT = 16
"""Of so many worlds in a row each of the following is one."""
IN_A_FOLDER = 11
"""Has its objects in a real folder."""
IN_A_REPOSITORY = 13
"""Has them in a repository that git fetches."""
ON_A_SITE = 5
"""Has them as the pages of a web site."""


class Endless(BaseException):
    """Something in the world goes round for ever: no handler of the engine may see it."""


@dataclass
class World(
    Outside, Learning, Working, Rest, People, Neighbours, Hosts, Spells, Coincidences, Safety
):
    """One source with all that can happen to it."""

    lists: ClassVar[bool] = True
    attempts: ClassVar[int] = 3
    kinds: ClassVar[Sequence[str]] = ()
    """What can happen in it; nothing named: all that can."""
    source: Source
    seed: int = 0
    workers: list[Worker] = field(default_factory=list)
    tokens: dict[Worker, str] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    """By the name of the batch's worker."""
    reports: list[KeyOutcome] = field(default_factory=list)
    started: int = 0
    shown: dict[int, frozenset[str]] = field(default_factory=dict)
    """Keys that blocked listings have shown, by their numbers."""
    looked: int = 0
    """How many statements there were when it was last looked for such a listing."""
    ending_moves: dict[str, float] = field(default_factory=dict)
    """Workers at the end of a move, and when they claimed what they delete."""
    acted: int = 0
    """Steps so far, those of spells too."""
    statements: int = 0
    """Of SQL so far."""
    lot: int = 0
    """By which it is dealt what differs between worlds of one kind of place."""

    def __post_init__(self) -> None:
        super().__init__(self.seed)
        self.source = self.source.with_changes(
            place=self.place.declared(self.source.place, self.bucket.name)
        )
        self.catalog = Catalog(fresh_database(self.clock))
        self._execute = self.catalog.database.engine.dialect.do_execute
        self.catalog.database.engine.dialect.do_execute = self._executed
        self.catalog.sources.add(self.source)
        self.weather = Weather()
        self.snapshots = Path(mkdtemp(prefix="s3sync-world-"))
        self.collections = MemoryCollections(write_limits=WriteLimits(max_records=4))
        self.embedder = open_embedder(EmbeddingConfig(kind="hash"), model_dir=None)
        self.keys, self.sidecars = (tuple(map(self.place.key, names)) for names in (KEYS, SIDECARS))
        for key, content in self.place.always.items():
            self.history[key] = [content]
        self.sim_catalog = SimCatalog(self.catalog, self.weather, self)
        planted = document_id(self.place.key("foreign.txt"), custom_id=None, id_prefix="")
        places = {self.source.collection_name: planted, OTHER: "y"}
        self.foreign = {name: self._plant(name, owner) for name, owner in places.items()}
        self.write_by_others(self.source.collection_name)
        self.raise_pillars()

    def _settle_somewhere(self) -> Any:
        """Return where the objects are: by the seed."""
        self.lot = self.seed
        kept = self.lists and self.source.auto_sync is not AutoSync.METADATA
        number, kind = divmod(self.seed, DEALT) if kept else (0, None)
        if kind == IN_A_FOLDER:
            return Folders()  # where it is empty it counts as not mounted: pillars stand in it
        if kind == IN_A_REPOSITORY:
            self.lot = number
            return Repositories(self.clock)
        if kind == ON_A_SITE:
            self.lot = number
            return Sites(self.clock, number)
        ordered = not self.lists or self.seed % WITHOUT_ORDER != WITHOUT_ORDER - 1
        return Buckets(self._changed, ordered=ordered)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
        self.catalog.database.engine.dialect.do_execute = self._execute
        close_database(self.catalog.database)
        self.place.close()
        rmtree(self.snapshots)

    def _executed(self, *call: Any) -> None:
        """Let no world go round for ever, whoever does: where it does, the traceback tells.

        In the place of the dialect's own: an engine that has an event looks for listeners at each
        statement, a tenth of its cost.
        """
        self.statements += 1
        if self.statements > MOST_STATEMENTS:
            raise Endless(f"{self._name()} comes to no end after {self.statements} statements")
        self._execute(*call)

    def _start(self, what: str, function: Callable[[], None]) -> Worker:
        def guarded() -> None:
            try:
                function()
            except S3SyncError as error:
                self.note(f"{self._name()} stops: {error.reason}")

        worker = Worker(f"w{self.started}", guarded)
        self.started += 1
        self.note(f"start {worker.name}: {what}")
        self.workers.append(worker)
        return worker

    def _name(self) -> str:
        worker = current()
        return worker.name if worker is not None else "driver"

    def _plant(self, name: str, owner: str) -> dict[str, Any]:
        """Put records of others where ours would go; returns them."""
        told = {"s3sync_source": "another"}
        records = [
            Record(
                id=f"{owner}-{n}", document=f"foreign {n}", embedding_text="foreign", metadata=told
            )
            for n in range(2)
        ]
        self.open(name).upsert(records, self.embedder.embed_documents(["one", "two"]))
        return self.records(name)

    def open(self, name: str) -> Any:
        return self.collections.open(
            name,
            tenant=self.source.tenant,
            database=self.source.database_name,
            embedder=self.embedder,
        )

    def existing(self, name: str) -> Any:
        """Return a collection; None where there is none: a look makes none."""
        place = (self.source.tenant, self.source.database_name, name)
        return self.collections._collections.get(place)

    def records(self, name: str) -> dict[str, Any]:
        port = self.existing(name)
        return (
            {}
            if port is None
            else {
                name: (record.document, dict(record.metadata))
                for name, record in port.get(list(port._records), documents=True).items()
            }
        )
