"""The pages that are read: overview, source, objects, one object, search, signing in."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.console.rendering import (
    FOLDER,
    PageRoute,
    page,
    plain_page,
    sessions_of,
)
from s3sync_dagster.api.console.session import Session
from s3sync_dagster.api.console.wording import counted
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.manage import row_of
from s3sync_dagster.api.manage_show import (
    run_url,
    show_listing,
    show_managed,
    show_object,
    show_run,
)
from s3sync_dagster.api.manage_wire import HitShown, ObjectWord, RunShown, SearchPayload
from s3sync_dagster.api.objects import describe_object, get_content, seen_objects
from s3sync_dagster.api.searching import find
from s3sync_dagster.api.sources import visible_rows
from s3sync_dagster.api.wire import Text
from s3sync_dagster.engine.hybrid import Ranking
from s3sync_dagster.model.errors import S3SyncError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SOURCES_A_PAGE = 50
OBJECTS_A_PAGE = 100
STATES: tuple[ObjectWord, ...] = ("failed", "pending", "processing", "indexed", "skipped")
NOTES = {
    "retried": "Tried again: {objects}.",
    "backfill": "The prefix is being listed; what is new or changed follows.",
    "paused": "Automatic work is paused.",
    "resumed": "Automatic work goes on.",
    "approved": "The removals of that listing are approved and being done.",
}
STATIC = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def _session(request: Request) -> Session:
    return sessions_of(request).open(request)


Visitor = Annotated[Session, Depends(_session)]
Word = Annotated[Text, Query(max_length=4096)]
Note = Annotated[str, Query(max_length=20)]


@dataclass(frozen=True, slots=True)
class Activity:
    """A run of some source, for the overview."""

    source: Any
    run: RunShown


@router.get("/")
def overview(
    request: Request,
    visitor: Visitor,
    here: Here,
    after: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> HTMLResponse:
    """Show the tenant's sources with progress and lag, and what happened last."""
    rows = visible_rows(here, visitor.caller)
    sources = [show_managed(here, row) for row in rows[after : after + SOURCES_A_PAGE]]
    return page(
        request,
        visitor,
        "overview.html",
        title="Sources",
        sources=sources,
        activity=_activity(here, sources, visitor.caller),
        total=len(rows),
        next_after=after + SOURCES_A_PAGE if after + SOURCES_A_PAGE < len(rows) else None,
        health=here.health.parts(),
    )


@router.get("/sources/{source_id}")
def source_page(
    request: Request, source_id: UUID, visitor: Visitor, here: Here, note: Note = "", n: int = 0
) -> HTMLResponse:
    """Show one source: states with reasons, runs, listings, settings."""
    shown = show_managed(here, row_of(here, source_id, visitor.caller))
    history = here.catalog.history
    return page(
        request,
        visitor,
        "source.html",
        title=shown.name,
        source=shown,
        runs=[
            show_run(here, one, visitor.caller, source_id=str(source_id))
            for one in history.of_source(str(source_id), limit=10)
        ],
        listings=[show_listing(one) for one in history.listings(str(source_id), limit=5)],
        note=_note(note, n),
    )


@router.get("/sources/{source_id}/objects")
def objects_page(
    request: Request,
    source_id: UUID,
    visitor: Visitor,
    here: Here,
    state: ObjectWord | None = None,
    reason: Word = "",
    after: Word = "",
    note: Note = "",
    n: int = 0,
) -> HTMLResponse:
    """Show objects in a state, each with the reason."""
    shown = show_managed(here, row_of(here, source_id, visitor.caller))
    rows, last = seen_objects(
        here,
        row_of(here, source_id, visitor.caller).source,
        visitor.caller,
        state=state,
        reason=reason or None,
        after=after or None,
        limit=OBJECTS_A_PAGE,
    )
    objects = [show_object(row) for row in rows]
    return page(
        request,
        visitor,
        "objects.html",
        title=f"{state or 'all'} objects of {shown.name}",
        source=shown,
        objects=objects,
        state=state,
        reason=reason,
        states=STATES,
        next_after=last,
        note=_note(note, n),
    )


@router.get("/sources/{source_id}/object")
def object_page(
    request: Request,
    source_id: UUID,
    visitor: Visitor,
    here: Here,
    key: Annotated[Text, Query(min_length=1)],
    note: Note = "",
    n: int = 0,
) -> HTMLResponse:
    """Show one object: what became of it, why, and where its records are."""
    shown = show_managed(here, row_of(here, source_id, visitor.caller))
    detail = describe_object(here, source_id, key, visitor.caller)
    newest = None
    if detail.object is not None:  # what is kept from the visitor has no invocation either
        newest = here.catalog.invocations.latest_by_keys(str(source_id), [key]).get(key)
    return page(
        request,
        visitor,
        "object.html",
        title=key,
        source=shown,
        key=key,
        detail=detail,
        newest=newest,
        run_url=run_url(here, newest.run_id) if newest is not None else None,
        note=_note(note, n),
    )


@router.get("/sources/{source_id}/content")
def content(
    source_id: UUID, visitor: Visitor, here: Here, key: Annotated[Text, Query(min_length=1)]
) -> Response:
    """Send an object's bytes to a signed-in visitor."""
    return get_content(source_id, key, visitor.caller, here)


@router.get("/search")
def search_page(
    request: Request,
    visitor: Visitor,
    here: Here,
    q: Word = "",
    where: Annotated[Text, Query(max_length=1100)] = "",
    ranking: Ranking = "hybrid",
    around: Annotated[int, Query(ge=0, le=3)] = 0,
) -> HTMLResponse:
    """Show the best chunks for a question, with the place where each stands."""
    places = _places(here, visitor)
    database, _, collection = where.partition("/")
    if not where and places:
        database, collection = places[0]
    hits: list[HitShown] = []
    problem = ""
    if q.strip() and collection:
        try:
            payload = SearchPayload(
                query=q,
                database_name=database,
                collection_name=collection,
                ranking=ranking,
                context=around,
            )
            hits = find(here, payload, visitor.caller).hits
        except ValidationError as error:  # what is typed into the address
            first = error.errors(include_url=False, include_input=False)[0]
            problem = f"{first['loc'][0]}: {first['msg']}"
        except S3SyncError as error:
            problem = error.message
    return page(
        request,
        visitor,
        "search.html",
        title="Search",
        q=q,
        ranking=ranking,
        around=around,
        places=places,
        chosen=(database, collection),
        hits=hits,
        problem=problem,
        names={row.source.id: row.source.name for row in visible_rows(here, visitor.caller)},
    )


@router.get("/login")
def login_page(request: Request, target: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Ask for a token."""
    if request.app.state.access.open():
        return RedirectResponse("/", status_code=303)
    return plain_page(
        request, "login.html", title="Sign in", target=safe_target(target), problem=""
    )


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """Send the style sheet or the script."""
    kind = STATIC.get(name)
    if kind is None:
        return Response(status_code=404)
    body = (FOLDER / "static" / name).read_bytes()
    return Response(body, media_type=kind, headers={"cache-control": "public, max-age=300"})


def safe_target(target: str) -> str:
    """Return a path of this server to go to after signing in; anything else becomes ``/``."""
    printable = target.isprintable() and "\\" not in target
    return target if printable and target.startswith("/") and target[1:2] != "/" else "/"


def _note(word: str, count: int) -> str:
    return NOTES.get(word, "").format(objects=counted(count, "object"))


def _activity(here: Context, sources: list[Any], caller: Caller) -> list[Activity]:
    found = [
        Activity(source, show_run(here, one, caller, source_id=str(source.id)))
        for source in sources
        for one in here.catalog.history.of_source(str(source.id), limit=3)
    ]
    found.sort(key=lambda one: one.run.started_at, reverse=True)
    return found[:10]


def _places(here: Context, visitor: Session) -> list[tuple[str, str]]:
    """Return databases and collections that the tenant's sources fill."""
    places: dict[tuple[str, str], None] = {}
    for row in visible_rows(here, visitor.caller):
        places[row.source.database_name, row.source.collection_name] = None
        for _, database, collection in here.catalog.documents.collections(row.source.id):
            places[database, collection] = None
    return list(places)
