"""Whose turn it is to be listed: sources when their time has come, or when a person asks.

Sensors list over several ticks (``list_when_due``, ``list_in_turn``), a person's sync and backfill
from the first page to the last (``list_whole``).
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import cast

from s3sync_dagster.core.patience import is_due
from s3sync_dagster.core.state import ListingRow, ListingState, SourceRow
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.identity import BUDGET_SECONDS as TRUST_SECONDS
from s3sync_dagster.engine.identity import check_collections
from s3sync_dagster.engine.listing import PAGE_KEYS, ListingProgress, continue_listing
from s3sync_dagster.engine.ports import Collections, Owners
from s3sync_dagster.engine.reports import nothing_new
from s3sync_dagster.engine.snapshot import is_kept
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import NotFound, S3SyncError
from s3sync_dagster.model.source import AutoSync, Source

BUDGET_SECONDS = 20.0
WAIT_SECONDS = 1.0
"""Between two looks at whether another process's listing has ended."""
RESPITE_SECONDS = 0.1
"""A round leaves its process free for as long as a listing took, but not longer than this: after a
reload Dagster asks the code server for each job, just when all new sources are to be listed."""
FAILED_SECONDS = 300.0
"""A listing that was asked for and failed is tried again after so long."""
NOT_DUE = "not due"


class Waits(Exception):
    """No turn of a source may begin now; says why."""


class GoesOnBeside(Waits):
    """A turn has begun, and outlasts what it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingParts:
    """What a process lists with."""

    catalog: CatalogPort
    clock: Clock
    owners: Owners
    store_for: Callable[[Source], ObjectStore]
    collections: Callable[[], Collections]
    """Opens Chroma: whether what was written is still there is asked with each listing."""
    snapshots: Path | None = None
    """Folder in which listings without order are sorted."""

    def hindrance(self, source: Source) -> str | None:
        """Return why no turn of a source may begin now, where one of before goes on."""
        del source
        return None

    def nothing_new(self, source: Source) -> str | None:
        """Return a sentence where a source's reports have nothing new, see ``engine.reports``."""
        try:
            store = self.store_for(source)
        except S3SyncError:
            return None  # the listing meets it again, and tells
        return nothing_new(source, store=store, catalog=self.catalog)

    def go_on(
        self,
        source: Source,
        *,
        budget_seconds: float | None = None,
        fresh: bool = False,
        approve_deletes: bool = False,
        on_page: Callable[[ListingRow], None] | None = None,
        page_keys: int = PAGE_KEYS,
        reindex: bool = False,
    ) -> ListingProgress | None:
        """Work on a source's listing with these parts, see ``continue_listing``.

        A place that cannot even be opened, such as with a credential that is gone, ends a listing
        as failed, too: people look for the reason at the newest one.
        """
        try:
            store = self.store_for(source)
        except S3SyncError as error:
            listings, me = self.catalog.listings, self.owners.me()
            kept = partial(is_kept, self.snapshots)
            listing = listings.begin(source.id, owner=me, fresh=fresh, is_kept=kept)
            if listing is not None:
                listings.fail(listing, owner=me, error=error.message)
            raise
        return continue_listing(
            source,
            catalog=self.catalog,
            store=store,
            clock=self.clock,
            owner=self.owners.me(),
            budget_seconds=budget_seconds,
            fresh=fresh,
            approve_deletes=approve_deletes,
            on_page=on_page,
            page_keys=page_keys,
            snapshots=self.snapshots,
            reindex=reindex,
        )


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
    hindrance = parts.hindrance(source)
    if hindrance is not None:
        return f"{NOT_DUE}: {hindrance}"
    asked = catalog.sources.listing_asked(source.id)
    if not asked and not _by_itself(source):
        return f"{NOT_DUE}: it is not listed by itself"
    if catalog.sources.paused(source.id):
        return f"{NOT_DUE}: paused"
    owner, latest = catalog.listings.live_owner(source.id), catalog.listings.latest(source.id)
    if owner is None and asked:
        if latest is not None and _failed_lately(latest, now=parts.clock.now().timestamp()):
            return f"{NOT_DUE}: the listing that was asked for failed and is tried again"
    elif owner is None and not catalog.sources.due_for_listing(
        source.id, interval_seconds=source.list_interval_seconds
    ):
        return f"{NOT_DUE}: listed every {source.list_interval_seconds} s"
    if owner is not None and latest is not None and parts.owners.is_dead(owner):
        catalog.listings.pause(latest, owner=owner)  # it goes on from its cursor
    check_collections(
        source, catalog=catalog, collections=parts.collections, log=log, seconds=TRUST_SECONDS
    )
    try:
        if owner is None and not asked:
            waits = parts.nothing_new(source)
            if waits is not None:
                return waits
        progress = parts.go_on(source, budget_seconds=budget_seconds, page_keys=page_keys)
    except Waits as waits:
        return str(waits)
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
    begins: Callable[[str], None] = lambda _after: None,
) -> tuple[str, str]:
    """List those sources of the catalog that are due, within one budget.

    Args:
        parts: of this process.
        names: sources that the code location has.
        after: what the last call returned; the round goes on behind it.
        log: takes warnings.
        budget_seconds: for all of them together; what is left waits for the next tick.
        begins: called before each turn with what would be returned if it were the last.

    Returns:
        A sentence for people, and whose turn was last: of each tenant the name, as JSON.
    """
    clock = parts.clock
    rows = [row for row in parts.catalog.sources.rows(origin="catalog") if row.source.name in names]
    # Hundreds of sources are seldom due: two statements tell, not three for each.
    now, live = clock.now().timestamp(), parts.catalog.listings.live_sources()
    due = [row for row in rows if row.source.id in live or _due(row, now=now)]
    served, lines = _served(after, {row.source.tenant for row in rows}), list[str]()
    free = [row for row in due if parts.hindrance(row.source) is None]
    if len(free) < len(due):
        lines.append(f"{len(due) - len(free)} are at, or wait for, what outlasts a tick")
    started = clock.monotonic()
    for row in _in_turn(free, served):
        left = budget_seconds - (clock.monotonic() - started)
        if left <= 0:
            lines.append("time is up; the others follow at the next tick")
            break
        began, name = clock.monotonic(), row.source.name
        others = {tenant: one for tenant, one in served.items() if tenant != row.source.tenant}
        begins(json.dumps({**others, row.source.tenant: name}))
        line = _listed(parts, row.source, log=log, budget_seconds=left)
        if not line.startswith(NOT_DUE):
            lines.append(f"{name}: {line}")
            served = {**others, row.source.tenant: name}  # behind those of other tenants
            clock.sleep(min(clock.monotonic() - began, RESPITE_SECONDS))
    return "; ".join(lines) or f"{len(rows)} sources, none due", json.dumps(served)


def _served(cursor: str | None, tenants: Collection[str]) -> dict[str, str]:
    """Return the last name of each tenant, the one that waits for longest first."""
    try:
        told = json.loads(cursor or "{}")
    except ValueError:  # an older version kept one name
        return {}
    known = cast("dict[str, str]", told) if isinstance(told, dict) else {}
    return {tenant: name for tenant, name in known.items() if tenant in tenants}


def _in_turn(due: Sequence[SourceRow], served: Mapping[str, str]) -> list[SourceRow]:
    """Return what is due, a source of each tenant in turn: many of one keep no other waiting."""
    queues: dict[str, list[SourceRow]] = {}
    for row in sorted(due, key=lambda row: row.source.name):
        queues.setdefault(row.source.tenant, []).append(row)
    for tenant, queue in queues.items():
        last = served.get(tenant, "")
        behind = [row for row in queue if row.source.name > last]
        queues[tenant] = behind + [row for row in queue if row.source.name <= last]
    places = {tenant: place for place, tenant in enumerate(served)}
    order = sorted(queues, key=lambda tenant: places.get(tenant, -1))
    rounds = zip_longest(*(queues[tenant] for tenant in order))
    return [row for one in rounds for row in one if row is not None]


def _due(row: SourceRow, *, now: float) -> bool:
    due = is_due(row.list_due_at, now=now, at_most=row.source.list_interval_seconds)
    return due and (row.listing_asked or _by_itself(row.source))


def _by_itself(source: Source) -> bool:
    return source.auto_sync is not AutoSync.NONE and source.list_interval_seconds > 0


def _failed_lately(listing: ListingRow, *, now: float) -> bool:
    return listing.state is ListingState.FAILED and not is_due(
        (listing.finished_at or 0.0) + FAILED_SECONDS, now=now, at_most=FAILED_SECONDS
    )


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
    reindex: bool = False,
    on_page: Callable[[ListingRow], None] | None = None,
    on_wait: Callable[[], None] | None = None,
    on_note: Callable[[str], None] = lambda _line: None,
    page_keys: int = PAGE_KEYS,
) -> ListingRow:
    """List a source from its first page to its last, for a person who waits for it.

    Another process's listing is waited for: it may have begun before what the person changed. One
    whose process is dead ends as failed.

    Args:
        parts: of this process.
        source: the source.
        approve_deletes: a person approved the removals of this listing in advance.
        reindex: a person orders that what is outdated is indexed again, by whoever works on it.
        on_page: called after each page with the listing's counts.
        on_wait: called once, when another process is waited for.
        on_note: takes what people should know of what was met.
        page_keys: keys asked for at once.

    Raises:
        NotFound: the source is being deleted, or was.
        S3SyncError: the bucket could not be listed.
    """
    check_collections(source, catalog=parts.catalog, collections=parts.collections, log=on_note)
    while True:
        end_if_dead(parts, source.id)
        progress = parts.go_on(
            source,
            fresh=True,
            approve_deletes=approve_deletes,
            reindex=reindex,
            on_page=on_page,
            page_keys=page_keys,
        )
        if progress is not None:
            return progress.listing
        if not parts.catalog.sources.there(source.id):
            raise NotFound(f"The source {source.name!r} is deleted.", reason="source_not_found")
        if on_wait is not None:
            on_wait()
            on_wait = None
        parts.clock.sleep(WAIT_SECONDS)


def end_if_dead(parts: ListingParts, source_id: str) -> str | None:
    """End a source's listing whose process has died; returns the owner of one that lives."""
    owner = parts.catalog.listings.process_of(source_id)
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
    report = listing.report
    if report is not None and not report.listed:
        text += f", by the inventory report {report.name}"
    if report is not None and report.unasked:
        text += (
            f", {report.unasked} as they were: HEADs were refused, and the bucket is listed next"
        )
    if listing.left_out:
        text += f", {listing.left_out} left out: the tenant has all the objects it may have"
    if listing.state is ListingState.BLOCKED:
        return f"{text}; removals of listing {listing.id} wait for `s3sync approve-deletes`"
    return text if progress.done else f"{text}; it goes on at the next tick"
