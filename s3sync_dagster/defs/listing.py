"""Listings by sensors: each source when its time has come, page by page, over several ticks."""

from collections.abc import Callable, Collection

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.listing import ListingProgress, continue_listing
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import AutoSync, Source

BUDGET_SECONDS = 20.0
RESPITE_SECONDS = 0.1
"""A round leaves its process free for as long as a listing took, but not longer than this: after a
reload Dagster asks the code server for each job, just when all new sources are to be listed."""
NOT_DUE = "not due"


def list_when_due(
    runtime: Runtime,
    source: Source,
    *,
    log: Callable[[str], None],
    budget_seconds: float = BUDGET_SECONDS,
) -> str:
    """List a source when its time has come; returns what was looked at, for people."""
    catalog, parts = runtime.parts.catalog, runtime.parts
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
        )
    except S3SyncError as error:
        log(f"{source.name} could not be listed: {error.reason}: {error.message}")
        return f"could not list: {error.message}"
    return describe(progress)


def list_in_turn(
    runtime: Runtime,
    names: Collection[str],
    *,
    after: str | None,
    log: Callable[[str], None],
    budget_seconds: float = BUDGET_SECONDS,
) -> tuple[str, str | None]:
    """List those sources of the catalog that are due, within one budget.

    Args:
        runtime: the parts of this process.
        names: sources that the code location has.
        after: the name whose turn was last; the round goes on behind it.
        log: takes warnings.
        budget_seconds: for all of them together; what is left waits for the next tick.

    Returns:
        A sentence for people, and the name whose turn was last.
    """
    parts = runtime.parts
    rows = [row for row in parts.catalog.sources.rows(origin="catalog") if row.name in names]
    # Hundreds of sources are seldom due: two statements tell, not three for each.
    now, live = parts.clock.now().timestamp(), parts.catalog.listings.live_sources()
    due = [row for row in rows if row.list_due_at <= now or row.id in live]
    due.sort(key=lambda row: (row.name <= (after or ""), row.name))
    started, lines, last = parts.clock.monotonic(), list[str](), after
    for row in due:
        left = budget_seconds - (parts.clock.monotonic() - started)
        if left <= 0:
            lines.append("time is up; the others follow at the next tick")
            break
        began = parts.clock.monotonic()
        line = _listed(runtime, Source.from_json(row.config), log=log, budget_seconds=left)
        if not line.startswith(NOT_DUE):
            lines.append(f"{row.name}: {line}")
            last = row.name
            parts.clock.sleep(min(parts.clock.monotonic() - began, RESPITE_SECONDS))
    return "; ".join(lines) or f"{len(rows)} sources, none due", last


def _listed(
    runtime: Runtime, source: Source, *, log: Callable[[str], None], budget_seconds: float
) -> str:
    try:
        return list_when_due(runtime, source, log=log, budget_seconds=budget_seconds)
    except S3SyncError as error:
        return f"could not list: {error.message}"
    except Exception as error:  # noqa: BLE001  (one source must not stop the round of the others)
        log(f"{source.name} could not be listed: a {type(error).__name__} was raised")
        return f"could not list: {type(error).__name__}"


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
