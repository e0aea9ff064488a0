"""Many sources in, one ``Definitions`` out: each built on its own, with the sensors they share."""

import logging
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from s3sync_dagster.core.keys import validate_source_name
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.core.source_identity import overlap
from s3sync_dagster.core.state import Origin
from s3sync_dagster.defs.catalog_reading import read_shards
from s3sync_dagster.defs.chroma_resource import ChromaResource
from s3sync_dagster.defs.resources import (
    RUNTIME_KEY,
    AnySource,
    CatalogSource,
    DeclaredSource,
    Runtime,
    runtime_with_chroma,
)
from s3sync_dagster.defs.sensors import (
    build_catalog_listing_sensor,
    build_dispatch_sensor,
    build_intake_sensor,
)
from s3sync_dagster.defs.source import RESOURCES, Attributes, build_source_definitions
from s3sync_dagster.engine.listing_turns import BUDGET_SECONDS
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster.settings import load_settings

_log = logging.getLogger(__name__)

Find = Callable[[Runtime], Source]
PROBLEMS = "s3sync/left_out"
"""Metadata of the code location: sources that could not be built, and why."""

SHOWN_NAMES = 5
QUEUES_OF_A_WHOLE_TURN = 8
"""With more of them each is read for a shorter time, and all together for as long as these."""
VALIDATION = "DAGSTER_IS_DEFS_VALIDATION_CLI"
"""Set by ``dg check defs``, which asks whether all is well: there a source is not left out."""


def build_definitions(
    declared: Iterable[DeclaredSource] = (),
    *,
    catalog_sources: Iterable[Source] = (),
    problems: Iterable[str] = (),
    origin: Origin = "python",
    chroma: ChromaResource | None = None,
    name: str = "",
    attributes: Attributes | None = None,
    stand_at: Sequence[str] = (),
    shards: Mapping[str, int] | None = None,
) -> dg.Definitions:
    """Return one ``Definitions`` of all sources.

    They merge with those of other people: there is no executor among them, and what is not named
    after a source begins with ``s3sync``, is the sensor ``dispatch`` or the resource ``chroma``. A
    second call in one code location needs a ``name`` and other names of sources; sources that
    share a queue belong into one call.

    Each source is built on its own: one that cannot be built is left out, logged and named in
    the metadata of the code location, since a single invalid name would take all sensors of all
    sources down.

    Args:
        declared: sources of Python code, each with a listing sensor of its own.
        catalog_sources: sources of the catalog, which share ``catalog_auto_sync``.
        problems: what is known to be missing already, one sentence each.
        origin: who declares them, ``python`` or ``yaml``.
        chroma: the Chroma of these sources, shown as resource ``chroma``; None: the environment
            names it (``S3SYNC_CHROMA_URL``, ``CHROMA_API_KEY``), as for the command line.
        name: before the names of the shared sensors and behind those of the resources, such as
            ``red_dispatch`` and ``chroma_red``.
        attributes: returns each asset's spec with what a project wants it to have besides: a
            freshness policy, an automation condition, tags, kinds, another description.
        stand_at: where each of ``declared`` stands, such as a file and line, for messages.
        shards: how many assets sources have that have several, by name; None: the catalog is asked.

    Raises:
        InvalidSetting: the name has other characters than letters, digits and underscores, or
            ``declared`` is one source. Under ``dg check defs`` also for what would be left out.
    """
    if name:
        validate_source_name(name)
    if isinstance(declared, DeclaredSource):
        raise InvalidSetting(f"build_definitions takes a list: [{type(declared).__name__}(...)].")
    told = list(problems)
    if shards is None:
        shards = read_shards(load_settings(), problems=told)
    building = _Building(told, chroma, name, attributes, shards)
    for number, resource in enumerate(declared):
        if chroma is None:
            building.require_chroma(resource.name)
        building.add(resource, origin=origin, at="".join(stand_at[number : number + 1]))
    for source in catalog_sources:
        building.add_from_catalog(source)
    return building.finish()


class _Building:
    def __init__(
        self,
        problems: list[str],
        chroma: ChromaResource | None,
        name: str,
        attributes: Attributes | None,
        shards: Mapping[str, int],
    ) -> None:
        self._problems = problems
        self._shards = shards
        self._attributes = attributes
        self._before, behind = (f"{name}_", f"_{name}") if name else ("", "")
        # A key for each call: one with a Chroma of its own and one without merge, too.
        self._runtime_key = f"{RUNTIME_KEY}{behind}"
        self._resources: dict[str, Any] = {**RESOURCES}
        runtime = self._resources.pop(RUNTIME_KEY)
        if chroma is not None:
            chroma_key = f"chroma{behind}"
            self._resources[chroma_key] = chroma
            runtime = runtime_with_chroma(chroma_key)
        self._resources[self._runtime_key] = runtime
        self._without_chroma: list[str] = []
        self._built: list[dg.Definitions] = []
        self._names: list[str] = []
        self._wrong: list[str] = []
        self._shown: dict[str, str] = {}
        self._filling: dict[str, list[Source]] = {}
        self._catalog_names: list[str] = []
        self._queues: dict[str, list[Find]] = {}

    def require_chroma(self, name: str) -> None:
        """Note a source that cannot be indexed where no Chroma is named."""
        settings = load_settings()
        if settings.chroma_url is None and settings.chroma_api_key is None:
            self._without_chroma.append(name)

    def _tell_without_chroma(self) -> None:
        """Say once of which sources nothing is indexed; others of the location have theirs."""
        if not self._without_chroma:
            return
        some = ", ".join(map(repr, self._without_chroma[:SHOWN_NAMES]))
        more = len(self._without_chroma) - SHOWN_NAMES
        told = (
            f"no Chroma is named for {some}{f' and {more} more' if more > 0 else ''}, so nothing "
            "of them is indexed: set S3SYNC_CHROMA_URL (or CHROMA_API_KEY), or hand a "
            "ChromaResource to build_definitions"
        )
        self._problems.append(told)
        _log.warning("%s", told)

    def add(self, resource: DeclaredSource, *, origin: Origin, at: str) -> None:
        shown = f"{resource.name!r} ({at})" if at else repr(resource.name)

        def build() -> None:
            value = resource.to_source()
            self._build(resource, value, _registered(value, origin), shown, own_sensor=True)
            self._tell_overlap(value)

        self._guarded(shown, build)

    def add_from_catalog(self, source: Source) -> None:
        def build() -> None:
            resource = CatalogSource.shown(source)
            self._build(resource, source, _of_catalog(source.name), shown, own_sensor=False)
            self._catalog_names.append(source.name)

        shown = f"{source.name!r} (of the catalog)"
        self._guarded(shown, build)

    def finish(self) -> dg.Definitions:
        self._tell_without_chroma()
        if self._wrong and load_settings().environment.get(VALIDATION):
            raise InvalidSetting("\n".join(self._wrong))
        jobs = [job for one in self._built for job in one.jobs or []]
        sensors: list[dg.SensorDefinition] = []
        if jobs:
            sensors.append(
                self._shared(build_dispatch_sensor, "dispatch", jobs, self._names, self._shards)
            )
        if self._catalog_names:
            sensors.append(
                self._shared(build_catalog_listing_sensor, "catalog_auto_sync", self._catalog_names)
            )
        # The daemon has few threads for all sensors: many full queues must not keep them for long.
        budget = BUDGET_SECONDS * min(1.0, QUEUES_OF_A_WHOLE_TURN / max(1, len(self._queues)))
        for url, finds in self._queues.items():
            wanted = f"{self._before}{_sensor_name(url, sensors)}"
            sensors.append(
                build_intake_sensor(
                    wanted,
                    url,
                    jobs,
                    _all(finds),
                    self._runtime_key,
                    budget_seconds=budget,
                    queues=len(self._queues),
                )
            )
        base = dg.Definitions(
            sensors=sensors,
            resources=self._resources,
            metadata={PROBLEMS: dg.MetadataValue.json(self._problems)} if self._problems else None,
        )
        return dg.Definitions.merge(base, *self._built)

    def _shared(
        self, build: Callable[..., dg.SensorDefinition], name: str, *arguments: Any
    ) -> dg.SensorDefinition:
        return build(*arguments, name=f"{self._before}{name}", runtime_key=self._runtime_key)

    def _build(
        self, resource: AnySource, source: Source, find: Find, shown: str, *, own_sensor: bool
    ) -> None:
        # Dagster compares some names without regard to case where files stand for them.
        taken = self._shown.get(resource.name.lower())
        if taken is not None:
            raise InvalidSetting(f"its name is taken by the source {taken}; rename one of the two.")
        one = build_source_definitions(
            resource,
            find=find,
            sensor=own_sensor,
            resources=self._resources,
            runtime_key=self._runtime_key,
            attributes=self._attributes,
            shards=self._shards.get(resource.name, FIRST_SHARD),
        )
        self._built.append(one)
        self._names.append(resource.name)
        self._shown[resource.name.lower()] = shown
        if source.place.queue_url:
            self._queues.setdefault(source.place.queue_url, []).append(find)

    def _tell_overlap(self, source: Source) -> None:
        """Say which two would fill one collection from the same objects.

        Both stay: the catalog knows which of them came first, and refuses the other.
        """
        beside = self._filling.setdefault(source.collection_name, [])
        shown = self._shown[source.name.lower()]
        for other in beside:
            if overlap(source, other):
                self._tell(
                    f"the sources {self._shown[other.name.lower()]} and {shown} take the same "
                    f"objects of {source.place.address()!r} into {source.collection_name!r}: only "
                    "the one that was there first works (source_overlaps). Give one of them "
                    "another collection, prefix or id_prefix."
                )
        beside.append(source)

    def _guarded(self, shown: str, build: Callable[[], None]) -> None:
        try:
            build()
        except S3SyncError as error:
            self._tell(f"source {shown} is left out: {error.message}")
        except Exception as error:  # noqa: BLE001  (no source may take the others down)
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}, line {place.lineno}"
            self._tell(f"source {shown} is left out: a {type(error).__name__} was raised ({where})")

    def _tell(self, problem: str) -> None:
        self._wrong.append(problem)
        self._problems.append(problem)
        _log.error("%s", problem)


def _registered(source: Source, origin: Origin) -> Find:
    return lambda runtime: runtime.register(source, origin=origin)


def _of_catalog(name: str) -> Find:
    return lambda runtime: runtime.parts.catalog.sources.find(name)


def _all(finds: Sequence[Find]) -> Callable[[Runtime], list[Source]]:
    return lambda runtime: [source for find in finds if (source := _one(find, runtime)) is not None]


def _one(find: Find, runtime: Runtime) -> Source | None:
    """Return None for who has no row: it keeps no other from the queue, and is listed at first."""
    try:
        return find(runtime)
    except (NotFound, Conflict) as error:
        _log.warning("a source of a queue is left out: %s", error.message)
        return None


def _sensor_name(queue_url: str, taken: Sequence[dg.SensorDefinition]) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", queue_url.rstrip("/").rsplit("/", 1)[-1]) or "queue"
    names = {sensor.name for sensor in taken}
    number, wanted = 1, f"{name}_intake"
    while wanted in names:
        number += 1
        wanted = f"{name}_{number}_intake"
    return wanted
