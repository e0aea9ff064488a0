"""Listings: one ordered pass over a prefix, page by page, in step with the catalog.

The cost of an unchanged bucket is one LIST per 1,000 keys; memory holds one page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3sync_dagster.core.catalog_port import CatalogPort, PageCommit, PageWindow
from s3sync_dagster.core.clock import Clock
from s3sync_dagster.core.interfaces import ObjectStore
from s3sync_dagster.core.selection import decide
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.state import ListingRow, ListingState, ObjectState
from s3sync_dagster.model.errors import NotPossible, S3SyncError, Unavailable
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

if TYPE_CHECKING:
    from s3sync_dagster.core.selection import Skip

GUARD_MINIMUM = 50
GUARD_SHARE = 0.2
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
        guard_share=GUARD_SHARE,
        guard_minimum=GUARD_MINIMUM,
        removes=source.mode is DeleteMode.MIRROR,
        approved=approve_deletes,
    )
    return ListingProgress(listing=listing, done=listing.state is not ListingState.RUNNING)


def reconcile_page(
    source: Source,
    refs: Sequence[ObjectRef],
    window: PageWindow,
    *,
    cursor: str | None,
    selected_before: int,
    asked_at: float,
) -> PageCommit:
    """Compare one page with what is known of its stretch of keys. Pure."""
    fingerprint = source.fingerprint()
    upserts: list[tuple[ObjectRef, str | None]] = []
    invoke: list[str] = []
    new = changed = 0
    selected = selected_before
    for ref in refs:
        known = window.objects.get(ref.key)
        skip: Skip | None = decide(source, ref)
        reason = skip.reason if skip else None
        if reason is None:
            if source.document_limit is not None and selected >= source.document_limit:
                reason = "document_limit"
            else:
                selected += 1
        differs = known is None or _differs(known, ref)
        new += known is None
        changed += known is not None and differs
        if known is None or differs or known.missed or known.skip_reason != reason:
            upserts.append((ref, reason))
        # Who works on a key now may have read it before it changed; who waits will see it.
        held = ref.key in window.waiting or (ref.key in window.live and not differs)
        if (
            not held
            and (reason is None or is_sidecar(ref.key))
            and needs_work(known, ref, source, fingerprint=fingerprint, now=asked_at)
        ):
            invoke.append(ref.key)
    there = {ref.key for ref in refs}
    return PageCommit(
        cursor=cursor,
        listed=len(refs),
        asked_at=asked_at,
        new=new,
        changed=changed,
        selected=selected - selected_before,
        missing=[key for key in window.objects if key not in there],
        upserts=upserts,
        invoke=invoke,
    )


def needs_work(
    known: ObjectState | None, ref: ObjectRef, source: Source, *, fingerprint: str, now: float
) -> bool:
    """Return whether a listed, selected object asks for an invocation.

    What its bytes caused is not tried again until etag or fingerprint change; what configuration
    or the weather caused is tried again when its time has come.
    """
    if known is None or known.outcome is None or known.outcome_etag != ref.etag:
        return True
    outdated = known.fingerprint is not None and known.fingerprint != fingerprint
    due = known.next_retry_at is None or known.next_retry_at <= now
    match known.outcome:
        case "failed":
            return outdated if known.retry_class == "input" else due
        case "skipped":
            return _selected_again(known, ref, source, outdated=outdated, due=due)
        case "indexed":
            return outdated and source.on_config_change == "reindex"


def _selected_again(
    known: ObjectState, ref: ObjectRef, source: Source, *, outdated: bool, due: bool
) -> bool:
    """Return whether what was skipped in this version has lost the reason for it."""
    if is_sidecar(ref.key):
        return False
    match known.reason:
        case "no_sidecar":
            return source.auto_sync is not AutoSync.METADATA
        case "changed_in_append_mode":
            return source.mode is not DeleteMode.APPEND
        case _ if known.retry_class == "input":
            return outdated
        case _:
            return due  # left out by selection, which takes it now, or by what a read met


def _differs(known: ObjectState, ref: ObjectRef) -> bool:
    """Return whether a listing tells something new; versions stand in no listing."""
    return (
        known.etag != ref.etag
        or known.size != ref.size
        or known.storage_class != ref.storage_class
        or (ref.version_id is not None and known.version_id != ref.version_id)
    )
