"""The three ops of a source: extract -> chunk -> upsert, for any number of its keys.

Values pass in memory, so the ops run in one process. Errors travel as data: one object's failure
never fails another's, and the last op ends the run in failure when any key failed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from pydantic import Field

from s3sync_dagster.core.engine import Engine, KeyReport, KeyWork
from s3sync_dagster.core.keys import object_key_of, partition_key
from s3sync_dagster.core.lease import Lease
from s3sync_dagster.core.sync import chunk_batch, extract_batch, upsert_batch
from s3sync_dagster.defs.events import report_keys
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.errors import LeaseLost, S3SyncError
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import Source

SHOWN_FAILURES = 100


class ExtractConfig(dg.Config):
    """What a run is to do. Without keys: the partitions of the run."""

    keys: list[str] = Field(default_factory=list, description="Object keys.")
    token: str = Field(default="", description="Batch that dispatch reserved for this run.")
    force: bool = Field(default=False, description="Index again what is unchanged.")


@dataclass(slots=True)
class BatchWork:
    """What passes between the ops."""

    engine: Engine | None = None
    """None when every key was left to another run."""
    lease: Lease | None = None
    works: list[KeyWork] = field(default_factory=list[KeyWork])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    left: list[KeyReport] = field(default_factory=list[KeyReport])
    counts: dict[str, int] = field(default_factory=dict[str, int])


def build_ops(name: str, find: Callable[[Runtime], Source]) -> tuple[Any, Any, Any]:
    """Return the ops of a source.

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
        source = find(runtime)
        batch = BatchWork()
        lease = _lease(context, runtime, source, config, batch)
        if lease is None:
            context.log.info("nothing to do: every key is with another run, or already done")
            return batch
        batch.lease = lease
        batch.engine = runtime.parts.engine_for(
            source, **{"log": context.log.info, **runtime.hooks}
        )
        _keep_alive(runtime, lease)
        batch.works = extract_batch(batch.engine, lease)
        context.log.info(f"extracted {len(batch.works)} keys of {source.name!r}")
        return batch

    @dg.op(name=f"{name}__chunk", out=dg.Out(io_manager_key="in_memory"),
           description="Cut the documents into chunks.")  # fmt: skip
    def chunk(context: dg.OpExecutionContext, batch: BatchWork) -> BatchWork:
        if batch.engine is not None:
            chunk_batch(batch.engine, batch.works)
            context.log.info(f"cut {sum(len(work.chunks) for work in batch.works)} chunks")
        return batch

    @dg.op(name=f"{name}__upsert", out=dg.Out(dg.Nothing, is_required=False),
           required_resource_keys={"s3sync"},
           description="Embed what is new, write it to Chroma, delete what is stale.")  # fmt: skip
    def upsert(context: dg.OpExecutionContext, batch: BatchWork):  # noqa: ANN202  (a generator)
        runtime: Runtime = context.resources.s3sync
        if context.has_partition_key or context.has_partition_key_range:
            report_keys(context, asset_key, find(runtime), batch.left)
        if batch.engine is not None and batch.lease is not None:
            _upsert(context, runtime, asset_key, batch, batch.engine, batch.lease)
        if batch.failed:
            shown = dict(list(batch.failed.items())[:SHOWN_FAILURES])
            raise dg.Failure(
                f"{len(batch.failed)} of {len(batch.works)} keys failed; the others are done. "
                "What can pass by itself is tried again; `s3sync failures` lists the rest.",
                metadata={"failed": dg.MetadataValue.json(shown), **batch.counts},
                allow_retries=False,
            )
        return
        yield

    return extract, chunk, upsert


def _upsert(
    context: dg.OpExecutionContext,
    runtime: Runtime,
    asset_key: dg.AssetKey,
    batch: BatchWork,
    engine: Engine,
    lease: Lease,
) -> None:
    told = engine.report

    def report(reports: Sequence[KeyReport]) -> None:
        report_keys(context, asset_key, engine.source, reports)
        told(reports)
        for one in reports:
            batch.counts[one.state] = batch.counts.get(one.state, 0) + 1
            if one.state == "failed":
                batch.failed[one.key] = f"{one.reason}: {one.error}"

    engine.report = report
    try:
        upsert_batch(engine, lease, batch.works)
    except LeaseLost as error:
        context.log.warning(error.message)
        return
    engine.catalog.batches.finish(lease.token)
    runtime.end()
    summary = ", ".join(f"{state} {number}" for state, number in sorted(batch.counts.items()))
    context.log.info(f"{engine.source.name}: {summary or 'nothing to do'}")


def _lease(
    context: dg.OpExecutionContext,
    runtime: Runtime,
    source: Source,
    config: ExtractConfig,
    batch: BatchWork,
) -> Lease | None:
    """Start the reserved batch, or lease the keys that a person launched."""
    parts, owner = runtime.parts, runtime.parts.owners.me()
    batches = parts.catalog.batches
    if config.token:
        if batches.start(config.token, owner=owner, run_id=context.run_id):
            return Lease(config.token, catalog=parts.catalog, clock=parts.clock)
        row = batches.row(config.token)
        if row is not None and row.state == "running" and row.owner == owner:
            return Lease(config.token, catalog=parts.catalog, clock=parts.clock)
        context.log.info("the batch of this run has ended: its keys are launched anew")
    keys = list(config.keys) or _keys_of_partitions(context, runtime, source)
    if not keys:
        return None
    parts.catalog.invocations.request(source, keys, trigger=Trigger.UI, force=config.force)
    leased, held = batches.lease_keys(source.id, keys, owner=owner, run_id=context.run_id)
    for key, run_id in held.items():
        context.log.info(f"{key!r} is with run {run_id or 'of another batch'}: left to it")
        batch.left.append(
            KeyReport(key=key, partition_key=partition_key(key), state="left_to_run", reason=run_id)
        )
    if leased is None:
        return None
    return Lease(leased.token, catalog=parts.catalog, clock=parts.clock)


def _keys_of_partitions(
    context: dg.OpExecutionContext, runtime: Runtime, source: Source
) -> list[str]:
    if not (context.has_partition_key or context.has_partition_key_range):
        return []
    names = list(context.partition_keys)
    known = runtime.parts.catalog.work.keys_of_partitions(source.id, names)
    keys: list[str] = []
    for name in names:
        key = known.get(name) or object_key_of(name)
        if key is None:
            raise S3SyncError(
                f"Partition {name!r} is a shortened key that the catalog does not know: launch it "
                "by its object key, or list the source first."
            )
        keys.append(key)
    return keys


def _keep_alive(runtime: Runtime, lease: Lease) -> None:
    """Renew the lease until the run ends; a run that ends early gives its keys back at once."""
    heartbeat = lease.heartbeat()
    heartbeat.__enter__()

    def stop() -> None:
        heartbeat.__exit__(None, None, None)
        runtime.parts.catalog.batches.release(lease.token, died=False)

    runtime.at_end.append(stop)
