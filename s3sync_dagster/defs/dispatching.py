"""The Dagster side of dispatch: partitions, run requests, the reaping of dead runs."""

from collections.abc import Callable, Collection, Sequence

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.dispatch import RunState, reap, unseen
from s3sync_dagster.defs.deleting import delete_when_free
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.source import Source

REQUESTS_A_TICK = 20
PARTITIONS_A_CALL = 5000
TOKEN_TAG = "s3sync/batch"
SOURCE_TAG = "s3sync/source"
_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_QUEUED = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.MANAGED)


class Dispatcher:
    """Hands pending work of this code location's sources to runs."""

    def __init__(
        self, runtime: Runtime, instance: dg.DagsterInstance, names: Collection[str]
    ) -> None:
        self._runtime = runtime
        self._catalog = runtime.parts.catalog
        self._instance = instance
        self._names = set(names)
        self._sources = {
            source.id: source
            for source in self._catalog.sources.all()
            if source.name in self._names
        }

    def keep_house(self, *, log: Callable[[str], None]) -> list[str]:
        """Release dead batches, enqueue what was left not clean, drop old partitions."""
        parts = self._runtime.parts
        notes: list[str] = []
        for dead in reap(
            self._catalog.batches,
            clock=parts.clock,
            is_dead=parts.owners.is_dead,
            run_state=self._run_state,
        ):
            log(f"batch {dead.token} released: {dead.why}")
            notes.append(f"released a batch: {dead.why}")
            self.report_failed(dead.run_id, dead.why)
        for source in list(self._sources.values()):
            if self._catalog.sources.deleting(source.id):
                notes += delete_when_free(self._runtime, source, log=log)
                continue
            self._catalog.documents.enqueue_unclean(source.id)
            self._drop_partitions(source)
        return notes

    def requests(self, *, only: Collection[str] | None = None) -> list[dg.RunRequest]:
        """Reserve batches, source by source in turn, and return a run request for each."""
        found = [
            self._request(row.source_id, row.token, self._catalog.batches.keys(row.token))
            for row in unseen(
                self._catalog.batches, clock=self._runtime.parts.clock, run_state=self._run_state
            )
            if row.source_id in self._sources
        ]
        waiting = [
            source_id
            for source_id in self._catalog.batches.pending_sources()
            if source_id in self._sources and (only is None or source_id in only)
        ]
        while waiting and len(found) < REQUESTS_A_TICK:
            for source_id in list(waiting):
                batch = self._catalog.batches.reserve(source_id, take=Take())
                if batch is None:
                    waiting.remove(source_id)
                    continue
                self.add_partitions(self._sources[source_id], batch.keys)
                found.append(self._request(source_id, batch.token, list(batch.keys)))
        return found

    def add_partitions(self, source: Source, keys: Sequence[str]) -> None:
        """Tell Dagster of the keys' partitions before their run."""
        names = self._catalog.work.partitions_to_add(source.id, keys)
        for start in range(0, len(names), PARTITIONS_A_CALL):
            part = names[start : start + PARTITIONS_A_CALL]
            self._instance.add_dynamic_partitions(f"s3_{source.name}", part)
            self._catalog.work.partitions_added(source.id, part, added=True)

    def idle_reason(self) -> str:
        """Return what was looked at when there is nothing to do."""
        live = len(self._catalog.batches.live())
        return f"{len(self._sources)} sources, nothing due, {live} batches at work"

    def _request(self, source_id: str, token: str, keys: list[str]) -> dg.RunRequest:
        from s3sync_dagster.defs.source import job_name, run_config  # noqa: PLC0415  (a circle)

        source = self._sources[source_id]
        self._catalog.batches.yielded(token)
        return dg.RunRequest(
            run_key=token,
            job_name=job_name(source.name),
            run_config=run_config(source.name, keys=keys, token=token),
            tags={TOKEN_TAG: token, SOURCE_TAG: source.name, "s3sync/keys": str(len(keys))},
        )

    def _run_state(self, run_id: str | None, token: str) -> RunState:
        if run_id is not None:
            runs = self._instance.get_runs(RunsFilter(run_ids=[run_id]), limit=1)
        else:
            runs = self._instance.get_runs(RunsFilter(tags={TOKEN_TAG: token}), limit=1)
        if not runs:
            return "unknown"
        if runs[0].status in _ENDED:
            return "ended"
        return "queued" if runs[0].status in _QUEUED else "working"

    def report_failed(self, run_id: str | None, why: str) -> None:
        """Tell Dagster that the worker of a run is gone."""
        run = self._instance.get_run_by_id(run_id) if run_id else None
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, f"s3sync released its batch: {why}")

    def _drop_partitions(self, source: Source) -> None:
        gone = self._catalog.work.partitions_to_drop(source.id)
        if not gone or self._catalog.batches.live(source_id=source.id):
            return
        for name in gone:
            self._instance.delete_dynamic_partition(f"s3_{source.name}", name)
        self._catalog.work.partitions_added(source.id, gone, added=False)
