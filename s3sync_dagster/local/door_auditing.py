"""What people change through the doors of Dagster and Chroma, and who is refused there by name.

Behind the doors nobody knows who asks. So it is written down here, as the API does it; of bodies
nothing is kept but the names of what a mutation of Dagster asks for.
"""

import time
from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.access import CALLER, Caller, address_of
from s3sync_dagster.api.auditing import MAX_PATH_CHARACTERS, AuditWriter, NotedAnswer
from s3sync_dagster.api.single_sign_on import SingleSignOn
from s3sync_dagster.catalog.audit import AuditEntry
from s3sync_dagster.local.door import ADMITTED

MAX_LOOKED_AT = 1024 * 1024
"""Bytes of a question to Dagster; a longer one counts as one that changes something."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ASKING = (b"/get", b"/query", b"/search", b"/count")
"""Ends of Chroma's paths that change nothing, though they are asked with POST."""


class DoorAuditing:
    """ASGI middleware around a door: an entry for what somebody known changes or is refused."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        door: Literal["dagster", "chroma"],
        writer: AuditWriter,
        sso: SingleSignOn | None = None,
    ) -> None:
        self._app = app
        self._door: Literal["dagster", "chroma"] = door
        self._writer = writer
        self._sso = sso

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] != "http" or self._only_asks(scope):
            await self._app(scope, receive, send)
            return
        answer, body = NotedAnswer(send), bytearray()
        looks = (
            self._door == "dagster"
            and scope["method"] == "POST"
            and scope["path"].rstrip("/").endswith("/graphql")
        )

        async def heard() -> Message:
            message = await receive()
            if looks and len(body) <= MAX_LOOKED_AT:
                body.extend(message.get("body", b""))
            return message

        try:
            await self._app(scope, heard, answer)
        finally:
            caller: Caller | None = scope.get(CALLER)
            if caller is not None:
                refused = ADMITTED not in scope  # what passed is a change, whatever came of it
                asked, at = "", time.time()
                if looks and not refused:
                    asked = await run_in_threadpool(_asked, scope, bytes(body))
                if asked is not None:
                    entry = self._entry(scope, caller, asked, answer.status, at=at)
                    self._writer.put(entry, refusal=refused)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write for as long as the server lives."""

        async def sent(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):  # after it the process ends
                await run_in_threadpool(self._writer.stop)
            await send(message)

        self._writer.start()
        await self._app(scope, receive, sent)

    def _only_asks(self, scope: Scope) -> bool:
        if scope["method"] in _READING:
            return True
        return (
            self._door == "chroma"
            and scope["method"] == "POST"
            and scope["raw_path"].endswith(_ASKING)
        )

    def _entry(
        self, scope: Scope, caller: Caller, asked: str, status: int, *, at: float
    ) -> AuditEntry:
        path = scope["raw_path"].decode("latin-1")[:MAX_PATH_CHARACTERS]  # escaped, as it came
        return AuditEntry(
            at=at,
            tenant=caller.tenant,
            who=caller.who,
            role=caller.role,
            door=self._door,
            address=address_of(HTTPConnection(scope), self._sso),
            action=f"{scope['method']} {path}",
            subject=asked,
            outcome=str(status),
        )


def _asked(scope: Scope, body: bytes) -> str | None:
    """Return the names of what a question to Dagster changes; None: it changes nothing."""
    from s3sync_dagster.local.mutations import UNREAD, mutation_of  # noqa: PLC0415  (not Chroma's)

    if len(body) > MAX_LOOKED_AT:
        return UNREAD
    return mutation_of(
        body,
        content_type=Headers(scope=scope).get("content-type", ""),
        query_string=scope["query_string"],
    )
