"""Listings: one ordered pass over a prefix, page by page, in step with the catalog.

The cost of an unchanged bucket is one LIST per 1,000 keys; memory holds one page. A source is
listed when its time has come, over several ticks (``list_when_due``, ``list_in_turn``), or to its
end because a person asked for it (``list_whole``); both go on with ``continue_listing``.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3sync_dagster.core.guard import needs_approval
from s3sync_dagster.core.page import PageCommit, PageWindow, is_due, reconcile_page
from s3sync_dagster.core.state import DepartureCursor, ListingRow, ListingState, SourceRow
from s3sync_dagster.engine.catalog_port import CatalogPort, ListingsPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.pages import Pages, open_pages
from s3sync_dagster.engine.ports import ListPage, ObjectStore, Owners
from s3sync_dagster.engine.snapshot import snapshot_file
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

PAGE_KEYS = 1000
WINDOW_KEYS = 2000
"""Known keys that one transaction compares: a page's own and as many that have vanished."""
BUDGET_SECONDS = 20.0
WAIT_SECONDS = 1.0
"""Between two looks at whether another process's listing has ended."""
RESPITE_SECONDS = 0.1
"""A round leaves its process free for as long as a listing took, but not longer than this: after a
reload Dagster asks the code server for each job, just when all new sources are to be listed."""
NOT_DUE = "not due"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingParts:
    """What a process lists with."""

    catalog: CatalogPort
    clock: Clock
    owners: Owners
    store_for: Callable[[Source], ObjectStore]
    snapshots: Path | None = None
    """Folder in which listings without order are sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingProgress:
    """How far a call came."""

    listing: ListingRow
    done: bool


def continue_listing(
    source: Source,
    *,
    catalog: CatalogPort,
    store: ObjectStore,
    clock: Clock,
    owner: str,
    budget_seconds: float | None = None,
    fresh: bool = False,
    approve_deletes: bool = False,
    on_page: Callable[[ListingRow], None] | None = None,
    page_keys: int = PAGE_KEYS,
    snapshots: Path | None = None,
) -> ListingProgress | None:
    """Work on the source's listing until it is complete or the budget is spent.

    Args:
        source: the source.
        catalog: where pages are committed.
        store: the source's bucket.
        clock: time.
        owner: this process, see ``Listings.begin``.
        budget_seconds: pages are read for so long; None: to the end.
        fresh: begin with the first page.
        approve_deletes: a person approved the removals of this listing in advance.
        on_page: called after each page with the listing's counts.
        page_keys: keys asked for at once.
        snapshots: the folder in which listings without order are sorted, so that they go on after
            the budget; None: such a listing has to end within one call.

    Returns:
        None while another live process lists the source, or when it is being deleted.

    Raises:
        S3SyncError: the bucket could not be listed; the listing ended as failed.
    """
    listings = catalog.listings
    listing = listings.begin(source.id, owner=owner, fresh=fresh)
    if listing is None:
        return None
    ends = math.inf if budget_seconds is None else clock.monotonic() + budget_seconds
    pages: Pages | None = None
    try:
        while True:
            try:
                if pages is None:
                    file = snapshot_file(snapshots, listing) if snapshots is not None else None
                    pages = open_pages(store, source.place.path_prefix, snapshot=file)
                asked = pages.next(listing.cursor, limit=page_keys, number=listing.number)
            except S3SyncError as error:
                listings.fail(listing, owner=owner, error=error.message)
                if pages is not None:
                    pages.discard()
                raise
            if asked is None:  # a snapshot is gathered: only the lease goes on
                last = False
                commit = PageCommit(cursor=listing.cursor, listed=0, asked=listing.number)
            else:
                stretch = next_stretch(source, asked.page, listing.cursor, listings=listings)
                last = stretch.last
                commit = reconcile_page(
                    source,
                    stretch.refs,
                    stretch.window,
                    cursor=stretch.cursor,
                    selected_before=listing.selected,
                    asked=asked.number,
                    now=clock.now().timestamp(),
                )
            following = listings.commit_page(listing, commit, owner=owner)
            if following is None:
                return None
            listing = following
            if on_page is not None:
                on_page(listing)
            if last:
                break
            if clock.monotonic() >= ends:
                listings.pause(listing, owner=owner)
                return ListingProgress(listing=listing, done=False)
        listing = finish_listing(
            listing,
            listings=listings,
            owner=owner,
            removes=source.mode is DeleteMode.MIRROR,
            approved=approve_deletes,
            goes_on=lambda: clock.monotonic() < ends,
        )
        done = listing.state is not ListingState.RUNNING
        if done:
            pages.discard()
        else:
            listings.pause(listing, owner=owner)
        return ListingProgress(listing=listing, done=done)
    finally:
        if pages is not None:
            pages.close()


def finish_listing(
    listing: ListingRow,
    *,
    listings: ListingsPort,
    owner: str,
    removes: bool,
    approved: bool = False,
    goes_on: Callable[[], bool] = lambda: True,
) -> ListingRow:
    """End a listing that has seen all pages: what it did not see is gone, unless the guard says no.

    What departs goes in parts; where time runs out between two of them, the listing still runs.
    The guard passes the rest of what it has let pass: both the part and the whole have shrunk.

    Args:
        listing: the running listing.
        listings: of the catalog.
        owner: its owner.
        removes: False for delete modes that keep the records.
        approved: a person approved the removals in advance (``--approve-deletes``).
        goes_on: asked after each part.
    """
    if removes and not approved:
        leaving = listings.departing(listing)
        if needs_approval(leaving.documents, total=leaving.of):
            return listings.end(listing, owner=owner, blocked=leaving)
    cursor: DepartureCursor | None = DepartureCursor()
    while True:
        cursor = listings.depart(listing, owner=owner, cursor=cursor, removes=removes)
        if cursor is None:
            return listings.end(listing, owner=owner)
        if not goes_on():
            return listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A page, or the first part of one, with what is known of the same stretch of keys."""

    refs: Sequence[ObjectRef]
    window: PageWindow
    cursor: str | None
    """The last key of the stretch."""
    last: bool
    """True when no key follows."""


def next_stretch(
    source: Source, page: ListPage, after: str | None, *, listings: ListingsPort
) -> Stretch:
    """Return the stretch of keys behind ``after`` that one transaction may compare.

    Where too many known keys have vanished it is only the first part of the page's: the bucket is
    asked again for what stands behind it.
    """
    refs, last = page.objects, page.last
    cursor = refs[-1].key if refs else after
    window = listings.window(
        source.id, after=after, until=None if last else cursor, limit=WINDOW_KEYS
    )
    if window.until is not None:
        cursor, last = window.until, False
        refs = tuple(ref for ref in refs if ref.key <= window.until)
    return Stretch(refs=refs, window=window, cursor=cursor, last=last)


def list_when_due(
    parts: ListingParts,
    source: Source,
    *,
    log: Callable[[str], None],
    budget_seconds: float = BUDGET_SECONDS,
    page_keys: int = PAGE_KEYS,
) -> str:
    """List a source when its time has come; returns what was looked at, for people."""
    catalog = parts.catalog
    if source.auto_sync is AutoSync.NONE or source.list_interval_seconds == 0:
        return f"{NOT_DUE}: it is not listed by itself"
    if catalog.sources.paused(source.id):
        return f"{NOT_DUE}: paused"
    owner = catalog.listings.live_owner(source.id)
    if owner is None and not catalog.sources.due_for_listing(
        source.id, interval_seconds=source.list_interval_seconds
    ):
        return f"{NOT_DUE}: listed every {source.list_interval_seconds} s"
    latest = catalog.listings.latest(source.id)
    if owner is not None and latest is not None and parts.owners.is_dead(owner):
        catalog.listings.pause(latest, owner=owner)  # it goes on from its cursor
    try:
        progress = continue_listing(
            source,
            catalog=catalog,
            store=parts.store_for(source),
            clock=parts.clock,
            owner=parts.owners.me(),
            budget_seconds=budget_seconds,
            page_keys=page_keys,
            snapshots=parts.snapshots,
        )
    except S3SyncError as error:
        log(f"{source.name} could not be listed: {error.reason}: {error.message}")
        return f"could not list: {error.message}"
    return describe(progress)


def list_in_turn(
    parts: ListingParts,
    names: Collection[str],
    *,
    after: str | None,
    log: Callable[[str], None],
    budget_seconds: float = BUDGET_SECONDS,
) -> tuple[str, str | None]:
    """List those sources of the catalog that are due, within one budget.

    Args:
        parts: of this process.
        names: sources that the code location has.
        after: the name whose turn was last; the round goes on behind it.
        log: takes warnings.
        budget_seconds: for all of them together; what is left waits for the next tick.

    Returns:
        A sentence for people, and the name whose turn was last.
    """
    clock = parts.clock
    rows = [row for row in parts.catalog.sources.rows(origin="catalog") if row.source.name in names]
    # Hundreds of sources are seldom due: two statements tell, not three for each.
    now, live = clock.now().timestamp(), parts.catalog.listings.live_sources()
    due = [row for row in rows if row.source.id in live or _due(row, now=now)]
    due.sort(key=lambda row: (row.source.name <= (after or ""), row.source.name))
    started, lines, last = clock.monotonic(), list[str](), after
    for row in due:
        left = budget_seconds - (clock.monotonic() - started)
        if left <= 0:
            lines.append("time is up; the others follow at the next tick")
            break
        began = clock.monotonic()
        line = _listed(parts, row.source, log=log, budget_seconds=left)
        if not line.startswith(NOT_DUE):
            lines.append(f"{row.source.name}: {line}")
            last = row.source.name
            clock.sleep(min(clock.monotonic() - began, RESPITE_SECONDS))
    return "; ".join(lines) or f"{len(rows)} sources, none due", last


def _due(row: SourceRow, *, now: float) -> bool:
    return is_due(row.list_due_at, now=now, at_most=row.source.list_interval_seconds)


def _listed(
    parts: ListingParts, source: Source, *, log: Callable[[str], None], budget_seconds: float
) -> str:
    try:
        return list_when_due(parts, source, log=log, budget_seconds=budget_seconds)
    except S3SyncError as error:
        return f"could not list: {error.message}"
    except Exception as error:  # noqa: BLE001  (one source must not stop the round of the others)
        log(f"{source.name} could not be listed: a {type(error).__name__} was raised")
        return f"could not list: {type(error).__name__}"


def list_whole(
    parts: ListingParts,
    source: Source,
    *,
    approve_deletes: bool = False,
    on_page: Callable[[ListingRow], None] | None = None,
    on_wait: Callable[[], None] | None = None,
    page_keys: int = PAGE_KEYS,
) -> ListingRow:
    """List a source from its first page to its last, for a person who waits for it.

    Another process's listing is waited for: it may have begun before what the person changed. One
    whose process is dead ends as failed.

    Args:
        parts: of this process.
        source: the source.
        approve_deletes: a person approved the removals of this listing in advance.
        on_page: called after each page with the listing's counts.
        on_wait: called once, when another process is waited for.
        page_keys: keys asked for at once.

    Raises:
        S3SyncError: the bucket could not be listed.
    """
    while True:
        end_if_dead(parts, source.id)
        progress = continue_listing(
            source,
            catalog=parts.catalog,
            store=parts.store_for(source),
            clock=parts.clock,
            owner=parts.owners.me(),
            fresh=True,
            approve_deletes=approve_deletes,
            on_page=on_page,
            page_keys=page_keys,
            snapshots=parts.snapshots,
        )
        if progress is not None:
            return progress.listing
        if on_wait is not None:
            on_wait()
            on_wait = None
        parts.clock.sleep(WAIT_SECONDS)


def end_if_dead(parts: ListingParts, source_id: str) -> str | None:
    """End a source's listing whose process has died; returns the owner of one that lives."""
    owner = parts.catalog.listings.live_owner(source_id)
    if owner is not None and parts.owners.is_dead(owner):
        parts.catalog.listings.end_dead(source_id, owner=owner)
        return None
    return owner


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
