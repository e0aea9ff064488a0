"""``/api/v1/sources``: create, list, show, delete."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from s3sync_dagster.api.access import AnyCaller, Caller, OwnerCaller
from s3sync_dagster.api.auditing import SUBJECTS
from s3sync_dagster.api.building import build_source
from s3sync_dagster.api.checking import (
    check_bucket,
    check_credential,
    check_target,
    inline_keys,
    with_keys,
)
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.models import ModelChoice
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.showing import show_source
from s3sync_dagster.api.uploads import ids_behind, shown_rows
from s3sync_dagster.api.wire import Name
from s3sync_dagster.api.wire_source import (
    CreateSource,
    OrderBy,
    SourceCreated,
    SourceShown,
    SourceTypeFilter,
)
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.places import open_uploads

router = APIRouter(prefix="/api/v1/sources", tags=["Source"], route_class=StrictRoute)

MAX_LIMIT = 10_000
Limit = Annotated[int, Query(ge=0, le=MAX_LIMIT, description="At most so many.")]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1, description="After so many.")]
NameFilter = Annotated[Name | None, Query()]


@router.post(
    "",
    operation_id="create_source",
    status_code=201,
    responses=errors(400, 401, 403, 404, 409, 413, 429, 500),
)
@waits_outside
def create_source(payload: CreateSource, caller: OwnerCaller, here: Here) -> SourceCreated:
    """Create a source. Nothing is synced by that."""
    return make_source(payload, caller, here)


def make_source(
    payload: CreateSource, caller: Caller, here: Context, *, paused: bool = False
) -> SourceCreated:
    """Create what a payload asks for, after a look at its place; raises ``S3SyncError``."""
    source = build_source(
        payload,
        source_id=here.parts.clock.uuid(),
        caller=caller,
        options=here.options,
        models=ModelChoice.of(here.parts.settings),
    )
    refuse_twin(here, source)
    most = here.options.sources_per_tenant
    here.catalog.sources.require_room(caller.tenant, most=most)
    check_credential(here, source)
    check_target(here, source)
    keys = inline_keys(payload.s3) if payload.s3 is not None else None
    check_bucket(here, source, keys=keys)
    here.catalog.sources.add(source, most=most, completed=with_keys(here, keys), paused=paused)
    return SourceCreated(source_id=UUID(source.id))


@router.get("", operation_id="list_sources", responses=errors(400, 401, 403, 404, 429, 500))
def list_sources(
    caller: AnyCaller,
    here: Here,
    database_name: NameFilter = None,
    source_type: SourceTypeFilter | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
    order_by: OrderBy = "DESC",
) -> list[SourceShown]:
    """List the tenant's sources by creation time, newest first."""
    rows = shown_rows(visible_rows(here, caller))
    if order_by == "DESC":
        rows.reverse()
    shown: list[SourceShown] = []
    for row in rows:
        source = row.source
        if database_name is not None and source.database_name != database_name:
            continue
        if source_type is not None and source.place.type != source_type:
            continue
        shown.append(show_source(source, created_at=row.created_at))
    return shown[offset : offset + limit]


@router.get(
    "/{source_id}", operation_id="get_source", responses=errors(400, 401, 403, 404, 429, 500)
)
def get_source(source_id: UUID, caller: AnyCaller, here: Here) -> SourceShown:
    """Show a source; defaults are filled in, secrets are never shown."""
    row = here.catalog.sources.row(str(source_id), tenant=caller.tenant)
    if row is None or row.deleting is not None:
        raise NotFound(f"No source {str(source_id)!r}.", reason="source_not_found")
    return show_source(row.source, created_at=row.created_at)


@router.delete(
    "/{source_id}",
    operation_id="delete_source",
    status_code=204,
    response_class=Response,
    responses=errors(400, 401, 403, 404, 429, 500),
)
def delete_source(
    request: Request,
    source_id: UUID,
    caller: OwnerCaller,
    here: Here,
    delete_records: Annotated[
        bool, Query(description="Also remove what the source wrote to its collections.")
    ] = False,
) -> None:
    """Delete a source. Its records stay unless `delete_records` is true.

    The `file_upload` source that the list shows stands for all uploads of its database.
    """
    source = here.source(source_id, caller)
    ids = ids_behind(here, source)
    _end(here, caller, source.place, ids, delete_records=delete_records)
    request.scope[SUBJECTS] = [f"source_id={each}" for each in ids]


def end_source(here: Context, caller: Caller, source_id: UUID, *, delete_records: bool) -> None:
    """Delete this source and no other; of uploads those to its collection."""
    source = here.source(source_id, caller)
    _end(here, caller, source.place, [source.id], delete_records=delete_records)


def _end(
    here: Context, caller: Caller, place: Place, ids: Sequence[str], *, delete_records: bool
) -> None:
    """Delete sources of a kind, all or none of them; raises ``Conflict``: see ``mark_deleting``."""
    here.catalog.sources.mark_deleting(*ids, keep_records=not delete_records, within_quota=True)
    for each in ids:
        here.forget(each, caller)
    if place.owned and delete_records:
        for each in ids:
            open_uploads(each, here.parts.surroundings).clear()


def visible_rows(here: Context, caller: Caller) -> list[SourceRow]:
    """Return the rows of the tenant's sources that are not being deleted, oldest first."""
    rows = here.catalog.sources.rows(tenant=caller.tenant)
    return [row for row in rows if row.deleting is None]


def refuse_twin(here: Context, source: Source) -> None:
    """Raise ``Conflict`` for a source that exists, before anything is asked of the outside."""
    twin = here.catalog.sources.find_identity(source)
    if twin is None:
        return
    row = here.catalog.sources.row(twin.id)
    if row is not None and row.deleting is not None:
        raise Conflict(
            f"The source {twin.name!r} with the same bucket, prefix and collection is still being "
            "deleted: try again in a moment.",
            reason="source_being_deleted",
        )
    raise Conflict(
        f"Source exists: {twin.name!r} has the same bucket, prefix and collection.",
        reason="source_exists",
    )
