"""What Dagster loads: sources that code declares, and those of the catalog."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from s3sync_dagster.defs.resources import Runtime, S3Source, runtime_resource
from s3sync_dagster.defs.sensors import (
    build_catalog_listing_sensor,
    build_dispatch_sensor,
    build_intake_sensor,
)
from s3sync_dagster.defs.source import build_source_definitions
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster.settings import Settings, load_settings
from s3sync_dagster.wiring import open_parts

_log = logging.getLogger(__name__)


def build_definitions(
    declared: Iterable[S3Source] = (), *, catalog_sources: Iterable[Source] = ()
) -> dg.Definitions:
    """Return one ``Definitions`` of all sources.

    Each source is built on its own: one that cannot be built is left out and logged, since a
    single invalid name would take the whole code location down.

    Args:
        declared: sources of Python code, each with a listing sensor of its own.
        catalog_sources: sources of the catalog, which share ``catalog_auto_sync``.
    """
    built: list[dg.Definitions] = []
    names: list[str] = []
    catalog_names: list[str] = []
    queues: dict[str, list[Callable[[Runtime], Source]]] = {}

    def add(resource: S3Source, find: Callable[[Runtime], Source], *, own_sensor: bool) -> None:
        if resource.name in names:
            raise S3SyncError(f"the name {resource.name!r} is taken twice")
        built.append(build_source_definitions(resource, find=find, sensor=own_sensor))
        names.append(resource.name)
        if resource.queue_url:
            queues.setdefault(resource.queue_url, []).append(find)

    for resource in declared:
        value = resource.to_source()
        _build(resource.name, lambda r=resource, v=value: add(r, _registered(v), own_sensor=True))
    for source in catalog_sources:
        before = len(names)
        _build(
            source.name,
            lambda s=source: add(S3Source.of(s), _of_catalog(s.name), own_sensor=False),
        )
        catalog_names += names[before:]
    jobs = [job for one in built for job in one.jobs or []]
    sensors: list[dg.SensorDefinition] = []
    if jobs:
        sensors.append(build_dispatch_sensor(jobs, names))
    if catalog_names:
        sensors.append(build_catalog_listing_sensor(catalog_names))
    for url, finds in queues.items():
        sensors.append(build_intake_sensor(_sensor_name(url, sensors), url, jobs, _all(finds)))
    base = dg.Definitions(
        sensors=sensors,
        resources={"s3sync": runtime_resource, "in_memory": dg.mem_io_manager},
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(base, *built)


def read_catalog_sources(settings: Settings) -> list[Source]:
    """Return the catalog's own sources; an error is logged, so that declared ones still load."""
    parts = open_parts(settings)
    try:
        return parts.catalog.sources.all(origin="catalog")
    except S3SyncError as error:
        _log.error("the sources of the catalog are missing: %s", error.message)
        return []
    finally:
        parts.close()


def _build(name: str, build: Callable[[], None]) -> None:
    try:
        build()
    except (S3SyncError, dg.DagsterError) as error:
        message = error.message if isinstance(error, S3SyncError) else type(error).__name__
        _log.error("source %r is left out: %s", name, message)


def _registered(source: Source) -> Callable[[Runtime], Source]:
    return lambda runtime: runtime.parts.catalog.sources.register(source)


def _of_catalog(name: str) -> Callable[[Runtime], Source]:
    return lambda runtime: runtime.parts.catalog.sources.find(name)


def _all(finds: Sequence[Callable[[Runtime], Source]]) -> Callable[[Runtime], list[Source]]:
    return lambda runtime: [find(runtime) for find in finds]


def _sensor_name(queue_url: str, taken: Sequence[dg.SensorDefinition]) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", queue_url.rstrip("/").rsplit("/", 1)[-1]) or "queue"
    names = {sensor.name for sensor in taken}
    number, wanted = 1, f"{name}_intake"
    while wanted in names:
        number += 1
        wanted = f"{name}_{number}_intake"
    return wanted


@dg.definitions
def defs() -> dg.Definitions:
    """Load the sources of the catalog; ``build_definitions`` takes those of your own code."""
    return build_definitions(catalog_sources=read_catalog_sources(load_settings()))
