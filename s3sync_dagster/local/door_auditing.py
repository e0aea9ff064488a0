"""What people change through the doors of Dagster and Chroma, and who is refused there by name.

Behind the doors nobody knows who asks. So it is written down here, as the API does it; of bodies
nothing is kept but the name of what a mutation of Dagster asks for first.
"""

import json
import logging
import re
import time
from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.access import CALLER, Caller, address_of
from s3sync_dagster.api.auditing import Refusals
from s3sync_dagster.api.single_sign_on import SingleSignOn
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.audit import AuditEntry
from s3sync_dagster.model.errors import S3SyncError

_log = logging.getLogger(__name__)

MAX_LOOKED_AT = 1024 * 1024
"""Bytes of a question to Dagster; a longer one counts as one that changes something."""
MAX_PATH_CHARACTERS = 300
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ASKING = (b"/get", b"/query", b"/search", b"/count")
"""Ends of Chroma's paths that change nothing, though they are asked with POST."""
_FIRST = re.compile(r"\bmutation\b[^{(]*(?:\([^)]*\))?[^{]*\{\s*(?:\w+\s*:\s*)?(\w{1,100})")


class DoorAuditing:
    """ASGI middleware around a door: an entry for what somebody known changes or is refused."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        door: Literal["dagster", "chroma"],
        catalog: Catalog,
        sso: SingleSignOn | None = None,
    ) -> None:
        self._app = app
        self._door: Literal["dagster", "chroma"] = door
        self._catalog = catalog
        self._sso = sso
        self._refusals = Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or self._only_asks(scope):
            await self._app(scope, receive, send)
            return
        status, body = 500, bytearray()
        looks = self._door == "dagster" and scope["path"].rstrip("/").endswith("/graphql")

        async def heard() -> Message:
            message = await receive()
            if looks and len(body) <= MAX_LOOKED_AT:
                body.extend(message.get("body", b""))
            return message

        async def noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, heard, noticed)
        finally:
            caller: Caller | None = scope.get(CALLER)
            asked = mutation_of(bytes(body)) if looks and status < 400 else ""
            if caller is not None and asked is not None:
                await run_in_threadpool(self._write, self._entry(scope, caller, asked, status))

    def _only_asks(self, scope: Scope) -> bool:
        if scope["method"] in _READING:
            return True
        return (
            self._door == "chroma"
            and scope["method"] == "POST"
            and scope["raw_path"].endswith(_ASKING)
        )

    def _entry(self, scope: Scope, caller: Caller, asked: str, status: int) -> AuditEntry:
        path = scope["raw_path"].decode("latin-1")[:MAX_PATH_CHARACTERS]  # escaped, as it came
        return AuditEntry(
            at=time.time(),
            tenant=caller.tenant,
            who=caller.who,
            role=caller.role,
            door=self._door,
            address=address_of(HTTPConnection(scope), self._sso),
            action=f"{scope['method']} {path}",
            subject=asked,
            outcome=str(status),
        )

    def _write(self, entry: AuditEntry) -> None:
        told = self._refusals.told(entry) if int(entry.outcome) >= 400 else entry
        try:
            if told is not None:
                self._catalog.audit.add([told])
        except S3SyncError as error:
            _log.error("an entry of the audit log is lost: %s", error.message)


def mutation_of(body: bytes) -> str | None:
    """Return what a question to Dagster changes first, as far as that can be read.

    None: it changes nothing.
    """
    if len(body) > MAX_LOOKED_AT:
        return ""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None  # nor does Dagster read it
    if "mutation" not in text:
        return None
    found = _FIRST.search(text.replace("\\n", "\n"))
    return found[1] if found else ""
