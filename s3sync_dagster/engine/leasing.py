"""Which keys a run works on: those of a reserved batch, or those that a person launched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from s3sync_dagster.core.keys import object_key_of, partition_key
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.invocation import Result, Trigger
from s3sync_dagster.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """What a run may work on, and what it says of the rest."""

    lease: Lease | None = None
    """None: nothing is left to this run."""
    keys: Sequence[str] = ()
    """What the lease holds."""
    asides: Sequence[KeyOutcome] = field(default_factory=list[KeyOutcome])
    """Keys that are not worked on: with another run, or not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leasing:
    """A run that asks for work."""

    catalog: CatalogPort
    clock: Clock
    owner: str
    """This process, as in ``batches.owner``."""
    run_id: str
    log: Callable[[str], None]
    executed_again: bool = False
    """True where a person executes an earlier run again."""

    def reserved(self, token: str) -> Leased | None:
        """Start the batch that was reserved for this run.

        A batch that another run works on, or that has ended without this one, is left alone.

        Returns:
            None when it has ended and a person executes its run again: the keys are asked for anew.
        """
        batches = self.catalog.batches
        row = batches.row(token)
        mine = row is not None and row.state == "running" and row.run_id == self.run_id
        if mine or batches.start(token, owner=self.owner, run_id=self.run_id):
            return Leased(lease=self._lease(token), keys=batches.keys(token))
        if row is not None and row.state in ("reserved", "running"):
            self.log(f"run {row.run_id} works on the batch of this run: left to it")
            return Leased()
        if not self.executed_again:
            self.log("the batch of this run has ended: what is left of it is dispatched anew")
            return Leased()
        self.log("the batch of this run has ended: its keys are asked for again")
        return None

    def asked(self, source: Source, keys: Sequence[str], *, force: bool) -> Leased:
        """Lease keys that a person launched; what a live batch holds is left to it."""
        keys = list(dict.fromkeys(keys))
        if not keys:
            return Leased()
        self.catalog.invocations.request(source, keys, trigger=Trigger.UI, force=force)
        batch, held = self.catalog.batches.lease_keys(
            source.id, keys, owner=self.owner, run_id=self.run_id
        )
        asides: list[KeyOutcome] = []
        for key, run_id in held.items():
            self.log(f"{key!r} is with run {run_id or 'of another batch'}: left to it")
            asides.append(aside(key, reason="held", error=f"Run {run_id or 'not known'} has it."))
        if batch is None:
            return Leased(asides=asides)
        return Leased(lease=self._lease(batch.token), keys=batch.keys, asides=asides)

    def of_partitions(
        self, source: Source, names: Sequence[str]
    ) -> tuple[list[str], list[KeyOutcome]]:
        """Return the object keys of partitions, and what is said of those that nobody knows."""
        known = self.catalog.work.keys_of_partitions(source.id, names)
        keys: list[str] = []
        asides: list[KeyOutcome] = []
        for name in names:
            key = known.get(name) or object_key_of(name)
            if key is not None:
                keys.append(key)
            else:
                asides.append(_unknown(name))
        return keys, asides

    def _lease(self, token: str) -> Lease:
        return Lease(token, catalog=self.catalog, clock=self.clock)


def aside(key: str, *, reason: str, error: str) -> KeyOutcome:
    """Return what a run says of a key that it did not work on."""
    return KeyOutcome(
        key=key,
        partition_key=partition_key(key),
        result=Result.LEFT_TO_RUN,
        reason=reason,
        error=error,
    )


def _unknown(partition: str) -> KeyOutcome:
    return KeyOutcome(
        key=partition,
        partition_key=partition,
        result=Result.FAILED,
        reason="partition_unknown",
        error="It is a shortened key that the catalog does not know: list the source first, or "
        "launch it by its object key.",
    )
