"""The story of a batch: read, extract, chunk, embed, upsert, delete what is stale.

One order of steps for all that work on a batch: Dagster's ops, ``sync`` and the tests.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from s3sync_dagster.core.decision import Decision
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.outcome import KeyOutcome, outcome_of
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.engine.batch.cut import Cuts, cut_batch
from s3sync_dagster.engine.batch.enrich import enriched
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.read import read_batch
from s3sync_dagster.engine.batch.remove import remove_doomed
from s3sync_dagster.engine.batch.room import memory_of
from s3sync_dagster.engine.batch.write import Writer
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.unexpected import batch_error
from s3sync_dagster.model.errors import LeaseLost, S3SyncError
from s3sync_dagster.model.source import Source


class BatchFailed(Exception):
    """The batch as a whole could not go on; its keys are settled."""

    def __init__(self, error: S3SyncError, outcomes: Sequence[KeyOutcome]) -> None:
        super().__init__(error.message)
        self.error = error
        """Why."""
        self.outcomes = outcomes
        """How the keys ended that were left."""


class BatchRun:
    """A batch on its way: ``extract``, ``chunk`` and ``upsert``, each once and in this order.

    Each raises ``LeaseLost`` when another batch took over, and ``BatchFailed`` when the batch as
    a whole cannot go on (no model, no credentials, a bug of ours). Its keys are settled then:
    they would be pending at once otherwise, and the next run would fail like this one.
    """

    def __init__(
        self,
        lease: Lease,
        source: Source,
        *,
        catalog: CatalogPort,
        clock: Clock,
        patience: Patience,
        open_parts: Callable[[], BatchParts],
    ) -> None:
        self._lease, self._source = lease, source
        self._catalog, self._clock, self._patience = catalog, clock, patience
        self._open_parts = open_parts
        self._parts: BatchParts | None = None
        self._cuts: Cuts | None = None
        self.deeds: list[Deed] = []
        """What was read, from ``extract`` on."""

    @property
    def parts(self) -> BatchParts:
        """What the batch works with, from ``extract`` on."""
        assert self._parts is not None, "extract comes first"
        return self._parts

    def extract(self) -> None:
        """Read the objects that need work and extract their text."""
        with self._all_or_none():
            self._require_mode()
            self._parts = self._open_parts()
            self.deeds = read_batch(self._parts, self._lease)

    def chunk(self) -> int:
        """Have the documents cut, once; returns how many."""
        if self._cuts is None:
            with self._all_or_none():
                self.deeds = enriched(self.parts, self.deeds)
                for deed in self.deeds:
                    if deed.given is not None and deed.document is not None:
                        self.parts.room.hold(memory_of(deed.document))
                self._cuts = cut_batch(self.parts, self.deeds)
        return len(self._cuts or ())

    def upsert(self) -> None:
        """Bring the collections in line with the keys, settle each key and end the batch.

        Where the lease turns out to be lost, the writes that were begun may have come late, those
        too that ended in an error: whoever owns their documents now is told not to trust them.
        """
        with self._all_or_none():
            parts, lease = self.parts, self._lease
            cuts = self._cuts if self._cuts is not None else Cuts(parts, ())
            ledger = Ledger(parts, lease, self.deeds)
            try:
                for deed in self.deeds:
                    if not deed.writing and not ledger.doomed(deed.key):
                        ledger.settle(deed.key)
                ledger.flush()
                Writer(parts, lease, ledger, cuts).write()
                remove_doomed(parts, lease, ledger)
                ledger.flush()
                self._catalog.batches.finish(lease.token)
            except LeaseLost:
                ledger.distrust_begun()
                raise
            finally:
                self.close()

    def close(self) -> None:
        """Let go of what was read: nothing more is done with it."""
        if self._cuts is not None:
            self._cuts.cancel()
        if self._parts is not None:
            self._parts.room.close()

    def _require_mode(self) -> None:
        """Raise ``LeaseLost`` where the mode was edited after the source was read.

        An edit ends the batches that are at work. Who read the source before it and leased the
        batch after it would remove what the mode of now keeps.
        """
        if self._catalog.sources.mode_of(self._source.id) in (None, self._source.mode):
            return
        self._catalog.batches.release(self._lease.token, died=False)
        raise LeaseLost(
            f"The mode of {self._source.name!r} was edited; its keys are worked on by that of now."
        )

    @contextmanager
    def _all_or_none(self) -> Generator[None]:
        try:
            yield
        except LeaseLost:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001  (the boundary of a batch: _settle_rest names it)
            self.close()
            ours = batch_error(error)
            raise BatchFailed(ours, self._settle_rest(ours)) from None

    def _settle_rest(self, error: S3SyncError) -> list[KeyOutcome]:
        """Settle the keys that the batch still holds; each counts an attempt."""
        token = self._lease.token
        looked = {deed.key: deed.looked for deed in self.deeds}
        try:
            outcomes = [
                outcome_of(
                    Deed(
                        decision=Decision(facts=facts, verdict="fail", error=error),
                        looked=looked.get(facts.key),
                    ),
                    self._source,
                    fingerprint=self._source.fingerprint(),
                    patience=self._patience,
                    now=self._clock.now().timestamp(),
                    chance=self._clock.random,
                )
                for facts in self._catalog.work.load(token)
            ]
            self._catalog.documents.commit(token, self._source, outcomes=outcomes)
            self._catalog.batches.finish(token)
        except Exception as second:  # noqa: BLE001  (the lease ends by itself then)
            if self._parts is not None:
                self._parts.log(f"the batch could not be settled: {batch_error(second).message}")
            return []
        return outcomes


def sync_batch(parts: BatchParts, lease: Lease) -> list[Deed]:
    """Do a whole batch in this process and end it.

    Raises:
        LeaseLost: another batch took over; nothing more of this one was written.
        BatchFailed: the batch as a whole could not go on.
    """
    run = BatchRun(
        lease,
        parts.source,
        catalog=parts.catalog,
        clock=parts.clock,
        patience=parts.patience,
        open_parts=lambda: parts,
    )
    run.extract()
    run.chunk()
    run.upsert()
    return run.deeds
