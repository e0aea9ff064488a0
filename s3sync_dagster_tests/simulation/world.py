"""The world: what can happen to a bucket, its queue, the workers and the clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.run import BatchFailed, sync_batch
from s3sync_dagster.engine.intake import take_messages
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.engine.listing_turns import ListingParts, list_whole
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.engine_fixture import paragraph_chunker, text_extractor
from s3sync_dagster_tests.simulation.outside import Outside, fresh_database
from s3sync_dagster_tests.simulation.ports import (
    SimCatalog,
    SimCollections,
    SimEmbedder,
    SimStore,
    Weather,
    deadly,
)
from s3sync_dagster_tests.simulation.worker import Worker, current, pause

KEYS = ("a.txt", "b.txt", "dir/c.md", "dir/ü d.txt", "foreign.txt", "skip.zip")
SIDECARS = ("0.meta.json", "a.txt.meta.json", "z.meta.json")
OTHER = "second"
ASKED = "asked"
"""A collection that only explicit requests name."""
PAGE_KEYS = 3


@dataclass
class World(Outside):
    """One source with all that can happen to it."""

    lists: ClassVar[bool] = True
    attempts: ClassVar[int] = 3
    source: Source
    seed: int = 0
    workers: list[Worker] = field(default_factory=list)
    tokens: dict[Worker, str] = field(default_factory=dict)
    reports: list[KeyOutcome] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.seed)
        self.catalog = Catalog(fresh_database(self.clock))
        self.catalog.sources.add(self.source)
        self.weather = Weather()
        self.store = MemoryObjectStore(self.bucket)
        self.collections = MemoryCollections(write_limits=WriteLimits(max_records=4))
        self.embedder = open_embedder(EmbeddingConfig(kind="hash"), model_dir=None)
        self.sim_catalog = SimCatalog(self.catalog, self.weather)
        planted = document_id("foreign.txt", custom_id=None, id_prefix="")
        places = {self.source.collection_name: planted, OTHER: "y"}
        self.foreign = {name: self._plant(name, owner) for name, owner in places.items()}

    # --- who learns of it ---------------------------------------------------------------------

    def start_intake(self) -> None:
        self._start("intake", self._intake)

    def _intake(self) -> None:
        take_messages(
            self.queue,
            [self.source],
            work=self.sim_catalog.work,
            clock=self.clock,
            log=self.note,
            budget_seconds=20,
            work_seconds=0,  # the queue's own time will do: messages come again while others work
            at=lambda step: pause(f"at {step}"),
        )

    def start_listing(self, *, fresh: bool, approve: bool, pages: int) -> None:
        def list_some() -> None:
            owner = self._name()
            for _ in range(pages):
                progress = continue_listing(
                    self.source,
                    catalog=self.sim_catalog,
                    store=SimStore(self.store, self.weather),
                    clock=self.clock,
                    owner=owner,
                    budget_seconds=0,
                    fresh=fresh,
                    approve_deletes=approve,
                    page_keys=PAGE_KEYS,
                )
                if progress is None or progress.done or fresh:
                    return

        self._start(f"listing(fresh={fresh}, approve={approve})", list_some)

    def listing_parts(self) -> ListingParts:
        return ListingParts(
            catalog=self.catalog,
            clock=self.clock,
            owners=Owners(self),
            store_for=lambda _: self.store,
            collections=lambda: self.collections,
        )

    def approve(self) -> None:
        self.note("approve deletes")
        self.catalog.listings.approve(self.source.id)

    def ask(self, key: str, *, custom_id: str | None, words: dict[str, Any], force: bool) -> None:
        self.note(f"ask {key} custom_id={custom_id} {words} force={force}")
        self.catalog.invocations.request(
            self.source,
            [key],
            trigger=Trigger.API,
            target_collection_name=ASKED,
            custom_id=custom_id,
            metadata=words,
            force=force,
        )

    def look_again(self, key: str) -> None:
        self.note(f"look again at {key}")
        self.catalog.invocations.request(self.source, [key], trigger=Trigger.CLI)

    def configure(self, **changes: Any) -> None:
        self.note(f"configure {changes}")
        self.source = self.source.with_changes(**changes)
        self.catalog.sources.update(self.source)

    # --- who works ----------------------------------------------------------------------------

    def start_batch(self, *, max_keys: int, ignore_backoff: bool = False) -> bool:
        batch = self.catalog.batches.reserve(
            self.source.id,
            take=Take(max_keys=max_keys, max_live=3, by_hand=ignore_backoff),
            owner=f"w{self.started}",
            run_id=f"r{self.started}",
        )
        if batch is None:
            return False
        source = self.source

        def work() -> None:
            lease = Lease(batch.token, catalog=self.sim_catalog, clock=self.clock)
            try:
                sync_batch(self.engine(source), lease)
            except BatchFailed as failed:
                self.note(f"{self._name()} gives up: {failed.error.reason}")
                self.catalog.batches.release(batch.token, died=False)
            except S3SyncError as error:
                self.note(f"{self._name()} stops: {error.reason}")
                self.catalog.batches.release(batch.token, died=False)

        worker = self._start(f"batch {list(batch.keys)}", work)
        self.tokens[worker] = batch.token
        return True

    def engine(self, source: Source) -> BatchParts:
        return BatchParts(
            source=source,
            catalog=self.sim_catalog,
            store=SimStore(self.store, self.weather),
            collections=SimCollections(self.collections, self.weather, self._late),
            embedder=SimEmbedder(self.embedder, self.weather),
            extractor=deadly(text_extractor, "KILL READER"),
            chunker=deadly(paragraph_chunker, "KILL CHUNKER"),
            pool=None,
            clock=self.clock,
            threads=1,
            take_seconds=60,
            patience=Patience(tries=2, attempts=self.attempts, backoff_seconds=20),
            at=lambda step: pause(f"at {step}"),
            report=self.reports.extend,
        )

    def step(self, place: int, steps: int) -> None:
        if not self.workers:
            return
        worker = self.workers[place % len(self.workers)]
        self.note(f"step {worker.name} x{steps} from {worker.place}")
        for _ in range(steps):
            if not worker.step():
                break
        self._bury(worker)

    def kill(self, place: int) -> None:
        if self.workers:
            self._end(self.workers[place % len(self.workers)])

    def _bury(self, worker: Worker) -> None:
        """A process that died is seen by its lock; its batch is released at once."""
        if not worker.ended:
            return
        self.workers.remove(worker)
        token = self.tokens.pop(worker, None)
        if not worker.killed:
            return
        self.note(f"{worker.name} died {worker.place}")
        if token is not None:
            self.release_dead(token)
        self.catalog.listings.end_dead(self.source.id, owner=worker.name)

    def dawdle(self, place: int, changes: dict[str, str | None]) -> None:
        """Let a worker stop right before a write until others have long taken its keys over.

        ``changes`` happen to the bucket in the meantime: key -> content, None for a deletion.
        """
        if not self.workers:
            return
        worker = self.workers[place % len(self.workers)]
        if not self._walk(worker, ("before upsert", "before update", "before delete")):
            return
        self.note(f"{worker.name} dawdles {worker.place}")
        self.wait(130)
        self.keep_house()
        for key, content in changes.items():
            if content is None:
                self.delete(key)
            else:
                self.put(key, content)
        self._to_its_end(self._start("listing", lambda: self._quiet_listing()))
        started = self.started
        while self.start_batch(max_keys=500) and self.started < started + 3:
            self._to_its_end(self.workers[-1])
        self.note(f"{worker.name} wakes up")
        self._to_its_end(worker)

    def ambush(self, place: int, where: str) -> None:
        """Let a worker go on to a place and end it there."""
        if not self.workers:
            return
        worker = self.workers[place % len(self.workers)]
        if self._walk(worker, (where,)):
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        if not worker.pinned:
            self.note(f"kill {worker.name} {worker.place}")
            worker.kill()
            self._bury(worker)

    def hold_readers(self) -> None:
        """Let every batch come as far as having read its objects, and no further."""
        while self.start_batch(max_keys=500, ignore_backoff=True) and len(self.workers) < 5:
            pass
        for worker in list(self.workers):
            self._walk(worker, ("at fetched",))

    def _walk(self, worker: Worker, places: tuple[str, ...]) -> bool:
        for _ in range(300):
            if worker.place in places:
                return True
            if not worker.step():
                break
        self._bury(worker)
        return False

    def _to_its_end(self, worker: Worker) -> None:
        worker.finish()
        self._bury(worker)

    def wait(self, seconds: float) -> None:
        self.note(f"wait {seconds}")
        self.clock.seconds += seconds

    def keep_house(self) -> None:
        """Release batches whose lease has ended, ask for what was left not clean."""
        for row in self.catalog.batches.live(source_id=self.source.id):
            if row.lease_until <= self.clock.seconds:
                self.note(f"lease of {row.owner} ended")
                self.release_dead(row.token)
        self.catalog.documents.enqueue_unclean(self.source.id)

    def sync_once(self) -> None:
        """List once while others are still at work, then let all of it end: what `sync` does."""
        self.note("sync once")
        self.weather.on = False
        self.wait(4000)
        list_whole(self.listing_parts(), self.source, approve_deletes=True, page_keys=PAGE_KEYS)
        self.finish_all()
        started = self.started
        self.keep_house()
        while self.start_batch(max_keys=500, ignore_backoff=True):
            assert self.started < started + 300, "the batches come to no end"
            self.finish_all()
            self.keep_house()

    def finish_all(self) -> None:
        """Let every worker come to its end."""
        while self.workers:
            self._to_its_end(self.workers[0])

    def settle(self, *, events: bool) -> None:
        """Let everybody finish, then list and work until nothing is left to do."""
        self.note("settle")
        self.weather.on = False
        self.finish_all()
        if events:
            for _ in range(100):
                self.wait(60)
                if not self.queue.bodies():
                    break
                self._intake()
        before = self.started
        for _ in range(60):
            self.wait(4000)
            self.keep_house()
            worked = self._quiet_listing()
            while self.start_batch(max_keys=500, ignore_backoff=True):
                worked = True
                assert self.started < before + 500, "the batches come to no end"
                self.finish_all()
                self.keep_house()
            if not worked or self._only_refused():
                return
        raise AssertionError(f"the world does not come to rest: {self._at_work()}")

    def _quiet_listing(self) -> bool:
        progress = continue_listing(
            self.source,
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            owner="quiet",
            fresh=True,
            approve_deletes=True,
            page_keys=PAGE_KEYS,
        )
        if progress is None:
            return False  # another one lists at this moment
        assert progress.done
        return self.catalog.invocations.live_count(self.source.id) > 0

    def _at_work(self) -> str:
        rows = self.catalog.views.object_rows(self.source.id)
        return ", ".join(f"{row.object_key}: {row.state} {row.reason}" for row in rows)

    def _only_refused(self) -> bool:
        """What configuration causes is tried again for ever; all the rest has come to its end."""
        failed = self.catalog.views.counts(self.source.id).failed
        self.rounds = getattr(self, "rounds", 0) + 1
        return self.rounds > 8 and set(failed) >= {"record_ids_taken"}

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
        self.catalog.close()

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

    def _late(self) -> bool:
        """Return whether the running worker's batch has been taken from it."""
        worker = current()
        token = self.tokens.get(worker) if worker is not None else None
        row = self.catalog.batches.row(token) if token is not None else None
        return token is not None and (row is None or row.state != "running")

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

    def records(self, name: str) -> dict[str, Any]:
        port = self.open(name)
        return {
            name: (record.document, dict(record.metadata))
            for name, record in port.get(list(port._records), documents=True).items()
        }


@dataclass
class Owners:
    """Who is alive, as the locks of owner files tell it."""

    world: World

    def me(self) -> str:
        return self.world._name()

    def is_dead(self, owner: str | None) -> bool:
        return owner not in {"driver", "quiet", *(worker.name for worker in self.world.workers)}
