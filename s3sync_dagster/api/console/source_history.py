"""How a source came to be as it is: charts of its last days, its move from another place."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from s3sync_dagster.api.console.charts import BAR_HOURS, charts_of
from s3sync_dagster.api.console.pages import Visitor
from s3sync_dagster.api.console.rendering import PageRoute, page
from s3sync_dagster.api.context import Here
from s3sync_dagster.api.manage import row_of
from s3sync_dagster.engine.moving import how_far

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/sources/{source_id}/history")
def history_page(
    request: Request,
    source_id: UUID,
    visitor: Visitor,
    here: Here,
    days: Annotated[int, Query(ge=1, le=max(BAR_HOURS))] = 7,
) -> HTMLResponse:
    """Show the last days of a source as charts: one statement, at most a row for each hour."""
    source = row_of(here, source_id, visitor.caller).source
    now = here.parts.clock.now().timestamp()
    days = min(one for one in BAR_HOURS if one >= days)
    first = int(now // 3600) - days * 24 + 1
    found = here.catalog.hours.of_source(source.id, since=first)
    return page(
        request,
        visitor,
        "history.html",
        title=f"History of {source.name}",
        source=source,
        charts=charts_of(found, days=days, now=now, operates=here.operates(visitor.caller)),
        days=days,
        hours=BAR_HOURS[days],
        spans=tuple(BAR_HOURS),
        noted=bool(found),
        began=datetime.fromtimestamp(first * 3600, UTC),
    )


@router.get("/sources/{source_id}/move")
def move_page(request: Request, source_id: UUID, visitor: Visitor, here: Here) -> HTMLResponse:
    """Show how far a source has come in the place of those before it.

    A page of its own: each document of before is looked for among those of the new one.
    """
    source = row_of(here, source_id, visitor.caller).source
    moves = here.catalog.moves
    return page(
        request,
        visitor,
        "move.html",
        title=f"Move of {source.name}",
        source=source,
        said=how_far(source, catalog=here.catalog),
        left=[(before, moves.succession(source, before)) for before in moves.left_by(source.id)],
    )
