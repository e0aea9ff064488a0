"""Invocations of the Sync API: ask, list, show, cancel, and the newest of many keys."""

from asyncio import wrap_future
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from s3sync_dagster.api.access import AnyCaller, Caller
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.showing import SourceNames, show_invocation
from s3sync_dagster.api.sources import Limit, NameFilter, Offset
from s3sync_dagster.api.uploads import ids_behind, upload_of_collection
from s3sync_dagster.api.wholes import ask_whole, merged
from s3sync_dagster.api.wire_invocation import (
    Cancelled,
    CreateInvocation,
    InvocationCreated,
    Job,
    LatestByKeys,
    StatusWord,
)
from s3sync_dagster.api.wire_source import OrderBy, SourceTypeFilter
from s3sync_dagster.core.keys import (
    validate_collection_name,
    validate_custom_id,
    validate_object_key,
)
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.record_limits import require_short, validate_user_metadata
from s3sync_dagster.core.selection import require_inside_prefix
from s3sync_dagster.model.errors import InvalidSetting, NotFound
from s3sync_dagster.model.invocation import Invocation, InvocationStatus, Trigger
from s3sync_dagster.model.source import Source

router = APIRouter(prefix="/api/v1", tags=["Invocation"], route_class=StrictRoute)


@router.post(
    "/sources/{source_id}/invocations",
    operation_id="create_job",
    status_code=201,
    responses=errors(400, 401, 403, 404, 409, 413, 429, 500),
)
async def create_invocation(
    source_id: UUID, payload: CreateInvocation, caller: AnyCaller, here: Here
) -> InvocationCreated:
    """Ask for the sync of one object, or of a whole commit or site."""
    if payload.object_key is None:
        return await ask_whole(source_id=source_id, payload=payload, caller=caller, here=here)
    # The one operation that comes hundreds of times a second: it changes threads only where
    # something has to be asked of the catalog or of Chroma.
    source = here.recent_source(source_id, caller)
    target = payload.target_collection_name
    if (
        source is None
        or source.reader_keys
        or source.place.owned
        or ((target or payload.custom_id) and caller.role != "owner")
        or not here.finished.known(source, target or source.collection_name)
    ):
        find = partial(_find_and_prepare, source_id, payload, caller, here)
        row = await here.threads.run(caller.tenant, find)
    else:
        row = _prepare(source, payload, caller, here)
    if here.waiting.known(caller.tenant):
        here.waiting.take(caller.tenant)
    else:
        await here.threads.run(caller.tenant, partial(here.waiting.take, caller.tenant))
    await wrap_future(here.gathering.put(row))
    here.dispatching.wake(row["source_id"])
    return InvocationCreated(invocation_id=UUID(row["id"]))


def _find_and_prepare(
    source_id: UUID, payload: CreateInvocation, caller: Caller, here: Context
) -> dict[str, Any]:
    source = here.source(source_id, caller)
    here.require_all_of(source.id, caller)
    target = payload.target_collection_name
    if source.place.owned and payload.object_key:
        source = upload_of_collection(here, source, target)
        # It is another source than was asked about, with readers of its own.
        here.require_all_of(source.id, caller)
        here.require_all_in(source.collection_name, source.database_name, caller)
        here.parts.store_for(source).head(payload.object_key)  # 404 for what was never uploaded
    elif target or payload.custom_id:
        here.require_all_in(target or source.collection_name, source.database_name, caller)
    return _prepare(source, payload, caller, here)


def _prepare(
    source: Source, payload: CreateInvocation, caller: Caller, here: Context
) -> dict[str, Any]:
    key = payload.object_key
    assert key is not None, "what has none is a whole source's"
    if payload.ref_identifier is not None:
        raise InvalidSetting("ref_identifier is for whole GitHub sources only, without object_key.")
    validate_object_key(key)
    require_inside_prefix(source, key)
    ask = check_request(here, source, payload)
    return here.catalog.invocations.prepare(
        source, key, trigger=Trigger.API, vouched=caller.role == "owner", **ask
    )


def check_request(here: Context, source: Source, payload: CreateInvocation) -> dict[str, Any]:
    """Return what an invocation asks besides its key.

    Raises:
        InvalidSetting: a name or id breaks its rule.
        RecordRejected: the metadata does, or together with that of the source.
        Conflict: the collection takes nothing more (``finished_ingest``).
    """
    if payload.custom_id is not None:
        validate_custom_id(payload.custom_id, id_prefix=source.id_prefix)
    if payload.metadata:
        own = with_path_metadata(source, payload.object_key or "")
        validate_user_metadata({**own, **payload.metadata})
        require_short(payload.metadata)
    target = payload.target_collection_name
    if target is not None:
        validate_collection_name(target, field="target_collection_name")
    here.finished.refuse(source, target or source.collection_name)
    return {
        "target_collection_name": target if target != source.collection_name else None,
        "custom_id": payload.custom_id,
        "metadata": payload.metadata,
    }


MOST_METADATA_BYTES = 16 * 1024**2
"""Of all that one answer shows: it is made in memory."""
MAX_LOOKED_UP = 200_000
"""Keys times collections of one request for the newest of many keys."""


@router.post(
    "/sources/{source_id}/invocations/latest-by-keys",
    operation_id="latest_invocations_by_keys",
    responses=errors(400, 401, 403, 404, 413, 429, 500),
)
def latest_by_keys(
    source_id: UUID, payload: LatestByKeys, caller: AnyCaller, here: Here
) -> dict[str, Job]:
    """Show the newest invocation of each key that has one."""
    source = here.source(source_id, caller)
    ids = ids_behind(here, source)
    here.require_all_of_each(ids, caller)
    keys = list(dict.fromkeys(payload.object_keys))
    if len(keys) * len(ids) > MAX_LOOKED_UP:
        raise InvalidSetting(
            f"The uploads of this database lie in {len(ids)} collections: ask for at most "
            f"{MAX_LOOKED_UP // len(ids)} keys at once."
        )
    newest = here.catalog.invocations.latest_of_each(ids, keys, most_bytes=MOST_METADATA_BYTES)
    names = names_of(here, caller)
    return {key: show_invocation(one, names) for key, one in newest.items()}


@router.get(
    "/invocations", operation_id="list_jobs", responses=errors(400, 401, 403, 404, 429, 500)
)
def list_invocations(
    caller: AnyCaller,
    here: Here,
    source_id: UUID | None = None,
    database_name: NameFilter = None,
    source_type: SourceTypeFilter | None = None,
    status: Annotated[StatusWord | None, Query()] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    order_by: OrderBy = "DESC",
) -> list[Job]:
    """List invocations by creation time, newest first."""
    if source_id is not None and database_name is not None:
        raise InvalidSetting("source_id and database_name exclude each other: give one of them.")
    ids: list[str] | None = None
    if source_id is not None:
        source = here.source(source_id, caller)
        ids = ids_behind(here, source)
    tenant_rows = here.catalog.sources.rows(tenant=caller.tenant)
    if source_type == "file_upload":
        uploads = [row.source.id for row in tenant_rows if row.source.place.owned]
        ids = [each for each in uploads if ids is None or each in ids]
    rights = here.rights(caller)
    if rights.reader.groups is not None:
        known = [row.source.id for row in tenant_rows] if ids is None else ids
        ids = [each for each in known if rights.sees_all_of(each)]
    wholes = here.catalog.wholes.rows(
        tenant=caller.tenant, source_ids=ids, database_name=database_name, source_type=source_type
    )
    wanted = InvocationStatus(status) if status else None
    wholes = [one for one in wholes if wanted in (None, one.status)]
    found = here.catalog.invocations.rows(
        # Sources of the tenant need no second condition, which would mislead the planner.
        tenant=caller.tenant if ids is None else None,
        source_ids=ids,
        database_name=database_name,
        source_type=source_type if source_type != "file_upload" else None,
        status=wanted,
        ascending=order_by == "ASC",
        # Those that are merged into the page may push it forward by as many as there are.
        most_bytes=MOST_METADATA_BYTES,
        limit=limit + min(offset, len(wholes)),
        offset=max(offset - len(wholes), 0),
    )
    found = merged(found, wholes, ascending=order_by == "ASC", limit=limit, offset=offset)
    names = SourceNames.of(tenant_rows)
    return [show_invocation(one, names) for one in found]


@router.get(
    "/invocations/{invocation_id}",
    operation_id="get_job",
    responses=errors(400, 401, 403, 404, 429, 500),
)
def get_invocation(invocation_id: UUID, caller: AnyCaller, here: Here) -> Job:
    """Show an invocation."""
    found = _seen(here, invocation_id, caller)
    return show_invocation(found, names_of(here, caller))


@router.put(
    "/invocations/{invocation_id}",
    operation_id="cancel_pending_job",
    status_code=202,
    responses=errors(400, 401, 403, 404, 412, 429, 500),
)
def cancel_invocation(invocation_id: UUID, caller: AnyCaller, here: Here) -> Cancelled:
    """Cancel an invocation that is still pending."""
    found = _seen(here, invocation_id, caller)
    if found.object_key:
        here.catalog.invocations.cancel(str(invocation_id), tenant=caller.tenant)
    else:
        here.catalog.wholes.cancel(found)
    return Cancelled()


def _seen(here: Context, invocation_id: UUID, caller: Caller) -> Invocation:
    """Return an invocation of the tenant. Raises ``NotFound``, also for one that is kept back."""
    found = here.catalog.wholes.find(str(invocation_id), tenant=caller.tenant)
    found = found or here.catalog.invocations.find(str(invocation_id), tenant=caller.tenant)
    rights = here.rights(caller)
    known = rights.reader.groups is None or rights.knows(found.source_id)
    if not known or not rights.sees_all_of(found.source_id):
        raise NotFound(f"No invocation {str(invocation_id)!r}.", reason="invocation_not_found")
    return found


def names_of(here: Context, caller: Caller) -> SourceNames:
    """Return what invocations say of the tenant's sources."""
    return SourceNames.of(here.catalog.sources.rows(tenant=caller.tenant))
