"""What the engine asks of the catalog; ``catalog`` fills it on SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from s3sync_dagster.core.news import Told
    from s3sync_dagster.core.page import PageCommit, PageWindow
    from s3sync_dagster.core.state import Departing, DepartureCursor, DocumentState, ListingRow
    from s3sync_dagster.core.work import (
        Claim,
        DocumentCommit,
        Intent,
        KeyOutcome,
        Refusal,
        SidecarChange,
        SidecarState,
        WorkItem,
    )
    from s3sync_dagster.model.source import Source


class ListingsPort(Protocol):
    """Numbered passes over a prefix."""

    def begin(self, source_id: str, *, owner: str, fresh: bool = False) -> ListingRow | None:
        """Take up or start the source's listing; None while another owner lives."""
        ...

    def window(
        self, source_id: str, *, after: str | None, until: str | None, limit: int
    ) -> PageWindow:
        """Return what is known of the first ``limit`` keys in (after, until]."""
        ...

    def live(self, source_id: str, keys: Collection[str]) -> dict[str, str]:
        """Return the status of those keys that have a pending or processing invocation."""
        ...

    def commit_page(
        self, listing: ListingRow, page: PageCommit, *, owner: str
    ) -> ListingRow | None:
        """Store a page; None when the listing is no longer ours."""
        ...

    def departing(self, listing: ListingRow) -> Departing:
        """Return how many documents a listing that has seen all pages would end."""
        ...

    def depart(
        self, listing: ListingRow, *, owner: str, cursor: DepartureCursor, removes: bool
    ) -> DepartureCursor | None:
        """Carry out a part of what a listing ends; returns where the next begins."""
        ...

    def end(
        self, listing: ListingRow, *, owner: str, blocked: Departing | None = None
    ) -> ListingRow:
        """End a listing that has seen all pages."""
        ...

    def fail(self, listing: ListingRow, *, owner: str, error: str) -> None:
        """End a listing that cannot go on; it removes nothing."""
        ...

    def pause(self, listing: ListingRow, *, owner: str) -> None:
        """Give a running listing back between two ticks."""
        ...

    def end_dead(self, source_id: str, *, owner: str) -> None:
        """End the running listing of an owner that is known to be dead."""
        ...

    def live_owner(self, source_id: str) -> str | None:
        """Return the owner of the running listing, if there is one."""
        ...

    def live_sources(self) -> set[str]:
        """Return the ids of all sources with a running listing."""
        ...

    def latest(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source."""
        ...


class SourcesPort(Protocol):
    """Sources as rows."""

    def rows(self, *, origin: str | None = None) -> Sequence[Any]:
        """Return all rows: id, name, list_due_at, config as JSON."""
        ...

    def paused(self, source_id: str) -> bool:
        """Return whether a person paused the source, or it is being deleted."""
        ...

    def due_for_listing(self, source_id: str, *, interval_seconds: int) -> bool:
        """Take the source's turn: True when a listing is due."""
        ...


class BatchesPort(Protocol):
    """Leases of a running batch."""

    def renew(self, token: str) -> bool:
        """Extend the lease; False when it is lost."""
        ...

    def begin(self, token: str, keys: Collection[str], *, survived: Collection[str] = ()) -> None:
        """Mark keys as begun, count an attempt, and take the mark back from others."""
        ...

    def give_back(self, token: str, keys: Collection[str]) -> None:
        """Return keys that were not begun."""
        ...

    def finish(self, token: str) -> bool:
        """End the batch."""
        ...


class DocumentsPort(Protocol):
    """Intents and commits."""

    def claim(self, token: str, source: Source, intents: Sequence[Intent]) -> list[Claim | Refusal]:
        """Put documents under the batch's intent."""
        ...

    def claim_removal(
        self, token: str, source_id: str, states: Sequence[DocumentState]
    ) -> list[DocumentState]:
        """Turn documents ``removing`` under the batch; returns those that are still theirs."""
        ...

    def distrust(self, states: Sequence[DocumentState]) -> None:
        """Mark the owners of these record ids not clean and enqueue them."""
        ...

    def commit(
        self,
        token: str,
        source: Source,
        *,
        written: Sequence[DocumentCommit] = (),
        removed: Sequence[int] = (),
        outcomes: Sequence[KeyOutcome] = (),
    ) -> set[int]:
        """Make acknowledged writes the truth; returns documents lost to another batch."""
        ...


class WorkPort(Protocol):
    """Reads and writes around a batch's keys."""

    def load(self, token: str) -> list[WorkItem]:
        """Return the keys that a batch holds."""
        ...

    def record_objects(
        self,
        source_id: str,
        refs: Sequence[Told],
        *,
        known: Mapping[str, str | None] | None = None,
    ) -> dict[str, str | None]:
        """Store what a HEAD or GET told, unless something newer was told meanwhile."""
        ...

    def record_events(
        self,
        source_id: str,
        *,
        upserts: Sequence[Told],
        sync: Sequence[str],
        remove: Sequence[str],
        sequencers: dict[str, str],
    ) -> None:
        """Commit what events told of one source, with the work that they ask for."""
        ...

    def claims_of(self, source_id: str, paths: Collection[str]) -> dict[str, list[SidecarState]]:
        """Return the sidecars that name these keys, in the order of the sidecars' keys."""
        ...

    def apply_sidecars(
        self, source_id: str, changes: Sequence[SidecarChange], *, held: Collection[str] = ()
    ) -> None:
        """Store what sidecars ask for, with the work that follows."""
        ...


class CatalogPort(Protocol):
    """The catalog as the engine sees it."""

    @property
    def sources(self) -> SourcesPort:
        """Sources."""
        ...

    @property
    def listings(self) -> ListingsPort:
        """Listings."""
        ...

    @property
    def batches(self) -> BatchesPort:
        """Batches."""
        ...

    @property
    def documents(self) -> DocumentsPort:
        """Documents."""
        ...

    @property
    def work(self) -> WorkPort:
        """Keys of a batch."""
        ...
