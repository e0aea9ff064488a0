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
from s3sync_dagster.model.errors import NotPossible, S3SyncError
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import DeleteMode, Source

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

    Returns:
        None while another live process lists the source.

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
        try:
            page = store.list_page(source.path_prefix, start_after=listing.cursor, limit=PAGE_KEYS)
        except S3SyncError as error:
            catalog.listings.fail(listing, owner=owner, error=error.message)
            raise
        last_key = page.objects[-1].key if page.objects else listing.cursor
        until = None if page.last else last_key
        window = catalog.listings.window(source.id, after=listing.cursor, until=until)
        commit = reconcile_page(
            source,
            page.objects,
            window,
            after=listing.cursor,
            until=until,
            selected_before=listing.selected,
            now=clock.now().timestamp(),
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
    after: str | None,
    until: str | None,
    selected_before: int,
    now: float,
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
        if known is None or known.gone:
            new += 1
        elif _differs(known, ref):
            changed += 1
        if known is None or known.gone or _differs(known, ref) or known.skip_reason != reason:
            upserts.append((ref, reason))
        wanted = reason is None or is_sidecar(ref.key)
        if (
            wanted
            and ref.key not in window.live
            and needs_work(known, ref, source, fingerprint=fingerprint, now=now)
        ):
            invoke.append(ref.key)
    there = {ref.key for ref in refs}
    missing = [key for key in window.objects if key not in there]
    return PageCommit(
        after=after,
        until=until,
        cursor=refs[-1].key if refs else after,
        listed=len(refs),
        new=new,
        changed=changed,
        selected=selected - selected_before,
        missing=missing,
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
    if known is None or known.gone or known.outcome is None or known.outcome_etag != ref.etag:
        return True
    if known.version_id != ref.version_id or known.size != ref.size:
        return True
    outdated = known.fingerprint is not None and known.fingerprint != fingerprint
    if known.outcome == "failed":
        if known.retry_class == "input":
            return outdated
        return known.next_retry_at is None or known.next_retry_at <= now
    if known.outcome == "skipped":
        # Selected now, or the reader's verdict of the same bytes: only the first is work.
        return known.skip_reason is not None or (outdated and known.reason not in _SETTLED_SKIPS)
    return outdated and source.on_config_change == "reindex"


_SETTLED_SKIPS = frozenset({"sidecar", "changed_in_append_mode", "no_sidecar"})


def _differs(known: ObjectState, ref: ObjectRef) -> bool:
    return (
        known.etag != ref.etag
        or known.size != ref.size
        or known.version_id != ref.version_id
        or known.storage_class != ref.storage_class
    )
