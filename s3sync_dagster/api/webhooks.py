"""``POST /webhooks/github/{source_id}``: a push to a repository has its source listed now.

Nothing but the signature tells who sent it: it is checked over the bytes as they came, before they
are read. Who cannot sign learns nothing, not even whether there is such a source, and is slow. A
delivery that comes twice lists at most twice, which changes nothing; polling goes on beside it.
"""

import hmac
import json
import secrets
from contextlib import nullcontext
from functools import partial
from typing import Any, cast
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from s3sync_dagster.api.access import CALLER, Access, Caller, address_of, count_guess
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.routing import may_be_large, parse_aside
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.errors import InvalidSetting, NotFound
from s3sync_dagster.model.source import Source

router = APIRouter(prefix="/webhooks", tags=["Webhooks"])

MAX_VALUES = 200_000
"""Of a delivery: GitHub names up to 2,048 commits in one, with their files. 0.1 s."""
_NO_SOURCE = UUID(int=0)
_NO_CREDENTIAL = 0
_NOBODYS = secrets.token_bytes(32)
"""Signs for sources without a secret, so that these take as long; nobody knows it."""


@router.post("/github/{source_id}")
async def github(source_id: str, request: Request, here: Here) -> JSONResponse:
    """Take a delivery of GitHub: a push lists, a ping is answered, all else is passed over.

    What is no id is one that no source has.
    """
    address = address_of(request, here.options.single_sign_on) or ""
    # Nobody is known before the whole of it was read.
    with here.deliveries.taken(address) if may_be_large(request.headers) else nullcontext():
        return await _taken(_id(source_id, request), request, here, await request.body())


def _id(text: str, request: Request) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        request.path_params.clear()  # anybody's text: the audit log keeps ids alone
        return _NO_SOURCE


async def _taken(source_id: UUID, request: Request, here: Context, body: bytes) -> JSONResponse:
    signature = request.headers.get("x-hub-signature-256", "")
    try:
        access: Access = request.app.state.access
        row = await access.aside(_signed, here, source_id, body, signature)
    except NotFound:
        count_guess(request)
        raise
    tenant = row.source.tenant
    request.scope[CALLER] = Caller(tenant=tenant, role="member", user="github (webhook)")
    event = request.headers.get("x-github-event", "")
    if event == "ping":
        return JSONResponse({"pong": True})
    if event != "push":
        return _ignored("another event")
    return await here.threads.run(tenant, partial(_push, here, row, await _payload(body)))


def _signed(here: Context, source_id: UUID, body: bytes, signature: str) -> SourceRow:
    """Return the source whose secret signed a body. Raises ``NotFound``, whatever is wrong."""
    row = here.catalog.sources.row(str(source_id))
    stands = row if row is not None and row.deleting is None else None
    secret = _secret(here, stands.source if stands is not None else None)
    wanted = hmac.new(secret or _NOBODYS, body, "sha256").hexdigest()
    told = signature.removeprefix("sha256=").encode(errors="replace")
    if not hmac.compare_digest(wanted.encode(), told) or secret is None or row is None:
        raise NotFound("There is no such webhook.", reason="not_found")
    return row


def _secret(here: Context, source: Source | None) -> bytes | None:
    """Return what signs for a source; where nothing does as much is looked up, which takes long."""
    number = source.place.webhook_secret if source is not None else None
    try:
        keys = here.catalog.credentials.keys(
            number or _NO_CREDENTIAL,
            cipher=open_cipher(here.parts.settings),
            tenant=source.tenant if source is not None else "",
        )
    except (NotFound, InvalidSetting):  # none, deleted meanwhile, or sealed with another key
        return None
    return keys.secret_access_key.encode() or None  # whoever signs with nothing is nobody


async def _payload(body: bytes) -> dict[str, Any]:
    try:
        value = await parse_aside(body, most_values=MAX_VALUES)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidSetting("The delivery is no JSON: choose application/json at GitHub.")
    return cast("dict[str, Any]", value)


def _push(here: Context, row: SourceRow, payload: dict[str, Any]) -> JSONResponse:
    told = payload.get("repository")
    repository = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    names = [repository.get(name) for name in ("clone_url", "html_url", "full_name")]
    changed = row.source.place.is_changed_by(
        [one for one in names if isinstance(one, str)],
        str(payload.get("ref")),
        default_branch=str(repository.get("default_branch")),
    )
    if changed is None:
        raise NotFound("There is no such webhook.", reason="not_found")
    if not changed:
        return _ignored("another branch")
    if row.paused:
        return _ignored("the source is paused")
    here.backfills.start_or_follow(row.source)
    return JSONResponse({"listing": True}, status_code=202)


def _ignored(why: str) -> JSONResponse:
    return JSONResponse({"ignored": why}, status_code=202)
