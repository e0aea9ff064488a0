"""The three ops of a source: extract -> chunk -> upsert, for any number of its keys.

Values pass in memory, so the ops run in one process. Errors travel as data: one object's failure
never fails another's, and the last op ends the run in failure when any key failed.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from s3sync_dagster.defs.accidents import give_up
from s3sync_dagster.defs.dagster_internals.pooling import pool_connections
from s3sync_dagster.defs.dispatching import SOURCE_TAG
from s3sync_dagster.defs.events import NOT_DONE, report_keys, report_source
from s3sync_dagster.defs.heartbeat import keep_alive
from s3sync_dagster.defs.leasing import ExtractConfig, Leased, aside, has_partitions, lease_work
from s3sync_dagster.defs.partitions import add_partitions
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.batch.parts import Engine, KeyReport, KeyWork
from s3sync_dagster.engine.batch.run import chunk_batch, extract_batch, upsert_batch
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.source import Source

SHOWN_FAILURES = 100


@dataclass(slots=True)
class BatchWork:
    """What passes between the ops."""

    source: Source
    leased: Leased
    engine: Engine | None = None
    """None: nothing is left to this run."""
    works: list[KeyWork] = field(default_factory=list[KeyWork])
    told: set[str] = field(default_factory=set[str])
    """Keys that Dagster was told of."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    lost: str = ""
    """Set when another batch took over in the middle: why."""


@dg.op(
    out=dg.Out(io_manager_key="in_memory"),
    required_resource_keys={"s3sync"},
    description="Cut the documents into chunks.",
)
def chunk(context: dg.OpExecutionContext, batch: BatchWork) -> BatchWork:
    """Step two; the same op for all sources, since each definition costs every process time."""
    if batch.engine is not None and not batch.lost:
        with _accidents(context, batch):
            chunk_batch(batch.engine, batch.works)
        cutting = sum(work.cutting is not None for work in batch.works)
        context.log.info(f"{cutting} documents are cut, the first of them written meanwhile")
    return batch


def build_ops(name: str, find: Callable[[Runtime], Source]) -> tuple[Any, Any]:
    """Return ``extract`` and ``upsert`` of a source.

    Args:
        name: the source's name.
        find: gives the source as the catalog has it (registering one that code declares).
    """
    asset_key = dg.AssetKey(["s3", name])
    resources = {"s3sync", f"source_{name}"}

    @dg.op(name=f"{name}__extract", out=dg.Out(io_manager_key="in_memory"),
           required_resource_keys=resources,
           description="Read the objects that need work and extract their text.")  # fmt: skip
    def extract(context: dg.OpExecutionContext, config: ExtractConfig) -> BatchWork:
        runtime: Runtime = context.resources.s3sync
        pool_connections(context.instance)
        source = find(runtime)
        if SOURCE_TAG not in context.run.tags:  # people's runs and backfills know no job's tags
            context.instance.add_run_tags(context.run_id, {SOURCE_TAG: source.name})
        batch = BatchWork(source, lease_work(context, runtime, source, config))
        if batch.leased.lease is None:
            context.log.info("nothing to do: every key is with another run, or already done")
            return batch
        keep_alive(context, runtime, batch.leased)
        with _accidents(context, batch):
            add_partitions(runtime.parts.catalog, context.instance, source, batch.leased.keys)
            batch.engine = runtime.parts.engine_for(
                source, **{"log": context.log.info, **runtime.hooks}
            )
            batch.works = extract_batch(batch.engine, batch.leased.lease)
        context.log.info(f"extracted {len(batch.works)} keys of {source.name!r}")
        return batch

    @dg.op(name=f"{name}__upsert", out=dg.Out(dg.Nothing, is_required=False),
           required_resource_keys={"s3sync"},
           description="Embed what is new, write it to Chroma, delete what is stale.")  # fmt: skip
    def upsert(context: dg.OpExecutionContext, batch: BatchWork):  # noqa: ANN202  (a generator)
        _tell_asides(context, asset_key, batch, batch.leased.asides)
        if batch.engine is not None:
            _upsert(context, asset_key, batch, batch.engine)
        if batch.failed:
            shown = dict(list(batch.failed.items())[:SHOWN_FAILURES])
            raise dg.Failure(
                f"{len(batch.failed)} of {len(batch.told)} keys failed; the others are done. "
                "What can pass by itself is tried again; `s3sync failures` lists the rest.",
                metadata={"failed": dg.MetadataValue.json(shown), **batch.counts},
                allow_retries=False,
            )
        return
        yield

    return extract, upsert


def _upsert(
    context: dg.OpExecutionContext, asset_key: dg.AssetKey, batch: BatchWork, engine: Engine
) -> None:
    runtime: Runtime = context.resources.s3sync
    lease, catalog = batch.leased.lease, runtime.parts.catalog
    if lease is None:
        return
    tell_others = engine.report
    one_at_a_time = threading.Lock()  # the writer's thread reports, too

    def report(reports: Sequence[KeyReport]) -> None:
        with one_at_a_time:
            _tell(context, asset_key, batch, reports)
            tell_others(reports)

    engine.report = report
    if not batch.lost:
        with _accidents(context, batch):
            upsert_batch(engine, lease, batch.works)
    if batch.lost:
        _tell_rest(context, asset_key, batch, reason="lease_lost", error=batch.lost)
        return
    catalog.batches.finish(lease.token)
    runtime.end()
    _tell_rest(
        context, asset_key, batch, reason="not_begun", error="Time was up; a later run has it."
    )
    add_partitions(catalog, context.instance, batch.source, batch.leased.keys)
    asked = [one.created_at.timestamp() for work in batch.works for one in work.item.invocations]
    counts = catalog.views.counts(batch.source.id)
    report_source(context, asset_key, counts, waited_since=min(asked, default=None))
    summary = ", ".join(f"{state} {number}" for state, number in sorted(batch.counts.items()))
    context.log.info(f"{batch.source.name}: {summary or 'nothing to do'}")


def _tell(
    context: dg.OpExecutionContext,
    asset_key: dg.AssetKey,
    batch: BatchWork,
    reports: Sequence[KeyReport],
) -> None:
    report_keys(context, asset_key, batch.source, reports)
    for one in reports:
        batch.told.add(one.key)
        batch.counts[one.state] = batch.counts.get(one.state, 0) + 1
        if one.state in NOT_DONE:
            batch.failed[one.key] = f"{one.reason}: {one.error}"
    if len(batch.told) < len(batch.leased.keys):
        context.log.info(f"{len(batch.told)} of {len(batch.leased.keys)} keys are done")


def _tell_asides(
    context: dg.OpExecutionContext,
    asset_key: dg.AssetKey,
    batch: BatchWork,
    reports: Sequence[KeyReport],
) -> None:
    """Tell of keys that are not worked on, where somebody waits for their partitions."""
    if reports and has_partitions(context):
        _tell(context, asset_key, batch, reports)


def _tell_rest(
    context: dg.OpExecutionContext,
    asset_key: dg.AssetKey,
    batch: BatchWork,
    *,
    reason: str,
    error: str,
) -> None:
    rest = [
        aside(key, reason=reason, error=error) for key in batch.leased.keys if key not in batch.told
    ]
    _tell_asides(context, asset_key, batch, rest)


@contextmanager
def _accidents(context: dg.OpExecutionContext, batch: BatchWork) -> Iterator[None]:
    """Settle the keys when the batch as a whole cannot go on, so that it is not tried at once."""
    try:
        yield
    except LeaseLost as error:
        context.log.warning(error.message)
        batch.lost = error.message
    except Exception as error:  # noqa: BLE001  (the boundary to Dagster: give_up names it)
        failure, left = give_up(
            context, context.resources.s3sync, batch.source, batch.leased, error
        )
        report_keys(context, dg.AssetKey(["s3", batch.source.name]), batch.source, left)
        raise failure from None
