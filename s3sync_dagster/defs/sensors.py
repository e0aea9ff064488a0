"""Sensors learn of changes and hand out work; what they do is committed in the catalog first.

Each has a time budget of its own: after the daemon's timeout of 60 s the tick is lost, but its
function goes on, so every side effect can be repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import dagster as dg

from s3sync_dagster.answer_time import answers_take
from s3sync_dagster.core.naming import job_name
from s3sync_dagster.core.source_identity import refusal
from s3sync_dagster.defs.dagster_internals.pooling import pool_connections
from s3sync_dagster.defs.dispatching import Dispatcher, why_not_now
from s3sync_dagster.defs.housekeeping import keep_minutes
from s3sync_dagster.defs.loaded_sensors import LoadedSensors
from s3sync_dagster.defs.queue_reading import read_queue, wait_seconds
from s3sync_dagster.defs.resources import RUNTIME_KEY, Runtime
from s3sync_dagster.defs.slow_listings import SlowListings
from s3sync_dagster.defs.tick_log import TickLog
from s3sync_dagster.defs.turns_beside import beside_ticks
from s3sync_dagster.engine.listing_turns import BUDGET_SECONDS, list_in_turn, list_when_due
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source

LISTING_TICK_SECONDS = 4
"""Ticks look whether a listing is due; that costs one statement."""
ANSWER_SECONDS = 25.0
"""What a place's answer may take in a tick, and in what goes on beside it."""
DISPATCH_TICK_SECONDS = 1
"""Less than the daemon's loop of 5 s: an interval of 5 would miss every second loop."""


def build_listing_sensor(
    name: str,
    declared: Source,
    find: Callable[[Runtime], Source],
    runtime_key: str = RUNTIME_KEY,
) -> dg.SensorDefinition:
    """Return ``<name>_auto_sync``."""
    every = declared.list_interval_seconds
    when = f"every {every} s" if every else "when a webhook asks for it"

    @dg.sensor(
        name=f"{name}_auto_sync",
        job_name=job_name(name),
        minimum_interval_seconds=min(LISTING_TICK_SECONDS, every or LISTING_TICK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={runtime_key},
        description=(
            f"Lists {declared.place.address()} {when} and asks for work on what is new, changed or "
            "gone. A listing goes on over several ticks and after a restart."
        ),
    )
    def auto_sync(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        runtime: Runtime = getattr(context.resources, runtime_key)
        try:
            runtime.location = _location(context)
            source = find(runtime)
            with answers_take(ANSWER_SECONDS):
                text = list_when_due(
                    beside_ticks(
                        runtime.chroma.listing(), runtime.parts, budget_seconds=BUDGET_SECONDS
                    ),
                    source,
                    log=TickLog(context).warning,
                    budget_seconds=BUDGET_SECONDS,
                )
            text = runtime.chroma.told(text)
            refused = runtime.parts.catalog.sources.refused(source.id)
            if refused is not None:
                text = f"{refusal(source, refused)} {text}"
            contradicted = runtime.parts.catalog.sources.contradiction(source)
            if contradicted is not None:
                text = f"{contradicted} {text}"
            return dg.SkipReason(text)
        except S3SyncError as error:
            return dg.SkipReason(f"could not list: {error.message}")
        finally:
            runtime.parts.close()

    return auto_sync


def build_catalog_listing_sensor(
    names: Sequence[str], *, name: str = "catalog_auto_sync", runtime_key: str = RUNTIME_KEY
) -> dg.SensorDefinition:
    """Return ``catalog_auto_sync``, which lists the sources of the catalog in turn."""
    slow = SlowListings()
    begun: dict[str | None, str] = {}
    """Whose turn has begun in a tick, by the cursor that it was given: a tick that is lost tells
    nobody."""

    @dg.sensor(
        name=name,
        job_name=job_name(names[0]),
        minimum_interval_seconds=LISTING_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={runtime_key},
        description="Lists the sources that were created in the catalog, each at its interval. "
        "The cursor is whose turn was last, of each tenant, so that none starves.",
    )
    def catalog_auto_sync(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        runtime: Runtime = getattr(context.resources, runtime_key)
        try:
            with answers_take(ANSWER_SECONDS):
                parts = runtime.chroma.listing()
                text, last = list_in_turn(
                    beside_ticks(parts, runtime.parts, budget_seconds=BUDGET_SECONDS, slow=slow),
                    slow.others(names, parts.clock),
                    after=begun.get(context.cursor, context.cursor),
                    log=TickLog(context).warning,
                    budget_seconds=BUDGET_SECONDS,
                    begins=partial(begun.__setitem__, context.cursor),
                )
            begun.pop(context.cursor, None)
            return dg.SensorResult(skip_reason=runtime.chroma.told(text), cursor=last)
        except S3SyncError as error:
            return dg.SensorResult(skip_reason=f"could not list: {error.message}")
        finally:
            runtime.parts.close()

    return catalog_auto_sync


def build_intake_sensor(
    name: str,
    queue_url: str,
    jobs: Sequence[Any],
    find: Callable[[Runtime], list[Source]],
    runtime_key: str = RUNTIME_KEY,
    budget_seconds: float = BUDGET_SECONDS,
    queues: int = 1,
) -> dg.SensorDefinition:
    """Return ``<queue>_intake``, the one consumer of a queue, of which there are ``queues``."""

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=DISPATCH_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={runtime_key},
        description=(
            f"Takes S3 events from {queue_url} and asks for work on what they name, in every "
            "source that they meet. A message is deleted only after its work is committed."
        ),
    )
    def intake(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        runtime: Runtime = getattr(context.resources, runtime_key)
        pool_connections(context.instance)
        try:
            runtime.location = _location(context)
            log = TickLog(context)
            sources = find(runtime)
            if not sources:
                return dg.SkipReason("no source listens to this queue any more")
            found = read_queue(
                runtime,
                sources,
                again=partial(find, runtime),
                log=log.warning,
                seconds=budget_seconds,
                wait=wait_seconds(context.instance, queues=queues),
            )
            skipped = dg.SkipReason(found.counts.describe())
            if not found.touched:
                return skipped
            dispatcher = Dispatcher(runtime, context.instance, [source.name for source in sources])
            hindrance = why_not_now(runtime)
            if hindrance is not None:
                return dg.SkipReason(f"{found.counts.describe()}; {hindrance}")
            requests = dispatcher.requests(only=found.touched)
            for line in dispatcher.refused.values():
                log.warning(line)
            return dg.SensorResult(run_requests=requests) if requests else skipped
        except S3SyncError as error:
            return dg.SkipReason(f"could not take messages: {error.message}")
        finally:
            runtime.parts.close()

    return intake


def build_dispatch_sensor(
    jobs: Sequence[Any],
    names: Sequence[str],
    shards: Mapping[str, int] = MappingProxyType({}),
    *,
    name: str = "dispatch",
    runtime_key: str = RUNTIME_KEY,
) -> dg.SensorDefinition:
    """Return ``dispatch``, which turns pending work of all sources into runs.

    Args:
        jobs: of the sources.
        names: of the sources.
        shards: how many assets of sources are loaded that have several, by name.
        name: of the sensor.
        runtime_key: the resource that opens the parts.
    """

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=DISPATCH_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={runtime_key},
        description=(
            "Reserves batches of pending work and requests a run for each; releases batches whose "
            "run or process has ended; takes back partitions of objects that are gone; once a "
            "minute reports the cheap asset checks and prunes old runs. The cursor is the time "
            "of the last such minute."
        ),
    )
    def dispatch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        runtime: Runtime = getattr(context.resources, runtime_key)
        pool_connections(context.instance)
        cursor, log = context.cursor, TickLog(context)
        try:
            dispatcher = Dispatcher(runtime, context.instance, names)
            notes = dispatcher.keep_house(log=log.info)
            hindrance = why_not_now(runtime)
            if hindrance is not None:
                notes.append(hindrance)
            requests = [] if hindrance else dispatcher.requests()
            notes += [*dispatcher.resting, *dispatcher.refused.values()]
            for line in dispatcher.refused.values():  # a tick that asks for runs shows no notes
                log.warning(line)
            if not requests:  # work first: a minute without it comes soon enough
                minutes, cursor = keep_minutes(
                    runtime,
                    context.instance,
                    dispatcher.sources,
                    cursor=cursor,
                    sensors=LoadedSensors.of_tick(context),
                )
                notes += [*minutes, *dispatcher.not_shown(shards)]
            text = "; ".join(notes) or dispatcher.idle_reason()
            if requests:
                return dg.SensorResult(run_requests=requests, cursor=cursor)
            return dg.SensorResult(skip_reason=text, cursor=cursor)
        except S3SyncError as error:
            return dg.SensorResult(skip_reason=f"could not dispatch: {error.message}")
        finally:
            runtime.parts.close()

    return dispatch


def _location(context: dg.SensorEvaluationContext) -> str | None:
    origin = context.code_location_origin
    return origin.location_name if origin is not None else None
