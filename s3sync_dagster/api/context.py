"""What routes work with, found in the application's state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.backfills import Backfills
from s3sync_dagster.api.cursors import Cursors
from s3sync_dagster.api.dispatching import Dispatching
from s3sync_dagster.api.errors import Forbidden
from s3sync_dagster.api.finished import FinishedCollections
from s3sync_dagster.api.gathering import Gathering
from s3sync_dagster.api.health_checks import Health
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.api.outside import Outside
from s3sync_dagster.api.slots import Slots
from s3sync_dagster.api.threads import Threads
from s3sync_dagster.api.waiting import Waiting
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.rights import keeps_back, rights_of
from s3sync_dagster.core.rights import Rights
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from s3sync_dagster.ports.chroma import ChromaCollections


FOR_OWNERS = "The source says who may read (reader_keys): an owner is told why."
RECENT_SECONDS = 1.0
MAX_RECENT = 10_000


@dataclass(slots=True, kw_only=True)
class Context:
    """The parts of one server."""

    parts: Parts
    options: ApiOptions
    dispatching: Dispatching
    finished: FinishedCollections
    health: Health
    slots: Slots
    """Uploads."""
    searches: Slots
    downloads: Slots
    outside: Outside
    threads: Threads = field(default_factory=Threads)
    large_bodies: Slots
    deliveries: Slots
    """Large webhooks on their way, by address."""
    cursors: Cursors
    backfills: Backfills
    gathering: Gathering
    waiting: Waiting
    registry: CollectorRegistry
    recent: dict[tuple[str, str], tuple[Source, float]] = field(
        default_factory=dict[tuple[str, str], tuple[Source, float]]
    )

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
        source = row.source
        if len(self.recent) >= MAX_RECENT:
            self.recent.clear()
        self.recent[source.id, caller.tenant] = (source, time.monotonic() + RECENT_SECONDS)
        return source

    def rights(self, caller: Caller) -> Rights:
        """Return what the caller may see of the tenant's documents."""
        return rights_of(self.catalog, caller.reader, tenant=caller.tenant)

    def operates(self, caller: Caller) -> bool:
        """Return whether the caller is told what concerns the whole server, so all its tenants."""
        return caller.role == "owner" and self.options.trusts(caller.tenant)

    def listings(
        self, source_id: str, caller: Caller, *, limit: int, rights: Rights | None = None
    ) -> list[ListingRow]:
        """Return the newest listings of a source, newest first.

        Why one failed may name an object: who does not see all of the source's is told that only.
        """
        found = self.catalog.history.listings(source_id, limit=limit)
        if all(one.error is None for one in found):
            return found
        if (rights or self.rights(caller)).sees_all_of(source_id):
            return found
        return [one if one.error is None else replace(one, error=FOR_OWNERS) for one in found]

    def require_all_of(self, source_id: str, caller: Caller) -> None:
        """Refuse with ``Forbidden`` what would show or change objects that are kept from a caller.

        A source that says who may read is worked on by owners alone: who may name an object's
        metadata says who may read it.
        """
        self.require_all_of_each([source_id], caller)

    def require_all_of_each(self, source_ids: Sequence[str], caller: Caller) -> None:
        """Refuse so where that holds for any of the sources."""
        rights = self.rights(caller)
        if not all(rights.sees_all_of(one) for one in source_ids):
            raise Forbidden(
                "This source says who may read (reader_keys): only an owner may do this with it."
            )

    def require_all_in(self, collection: str, database: str, caller: Caller) -> None:
        """Refuse with ``Forbidden`` names and ids of a caller's choice in a collection.

        Records of one id meet there, whatever source they are of: who chooses one learns whether
        something that is kept back has it, or takes it from what comes later.
        """
        rights = self.rights(caller)
        if keeps_back(
            self.catalog, rights, tenant=caller.tenant, database=database, collection=collection
        ):
            raise Forbidden(
                f"Into the collection {collection!r} writes a source that says who may read "
                "(reader_keys): only an owner may upload or choose ids there."
            )

    def recent_source(self, source_id: object, caller: Caller) -> Source | None:
        """Return a source that was found within the last second, without a look at the catalog."""
        found = self.recent.get((str(source_id), caller.tenant))
        return found[0] if found is not None and time.monotonic() < found[1] else None

    def forget(self, source_id: str, caller: Caller) -> None:
        """Look at the catalog again: the source was changed or deleted here."""
        self.recent.pop((source_id, caller.tenant), None)


async def _context(request: Request) -> Context:  # async: a thread would cost more than it does
    return request.app.state.context


Here = Annotated[Context, Depends(_context)]
