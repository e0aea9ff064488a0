"""The page of who and what gets in: API tokens of the tenant, stored AWS keys. For owners."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import AfterValidator, SecretStr

from s3sync_dagster.api.console.actions import FormText, signed
from s3sync_dagster.api.console.pages import Visitor
from s3sync_dagster.api.console.rendering import PageRoute, page
from s3sync_dagster.api.console.session import Session
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.credentials import create_credential, delete_credential
from s3sync_dagster.api.errors import TooMany
from s3sync_dagster.api.manage_wire import CredentialPayload
from s3sync_dagster.api.wire import storable
from s3sync_dagster.catalog.tokens import Role
from s3sync_dagster.model.errors import InvalidSetting, NotFound, S3SyncError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Secret = Annotated[str, Form(max_length=4096)]
MAX_TOKENS = 1000
"""Of a tenant, by the console."""
NOTES = {
    "revoked": "Token {number} is revoked.",
    "stored": "Stored as credential {number}.",
    "forgotten": "Credential {number} is forgotten.",
}
"""What the page says after a button; a link says none of its own."""
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/access")
def access_page(request: Request, visitor: Visitor, here: Here) -> HTMLResponse:
    """Show tokens and stored keys: a hint of each, never more."""
    return _page(request, visitor, here)


@router.post("/access/tokens", dependencies=[Depends(signed)])
def make_token(
    request: Request,
    visitor: Visitor,
    here: Here,
    role: Annotated[Role, Form()],
    name: Annotated[str, Form(max_length=100), AfterValidator(storable)] = "",
    groups: FormText = "",
) -> HTMLResponse:
    """Make a token of this tenant and show it, this once."""
    visitor.caller.require_owner()
    if request.app.state.access.open():
        raise InvalidSetting(
            "This server asks nobody for a token yet: make the first one with "
            "`s3sync token create`, on the machine itself."
        )
    mine = [one for one in here.catalog.tokens.rows() if one.tenant == visitor.caller.tenant]
    if len(mine) >= MAX_TOKENS:
        raise TooMany(f"A tenant has {MAX_TOKENS:,} tokens at most, the revoked ones counted.")
    made, token = here.catalog.tokens.create(
        tenant=visitor.caller.tenant,
        role=role,
        name=name,
        groups=[one.strip() for one in groups.split(",") if one.strip()],
    )
    return _page(request, visitor, here, token=token, made=made.id)


@router.post("/access/tokens/{token_id}/revoke", dependencies=[Depends(signed)])
def revoke_token(visitor: Visitor, here: Here, token_id: Number) -> Response:
    """End a token of this tenant."""
    visitor.caller.require_owner()
    mine = (one.id for one in here.catalog.tokens.rows() if one.tenant == visitor.caller.tenant)
    if token_id not in mine:
        raise NotFound(f"This tenant has no token {token_id}.", reason="token_not_found")
    here.catalog.tokens.revoke(token_id)
    return _back("revoked", token_id)


@router.post("/access/credentials", dependencies=[Depends(signed)])
def store_keys(
    request: Request,
    visitor: Visitor,
    here: Here,
    key_id: Secret,
    secret: Secret,
    session_token: Secret = "",
) -> Response:
    """Store a pair of AWS keys, encrypted."""
    visitor.caller.require_owner()
    if not key_id.strip() or not secret.strip():
        problem = "Access key id and secret access key are both needed."
        return _page(request, visitor, here, problem=problem)
    payload = CredentialPayload(
        aws_access_key_id=SecretStr(key_id.strip()),
        aws_secret_access_key=SecretStr(secret.strip()),
        aws_session_token=SecretStr(session_token.strip()) if session_token.strip() else None,
    )
    try:
        stored = create_credential(payload, visitor.caller, here)
    except S3SyncError as error:
        return _page(request, visitor, here, problem=error.message)
    return _back("stored", stored.id)


@router.post("/access/credentials/{credential_id}/delete", dependencies=[Depends(signed)])
def forget_keys(visitor: Visitor, here: Here, credential_id: Number) -> Response:
    """Forget a pair of keys that no source uses."""
    visitor.caller.require_owner()
    delete_credential(visitor.caller, here, credential_id)
    return _back("forgotten", credential_id)


def _page(
    request: Request,
    visitor: Session,
    here: Context,
    *,
    token: str = "",
    made: int = 0,
    problem: str = "",
) -> HTMLResponse:
    visitor.caller.require_owner()
    tenant = visitor.caller.tenant
    answer = page(
        request,
        visitor,
        "access.html",
        status=400 if problem else 200,
        title="Access",
        tokens=[one for one in here.catalog.tokens.rows() if one.tenant == tenant],
        credentials=list(here.catalog.credentials.rows(tenant=tenant)),
        token=token,
        made=made,
        problem=problem,
        note=_note(request),
    )
    answer.headers["cache-control"] = "no-store"
    return answer


def _note(request: Request) -> str:
    number = request.query_params.get("n", "")
    if not (number.isascii() and number.isdecimal() and len(number) <= 10):
        return ""
    return NOTES.get(request.query_params.get("note", ""), "").format(number=number)


def _back(note: str, number: int) -> RedirectResponse:
    return RedirectResponse(f"/access?note={note}&n={number}", status_code=303)
