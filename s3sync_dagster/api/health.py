"""``/health``: whether the server has what it needs."""

from asyncio import shield, wrap_future
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from s3sync_dagster.api.context import Here

router = APIRouter(tags=["System"])

REQUIRED = ("catalog", "chroma")
"""Without these nothing can be asked for; without Dagster, work only waits."""


@router.get(
    "/health",
    operation_id="health_check",
    responses={
        200: {"description": "Health check successful"},
        503: {"description": "Unavailable"},
    },
)
async def health_check(here: Here) -> JSONResponse:
    """Check the parts: the catalog, Chroma and Dagster."""
    parts = await shield(wrap_future(here.health.round()))  # it is everybody's
    body: dict[str, Any] = {"status": "ok", "parts": parts}
    missing = [name for name in REQUIRED if parts.get(name) != "ok"]
    if missing:
        body |= {
            "status": "unavailable",
            "error": "unavailable",
            "message": f"The server cannot work without: {', '.join(missing)}.",
        }
    elif any(state != "ok" for state in parts.values()):
        body["status"] = "degraded"
    return JSONResponse(body, status_code=503 if missing else 200)
