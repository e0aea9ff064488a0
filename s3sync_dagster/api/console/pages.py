"""The pages that are read: overview, source, objects, one object, search, signing in."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from s3sync_dagster.api.access import Access, Caller
from s3sync_dagster.api.console.bands import MOST_CHUNKS
from s3sync_dagster.api.console.chunk_texts import chunks_of
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
    show_managed_all,
    show_object,
    show_run,
)
from s3sync_dagster.api.manage_wire import (
    CountsShown,
    HitShown,
    ObjectWord,
    RunShown,
    SearchPayload,
)
from s3sync_dagster.api.objects import describe_object, seen_objects, send_content
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.searching import find
from s3sync_dagster.api.sources import visible_rows
from s3sync_dagster.api.wire import Text
from s3sync_dagster.core.source_identity import refusal
from s3sync_dagster.engine.hybrid import Ranking
from s3sync_dagster.estimating import still_to_embed
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.reasons import known_reasons

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SOURCES_A_PAGE = 50
OBJECTS_A_PAGE = 100
HITS, MAX_HITS = 10, 80
STATES: tuple[ObjectWord, ...] = ("failed", "pending", "processing", "indexed", "skipped")
NOTES = {
    "retried": "Tried again: {objects}.",
    "backfill": "The prefix is being listed; what is new or changed follows.",
    "paused": "Automatic work is paused.",
    "resumed": "Automatic work goes on.",
    "approved": "The removals of that listing are approved and being done.",
    "created": "The source is there. Look at what a sync would do, then sync everything.",
    "changed": "The settings are changed.",
}
STATIC = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


async def _session(request: Request) -> Session:
    access: Access = request.app.state.access
    return await access.aside(sessions_of(request).open, request)


Visitor = Annotated[Session, Depends(_session)]
Word = Annotated[Text, Query(max_length=4096)]
Note = Annotated[str, Query(max_length=20)]
Number = Annotated[int, Query(ge=0, le=10**9)]


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
    after: Number = 0,
) -> HTMLResponse:
    """Show the tenant's sources with progress and lag, and what happened last."""
    rows = visible_rows(here, visitor.caller)
    sources = show_managed_all(here, rows[after : after + SOURCES_A_PAGE], visitor.caller)
    return page(
        request,
        visitor,
        "overview.html",
        title="Sources",
        sources=sources,
        activity=_activity(here, sources, visitor.caller),
        total=len(rows),
        moved=here.catalog.moves.successors(),
        next_after=after + SOURCES_A_PAGE if after + SOURCES_A_PAGE < len(rows) else None,
        health=here.health.parts(),
    )


@router.get("/sources/{source_id}")
def source_page(
    request: Request, source_id: UUID, visitor: Visitor, here: Here, note: Note = "", n: Number = 0
) -> HTMLResponse:
    """Show one source: states with reasons, runs, listings, settings."""
    source = row_of(here, source_id, visitor.caller)
    shown, source = show_managed(here, source, visitor.caller), source.source
    history, declared = here.catalog.history, here.catalog.sources.refused(source.id)
    to_embed = still_to_embed(here.catalog, source, shown.counts)
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
        listings=[
            show_listing(one) for one in here.listings(str(source_id), visitor.caller, limit=5)
        ],
        sees_all=here.rights(visitor.caller).sees_all_of(str(source_id)),
        refused=declared and refusal(source, declared),
        left=here.catalog.moves.left_by(source.id),
        to_embed=to_embed and to_embed.told(price=here.parts.settings.price_of(source.embedding)),
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
    prefix: Word = "",
    word: Annotated[Text, Query(max_length=200)] = "",
    after: Word = "",
    note: Note = "",
    n: Number = 0,
) -> HTMLResponse:
    """Show objects in a state, by prefix or word of the key, each with the reason."""
    shown = show_managed(here, row_of(here, source_id, visitor.caller), visitor.caller)
    rows, last = seen_objects(
        here,
        row_of(here, source_id, visitor.caller).source,
        visitor.caller,
        state=state,
        reason=reason or None,
        prefix=prefix,
        word=word.strip(),
        after=after or None,
        limit=OBJECTS_A_PAGE,
    )
    objects = [show_object(row) for row in rows]
    filters = {"state": state or "", "reason": reason, "prefix": prefix, "word": word}
    told = urlencode({name: value for name, value in filters.items() if value})
    return page(
        request,
        visitor,
        "objects.html",
        title=f"{state or 'all'} objects of {shown.name}",
        source=shown,
        objects=objects,
        state=state,
        reason=reason,
        prefix=prefix,
        word=word,
        explained=known_reasons().get(reason),
        total=None if prefix or word else total(shown.counts, state, reason),
        states=STATES,
        query=told,
        after=after,
        next_after=last,
        note=_note(note, n),
    )


@router.get("/sources/{source_id}/removals")
def removals_page(
    request: Request,
    source_id: UUID,
    visitor: Visitor,
    here: Here,
    kind: Annotated[int, Query(ge=0, le=3)] = 0,
    after: Word = "",
) -> HTMLResponse:
    """Show the keys whose records an approval would remove."""
    row = row_of(here, source_id, visitor.caller)
    shown = show_managed(here, row, visitor.caller)
    blocked = here.catalog.listings.blocked(str(source_id))
    keys, following = [], None
    if blocked is not None:  # of the very listing whose number the button sends
        keys, following = here.catalog.listings.departing_keys(
            blocked, kind=kind, after=after or None, limit=OBJECTS_A_PAGE
        )
    if not here.rights(visitor.caller).sees_all_of(row.source.id):
        visitor.caller.require_owner()  # each page names the key behind which the next begins
    return page(
        request,
        visitor,
        "removals.html",
        title=f"Removals of {shown.name}",
        source=shown,
        listing=blocked and show_listing(blocked),
        keys=keys,
        following=following,
    )


@router.get("/sources/{source_id}/object")
def object_page(
    request: Request,
    source_id: UUID,
    visitor: Visitor,
    here: Here,
    key: Annotated[Text, Query(min_length=1)],
    chunk: Annotated[int, Query(ge=0, le=MOST_CHUNKS)] = 0,
    q: Word = "",
    note: Note = "",
    n: Number = 0,
) -> HTMLResponse:
    """Show one object: what became of it, why, and its chunks as bands of its text."""
    shown = show_managed(here, row_of(here, source_id, visitor.caller), visitor.caller)
    detail = describe_object(here, source_id, key, visitor.caller)
    newest = None
    if detail.object is not None:  # what is kept from the visitor has no invocation either
        newest = here.catalog.invocations.latest_by_keys(str(source_id), [key]).get(key)
    reason = detail.object.reason if detail.object else None
    return page(
        request,
        visitor,
        "object.html",
        title=key,
        source=shown,
        key=key,
        detail=detail,
        newest=newest,
        explained=known_reasons().get(reason or ""),
        chunks=chunks_of(here, source_id, key, visitor.caller, chunk=chunk, question=q),
        q=q,
        run_url=run_url(here, newest.run_id) if newest is not None else None,
        note=_note(note, n),
    )


@router.get("/sources/{source_id}/content")
@waits_outside
def content(
    source_id: UUID, visitor: Visitor, here: Here, key: Annotated[Text, Query(min_length=1)]
) -> Response:
    """Send an object's bytes to a signed-in visitor."""
    return send_content(source_id, key, visitor.caller, here)


@router.get("/search")
def search_page(
    request: Request,
    visitor: Visitor,
    here: Here,
    q: Word = "",
    where: Annotated[Text, Query(max_length=1100)] = "",
    ranking: Ranking = "hybrid",
    around: Annotated[int, Query(ge=0, le=3)] = 0,
    source: Annotated[UUID | Literal[""], Query()] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_HITS)] = HITS,
) -> HTMLResponse:
    """Show the best chunks for a question, with the place where each stands."""
    places = _places(here, visitor)
    names = {row.source.id: row.source.name for row in visible_rows(here, visitor.caller)}
    database, _, collection = where.partition("/")
    if not where and places:
        database, collection = places[0]
    hits: list[HitShown] = []
    problem = ""
    lacks: list[str] = []
    if q.strip() and collection:
        try:
            payload = SearchPayload(
                query=q,
                database_name=database,
                collection_name=collection,
                ranking=ranking,
                context=around,
                limit=limit,
                where={"s3sync_source": str(source)} if source else None,
            )
            answer = find(here, payload, visitor.caller)
            hits, lacks = answer.hits, answer.lacks
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
        lacks=lacks,
        names=names,
        chosen_source=str(source),
        more=_more(request, limit) if len(hits) == limit < MAX_HITS else "",
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


def total(counts: CountsShown, state: ObjectWord | None, reason: str) -> int:
    """Return how many objects there are in a state, with a reason."""
    if state is None and not reason:
        return counts.objects
    named = {"failed": counts.failed, "skipped": counts.skipped}
    if reason:
        return sum(one.get(reason, 0) for name, one in named.items() if state in (None, name))
    if state in named:
        return sum(named[state].values())
    return getattr(counts, state or "objects")


def _more(request: Request, limit: int) -> str:
    wanted = dict(request.query_params) | {"limit": str(min(MAX_HITS, limit * 2))}
    return "/search?" + urlencode(wanted)


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
    """Return databases and collections to which the tenant's sources wrote, moved ones too."""
    places: dict[tuple[str, str], None] = {}
    for row in here.catalog.sources.rows(tenant=visitor.caller.tenant, moved=True):
        if row.deleting is not None:
            continue
        for _, database, collection in here.catalog.documents.collections(row.source.id):
            places[database, collection] = None
    return list(places)
