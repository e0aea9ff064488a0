"""Pages that list what does not change with a source: reasons, the API's operations."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from s3sync_dagster.api.console.pages import Visitor
from s3sync_dagster.api.console.rendering import PageRoute, page, plain_page
from s3sync_dagster.reasons import Reason, known_reasons

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/reasons")
def reasons_page(request: Request, visitor: Visitor) -> HTMLResponse:
    """Show every reason with its meaning and its way out."""
    kinds: dict[str, list[Reason]] = {}
    for reason in known_reasons().values():
        kinds.setdefault(reason.kind, []).append(reason)
    return page(request, visitor, "reasons.html", title="Reasons", kinds=kinds)


@router.get("/docs")
def api_page(request: Request) -> HTMLResponse:
    """Show the operations of the API, which /openapi.json tells to anybody, too."""
    described: dict[str, Any] = request.app.openapi()
    rooms: dict[str, list[dict[str, Any]]] = {}
    for path, methods in described["paths"].items():
        for method, one in methods.items():
            shown = {"method": method.upper(), "path": path, **_operation(one)}
            rooms.setdefault(next(iter(one.get("tags", ["Other"]))), []).append(shown)
    return plain_page(request, "api.html", title="The HTTP API", rooms=rooms)


def _operation(one: dict[str, Any]) -> dict[str, Any]:
    content = one.get("requestBody", {}).get("content", {})
    body = next(iter(content.values()), {}).get("schema", {}).get("$ref", "")
    return {
        "summary": one.get("summary", ""),
        "told": one.get("description", ""),
        "parameters": [
            {"name": each["name"], "told": each.get("description", ""), "where": each["in"]}
            for each in one.get("parameters", [])
        ],
        "body": body.rpartition("/")[2],
        "answers": sorted(one.get("responses", {})),
    }
