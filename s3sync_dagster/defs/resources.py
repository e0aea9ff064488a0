"""Resources: a source as people configure it, and the parts that runs and sensors work with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import dagster as dg
import pydantic
from pydantic import Field

from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.state import Origin
from s3sync_dagster.defs.source_fields import (
    FilesFields,
    FolderFields,
    GitFields,
    SourceFields,
    WebFields,
    require_settings,
    require_types,
)
from s3sync_dagster.defs.ticks import TickChroma
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.run import BatchFailed, BatchRun
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts, open_parts


class SourceResource(dg.ConfigurableResource):
    """What the resources of all types of places do alike."""

    def __init__(self, **given: Any) -> None:
        """Take the settings; what is none of them is no silent loss of a filter.

        Raises:
            InvalidSetting: a name is none of a setting, one that has to be there lacks, or a value
                has another type.
        """
        kind: Any = type(self)
        require_settings(kind, given)
        try:
            super().__init__(**given)
        except (pydantic.ValidationError, dg.DagsterInvalidConfigError):
            require_types(kind, given)
            raise


class S3Source(SourceFields, SourceResource):
    """A bucket and prefix whose objects become searchable records of a Chroma collection.

    Hand it to ``build_definitions``. Secrets are given by the *names* of environment variables,
    never by value, so that the UI can show this resource to everybody.
    """


class FolderSource(FolderFields, SourceResource):
    """A folder whose files become searchable records of a Chroma collection.

    Hand it to ``build_definitions``. A folder that is not mounted takes no records away.
    """


class GitSource(GitFields, SourceResource):
    """A repository whose files become searchable records of a Chroma collection.

    Hand it to ``build_definitions``. A token is given by the *name* of its variable.
    """


class WebSource(WebFields, SourceResource):
    """A web site whose pages become searchable records of a Chroma collection.

    Hand it to ``build_definitions``. A page that did not change costs a question.
    """


class FilesSource(FilesFields, SourceResource):
    """A file store whose files become searchable records of a Chroma collection.

    Hand it to ``build_definitions``. A secret is given by the *name* of its variable.
    """


class CatalogSource(dg.ConfigurableResource):
    """A source that was created in the catalog, shown in the UI; edit it with ``s3sync source``."""

    name: str
    settings: dict[str, Any] = Field(description="What differs from the defaults.")
    owners: list[str] = Field(default_factory=list)
    group_name: str | None = None

    def to_source(self) -> Source:
        """Return the source as a value."""
        return Source.from_json(self.settings)

    @classmethod
    def shown(cls, source: Source) -> "CatalogSource":
        """Return the resource that shows a source, without what is long.

        The definitions of all sources are one message of Dagster's code server, and each stands
        there four times: who gives his sources much of that would end everybody's.
        """
        return cls.of(Source.from_json(_short(source.to_json())))

    @classmethod
    def of(cls, source: Source) -> "CatalogSource":
        """Return the resource that shows a source."""
        place = S3Place(bucket_name="")
        default = Source(id="", name="", place=place, collection_name="").to_json()
        return cls(name=source.name, settings=_changed(source.to_json(), default))


_SHOWN_CHARACTERS = 1000
_PATH_CHARACTERS = 1100
"""Of a text alone: a prefix is shown whole."""
_LONG = "too long for this page: the command `s3sync source show` has all"
_MAPPINGS = frozenset({"metadata", "engines", "task"})
"""Settings whose names are people's own."""


def _short(value: Any, name: str = "") -> Any:
    """Return a setting, or all of them, with less of what is long."""
    if isinstance(value, str):
        return value if len(value) <= _PATH_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]} ..."
    if isinstance(value, list) or (isinstance(value, dict) and name in _MAPPINGS):
        if len(str(cast("object", value))) <= _SHOWN_CHARACTERS:
            return cast("object", value)
        return [_LONG] if isinstance(value, list) else {name: _LONG}
    if isinstance(value, dict):
        settings = cast("dict[str, Any]", value)
        return {word: _short(one, word) for word, one in settings.items()}
    return value


def _changed(values: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return what differs; Dagster's configuration knows no null inside a mapping."""
    changed: dict[str, Any] = {}
    for key, value in values.items():
        before = default.get(key)
        if value == before or value is None:
            continue
        changed[key] = _changed(value, before) if isinstance(before, dict) else value
    return changed


DeclaredSource = S3Source | FolderSource | GitSource | WebSource | FilesSource
AnySource = DeclaredSource | CatalogSource


@dataclass(frozen=True, slots=True, kw_only=True)
class AheadRead:
    """A batch that was read and cut before its run."""

    run: BatchRun
    lease: Lease
    heartbeat: AbstractContextManager[None]
    error: Exception | None
    """What ended it: ``LeaseLost`` or ``BatchFailed``."""


class Runtime:
    """The parts of one process, and what a run has to end whatever happens."""

    def __init__(self, parts: Parts, *, hooks: dict[str, Any] | None = None) -> None:
        self.parts = parts
        self.hooks = hooks or {}
        """Fields of ``BatchParts`` that this process sets: patience, reports, test hooks."""
        self.at_end: list[Callable[[], None]] = []
        """Called in reverse order when the run's resources are torn down."""
        self._ahead: dict[str, AheadRead] = {}
        self.chroma = TickChroma(parts)
        """Chroma for a sensor's tick."""
        self.embedded = False
        """Code names a Chroma in a folder, which lets one process in."""
        self.location: str | None = None
        """Name of the code location that this process works for, where it is known."""

    def register(self, source: Source, *, origin: Origin = "python") -> Source:
        """Return the source as the catalog has it, which is told of its declaration.

        Raises:
            Conflict: another source has its name or its place.
            InvalidSetting: it breaks a rule.
        """
        named = self.parts.connect is not None
        return self.parts.catalog.sources.register(
            source,
            origin=origin,
            by=self.location,
            chroma=self.parts.chroma_address if named else None,
        )

    def batch_run(
        self, lease: Lease, source: Source, open_parts: Callable[[], BatchParts]
    ) -> BatchRun:
        """Return a batch on its way, with this process's patience."""
        return BatchRun(
            lease,
            source,
            catalog=self.parts.catalog,
            clock=self.parts.clock,
            patience=self.hooks.get("patience", Patience()),
            open_parts=open_parts,
        )

    def read_ahead(self, source: Source, token: str, *, at: Callable[[str], None]) -> None:
        """Read and cut a batch whose run begins later; what fails is raised in that run.

        Args:
            source: the source.
            token: of the batch, which this process has leased.
            at: called at each step, in place of the hook of that name.
        """
        lease = Lease(token, catalog=self.parts.catalog, clock=self.parts.clock)
        run = self.batch_run(
            lease, source, lambda: self.parts.batch_parts(source, **{**self.hooks, "at": at})
        )
        error: Exception | None = None
        heartbeat = lease.heartbeat()
        heartbeat.__enter__()
        try:
            run.extract()
            run.chunk()
        except (LeaseLost, BatchFailed) as met:
            error = met
        self._ahead[token] = AheadRead(run=run, lease=lease, heartbeat=heartbeat, error=error)

    def take_ahead(self, token: str) -> "AheadRead | None":
        """Return what was read of a batch before its run began; whoever takes it renews it."""
        found = self._ahead.pop(token, None)
        if found is not None:
            found.heartbeat.__exit__(None, None, None)
        return found

    def drop_ahead(self, token: str) -> None:
        """Let go of a batch that was read ahead where its run ended before it took it."""
        found = self.take_ahead(token)
        if found is not None:
            found.run.close()

    def end(self) -> None:
        """Call what has to happen at the end of a run."""
        while self.at_end:
            self.at_end.pop()()


RUNTIME_KEY = "s3sync"
MEMORY_KEY = "s3sync_memory"
"""Names of resources that no project of somebody else has."""
_RUNTIME = "Catalog, Chroma, models and worker processes of this deployment."


@dg.resource(description=_RUNTIME)
def runtime_resource(context: dg.InitResourceContext) -> Iterator[Runtime]:
    """Give a run its parts and close them after it."""
    yield from _runtime(open_parts(load_settings()), context)


@cache
def runtime_with_chroma(chroma_key: str) -> dg.ResourceDefinition:
    """Return what gives a run its parts, with the Chroma of that resource.

    One definition a key: Dagster merges definitions whose resources are the same objects.
    """

    @dg.resource(description=_RUNTIME, required_resource_keys={chroma_key})
    def runtime(context: dg.InitResourceContext) -> Iterator[Runtime]:
        parts = open_parts(load_settings())
        chroma = getattr(context.resources, chroma_key)
        parts.connect, parts.connects_to = chroma.open_collections, chroma.address()
        yield from _runtime(parts, context, embedded=chroma.is_embedded())

    return runtime


class BatchMemory(dg.IOManager):
    """Hands a batch from op to op of a process; in another one there is nothing to hand on."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], Any] = {}

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Keep a batch."""
        self._values[tuple(context.get_identifier())] = obj

    def load_input(self, context: dg.InputContext) -> Any:
        """Return it; None in a process of another step (see ``defs.ops``)."""
        assert context.upstream_output is not None
        return self._values.get(tuple(context.upstream_output.get_identifier()))


@dg.io_manager(description="Batches, in memory: they hold what no file can.")
def batch_memory(_context: dg.InitResourceContext) -> BatchMemory:
    """Give a run its memory."""
    return BatchMemory()


def _runtime(
    parts: Parts, context: dg.InitResourceContext, *, embedded: bool = False
) -> Iterator[Runtime]:
    runtime = Runtime(parts)
    runtime.embedded = embedded
    origin = context.run.remote_job_origin if context.run else None  # sensors say it themselves
    runtime.location = origin.location_name if origin else None
    try:
        yield runtime
    finally:
        runtime.end()
        runtime.parts.close()
