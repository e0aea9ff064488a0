"""Who works: batches that stop at every call, go on, die, or dawdle as a driver says."""

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.claimed_before import LEAVING_SECONDS
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.run import BatchFailed, sync_batch
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster_tests.engine_fixture import paragraph_chunker, text_extractor
from s3sync_dagster_tests.simulation.ports import SimEmbedder, deadly, frail, sim_store
from s3sync_dagster_tests.simulation.worker import Worker, current, pause


class Working:
    """Batches of a world."""

    def start_batch(self, *, max_keys: int, ignore_backoff: bool = False) -> bool:
        batch = self.catalog.batches.reserve(
            self.source.id,
            take=Take(max_keys=max_keys, max_live=3, by_hand=ignore_backoff),
            owner=f"w{self.started}",
            run_id=f"r{self.started}",
        )
        if batch is None:
            return False
        source, clock = self.source, self.clock_of_process()

        def work() -> None:
            lease = Lease(batch.token, catalog=self.sim_catalog, clock=clock)
            self.leases[self._name()] = lease
            try:
                sync_batch(self.engine(source, clock), lease)
            except BatchFailed as failed:
                self.note(f"{self._name()} gives up: {failed.error.reason}")
                self.catalog.batches.release(batch.token, died=False)
            except S3SyncError as error:
                self.note(f"{self._name()} stops: {error.reason}")
                self.catalog.batches.release(batch.token, died=False)

        worker = self._start(f"batch {list(batch.keys)}", work)
        self.tokens[worker] = batch.token
        return True

    def engine(self, source: Source, clock: Clock) -> BatchParts:
        return BatchParts(
            source=source,
            catalog=self.sim_catalog,
            store=sim_store(self.store_of(source), self.weather),
            collections=self.sim_collections(),
            embedder=SimEmbedder(self.embedder, self.weather),
            extractor=frail(deadly(text_extractor, "KILL READER"), self.weather),
            chunker=deadly(paragraph_chunker, "KILL CHUNKER"),
            pool=None,
            clock=clock,
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
        if self.is_far(worker):
            return  # nobody here sees its lock: its leases end
        if token is not None:
            self.release_dead(token)
        self.catalog.listings.end_dead(self.source.id, owner=worker.name)

    def dawdle(
        self,
        place: int,
        changes: dict[str, str | None],
        *,
        vanish: bool = False,
        stops: tuple[str, ...] = ("before upsert", "before update", "before delete"),
    ) -> None:
        """Let a batch stop right before a write until others have long taken its keys over.

        Args:
            place: which batch, of those at work.
            changes: what happens to the bucket meanwhile: key -> content, None for a deletion.
            vanish: its objects are deleted meanwhile, instead of that.
            stops: where it does.
        """
        batches = [one for one in self.workers if one in self.tokens]
        if not batches:
            return
        worker = batches[place % len(batches)]
        if vanish:
            keys = self.catalog.batches.keys(self.tokens[worker])
            changes = {key: None for key in keys if key not in self.pillar_texts}
        if not self._walk(worker, stops):
            return
        self.note(f"{worker.name} dawdles {worker.place}")
        self.wait(130)
        self.keep_house()
        self._change(changes)
        self._to_its_end(self._start("listing", lambda: self._quiet_listing()))
        started = self.started
        while self.start_batch(max_keys=500) and self.started < started + 3:
            self._to_its_end(self.workers[-1])
        self.note(f"{worker.name} wakes up")
        self._to_its_end(worker)

    def read_late(self, before: dict[str, str | None], changes: dict[str, str | None]) -> None:
        """Let a batch tell what it has read once others have long read what came after it."""
        self._change(before)
        self._to_its_end(self._start("intake", self._intake))
        if self.start_batch(max_keys=500):
            self.dawdle(-1, changes, stops=("at fetched",))

    def _change(self, changes: dict[str, str | None]) -> None:
        for key, content in changes.items():
            if content is None:
                self.delete(key)
            else:
                self.put(key, content)

    def work_through(self, changes: dict[str, str | None], *, max_keys: int) -> None:
        """Let changes be told and worked on at once, whatever the weather."""
        self._change(changes)
        self._to_its_end(self._start("intake", self._intake))
        for _ in range(3):
            if self.start_batch(max_keys=max_keys):
                self._to_its_end(self.workers[-1])

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

    def _late(self) -> bool:
        """Return whether the running worker's batch has been taken from it."""
        worker = current()
        token = self.tokens.get(worker) if worker is not None else None
        row = self.catalog.batches.row(token) if token is not None else None
        late = token is not None and (row is None or row.state != "running")
        if (claimed := self.ending_moves.get(self._name())) is not None:
            late = not 0 <= self.clock.now().timestamp() - claimed <= LEAVING_SECONDS
        if late:  # what it has to tell of its late write, nobody else can know
            self.free_disk()
        return late
