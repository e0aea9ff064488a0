"""How a source came to be as it is: its move from another place."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from s3sync_dagster.api.console.pages import Visitor
from s3sync_dagster.api.console.rendering import PageRoute, page
from s3sync_dagster.api.context import Here
from s3sync_dagster.api.manage import row_of
from s3sync_dagster.engine.moving import how_far

router = APIRouter(route_class=PageRoute, include_in_schema=False)


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
