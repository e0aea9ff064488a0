"""Listings: one ordered pass over a prefix, page by page, in step with the catalog.

The cost of an unchanged bucket is one LIST per 1,000 keys; memory holds one page.
"""

from collections.abc import Callable
from dataclasses import dataclass

from s3sync_dagster.core.page import reconcile_page
from s3sync_dagster.core.state import ListingRow, ListingState
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.ports import ObjectStore
from s3sync_dagster.model.errors import NotPossible, S3SyncError, Unavailable
from s3sync_dagster.model.source import DeleteMode, Source

PAGE_KEYS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingProgress:
    """How far a call came."""

    listing: ListingRow
    done: bool
    busy: bool = False
    """True when another process works on the source's listing."""


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

    Returns:
        None while another live process lists the source, or when it is being deleted.

    Raises:
        S3SyncError: the bucket could not be listed; the listing ended as failed.
    """
    if not store.ordered:
        raise NotPossible(
            f"{source.bucket_name!r} is a directory bucket: its listing has no order, so it cannot "
            "be reconciled page by page. Use events (queue_url) or explicit invocations."
        )
    listing = catalog.listings.begin(source.id, owner=owner, fresh=fresh)
    if listing is None:
        return None
    started = clock.monotonic()
    while True:
        asked_at = clock.now().timestamp()
        try:
            page = store.list_page(source.path_prefix, start_after=listing.cursor, limit=page_keys)
        except S3SyncError as error:
            catalog.listings.fail(listing, owner=owner, error=error.message)
            raise
        last_key = page.objects[-1].key if page.objects else listing.cursor
        if not page.last and last_key == listing.cursor:
            error = Unavailable(
                f"The listing of {source.bucket_name!r} does not go on after {last_key!r}: the "
                "endpoint answered with an empty page that is not the last.",
                reason="listing_stuck",
            )
            catalog.listings.fail(listing, owner=owner, error=error.message)
            raise error
        until = None if page.last else last_key
        window = catalog.listings.window(source.id, after=listing.cursor, until=until)
        commit = reconcile_page(
            source,
            page.objects,
            window,
            cursor=last_key,
            selected_before=listing.selected,
            asked_at=asked_at,
        )
        following = catalog.listings.commit_page(listing, commit, owner=owner)
        if following is None:
            return None
        listing = following
        if on_page is not None:
            on_page(listing)
        if page.last:
            break
        if budget_seconds is not None and clock.monotonic() - started >= budget_seconds:
            catalog.listings.pause(listing, owner=owner)
            return ListingProgress(listing=listing, done=False)
    listing = catalog.listings.finish(
        listing,
        owner=owner,
        removes=source.mode is DeleteMode.MIRROR,
        approved=approve_deletes,
    )
    return ListingProgress(listing=listing, done=listing.state is not ListingState.RUNNING)
