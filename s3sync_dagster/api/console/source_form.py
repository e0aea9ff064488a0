"""Sources at the console: made, looked into before, changed, deleted. For owners."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from s3sync_dagster.api.building import build_source
from s3sync_dagster.api.checking import check_credential
from s3sync_dagster.api.console.actions import signed
from s3sync_dagster.api.console.pages import Visitor
from s3sync_dagster.api.console.rendering import PageRoute, page
from s3sync_dagster.api.console.session import Session
from s3sync_dagster.api.console.source_values import (
    TYPES,
    Field,
    create_fields,
    create_payload,
    edit_fields,
    edit_payload,
    version_of,
)
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.errors import describe
from s3sync_dagster.api.manage import change_source, changeable, row_of
from s3sync_dagster.api.manage_show import show_managed
from s3sync_dagster.api.manage_wire import SourceChange
from s3sync_dagster.api.models import ModelChoice
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.sources import end_source, make_source
from s3sync_dagster.api.wire_source import CreateSource
from s3sync_dagster.api.work import tried_out
from s3sync_dagster.core.estimate import Estimate
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError
from s3sync_dagster.model.s3_place import S3Place

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FOLDERS_SHOWN = 20
M = TypeVar("M", bound=BaseModel)
STALE = (
    "Nothing was changed: this source is another one than the page showed, because it was changed "
    "meanwhile. Below is what it is now; say again what shall be otherwise."
)


async def read_form(request: Request) -> dict[str, str]:
    """Return a form's texts."""
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


Given = Annotated[dict[str, str], Depends(read_form)]


@router.get("/new-source")
def new_source(
    request: Request,
    visitor: Visitor,
    here: Here,
    tag: Annotated[str, Query(alias="type", max_length=40)] = "s3",
) -> HTMLResponse:
    """Ask for what a new source is."""
    visitor.caller.require_owner()
    return _create_page(request, visitor, here, _known(tag), {})


@router.post("/new-source", dependencies=[Depends(signed)])
@waits_outside
def create(request: Request, visitor: Visitor, here: Here, given: Given) -> Response:
    """Make a source, or look into the bucket that the form names."""
    visitor.caller.require_owner()
    tag = _known(given.get("type", "s3"))
    given = {**given, **({"place.path_prefix": given["choose"]} if "choose" in given else {})}
    try:
        payload = _checked(CreateSource, create_payload(tag, given), create_fields(tag, given))
        if "look" in given or "choose" in given:
            folders = _folders(here, visitor, payload)
            return _create_page(request, visitor, here, tag, given, folders=folders)
        made = make_source(payload, visitor.caller, here)
    except S3SyncError as error:
        return _create_page(request, visitor, here, tag, given, problem=error.message)
    return RedirectResponse(f"/sources/{made.source_id}?note=created", status_code=303)


@router.get("/sources/{source_id}/edit")
def edit_page(request: Request, source_id: UUID, visitor: Visitor, here: Here) -> HTMLResponse:
    """Show what may be changed of a source."""
    visitor.caller.require_owner()
    return _edit_page(request, visitor, here, source_id)


@router.post("/sources/{source_id}/edit", dependencies=[Depends(signed)])
@waits_outside
def edit_source(
    request: Request, source_id: UUID, visitor: Visitor, here: Here, given: Given
) -> Response:
    """Change what the form says otherwise."""
    visitor.caller.require_owner()
    source = changeable(here, source_id, visitor.caller)
    if given.get("shown") != version_of(source):
        # What the page had of other settings would undo what somebody else said of them since.
        return _edit_page(request, visitor, here, source_id, problem=STALE, status=409)
    try:
        change = _checked(SourceChange, edit_payload(source, given), edit_fields(source))
        change_source(here, source, change, visitor.caller)
    except S3SyncError as error:
        return _edit_page(request, visitor, here, source_id, given, problem=error.message)
    return RedirectResponse(f"/sources/{source_id}?note=changed", status_code=303)


@router.post("/sources/{source_id}/dry-run", dependencies=[Depends(signed)])
@waits_outside
def dry_run_page(request: Request, source_id: UUID, visitor: Visitor, here: Here) -> HTMLResponse:
    """Say what a sync would do now, and change nothing."""
    source = row_of(here, source_id, visitor.caller).source
    found = tried_out(source_id, visitor.caller, here)
    read = Estimate(texts=found.work_texts, text_bytes=found.work_text_bytes)
    return page(
        request,
        visitor,
        "dry_run.html",
        title=f"Dry run of {source.name}",
        source=source,
        run=found,
        to_embed=read.told(price=here.parts.settings.price_of(source.embedding)),
    )


@router.get("/sources/{source_id}/delete")
def delete_page(request: Request, source_id: UUID, visitor: Visitor, here: Here) -> HTMLResponse:
    """Ask whether a source shall go, and whether its records go with it."""
    visitor.caller.require_owner()
    return _delete_page(request, visitor, here, source_id)


@router.post("/sources/{source_id}/delete", dependencies=[Depends(signed)])
def remove_source(
    request: Request, source_id: UUID, visitor: Visitor, here: Here, given: Given
) -> Response:
    """Delete a source and no other, also of uploads."""
    visitor.caller.require_owner()
    source = changeable(here, source_id, visitor.caller)
    with_records = "delete_records" in given
    if given.get("name", "").strip() != source.name:
        problem = f"Nothing was deleted: the name of this source is {source.name!r}."
        return _delete_page(
            request, visitor, here, source_id, problem=problem, with_records=with_records
        )
    end_source(here, visitor.caller, source_id, delete_records=with_records)
    return RedirectResponse("/", status_code=303)


def _known(tag: str) -> str:
    if tag not in TYPES:
        raise InvalidSetting(f"There are no such sources; there are {', '.join(TYPES)}.")
    return tag


def _checked(model: type[M], body: Mapping[str, Any], fields: Sequence[Field]) -> M:
    """Return what a form says as the API takes it; what is wrong is named as the form names it."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = [{**one, "loc": _as_labelled(one["loc"], fields)} for one in error.errors()]
        raise InvalidSetting(f"{describe(found)}.") from None


def _as_labelled(location: tuple[Any, ...], fields: Sequence[Field]) -> tuple[Any, ...]:
    for one in fields:
        end = one.place_in_payload
        if location[-len(end) :] == end:
            return (one.label,)
    return location


def _folders(here: Context, visitor: Session, payload: CreateSource) -> list[str]:
    """Return what lies under the prefix as far as the next slash; nothing is kept of the source.

    Raises:
        S3SyncError: the bucket cannot be listed.
    """
    source = build_source(
        payload,
        source_id=here.parts.clock.uuid(),
        caller=visitor.caller,
        options=here.options,
        models=ModelChoice.of(here.parts.settings),
    )
    check_credential(here, source)
    if not isinstance(source.place, S3Place):
        raise InvalidSetting("Only a bucket has prefixes to choose from.")
    return prefixes(here.parts.store_for(source), source.place.path_prefix)


def prefixes(store: ObjectStore, prefix: str) -> list[str]:
    """Return the first folders and keys below a prefix: one key is asked for behind each."""
    found: list[str] = []
    after: str | None = None
    while store.ordered and len(found) < FOLDERS_SHOWN:
        objects = store.list_page(prefix, start_after=after, limit=1).objects
        if not objects:
            break
        head, slash, _ = objects[0].key[len(prefix) :].partition("/")
        found.append(f"{prefix}{head}{slash}")
        after = f"{found[-1]}{chr(0x10FFFF)}" if slash else found[-1]
    return found


def _create_page(
    request: Request,
    visitor: Session,
    here: Context,
    tag: str,
    given: Mapping[str, str],
    *,
    folders: list[str] | None = None,
    problem: str = "",
) -> HTMLResponse:
    return page(
        request,
        visitor,
        "source_form.html",
        status=400 if problem else 200,
        title="New source",
        source=None,
        shown="",
        tag=tag,
        tags=list(TYPES),
        fields=create_fields(tag, given),
        given=given,
        folders=folders,
        problem=problem,
        credentials=_credentials(here, visitor),
        credential=given.get("credential", ""),
        own_keys=here.options.trusts(visitor.caller.tenant),
    )


def _edit_page(
    request: Request,
    visitor: Session,
    here: Context,
    source_id: UUID,
    given: Mapping[str, str] | None = None,
    *,
    problem: str = "",
    status: int = 400,
) -> HTMLResponse:
    source = changeable(here, source_id, visitor.caller)
    credentials = _credentials(here, visitor)
    chosen = (given or {}).get("credential")
    if chosen not in [str(one.id) for one in credentials]:
        chosen = str(source.place.credential_id or "")
    return page(
        request,
        visitor,
        "source_form.html",
        status=status if problem else 200,
        title=f"Change {source.name}",
        shown=version_of(source),
        source=show_managed(here, row_of(here, source_id, visitor.caller), visitor.caller),
        tag=source.place.type,
        tags=[],
        fields=edit_fields(source, given),
        given={},
        folders=None,
        problem=problem,
        credentials=credentials,
        credential=chosen,
        own_keys=here.options.trusts(visitor.caller.tenant),
    )


def _delete_page(
    request: Request,
    visitor: Session,
    here: Context,
    source_id: UUID,
    *,
    problem: str = "",
    with_records: bool = False,
) -> HTMLResponse:
    row = row_of(here, source_id, visitor.caller)
    shown = show_managed(here, row, visitor.caller)
    return page(
        request,
        visitor,
        "source_delete.html",
        status=400 if problem else 200,
        title=f"Delete {shown.name}",
        source=shown,
        owned=row.source.place.owned,
        problem=problem,
        with_records=with_records,
    )


def _credentials(here: Context, visitor: Session) -> list[Any]:
    return list(here.catalog.credentials.rows(tenant=visitor.caller.tenant))
