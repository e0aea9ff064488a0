"""``/connector``, ``/datasource``, ``/document``: Coco's calls for S3, answered from our sources.

A datasource is a source of a bucket, a document one of its objects. A document's id holds source
and key, so that nothing has to be remembered; who may not see it is told that there is none.
"""

import base64
import binascii
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field, ValidationError

from s3sync_dagster.api.access import AnyClient, Caller, OwnerClient
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.downloads import Download
from s3sync_dagster.api.errors import describe
from s3sync_dagster.api.ids import is_canonical
from s3sync_dagster.api.objects import Looks, seen_objects, send_content
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.showing import moment
from s3sync_dagster.api.sources import end_source, make_source, visible_rows
from s3sync_dagster.api.wire import Payload
from s3sync_dagster.api.wire_source import CreateSource
from s3sync_dagster.catalog.views import ObjectRow
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.moving.coco import CONNECTOR, NAME, datasource_of

router = APIRouter(tags=["Coco"], route_class=StrictRoute)

MAX_FOUND = 10_000
"""Of a search, as theirs: ``from`` and ``size`` together."""
_STORED = {
    "id": CONNECTOR,
    "name": "S3 Object Storage Connector",
    "category": "cloud_storage",
    "tags": ["s3", "storage"],
    "processor": {"enabled": True, "name": CONNECTOR},
}
SIZE = 10
Bound = Annotated[int, Field(ge=0, le=MAX_FOUND)]


class Asked(Payload):
    """Body of a search: nothing but which of the hits are wanted."""

    start: Bound | None = Field(default=None, alias="from", strict=True)
    size: Bound | None = Field(default=None, strict=True)


def _window(
    request: Request,
    body: Asked | None = None,
    start: Annotated[Bound | None, Query(alias="from")] = None,
    size: Annotated[Bound | None, Query()] = None,
) -> slice:
    """Return which hits are wanted, by query or body.

    Raises:
        InvalidSetting: something else is asked for, which would be passed over, or one thing twice.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    known = {"from", "size"}
    if request.url.path.endswith("/document/_search"):
        known.add("datasource")
    body = body or Asked()
    told = [("from", body.start), ("size", body.size)]  # in the body
    named = [*given, *(name for name, value in told if value is not None)]
    for name in named:
        if name not in known:
            raise InvalidSetting(f"{ascii(name)[1:-1][:80]} is nothing that a search here knows.")
        if named.count(name) > 1:
            raise InvalidSetting(f"{name} is given twice.")
    first = (start if body.start is None else body.start) or 0
    most = size if body.size is None else body.size
    return slice(first, first + (SIZE if most is None else most))


Window = Annotated[slice, Depends(_window)]


@router.get("/connector/{connector_id}")
def connector(connector_id: str, caller: AnyClient) -> JSONResponse:
    """Show the one connector."""
    del caller
    if connector_id != CONNECTOR:
        return _not_found(connector_id[:100])
    return _found(CONNECTOR, _STORED)


@router.post("/datasource/")
@waits_outside
def create(body: dict[str, Any], caller: OwnerClient, here: Here) -> dict[str, str]:
    """Create a source of a bucket; one that is not enabled waits until it is resumed."""
    wanted = datasource_of(body)
    if wanted.left_out:
        raise InvalidSetting(f"{wanted.left_out[0]}.")
    if wanted.keys is None:
        raise InvalidSetting("connector.config.access_key_id and secret_access_key are missing.")
    fields = {
        **wanted.fields,
        "aws_access_key_id": wanted.keys.access_key_id,
        "aws_secret_access_key": wanted.keys.secret_access_key,
    }
    try:
        payload = CreateSource.model_validate(
            {CONNECTOR: fields, "database_name": "default_database"}
        )
    except ValidationError as error:
        raise InvalidSetting(describe(error.errors())) from None
    made = make_source(payload, caller, here, paused=wanted.paused)
    return {"_id": str(made.source_id), "result": "created"}


@router.api_route("/datasource/_search", methods=["GET", "POST"])
def search(caller: AnyClient, here: Here, window: Window) -> dict[str, Any]:
    """List the tenant's buckets, the newest first."""
    rows = [row for row in visible_rows(here, caller) if isinstance(row.source.place, S3Place)]
    rows.reverse()
    return _hits([_datasource(row) for row in rows[window]], total=len(rows))


@router.get("/datasource/{datasource_id}")
def get(datasource_id: str, caller: AnyClient, here: Here) -> JSONResponse:
    """Show a datasource; its keys are never shown."""
    row = _row(here, datasource_id, caller)
    return (
        _not_found(datasource_id[:100]) if row is None else _found(row.source.id, _datasource(row))
    )


@router.delete("/datasource/{datasource_id}")
def delete(datasource_id: str, caller: OwnerClient, here: Here) -> JSONResponse:
    """Delete a datasource with its documents."""
    row = _row(here, datasource_id, caller)
    if row is None:
        return JSONResponse({"_id": datasource_id[:100], "result": "not_found"}, status_code=404)
    end_source(here, caller, UUID(row.source.id), delete_records=True)
    return JSONResponse({"_id": row.source.id, "result": "deleted"})


@router.post("/datasource/{datasource_id}/_reset_sync")
def reset_sync(datasource_id: str, caller: OwnerClient, here: Here) -> JSONResponse:
    """List now, from the first key; what is being listed already is left to who does it."""
    row = _row(here, datasource_id, caller)
    if row is None:
        return _not_found(datasource_id[:100])
    try:
        here.backfills.start(row.source)
    except Conflict:  # that listing finds all the same
        pass
    return JSONResponse({"acknowledged": True})


@router.api_route("/document/_search", methods=["GET", "POST"])
def search_documents(
    caller: AnyClient,
    here: Here,
    datasource: Annotated[str, Query(max_length=100)],
    window: Window,
) -> dict[str, Any]:
    """List the objects of one datasource in key order, as documents without text."""
    row = _row(here, datasource, caller)
    if row is None:
        return _hits([], total=0)
    whole = here.rights(caller).sees_all_of(row.source.id)
    most = min(window.stop, MAX_FOUND) if whole else MAX_FOUND  # how many are seen is not kept
    total = here.catalog.views.counts(row.source.id).objects if whole else 0
    found: list[ObjectRow] = []
    looks = Looks()
    if most:
        with here.searches.taken(caller.tenant):
            found = seen_objects(here, row.source, caller, limit=most, looks=looks)[0]
    documents = [
        _document(row, one.object_key, size=one.size, at=one.last_modified or one.seen_at)
        for one in found[window]
    ]
    # Of what was not looked at nobody knows whether it may be seen.
    return _hits(documents, total=max(total, len(found)), at_least=looks.left <= 0)


@router.get("/document/{document_id}/raw_content", response_class=StreamingResponse)
@router.get("/document/{document_id}/raw_content/{hint}", response_class=StreamingResponse)
@waits_outside
def raw_content(document_id: str, caller: AnyClient, here: Here, hint: str = "") -> Download:
    """Send an object's bytes as they are in the bucket now."""
    del hint  # a name for browsers
    source_id, key = _read(document_id)
    if _row(here, str(source_id), caller) is None:
        raise _no_document()
    return send_content(source_id, key, caller, here)


def document_id(source_id: str, key: str) -> str:
    """Return the id of an object."""
    return base64.urlsafe_b64encode(UUID(source_id).bytes + key.encode()).decode().rstrip("=")


def _read(given: str) -> tuple[UUID, str]:
    try:
        plain = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
        source_id, key = UUID(bytes=plain[:16]), plain[16:].decode()
    except (binascii.Error, ValueError):
        raise _no_document() from None
    if not key or document_id(str(source_id), key) != given:
        raise _no_document()
    return source_id, key


def _no_document() -> NotFound:
    return NotFound("No document has this id.", reason="document_not_found")


def _row(here: Context, datasource_id: str, caller: Caller) -> SourceRow | None:
    if not is_canonical(datasource_id):  # and nothing that a database could choke on
        return None
    row = here.catalog.sources.row(datasource_id, tenant=caller.tenant)
    if row is None or row.deleting is not None or not isinstance(row.source.place, S3Place):
        return None
    return row


def _datasource(row: SourceRow) -> dict[str, Any]:
    source, place = row.source, row.source.place
    assert isinstance(place, S3Place)
    endpoint = place.endpoint_url or f"https://s3.{place.region or 'us-east-1'}.amazonaws.com"
    scheme, _, host = endpoint.partition("://")
    return {
        "id": source.id,
        "created": moment(row.created_at).isoformat(),
        "type": "connector",
        "name": _name(row),
        "category": source.metadata.get("category"),
        "tags": _texts(source.metadata.get("tags")),
        "connector": {
            "id": CONNECTOR,
            "config": {
                "bucket": place.bucket_name,
                "endpoint": host,
                "use_ssl": scheme == "https",
                "prefix": place.path_prefix,
                "extensions": [one.removeprefix(".") for one in source.extensions],
            },
        },
        "sync": {
            "enabled": source.auto_sync != "none" and bool(source.list_interval_seconds),
            "interval": f"{source.list_interval_seconds}s",
        },
        "enabled": not row.paused,
    }


def _document(row: SourceRow, key: str, *, size: int, at: float) -> dict[str, Any]:
    source, place = row.source, row.source.place
    assert isinstance(place, S3Place)
    folders = [one for one in key.split("/")[:-1] if one]
    when = moment(at).isoformat()
    endpoint = place.endpoint_url or f"https://s3.{place.region or 'us-east-1'}.amazonaws.com"
    return {
        "id": document_id(source.id, key),
        "source": {"type": "connector", "name": _name(row), "id": source.id},
        "type": "file",
        "icon": "file",
        "title": key.rpartition("/")[2] or key,
        "url": f"{endpoint}/{place.bucket_name}/{quote(key)}",
        "category": "/" + "/".join(folders),
        "categories": folders,
        "size": size,
        "created": when,
        "updated": when,
        "metadata": {"raw_content_returns_file": True},
    }


def _texts(value: object) -> list[Any]:
    """Return what is a list there; metadata of sources that were made elsewhere may be any."""
    if isinstance(value, list | tuple):
        return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return [] if value is None else [value]


def _name(row: SourceRow) -> str:
    return str(row.source.metadata.get(NAME) or row.source.name)


def _hits(found: list[dict[str, Any]], *, total: int, at_least: bool = False) -> dict[str, Any]:
    hits = [{"_id": one["id"], "_source": one} for one in found]
    return {
        "hits": {"total": {"value": total, "relation": "gte" if at_least else "eq"}, "hits": hits}
    }


def _found(name: str, stored: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"found": True, "_id": name, "_source": stored})


def _not_found(name: str) -> JSONResponse:
    return JSONResponse({"found": False, "_id": name}, status_code=404)
