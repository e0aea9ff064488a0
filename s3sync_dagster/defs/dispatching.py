"""The Dagster side of dispatch: run requests, the reaping of dead runs, the end of sources."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.defs.deleting import delete_when_free
from s3sync_dagster.defs.partitions import add_partitions, drop_partitions
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.dispatching import RunState, reap, unseen
from s3sync_dagster.model.source import Source

REQUESTS_A_TICK = 20
BEGIN_SECONDS = 90.0
"""From a run's start to its first op; 1 to 3 s, more on a busy machine."""
TOKEN_TAG = "s3sync/batch"
SOURCE_TAG = "s3sync/source"
KEYS_TAG = "s3sync/keys"
_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_QUEUED = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.MANAGED)


def job_name(source_name: str) -> str:
    """Return the name of a source's job."""
    return f"index_{source_name}"


def run_config(
    source_name: str, *, keys: Sequence[str], token: str = "", force: bool = False
) -> dict[str, Any]:
    """Return the run configuration for explicit object keys."""
    config = {"keys": list(keys), "token": token, "force": force}
    return {"ops": {f"s3__{source_name}": {"ops": {"extract": {"config": config}}}}}


class Dispatcher:
    """Hands pending work of this code location's sources to runs."""

    def __init__(
        self, runtime: Runtime, instance: dg.DagsterInstance, names: Collection[str]
    ) -> None:
        self._runtime = runtime
        self._catalog = runtime.parts.catalog
        self._instance = instance
        known = set(names)
        rows = [row for row in self._catalog.sources.rows() if row.name in known]
        self._sources = {row.id: Source.from_json(row.config) for row in rows}
        self._deleting = {row.id for row in rows if row.deleting}
        self._resting = {row.id for row in rows if row.paused} | self._deleting

    @property
    def sources(self) -> list[Source]:
        """The sources of this code location that the catalog has."""
        return list(self._sources.values())

    def keep_house(self, *, log: Callable[[str], None]) -> list[str]:
        """Release dead batches, enqueue what was left not clean, drop old partitions."""
        notes = self.release_dead(log=log)
        untidy = self._catalog.work.untidy_sources()
        for source in self.sources:
            if source.id in self._deleting:
                notes += delete_when_free(self._runtime, source, self._instance, log=log)
                continue
            if source.id not in untidy:
                continue
            self._catalog.documents.enqueue_unclean(source.id)
            dropped = drop_partitions(self._catalog, self._instance, source)
            if dropped:
                notes.append(f"{source.name}: {dropped} partitions of removed objects taken back")
        return notes

    def release_dead(self, *, log: Callable[[str], None]) -> list[str]:
        """Give back the keys of batches whose run or process has ended."""
        notes: list[str] = []
        for dead in reap(
            self._catalog.batches,
            clock=self._runtime.parts.clock,
            is_dead=self._runtime.parts.owners.is_dead,
            run_state=self._run_state,
        ):
            log(f"batch {dead.token} released: {dead.why}")
            notes.append(f"released a batch: {dead.why}")
            self.report_failed(dead.run_id or self._run_of(dead.token), dead.why)
        return notes

    def requests(self, *, only: Collection[str] | None = None) -> list[dg.RunRequest]:
        """Reserve batches, source by source in turn, and return a run request for each.

        Sources that are paused or being deleted are left out: their work waits.

        Args:
            only: ids of sources; None: all of this code location.
        """
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
            if source_id in self._sources
            and source_id not in self._resting
            and (only is None or source_id in only)
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
        add_partitions(self._catalog, self._instance, source, keys)

    def report_failed(self, run_id: str | None, why: str) -> None:
        """Tell Dagster that the worker of a run is gone."""
        run = self._instance.get_run_by_id(run_id) if run_id else None
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, f"s3sync released its batch: {why}")

    def idle_reason(self) -> str:
        """Return what was looked at when there is nothing to do."""
        live = len(self._catalog.batches.live())
        return f"{len(self._sources)} sources, nothing due, {live} batches at work"

    def _request(self, source_id: str, token: str, keys: list[str]) -> dg.RunRequest:
        source = self._sources[source_id]
        self._catalog.batches.yielded(token)
        return dg.RunRequest(
            run_key=token,
            job_name=job_name(source.name),
            run_config=run_config(source.name, keys=keys, token=token),
            tags={TOKEN_TAG: token, SOURCE_TAG: source.name, KEYS_TAG: str(len(keys))},
        )

    def _run_state(self, run_id: str | None, token: str) -> RunState:
        which = RunsFilter(run_ids=[run_id]) if run_id else RunsFilter(tags={TOKEN_TAG: token})
        records = self._instance.get_run_records(which, limit=1)
        if not records:
            return "unknown"
        status, started = records[0].dagster_run.status, records[0].start_time
        if status in _ENDED:
            return "ended"
        if status in _QUEUED:
            return "queued"
        now = self._runtime.parts.clock.now().timestamp()
        return "overdue" if started and now - started > BEGIN_SECONDS else "working"

    def _run_of(self, token: str) -> str | None:
        runs = self._instance.get_runs(RunsFilter(tags={TOKEN_TAG: token}), limit=1)
        return runs[0].run_id if runs else None
