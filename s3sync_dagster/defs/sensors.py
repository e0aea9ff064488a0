"""Sensors learn of changes and hand out work; what they do is committed in the catalog first.

Each has a time budget of its own: after the daemon's timeout of 60 s the tick is lost, but its
function goes on, so every side effect can be repeated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from s3sync_dagster.core.reconcile import ListingProgress, continue_listing
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.defs.dispatching import Dispatcher
from s3sync_dagster.defs.intake import take_messages
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import AutoSync, Source

BUDGET_SECONDS = 20.0
LISTING_TICK_SECONDS = 4
"""Ticks look whether a listing is due; that costs one statement."""
DISPATCH_TICK_SECONDS = 1
"""Less than the daemon's loop of 5 s: an interval of 5 would miss every second loop."""


def build_listing_sensor(
    name: str, declared: Source, find: Callable[[Runtime], Source]
) -> dg.SensorDefinition:
    """Return ``<name>_auto_sync``."""

    @dg.sensor(
        name=f"{name}_auto_sync",
        job_name=f"index_{name}",
        minimum_interval_seconds=min(LISTING_TICK_SECONDS, declared.list_interval_seconds),
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"s3sync"},
        description=(
            f"Lists s3://{declared.bucket_name}/{declared.path_prefix} every "
            f"{declared.list_interval_seconds} s and asks for work on what is new, changed or "
            "gone. A listing goes on over several ticks and after a restart."
        ),
    )
    def auto_sync(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        runtime: Runtime = context.resources.s3sync
        try:
            return dg.SkipReason(list_when_due(runtime, find(runtime)))
        finally:
            runtime.parts.close()

    return auto_sync


def build_catalog_listing_sensor(names: Sequence[str]) -> dg.SensorDefinition:
    """Return ``catalog_auto_sync``, which lists the sources of the catalog in turn."""

    @dg.sensor(
        name="catalog_auto_sync",
        job_name=f"index_{names[0]}",
        minimum_interval_seconds=LISTING_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"s3sync"},
        description="Lists the sources that were created in the catalog, each at its interval.",
    )
    def catalog_auto_sync(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        runtime: Runtime = context.resources.s3sync
        parts = runtime.parts
        lines: list[str] = []
        try:
            started = parts.clock.monotonic()
            for source in parts.catalog.sources.all(origin="catalog"):
                left = BUDGET_SECONDS - (parts.clock.monotonic() - started)
                if left <= 0:
                    lines.append("time is up; the others follow at the next tick")
                    break
                if source.name not in names:
                    continue
                line = list_when_due(runtime, source, budget_seconds=left)
                if not line.startswith("not due"):
                    lines.append(f"{source.name}: {line}")
        finally:
            parts.close()
        return dg.SkipReason("; ".join(lines) or f"{len(names)} sources, none due")

    return catalog_auto_sync


def list_when_due(
    runtime: Runtime, source: Source, *, budget_seconds: float = BUDGET_SECONDS
) -> str:
    """List a source when its time has come; returns what was looked at, for people."""
    catalog = runtime.parts.catalog
    if source.auto_sync is AutoSync.NONE or source.list_interval_seconds == 0:
        return "not due: it is not listed by itself"
    if catalog.sources.paused(source.id):
        return "not due: paused"
    unfinished = catalog.listings.live_owner(source.id) is not None
    if not unfinished and not catalog.sources.due_for_listing(
        source.id, interval_seconds=source.list_interval_seconds
    ):
        return f"not due: listed every {source.list_interval_seconds} s"
    owner = catalog.listings.live_owner(source.id)
    if owner is not None and runtime.parts.owners.is_dead(owner):
        catalog.listings.end_dead(source.id, owner=owner)
    try:
        progress = continue_listing(
            source,
            catalog=catalog,
            store=runtime.parts.store_for(source),
            clock=runtime.parts.clock,
            owner=runtime.parts.owners.me(),
            budget_seconds=budget_seconds,
        )
    except S3SyncError as error:
        return f"could not list: {error.message}"
    return describe(progress)


def describe(progress: ListingProgress | None) -> str:
    """Return a sentence on how far a listing came."""
    if progress is None:
        return "another process lists it"
    listing = progress.listing
    text = (
        f"listed {listing.listed} objects: {listing.new} new, {listing.changed} changed, "
        f"{listing.gone} gone"
    )
    if listing.state is ListingState.BLOCKED:
        return f"{text}; removals wait for `s3sync approve-deletes`"
    return text if progress.done else f"{text}; it goes on at the next tick"


def build_intake_sensor(
    name: str, queue_url: str, jobs: Sequence[Any], find: Callable[[Runtime], list[Source]]
) -> dg.SensorDefinition:
    """Return ``<queue>_intake``, the one consumer of a queue."""

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=DISPATCH_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"s3sync"},
        description=(
            f"Takes S3 events from {queue_url} and asks for work on what they name, in every "
            "source that they meet. A message is deleted only after its work is committed."
        ),
    )
    def intake(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        runtime: Runtime = context.resources.s3sync
        try:
            sources = find(runtime)
            text, touched = take_messages(
                runtime, sources, log=context.log.warning, budget_seconds=BUDGET_SECONDS
            )
            if not touched:
                return dg.SkipReason(text)
            dispatcher = Dispatcher(runtime, context.instance, [source.name for source in sources])
            requests = dispatcher.requests(only=touched)
            return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason(text)
        except S3SyncError as error:
            return dg.SkipReason(f"could not take messages: {error.message}")
        finally:
            runtime.parts.close()

    return intake


def build_dispatch_sensor(jobs: Sequence[Any], names: Sequence[str]) -> dg.SensorDefinition:
    """Return ``dispatch``, which turns pending work of all sources into runs."""

    @dg.sensor(
        name="dispatch",
        jobs=jobs,
        minimum_interval_seconds=DISPATCH_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"s3sync"},
        description=(
            "Reserves batches of pending work and requests a run for each; releases batches whose "
            "run or process has ended; removes partitions of objects that are gone."
        ),
    )
    def dispatch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        runtime: Runtime = context.resources.s3sync
        try:
            dispatcher = Dispatcher(runtime, context.instance, names)
            notes = dispatcher.keep_house(log=context.log.info)
            requests = dispatcher.requests()
            if requests:
                return dg.SensorResult(run_requests=requests)
            return dg.SkipReason("; ".join(notes) or dispatcher.idle_reason())
        except S3SyncError as error:
            return dg.SkipReason(f"could not dispatch: {error.message}")
        finally:
            runtime.parts.close()

    return dispatch
