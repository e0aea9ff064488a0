"""What buttons do. Each form carries a signature that only our own pages can have."""

from contextlib import suppress
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator

from s3sync_dagster.api.access import Access, identify
from s3sync_dagster.api.console.pages import Visitor, safe_target
from s3sync_dagster.api.console.rendering import PageRoute, plain_page, sessions_of
from s3sync_dagster.api.context import Here
from s3sync_dagster.api.errors import Forbidden, TooMany, Unauthorized
from s3sync_dagster.api.manage import pause_source, resume_source
from s3sync_dagster.api.manage_wire import ApprovePayload, RetryPayload
from s3sync_dagster.api.wire import storable
from s3sync_dagster.api.work import approve_deletes, backfill, retry_failed

FormText = Annotated[str, Form(max_length=4096), AfterValidator(storable)]
ListingId = Annotated[int, Form(ge=1, le=2**63 - 1)]


async def signed(request: Request, form_token: Annotated[str, Form(max_length=200)] = "") -> None:
    """Refuse a form that none of our pages sent, and have the audit log say whose it was."""
    sessions = sessions_of(request)
    try:
        sessions.check_form(request, form_token)
    except Forbidden:
        access: Access = request.app.state.access
        with suppress(Unauthorized, Forbidden, TooMany):
            await access.aside(sessions.open, request)
        raise


router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Depends(signed)])


@router.post("/sources/{source_id}/retry")
def retry(
    source_id: UUID,
    visitor: Visitor,
    here: Here,
    key: FormText = "",
    reason: Annotated[str, Form(max_length=100), AfterValidator(storable)] = "",
    back: FormText = "",
) -> Response:
    """Try one failed object again, what failed for one reason, or all of a source."""
    payload = RetryPayload(keys=[key] if key else None, reason=reason or None)
    done = retry_failed(source_id, visitor.caller, here, payload)
    return _back(source_id, "retried", back=back, count=done.retried)


@router.post("/sources/{source_id}/backfill")
def start_backfill(source_id: UUID, visitor: Visitor, here: Here) -> Response:
    """List the prefix now."""
    backfill(source_id, visitor.caller, here)
    return _back(source_id, "backfill")


@router.post("/sources/{source_id}/pause")
def pause(source_id: UUID, visitor: Visitor, here: Here) -> Response:
    """Stop automatic work."""
    visitor.caller.require_owner()
    pause_source(source_id, visitor.caller, here)
    return _back(source_id, "paused")


@router.post("/sources/{source_id}/resume")
def resume(source_id: UUID, visitor: Visitor, here: Here) -> Response:
    """Take automatic work up again."""
    visitor.caller.require_owner()
    resume_source(source_id, visitor.caller, here)
    return _back(source_id, "resumed")


@router.post("/sources/{source_id}/approve-deletes")
def approve(source_id: UUID, visitor: Visitor, here: Here, listing_id: ListingId) -> Response:
    """Let the listing that the visitor saw remove what the guard stopped."""
    visitor.caller.require_owner()
    approve_deletes(source_id, ApprovePayload(listing_id=listing_id), visitor.caller, here)
    return _back(source_id, "approved")


@router.post("/login")
async def login(request: Request, token: FormText = "", target: FormText = "/") -> Response:
    """Sign in with an API token."""
    sessions = sessions_of(request)
    try:
        access: Access = request.app.state.access
        await access.aside(identify, request, token.strip() or None)
    except Unauthorized:
        return plain_page(
            request,
            "login.html",
            status=401,
            title="Sign in",
            target=safe_target(target),
            problem="This token is not known, or it was revoked.",
        )
    response = RedirectResponse(safe_target(target), status_code=303)
    sessions.sign_in(request, response, token.strip())
    return response


@router.post("/logout")
def logout(request: Request) -> Response:
    """Sign out."""
    response = RedirectResponse("/login", status_code=303)
    sessions_of(request).sign_out(response)
    return response


def _back(source_id: UUID, note: str, *, back: str = "", count: int = 0) -> RedirectResponse:
    where = safe_target(back) if back else f"/sources/{source_id}"
    joint = "&" if "?" in where else "?"
    return RedirectResponse(f"{where}{joint}note={quote(note)}&n={count}", status_code=303)
