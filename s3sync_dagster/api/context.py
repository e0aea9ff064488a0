"""What routes work with, found in the application's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.dispatching import Dispatching
from s3sync_dagster.api.finished import FinishedCollections
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from s3sync_dagster.api.add_file import Slots
    from s3sync_dagster.api.backfills import Backfills
    from s3sync_dagster.api.health import Health
    from s3sync_dagster.ports.chroma import ChromaCollections


@dataclass(slots=True, kw_only=True)
class Context:
    """The parts of one server."""

    parts: Parts
    options: ApiOptions
    dispatching: Dispatching
    finished: FinishedCollections
    health: Health
    slots: Slots
    backfills: Backfills
    registry: CollectorRegistry

    @property
    def catalog(self) -> Catalog:
        """The catalog."""
        return self.parts.catalog

    @property
    def chroma(self) -> ChromaCollections:
        """The collections with what only a whole Chroma knows, such as its databases."""
        return cast("ChromaCollections", self.parts.collections)

    def source(self, source_id: object, caller: Caller) -> Source:
        """Return a source of the caller's tenant.

        Raises:
            NotFound: there is none, another tenant has it, or it is being deleted; all alike,
                so that nothing can be guessed.
        """
        row = self.catalog.sources.row(str(source_id), tenant=caller.tenant)
        if row is None or row.deleting is not None:
            raise NotFound(f"No source {str(source_id)!r}.", reason="source_not_found")
        return Source.from_json(row.config)


def _context(request: Request) -> Context:
    return request.app.state.context


Here = Annotated[Context, Depends(_context)]
