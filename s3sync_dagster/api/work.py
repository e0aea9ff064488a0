"""``/s3sync/v1/sources/{id}``: backfill, dry run, retry, approval of removals, history."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from s3sync_dagster.api.access import AnyCaller, Caller, OwnerCaller
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.dry_run import dry_run
from s3sync_dagster.api.manage_show import show_listing, show_run
from s3sync_dagster.api.manage_wire import (
    ApprovePayload,
    Backfill,
    DryRun,
    HistoryShown,
    ListingShown,
    Retried,
    RetryPayload,
)
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.explaining import not_to_approve
from s3sync_dagster.model.invocation import Trigger

router = APIRouter(prefix="/s3sync/v1/sources/{source_id}", tags=["Work"], route_class=StrictRoute)


@router.post(
    "/backfill",
    operation_id="backfill",
    status_code=202,
    responses=errors(400, 401, 403, 404, 409, 429, 500, 503),
)
def backfill(source_id: UUID, caller: AnyCaller, here: Here) -> Backfill:
    """List the whole prefix now and sync what is new, changed or gone."""
    here.backfills.start(here.source(source_id, caller))
    return Backfill(started=True)


@router.post(
    "/dry-run",
    operation_id="dry_run",
    responses=errors(400, 401, 403, 404, 429, 500, 503),
)
@waits_outside
def try_out(source_id: UUID, caller: AnyCaller, here: Here) -> DryRun:
    """Say what a backfill would do. Lists for at most 20 seconds and changes nothing."""
    return tried_out(source_id, caller, here)


def tried_out(source_id: UUID, caller: Caller, here: Context) -> DryRun:
    """Return what a backfill would do. Raises ``Forbidden`` where not all of it may be seen."""
    source = here.source(source_id, caller)
    here.require_all_of(source.id, caller)
    return dry_run(here.parts, source)


@router.post(
    "/retry",
    operation_id="retry_failed",
    responses=errors(400, 401, 403, 404, 413, 429, 500, 503),
)
def retry_failed(
    source_id: UUID, caller: AnyCaller, here: Here, payload: RetryPayload | None = None
) -> Retried:
    """Try failed objects again at once, whatever their back-off: all, one reason, or by name.

    Where a source says who may read, a member asks for none of what an owner's requests said.
    """
    source = here.source(source_id, caller)
    keys = payload.keys if payload else None
    reason = payload.reason if payload else None
    if keys:
        here.require_all_of(source.id, caller)
    retried = here.catalog.invocations.retry_failed(
        source,
        keys=keys,
        reason=reason,
        requests=here.rights(caller).sees_all_of(source.id),
        trigger=Trigger.UI,
    )
    if retried:
        here.dispatching.wake(source.id)
    return Retried(retried=retried)


@router.post(
    "/approve-deletes",
    operation_id="approve_deletes",
    responses=errors(400, 401, 403, 404, 409, 413, 429, 500, 503),
)
def approve_deletes(
    source_id: UUID, payload: ApprovePayload, caller: OwnerCaller, here: Here
) -> ListingShown:
    """Let a listing remove what the guard stopped. A newer listing asks anew."""
    source = here.source(source_id, caller)
    approved = here.catalog.listings.approve(source.id, payload.listing_id)
    if approved is None:
        waiting = here.catalog.listings.blocked(source.id)
        raise not_to_approve(source, payload.listing_id, waiting=waiting)
    here.dispatching.wake(source.id)
    return show_listing(approved)


@router.get(
    "/history",
    operation_id="sync_history",
    responses=errors(400, 401, 403, 404, 429, 500, 503),
)
def history(
    source_id: UUID,
    caller: AnyCaller,
    here: Here,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> HistoryShown:
    """Show the newest runs and listings: who asked, how many, what failed."""
    source = here.source(source_id, caller)
    return HistoryShown(
        runs=[
            show_run(here, one, caller, source_id=source.id)
            for one in here.catalog.history.of_source(source.id, limit=limit)
        ],
        listings=[show_listing(one) for one in here.listings(source.id, caller, limit=limit)],
    )
