"""What listings and reports ask of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from s3sync_dagster.core.page import PageCommit, PageWindow
    from s3sync_dagster.core.state import (
        Departing,
        DepartureCursor,
        ListedReport,
        ListingRow,
    )


class ListingsPort(Protocol):
    """Numbered passes over a prefix."""

    def begin(
        self,
        source_id: str,
        *,
        owner: str,
        fresh: bool = False,
        is_kept: Callable[[ListingRow], bool] | None = None,
    ) -> ListingRow | None:
        """Take up or start the source's listing; None while another owner lives, or keeps it."""
        ...

    def window(
        self, source_id: str, *, after: str | None, until: str | None, limit: int
    ) -> PageWindow:
        """Return what is known of the first ``limit`` keys in (after, until]."""
        ...

    def marks(self, source_id: str, after: str | None, *, every: int, limit: int) -> list[str]:
        """Return each ``every``-th known key behind ``after`` that another one follows."""
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

    def meet(self, listing: ListingRow, *, commit: str) -> None:
        """Note which commit a listing that has just begun goes through."""
        ...

    def end(
        self, listing: ListingRow, *, owner: str, blocked: Departing | None = None
    ) -> ListingRow:
        """End a listing that has seen all pages."""
        ...

    def fail(self, listing: ListingRow, *, owner: str, error: str) -> None:
        """End a listing that cannot go on; it removes nothing."""
        ...

    def pause(self, listing: ListingRow, *, owner: str, stays_here: bool = False) -> None:
        """Give a running listing back between two ticks, or to its data folder."""
        ...

    def end_dead(self, source_id: str, *, owner: str) -> None:
        """End the running listing of an owner that is known to be dead."""
        ...

    def live_owner(self, source_id: str) -> str | None:
        """Return the owner of the running listing, if there is one."""
        ...

    def process_of(self, source_id: str) -> str | None:
        """Return the process that lists a source; None where a data folder keeps the listing."""
        ...

    def live_sources(self) -> set[str]:
        """Return the ids of all sources with a running listing."""
        ...

    def latest(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source."""
        ...


class ReportsPort(Protocol):
    """Inventory reports of which listings are made."""

    def note(self, listing: ListingRow, report: ListedReport, *, owner: str) -> ListingRow | None:
        """Store of which report a listing is made; None where the listing is no longer ours."""
        ...

    def amend(
        self,
        listing: ListingRow,
        *,
        owner: str,
        refused: bool = False,
        unasked: int = 0,
        error: str | None = None,
    ) -> None:
        """Store what came out about the report of which our listing is made, and what to say."""
        ...

    def last(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source that names a report."""
        ...

    def whole(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source that has seen all pages."""
        ...

    def has_unlisted(self, source_id: str) -> bool:
        """Return whether there are documents whose objects this source has heard nothing of."""
        ...

    def gone(self, source_id: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys whose object is known to be gone."""
        ...

    def retry_due(self, source_id: str) -> int:
        """Ask again for what failed and is due, as a listing would; returns how many keys."""
        ...
