"""Which keys a run works on: those of a reserved batch, or those that a person launched."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg
from pydantic import Field

from s3sync_dagster.core.keys import object_key_of, partition_key
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import KeyReport
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import Source

LEFT = "left_to_run"


class ExtractConfig(dg.Config):
    """What a run is to do. Without keys: the partitions of the run."""

    keys: list[str] = Field(default_factory=list, description="Object keys.")
    token: str = Field(default="", description="Batch that dispatch reserved for this run.")
    force: bool = Field(default=False, description="Index again what is unchanged.")


@dataclass(slots=True, kw_only=True)
class Leased:
    """What a run may work on, and what it says of the rest."""

    lease: Lease | None = None
    """None: nothing is left to this run."""
    keys: list[str] = field(default_factory=list[str])
    """What the lease holds."""
    asides: list[KeyReport] = field(default_factory=list[KeyReport])
    """Keys that are not worked on: with another run, or not known."""


def lease_work(
    context: dg.OpExecutionContext, runtime: Runtime, source: Source, config: ExtractConfig
) -> Leased:
    """Start the reserved batch, or lease the keys that a person launched.

    A batch that another run works on or has finished is left alone, unless a person executes
    such a run again: that asks for its keys anew.
    """
    if config.token:
        found = _of_token(context, runtime, config.token)
        if found is not None:
            return found
    return _of_person(context, runtime, source, config)


def _of_token(context: dg.OpExecutionContext, runtime: Runtime, token: str) -> Leased | None:
    batches, owner = runtime.parts.catalog.batches, runtime.parts.owners.me()
    row = batches.row(token)
    mine = row is not None and row.state == "running" and row.run_id == context.run_id
    if mine or batches.start(token, owner=owner, run_id=context.run_id):
        lease = Lease(token, catalog=runtime.parts.catalog, clock=runtime.parts.clock)
        return Leased(lease=lease, keys=batches.keys(token))
    if row is not None and row.state in ("reserved", "running"):
        context.log.info(f"run {row.run_id} works on the batch of this run: left to it")
        return Leased()
    if row is not None and row.run_id in (None, context.run_id):
        context.log.info("the batch of this run was given back: its keys are dispatched anew")
        return Leased()
    context.log.info("the batch of this run has ended: its keys are asked for again")
    return None


def _of_person(
    context: dg.OpExecutionContext, runtime: Runtime, source: Source, config: ExtractConfig
) -> Leased:
    asides: list[KeyReport] = []
    keys = list(dict.fromkeys(config.keys)) or _of_partitions(context, runtime, source, asides)
    if not keys:
        return Leased(asides=asides)
    catalog = runtime.parts.catalog
    catalog.invocations.request(source, keys, trigger=Trigger.UI, force=config.force)
    batch, held = catalog.batches.lease_keys(
        source.id, keys, owner=runtime.parts.owners.me(), run_id=context.run_id
    )
    for key, run_id in held.items():
        context.log.info(f"{key!r} is with run {run_id or 'of another batch'}: left to it")
        asides.append(aside(key, reason="held", error=f"Run {run_id or 'not known'} has it."))
    if batch is None:
        return Leased(asides=asides)
    lease = Lease(batch.token, catalog=catalog, clock=runtime.parts.clock)
    return Leased(lease=lease, keys=list(batch.keys), asides=asides)


def aside(key: str, *, reason: str, error: str, state: str = LEFT) -> KeyReport:
    """Return what a run says of a key that it did not work on."""
    return KeyReport(
        key=key, partition_key=partition_key(key), state=state, reason=reason, error=error
    )


def _of_partitions(
    context: dg.OpExecutionContext, runtime: Runtime, source: Source, asides: list[KeyReport]
) -> list[str]:
    if not has_partitions(context):
        return []
    names: Sequence[str] = list(context.partition_keys)
    known = runtime.parts.catalog.work.keys_of_partitions(source.id, names)
    keys: list[str] = []
    for name in names:
        key = known.get(name) or object_key_of(name)
        if key is not None:
            keys.append(key)
            continue
        asides.append(
            KeyReport(
                key=name,
                partition_key=name,
                state="failed",
                reason="partition_unknown",
                error="It is a shortened key that the catalog does not know: list the source "
                "first, or launch it by its object key.",
            )
        )
    return keys


def has_partitions(context: dg.OpExecutionContext) -> bool:
    """Return whether a person or a backfill launched the run for partitions."""
    return context.has_partition_key or context.has_partition_key_range
