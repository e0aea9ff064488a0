"""Listings: one ordered pass over a prefix, page by page, in step with the catalog.

The cost of an unchanged bucket is one LIST per 1,000 keys; memory holds one page. Who lists when is
told in ``engine.listing_turns``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from s3sync_dagster.core.guard import needs_approval
from s3sync_dagster.core.page import PageCommit, PageWindow, reconcile_page
from s3sync_dagster.core.state import DepartureCursor, ListingRow, ListingState
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.listings_port import ListingsPort
from s3sync_dagster.engine.pages import Pages, confirm_gone
from s3sync_dagster.engine.pages_ahead import open_ahead
from s3sync_dagster.engine.reports import confirmed, is_reported, note_refusal, take_report
from s3sync_dagster.engine.snapshot import is_kept, snapshot_file
from s3sync_dagster.engine.store_ports import ListPage, ObjectStore
from s3sync_dagster.engine.unseen import confirm_unseen, look_for_unseen
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import DeleteMode, Source

PAGE_KEYS = 1000
WINDOW_KEYS = 2000
"""Known keys that one transaction compares: a page's own and as many that have vanished."""


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
    reindex: bool = False,
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
        reindex: a person orders that what is outdated is indexed again, by whoever works on it.
        on_page: called after each page with the listing's counts.
        page_keys: keys asked for at once.
        snapshots: the folder in which listings without order are sorted, and those of copies and
            folders keep their token, so that they go on after the budget; None: such a listing has
            to end within one call.

    Returns:
        None while another live process lists the source, or another host keeps what its listing
        goes on with, or when it is being deleted.

    Raises:
        S3SyncError: the bucket could not be listed; the listing ended as failed.
    """
    declared = source
    if reindex:
        source = source.with_changes(on_config_change="reindex")
    listings = catalog.listings
    kept = partial(is_kept, snapshots)
    listing = listings.begin(source.id, owner=owner, fresh=fresh, is_kept=kept)
    if listing is None:
        return None
    ends = math.inf if budget_seconds is None else clock.monotonic() + budget_seconds
    pages: Pages | None = None
    try:
        while True:
            try:
                if pages is None:
                    read, begun = take_report(
                        declared, listing, owner=owner, store=store, catalog=catalog
                    )
                    if begun is None:
                        return None
                    listing = begun
                    file = snapshot_file(snapshots, listing) if snapshots is not None else None
                    pages = open_ahead(
                        read,
                        source.place.path_prefix,
                        marks=partial(listings.marks, source.id),
                        snapshot=file,
                    )
                asked = pages.next(listing.cursor, limit=page_keys, number=listing.number)
            except S3SyncError as error:
                note_refusal(listing, error, owner=owner, catalog=catalog)
                listings.fail(listing, owner=owner, error=error.message)
                if pages is not None:
                    pages.discard()
                raise
            if asked is None:  # a snapshot is gathered: only the lease goes on
                last = False
                commit = _no_page(listing)
            else:
                if asked.commit is not None and listing.cursor is None:
                    listings.meet(listing, commit=asked.commit)
                stretch = next_stretch(source, asked.page, listing.cursor, listings=listings)
                try:
                    stretch = confirmed(
                        source, stretch, listing, owner=owner, store=store, catalog=catalog
                    )
                    commit = reconcile_page(
                        source,
                        stretch.refs,
                        stretch.window,
                        cursor=stretch.cursor,
                        selected_before=listing.selected,
                        asked=asked.number,
                        now=clock.now().timestamp(),
                    )
                    commit = replace(
                        commit,
                        tells_missing=asked.page.tells_missing,
                        missing=confirm_gone(store, commit.missing),
                    )
                    last = stretch.last
                    if last and not listing.left_out:
                        confirm_unseen(
                            source,
                            {ref.key for ref in stretch.refs},
                            store=store,
                            catalog=catalog,
                            renew=partial(_renew, listing, listings=listings, owner=owner),
                        )
                except S3SyncError as error:
                    note_refusal(listing, error, owner=owner, catalog=catalog)
                    listings.fail(listing, owner=owner, error=error.message)
                    pages.discard()
                    raise
            if is_reported(store):  # what it has seen may be older than what was told since
                commit = replace(commit, seen=())
            commit = replace(commit, reindex=reindex)
            following = listings.commit_page(listing, commit, owner=owner)
            if following is None:
                return None
            listing = following
            if on_page is not None:
                on_page(listing)
            if last:
                if asked is not None and not asked.page.tells_missing:
                    look_for_unseen(source, store=store, catalog=catalog)
                break
            if clock.monotonic() >= ends:
                listings.pause(listing, owner=owner, stays_here=pages.stays_here)
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
            listings.pause(listing, owner=owner, stays_here=pages.stays_here)
        return ListingProgress(listing=listing, done=done)
    finally:
        if pages is not None:
            pages.close()


def _no_page(listing: ListingRow) -> PageCommit:
    return PageCommit(cursor=listing.cursor, listed=0, asked=listing.number)


def _renew(listing: ListingRow, *, listings: ListingsPort, owner: str) -> None:
    listings.commit_page(listing, _no_page(listing), owner=owner)


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
    if not page.tells_missing:
        there = {ref.key for ref in refs}
        known = {key: one for key, one in window.objects.items() if key in there}
        window = replace(window, objects=known)
    return Stretch(refs=refs, window=window, cursor=cursor, last=last)
