"""The three ops of a source: extract -> chunk -> upsert, for any number of its keys.

The work itself is ``engine.batch``; here it meets Dagster. Values pass in memory, so the ops run
in one process. One object's failure never fails another's; ``core.alarm`` decides whether the last
op ends the run in failure.
"""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from pydantic import Field

from s3sync_dagster.core.alarm import is_news, is_repeated, run_fails
from s3sync_dagster.core.naming import SOURCE_TAG, asset_path
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.defs.checks import checks_name
from s3sync_dagster.defs.dagster_internals.failures import DataFailure
from s3sync_dagster.defs.dagster_internals.followers import go_on, has_followers
from s3sync_dagster.defs.dagster_internals.pooling import pool_connections
from s3sync_dagster.defs.events import Shown, report_keys, report_source, show_failed
from s3sync_dagster.defs.heartbeat import keep_alive
from s3sync_dagster.defs.resources import MEMORY_KEY, RUNTIME_KEY, Runtime
from s3sync_dagster.defs.shown import of_partitions, place_keys, shown
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.run import BatchFailed, BatchRun
from s3sync_dagster.engine.leasing import Leased, Leasing, aside
from s3sync_dagster.model.errors import LeaseLost, S3SyncError
from s3sync_dagster.model.invocation import Result
from s3sync_dagster.model.source import Source

PARENT_TAG = "dagster/parent_run_id"
"""Dagster's own, on each run that a person executes again."""

SHOWN_FAILURES, TOLD_FAILURES = 100, 5
"""Keys in the metadata of a failed step, and in its error."""


class ExtractConfig(dg.Config):
    """What a run is to do. Without keys: the partitions of the run."""

    keys: list[str] = Field(default_factory=list, description="Object keys.")
    token: str = Field(default="", description="Batch that dispatch reserved for this run.")
    force: bool = Field(default=False, description="Index again what is unchanged.")


@dataclass(slots=True)
class OpsBatch:
    """What passes between the ops."""

    source: Source
    runtime: Runtime
    leased: Leased
    asked: bool
    """A person or a backfill launched the run for just these keys; else dispatch did."""
    run: BatchRun | None = None
    """None: nothing is left to this run."""
    told: set[str] = field(default_factory=set[str])
    """Keys that Dagster was told of."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    news: int = 0
    """Keys that have failed and had not before."""
    unshown: list[KeyOutcome] = field(default_factory=list[KeyOutcome])
    """Keys that failed, while it is open whether the run does."""
    lost: str = ""
    """Set when another batch took over in the middle: why."""
    left: list[KeyOutcome] = field(default_factory=list[KeyOutcome])
    """Keys that this run was asked for and leaves to another one."""

    @property
    def asset_key(self) -> dg.AssetKey:
        """The source's first asset, which stands for all of it."""
        return dg.AssetKey(asset_path(self.source))

    def known(self) -> dict[str, ObjectState | None]:
        """Return the objects as the batch found them, by key."""
        deeds = self.run.deeds if self.run else []
        return {deed.key: deed.decision.facts.object for deed in deeds}

    def fails(self) -> bool:
        """Return whether the run ends in failure, as far as it has come."""
        failed, pending = (self.counts.get(state, 0) for state in ("failed", "pending"))
        return run_fails(
            asked=self.asked,
            done=len(self.told) - failed - pending,
            failed=failed,
            pending=pending,
            news=self.news,
            limit=self.source.run_fails_from,
        )


@dg.op(out=dg.Out(io_manager_key=MEMORY_KEY), description="Cut the documents into chunks.")
def chunk(context: dg.OpExecutionContext, batch: OpsBatch | None) -> OpsBatch | None:
    """Step two; the same op for all sources, since each definition costs every process time."""
    if batch is not None:
        _chunk(context, batch)
    return batch


def _chunk(context: dg.OpExecutionContext, batch: OpsBatch) -> None:
    if batch.run is not None and not batch.lost:
        with _as_dagster_has_it(context, batch):
            cutting = batch.run.chunk()  # what was read ahead is cut already
            context.log.info(f"{cutting} documents are cut, the first of them written meanwhile")


def build_ops(
    name: str, find: Callable[[Runtime], Source], runtime_key: str = RUNTIME_KEY
) -> tuple[Any, Any]:
    """Return ``extract`` and ``upsert`` of a source.

    Args:
        name: the source's name.
        find: gives the source as the catalog has it (registering one that code declares).
        runtime_key: the resource that opens the parts of a run.
    """
    resources = {runtime_key, f"source_{name}"}

    @dg.op(name=f"{name}__extract", out=dg.Out(io_manager_key=MEMORY_KEY),
           required_resource_keys=resources,
           description="Read the objects that need work and extract their text.")  # fmt: skip
    def extract(context: dg.OpExecutionContext, config: ExtractConfig) -> OpsBatch | None:
        batch = begin(context, config)
        if not _is_a_step_alone():
            return batch
        _chunk(context, batch)
        _finish(context, batch)
        return None

    def begin(context: dg.OpExecutionContext, config: ExtractConfig) -> OpsBatch:
        runtime: Runtime = getattr(context.resources, runtime_key)
        pool_connections(context.instance)
        source = find(runtime)
        if SOURCE_TAG not in context.run.tags:  # people's runs and backfills know no job's tags
            context.instance.add_run_tags(context.run_id, {SOURCE_TAG: source.name})
        ahead = runtime.take_ahead(config.token)
        if ahead is not None:
            runtime.at_end.append(ahead.run.close)
        if ahead is not None and ahead.error is not None:  # its keys are settled, its lease ended
            leased = Leased(keys=config.keys)
            batch = OpsBatch(source, runtime, leased, asked=False, run=ahead.run)
            with _as_dagster_has_it(context, batch):
                raise ahead.error
            return batch
        leased, asked = _lease(context, runtime, source, config)
        batch = OpsBatch(source, runtime, leased, asked=asked)
        lease = batch.leased.lease
        if lease is None:
            context.log.info("nothing to do: every key is with another run, or already done")
            return batch
        if ahead is not None:
            lease, batch.run = ahead.lease, ahead.run
            batch.run.parts.log = context.log.info
        keep_alive(context, runtime, lease, keys=len(batch.leased.keys))
        if batch.run is not None:
            _tell_partitions(context, batch)
            context.log.info(f"{len(batch.run.deeds)} keys were extracted before this run")
            return batch

        def open_parts() -> BatchParts:
            _tell_partitions(context, batch)
            return runtime.parts.batch_parts(source, **{"log": context.log.info, **runtime.hooks})

        batch.run = runtime.batch_run(lease, source, open_parts)
        runtime.at_end.append(batch.run.close)
        with _as_dagster_has_it(context, batch):
            batch.run.extract()
        context.log.info(f"extracted {len(batch.run.deeds)} keys of {source.name!r}")
        return batch

    @dg.op(name=f"{name}__upsert", out=dg.Out(dg.Nothing, is_required=False),
           description="Embed what is new, write it to Chroma, delete what is stale.")  # fmt: skip
    def upsert(context: dg.OpExecutionContext, batch: OpsBatch | None):  # noqa: ANN202  (a generator)
        if batch is not None:
            _finish(context, batch)
        if _is_followed(context, name):
            yield go_on()

    return extract, upsert


def _is_a_step_alone() -> bool:
    """Return whether an executor gave this step a process of its own: it does all of the work.

    What passes between the ops is in memory. A project's own executor may be another than ours.
    """
    return multiprocessing.parent_process() is not None


def _finish(context: dg.OpExecutionContext, batch: OpsBatch) -> None:
    _tell_asides(context, batch, batch.leased.asides)
    if batch.run is not None:
        _upsert(context, batch, batch.run)
    if batch.fails():
        show_failed(context, _shown(context, batch, batch.unshown))
        first = dict(list(batch.failed.items())[:SHOWN_FAILURES])
        raise DataFailure(
            f"{len(batch.failed)} of {len(batch.told)} keys failed; the others are done.\n"
            f"{_told(first, len(batch.failed))}\n"
            "What can pass by itself is tried again; `s3sync failures` lists all of them.",
            metadata={"failures": dg.MetadataValue.json(first), **batch.counts},
        )
    if batch.left and _is_followed(context, batch.source.name):
        one = batch.left[0]
        raise DataFailure(
            f"{len(batch.left)} keys are left to another run ({one.key!r}: {one.reason}: "
            f"{one.error}), so what comes after them in this run is not done. The keys are done "
            "there; launch what comes after them then.",
            metadata={"left_to_run": len(batch.left)},
        )
    if batch.failed:
        context.log.warning(
            f"{len(batch.failed)} of {len(batch.told)} keys failed, {batch.news} of them for "
            "the first time: no reason for this run to fail. `s3sync failures` lists them."
        )


def _is_followed(context: dg.OpExecutionContext, name: str) -> bool:
    """Return whether assets or checks of a project wait in this run for the source's asset."""
    return has_followers(context, but=checks_name(name))


def _told(failed: Mapping[str, str], total: int) -> str:
    """Return a line for each of the first keys: who is alerted sees the error of the step alone."""
    lines = [f"{key!r}: {why}" for key, why in list(failed.items())[:TOLD_FAILURES]]
    return "\n".join([*lines, *([f"and {total - len(lines)} more"] if total > len(lines) else [])])


def _lease(
    context: dg.OpExecutionContext, runtime: Runtime, source: Source, config: ExtractConfig
) -> tuple[Leased, bool]:
    """Lease the keys of the run; returns also whether somebody asked for just these."""
    leasing = Leasing(
        catalog=runtime.parts.catalog,
        clock=runtime.parts.clock,
        owner=runtime.parts.at_work(),
        run_id=context.run_id,
        log=context.log.info,
        executed_again=PARENT_TAG in context.run.tags,
    )
    found = leasing.reserved(config.token) if config.token else None
    if found is not None:
        return found, False
    keys, asides = list(config.keys), list[KeyOutcome]()
    if not keys and of_partitions(context):
        keys, asides = leasing.of_partitions(source, list(context.partition_keys))
    leased = leasing.asked(source, keys, force=config.force)
    return Leased(lease=leased.lease, keys=leased.keys, asides=[*asides, *leased.asides]), True


def _upsert(context: dg.OpExecutionContext, batch: OpsBatch, run: BatchRun) -> None:
    runtime = batch.runtime
    catalog = runtime.parts.catalog
    if not batch.lost:
        tell_others = run.parts.report
        one_at_a_time = threading.Lock()  # the writer's thread reports, too

        def report(outcomes: Sequence[KeyOutcome]) -> None:
            with one_at_a_time:
                _tell(context, batch, outcomes)
                tell_others(outcomes)

        run.parts.report = report
        with _as_dagster_has_it(context, batch), _counted_texts(context, batch, run):
            run.upsert()
    if batch.lost:
        _tell_rest(context, batch, reason="lease_lost", error=batch.lost)
        return
    runtime.end()
    _tell_rest(context, batch, reason="not_begun", error="Time was up; a later run has it.")
    _tell_partitions(context, batch)
    invocations = [one for deed in run.deeds for one in deed.decision.facts.invocations]
    asked = min((one.created_at.timestamp() for one in invocations), default=None)
    report_source(context, batch.asset_key, catalog.views.counts(batch.source.id), asked)
    summary = ", ".join(f"{state} {number}" for state, number in sorted(batch.counts.items()))
    context.log.info(f"{batch.source.name}: {summary or 'nothing to do'}")


@contextmanager
def _counted_texts(
    context: dg.OpExecutionContext, batch: OpsBatch, run: BatchRun
) -> Iterator[None]:
    """Note how many texts the model read for the source, also of a batch that ends in an error."""
    embedder, catalog = run.parts.embedder, batch.runtime.parts.catalog
    before = embedder.inferred
    try:
        yield
    finally:
        try:
            catalog.hours.embedded(batch.source.id, embedder.inferred - before)
        except S3SyncError as error:  # charts lack them; the batch ends as it would have
            context.log.warning(f"what was embedded could not be noted: {error.message}")


def _tell_partitions(context: dg.OpExecutionContext, batch: OpsBatch) -> None:
    place_keys(context, batch.runtime.parts.catalog, batch.source, batch.leased.keys)


def _tell(context: dg.OpExecutionContext, batch: OpsBatch, outcomes: Sequence[KeyOutcome]) -> None:
    known = batch.known()
    same = {one.key for one in outcomes if is_repeated(one, known.get(one.key))}
    repeated = set[str]() if batch.asked else same
    report_keys(context, batch.source, _shown(context, batch, outcomes), repeated=repeated)
    for one in outcomes:
        batch.told.add(one.key)
        batch.counts[one.state] = batch.counts.get(one.state, 0) + 1
        if not one.result.done:
            batch.failed[one.key] = f"{one.reason}: {one.error}"
            batch.unshown.append(one)
            batch.news += is_news(one, known.get(one.key))
    if batch.asked or 0 < batch.source.run_fails_from <= batch.news:
        show_failed(
            context, _shown(context, batch, batch.unshown)
        )  # nothing can help the run any more
        batch.unshown.clear()
    if len(batch.told) < len(batch.leased.keys):
        context.log.info(f"{len(batch.told)} of {len(batch.leased.keys)} keys are done")


def _shown(
    context: dg.OpExecutionContext, batch: OpsBatch, outcomes: Sequence[KeyOutcome]
) -> list[Shown]:
    return shown(context, batch.runtime.parts.catalog, batch.source, outcomes)


def _tell_asides(
    context: dg.OpExecutionContext, batch: OpsBatch, asides: Sequence[KeyOutcome]
) -> None:
    """Tell of keys that are not worked on, where somebody waits for their partitions."""
    batch.left += [one for one in asides if one.result is Result.LEFT_TO_RUN]
    if asides and of_partitions(context):
        _tell(context, batch, asides)


def _tell_rest(context: dg.OpExecutionContext, batch: OpsBatch, *, reason: str, error: str) -> None:
    rest = [key for key in batch.leased.keys if key not in batch.told]
    _tell_asides(context, batch, [aside(key, reason=reason, error=error) for key in rest])


@contextmanager
def _as_dagster_has_it(context: dg.OpExecutionContext, batch: OpsBatch) -> Iterator[None]:
    """Turn the end of a batch as a whole into the end of the run."""
    try:
        yield
    except LeaseLost as error:
        context.log.warning(error.message)
        batch.lost = error.message
    except BatchFailed as failed:
        error = failed.error
        report_keys(context, batch.source, _shown(context, batch, failed.outcomes))
        unshown = [*batch.unshown, *(one for one in failed.outcomes if not one.result.done)]
        show_failed(context, _shown(context, batch, unshown))
        tell_others = batch.runtime.hooks.get("report")
        if tell_others is not None:
            tell_others(failed.outcomes)
        raise DataFailure(
            f"{error.reason}: {error.message}", metadata={"reason": error.reason}
        ) from None
