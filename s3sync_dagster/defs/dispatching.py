"""The Dagster side of dispatch: run requests, the reaping of dead runs, the end of sources."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from s3sync_dagster.core.naming import TOKEN_TAG, job_name, partitions_name, run_config, run_tags
from s3sync_dagster.core.patience import is_due, unbegun_seconds
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.defs.partitions import PARTITIONS_A_CALL, drop_all_partitions, drop_partitions
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.deleting import sweep, take_down
from s3sync_dagster.engine.dispatching import BatchOrder, RunState, ask_again, dispatch, reap
from s3sync_dagster.engine.moving import finish_move
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source

BEGIN_SECONDS = 90.0
"""From a run's start to its first op; 1 to 3 s, more on a busy machine."""
ENDING_SECONDS = 20.0
"""Of a tick, for all sources that are deleted or were moved: after 60 s Dagster gives a tick up,
and no work would be handed out for as long as they take."""
_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_QUEUED = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.MANAGED)


class InstanceRuns:
    """Batches become run requests of a sensor's tick (``engine.dispatching.Runs``)."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self.requests: list[dg.RunRequest] = []

    def add_partitions(self, source: Source, names: Sequence[str], *, shard: int) -> bool:
        """Tell Dagster of partitions of a shard; those that it knows stay."""
        for start in range(0, len(names), PARTITIONS_A_CALL):
            part = list(names[start : start + PARTITIONS_A_CALL])
            self._instance.add_dynamic_partitions(partitions_name(source, shard), part)
        return True

    def launch(self, order: BatchOrder) -> bool:
        """Ask the daemon for the run of a batch."""
        name = order.source.name
        self.requests.append(
            dg.RunRequest(
                run_key=order.token,
                job_name=job_name(name),
                run_config=run_config(order.source, keys=order.keys, token=order.token),
                tags=dict(run_tags(name, token=order.token, keys=order.keys)),
            )
        )
        return True

    def report_failed(self, run_id: str | None, token: str, why: str) -> None:
        """Tell Dagster that the worker of a batch's run is gone."""
        run = self._instance.get_run_by_id(run_id) if run_id else None
        if run is None:
            found = self._instance.get_runs(RunsFilter(tags={TOKEN_TAG: token}), limit=1)
            run = found[0] if found else None
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, f"s3sync released its batch: {why}")

    def state(self, run_id: str | None, token: str, *, now: float) -> RunState:
        """Return how far the run of a batch is; ``now`` in POSIX seconds."""
        which = RunsFilter(run_ids=[run_id]) if run_id else RunsFilter(tags={TOKEN_TAG: token})
        records = self._instance.get_run_records(which, limit=1)
        if not records:
            return "unknown"
        status, started = records[0].dagster_run.status, records[0].start_time
        if status in _ENDED:
            return "ended"
        if status in _QUEUED:
            return "queued"
        return "overdue" if started and now - started > BEGIN_SECONDS else "working"


def why_not_now(runtime: Runtime) -> str | None:
    """Return why no work is handed out while some waits: Chroma is not named, or does not answer.

    Each run would end in failure, and each of its keys would have used up an attempt. A Chroma in
    a folder is not asked: it lets one process in.
    """
    if runtime.embedded or not runtime.parts.catalog.batches.pending_sources():
        return None
    try:
        runtime.chroma.open()
    except S3SyncError as error:
        return f"nothing is handed out: {error.message}"
    return None


class Dispatcher:
    """Hands pending work of this code location's sources to runs, tick by tick."""

    def __init__(
        self, runtime: Runtime, instance: dg.DagsterInstance, names: Collection[str]
    ) -> None:
        self._runtime, self._instance = runtime, instance
        self._catalog, self._clock = runtime.parts.catalog, runtime.parts.clock
        self._runs = InstanceRuns(instance)
        known = set(names)
        rows = [row for row in self._catalog.sources.rows() if row.source.name in known]
        self._sources = {row.source.id: row.source for row in rows}
        self._deleting = {row.source.id for row in rows if row.deleting}
        self._moved = self._catalog.moves.successors()
        self.resting: list[str] = []
        """Sources whose runs never begin, which ``requests`` let rest: a sentence for each."""
        self.refused: dict[str, str] = {}
        """Sources of which ``requests`` could ask for no run: a sentence for each, by its name."""

    @property
    def sources(self) -> list[Source]:
        """The sources of this code location that the catalog has."""
        return list(self._sources.values())

    def keep_house(self, *, log: Callable[[str], None]) -> list[str]:
        """Release dead batches, enqueue what was left not clean, drop old partitions.

        A source that cannot be taken care of is named in the notes; the others are.
        """
        notes = self._release_dead(log=log)
        sweeping = self._clock.monotonic() + ENDING_SECONDS
        try:
            sweep(
                catalog=self._catalog,
                collections=self._runtime.chroma.open,
                late=lambda: self._clock.monotonic() > sweeping,
            )
        except Exception as error:  # noqa: BLE001  (as with each source below)
            notes.append(_trouble("late records of deleted sources stay", error))
        untidy = self._catalog.work.untidy_sources()
        for source in self.sources:
            if source.id in untidy and source.id not in self._deleting:
                notes += self._guarded(source, self._tidy_up)
        until = self._clock.monotonic() + ENDING_SECONDS
        for source in self._ending():
            left = until - self._clock.monotonic()
            if left <= 0:
                notes.append("time is up; other sources end at a later tick")
                break
            notes += self._guarded(source, partial(self._end, seconds=left, log=log))
        return notes

    def requests(self, *, only: Collection[str] | None = None) -> list[dg.RunRequest]:
        """Return a run request for each batch that is due.

        A source of which none can be asked for is named in ``refused``; the others are served.
        What was reserved before an error is asked for all the same: it would wait for half a
        minute otherwise. The next tick meets the error again, where it lasts.

        Args:
            only: ids of sources; None: all of this code location.

        Raises:
            S3SyncError: nothing could be reserved.
        """
        try:
            ask_again(
                self._catalog,
                self._runs,
                self._sources,
                clock=self._clock,
                run_state=self._state,
                refused=self._refuse,
            )
            awake = self._awake()
            dispatch(
                self._catalog,
                self._runs,
                awake,
                refused=self._refuse,
                share=self._runtime.parts.runs_of,
                runs_of_source=self._runtime.parts.settings.runs_per_source,
                only=only,
            )
        except S3SyncError:
            if not self._runs.requests:
                raise
        return self._runs.requests

    def _refuse(self, source: Source, error: S3SyncError) -> None:
        self.refused[source.name] = _trouble(source.name, error)

    def _awake(self) -> dict[str, Source]:
        """Return the sources without those whose last runs all ended before they began."""
        awake, now = dict(self._sources), self._clock.now().timestamp()
        for source_id in self._catalog.batches.pending_sources():
            if source_id not in awake:
                continue
            runs, last = self._catalog.batches.unbegun(source_id)
            pause = unbegun_seconds(runs)
            if not is_due(last + pause, now=now, at_most=pause):
                source = awake.pop(source_id)
                self.resting.append(
                    f"{source.name}: its last {runs} runs ended before they began (their pages in "
                    f"Dagster say why): the next one in {last + pause - now:.0f} s"
                )
        return awake

    def not_shown(self, loaded: Mapping[str, int]) -> list[str]:
        """Return a sentence for each source that has more assets by now than were ``loaded``."""
        known = {source.name for source in self.sources}
        return [
            f"{name} has {number} assets by now, of which {loaded.get(name, FIRST_SHARD)} are "
            "loaded: what the others show is worked on as all else, and seen once the code "
            "location is loaded again"
            for name, number in self._catalog.partitions.shards_by_name().items()
            if name in known and number > loaded.get(name, FIRST_SHARD)
        ]

    def idle_reason(self) -> str:
        """Return what was looked at when there is nothing to do."""
        live = sum(one.source_id in self._sources for one in self._catalog.batches.live())
        return f"{len(self._sources)} sources, nothing due, {live} batches at work"

    def _release_dead(self, *, log: Callable[[str], None]) -> list[str]:
        notes: list[str] = []
        for dead in reap(
            self._catalog,
            clock=self._clock,
            is_dead=self._runtime.parts.owners.is_dead,
            has_left=self._runtime.parts.has_left,
            run_state=self._state,
        ):
            log(f"batch {dead.token} released: {dead.why}")
            notes.append(f"released a batch: {dead.why}")
            self._runs.report_failed(dead.run_id, dead.token, dead.why)
        return notes

    def _ending(self) -> list[Source]:
        """Return what is deleted or was moved: of each tenant one in turn, by chance which."""
        ending = [one for one in self.sources if one.id in self._deleting | self._moved]
        random.shuffle(ending)
        before: Counter[str] = Counter()
        places: dict[str, int] = {}
        for source in ending:
            places[source.id] = before[source.tenant]
            before[source.tenant] += 1
        return sorted(ending, key=lambda source: (places[source.id], random.random()))

    def _guarded(self, source: Source, work: Callable[[Source], list[str]]) -> list[str]:
        try:
            return work(source)
        except Exception as error:  # noqa: BLE001  (no source's is the others')
            return [_trouble(source.name, error)]

    def _end(self, source: Source, *, seconds: float, log: Callable[[str], None]) -> list[str]:
        if source.id in self._deleting:
            line = take_down(
                source,
                catalog=self._catalog,
                collections=self._runtime.chroma.open,
                clock=self._clock,
                drop_partitions=lambda until: drop_all_partitions(
                    self._catalog, self._instance, source, until=until, clock=self._clock
                ),
                log=log,
                budget_seconds=seconds,
            )
            return [line]
        line = finish_move(
            source,
            catalog=self._catalog,
            collections=self._runtime.chroma.open,
            clock=self._clock,
            log=log,
            budget_seconds=seconds,
        )
        return [line] if line is not None else []

    def _tidy_up(self, source: Source) -> list[str]:
        self._catalog.documents.enqueue_unclean(source.id)
        self._catalog.work.ask_again_where_answered(source.id)
        dropped = drop_partitions(self._catalog, self._instance, source)
        if not dropped:
            return []
        return [f"{source.name}: {dropped} partitions of removed objects taken back"]

    def _state(self, run_id: str | None, token: str) -> RunState:
        return self._runs.state(run_id, token, now=self._clock.now().timestamp())


def _trouble(what: str, error: Exception) -> str:
    ours = error if isinstance(error, S3SyncError) else unexpected_error(error, what)
    return f"{what}: {ours.reason}: {ours.message}"
