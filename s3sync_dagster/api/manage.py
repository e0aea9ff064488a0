"""``/s3sync/v1/sources``: see all of a source, change it, pause and resume it."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from s3sync_dagster.api.access import AnyCaller, Caller, OwnerCaller
from s3sync_dagster.api.building import admitted, check_listing, check_url
from s3sync_dagster.api.checking import check_bucket, check_credential, inline_keys, with_keys
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.manage_show import show_managed, show_managed_all
from s3sync_dagster.api.manage_wire import ManagedSource, SourceChange
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.sources import Offset, visible_rows
from s3sync_dagster.api.wire_settings import with_chunking, with_payload
from s3sync_dagster.core.source_rules import require_own, validate_source
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.setting import Door

SOURCES_A_PAGE = 100
"""Each is counted."""
router = APIRouter(prefix="/s3sync/v1/sources", tags=["Sources"], route_class=StrictRoute)


@router.get("", operation_id="list_managed_sources", responses=errors(401, 403, 429, 500, 503))
def list_managed(
    response: Response,
    caller: AnyCaller,
    here: Here,
    limit: Annotated[int, Query(ge=1, le=SOURCES_A_PAGE)] = SOURCES_A_PAGE,
    offset: Offset = 0,
) -> list[ManagedSource]:
    """List the tenant's sources with their counts, oldest first.

    Where there are more, the header `Link` names the next page (`rel="next"`).
    """
    rows = visible_rows(here, caller)
    if offset + limit < len(rows):
        following = f"{router.prefix}?limit={limit}&offset={offset + limit}"
        response.headers["link"] = f'<{following}>; rel="next"'
    return show_managed_all(here, rows[offset : offset + limit], caller)


@router.get(
    "/{source_id}",
    operation_id="get_managed_source",
    responses=errors(400, 401, 403, 404, 429, 500, 503),
)
def get_managed(source_id: UUID, caller: AnyCaller, here: Here) -> ManagedSource:
    """Show a source with all its settings, counts and its newest listing."""
    return show_managed(here, row_of(here, source_id, caller), caller)


@router.patch(
    "/{source_id}",
    operation_id="update_source",
    responses=errors(400, 401, 403, 404, 409, 413, 429, 500, 503),
)
@waits_outside
def update_source(
    source_id: UUID, change: SourceChange, caller: OwnerCaller, here: Here
) -> ManagedSource:
    """Change settings; what is left out stays. It is listed again where it is listed at all."""
    change_source(here, changeable(here, source_id, caller), change, caller)
    return show_managed(here, row_of(here, source_id, caller), caller)


def change_source(here: Context, source: Source, change: SourceChange, caller: Caller) -> None:
    """Change a source from what the caller saw. Raises ``Conflict`` when it is that no more."""
    if change.queue_url is not None:
        check_url("queue_url", change.queue_url, trusted=here.options.trusts(caller.tenant))
    changed = changed_source(source, change)
    if changed.place != source.place and not isinstance(source.place, S3Place):
        place = admitted(changed.place, caller=caller, options=here.options)
        changed = changed.with_changes(place=place)
    validate_source(changed)
    check_listing(changed.auto_sync, change.list_interval_seconds)
    keys = inline_keys(change)
    if keys is not None or _way_in(changed) != _way_in(source):
        check_credential(here, changed)
        check_bucket(here, changed, keys=keys)
    here.catalog.sources.update(changed, seen=source, completed=with_keys(here, keys))
    here.forget(source.id, caller)


@router.post(
    "/{source_id}/pause",
    operation_id="pause_source",
    responses=errors(400, 401, 403, 404, 429, 500, 503),
)
def pause_source(source_id: UUID, caller: OwnerCaller, here: Here) -> ManagedSource:
    """Stop automatic work. Requests are still served."""
    return _switch(here, source_id, caller, paused=True)


@router.post(
    "/{source_id}/resume",
    operation_id="resume_source",
    responses=errors(400, 401, 403, 404, 429, 500, 503),
)
def resume_source(source_id: UUID, caller: OwnerCaller, here: Here) -> ManagedSource:
    """Take automatic work up again."""
    return _switch(here, source_id, caller, paused=False)


def row_of(here: Context, source_id: UUID, caller: Caller) -> SourceRow:
    """Return a source's row. Raises ``NotFound``, for what others have too."""
    row = here.catalog.sources.row(str(source_id), tenant=caller.tenant)
    if row is None or row.deleting is not None:
        raise NotFound(f"No source {str(source_id)!r}.", reason="source_not_found")
    return row


def changeable(here: Context, source_id: UUID, caller: Caller) -> Source:
    """Return a source that the catalog owns. Raises ``InvalidSetting`` for one of the code."""
    return require_own(row_of(here, source_id, caller))


def changed_source(source: Source, change: SourceChange) -> Source:
    """Return the source with what the payload names."""
    return with_chunking(with_payload(source, change, Door.PATCH), change.chunking)


def _way_in(source: Source) -> Place:
    """Return the place without what says nothing of how its objects are read."""
    place = source.place
    return replace(place, queue_url=None) if isinstance(place, S3Place) else place


def _switch(here: Context, source_id: UUID, caller: Caller, *, paused: bool) -> ManagedSource:
    row = row_of(here, source_id, caller)
    here.catalog.sources.set_paused(row.source.id, paused=paused)
    return show_managed(here, row_of(here, source_id, caller), caller)
