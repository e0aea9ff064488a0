"""Bodies at the doors: none that stops coming, and none that outlives the token it came with.

Who sent the head may keep its body back until the token is revoked. So of one that took long it is
asked again whose it is before its last piece goes on: what is not whole nobody carries out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.guards import LEAST_BYTES_A_SECOND
from s3sync_dagster.api.routing import SLOW_SECONDS

BODY_SECONDS = 30.0
"""So long a client may be silent while it sends a body."""
Refusal = tuple[int, str | None, Mapping[str, str]]
"""Status, why (None: it passes) and headers."""


class _BodyRefused(Exception):
    pass


def has_body(headers: Headers) -> bool:
    """Return whether a request says that a body follows; without both there is none."""
    return "content-length" in headers or "transfer-encoding" in headers


class HeardBody:
    """The body of one request on its way through a door."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        still: Callable[[], Awaitable[Refusal]],
    ) -> None:
        """Hear a body.

        Args:
            scope: of the request.
            receive: gives its pieces.
            send: takes the answer.
            still: looks whether who was let in would be let in by now.
        """
        self._scope = scope
        self._receive = receive
        self._send = send
        self._still = still
        length = Headers(scope=scope).get("content-length", "")
        self._declared = int(length) if length.isdecimal() and len(length) < 20 else None
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._waited = 0.0
        self._received = 0
        self._finished = self._started = False
        self.refusal: PlainTextResponse | None = None

    async def served_by(self, app: ASGIApp) -> None:
        """Have an application serve the request, and refuse it where its body goes no further."""
        try:
            await app(self._scope, self._heard, self._noticed)
        except Exception:
            if self.refusal is None:
                raise
        if self.refusal is not None and not self._started:
            await self.refusal(self._scope, self._receive, self._send)

    async def _heard(self) -> Message:
        if self.refusal is not None:
            raise _BodyRefused
        if self._finished:  # what follows the body is the client's departure, which may take long
            return await self._receive()
        since = self._now()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            self._refuse(408, "The body stopped coming; send it again.")
        self._waited += self._now() - since  # what reads slowly behind the door is not its fault
        if message["type"] == "http.disconnect":
            self._refuse(400, "The body was broken off.")  # nobody hears it; the audit log does
        self._received += len(message.get("body", b""))
        self._finished = not message.get("more_body", False)
        patience = BODY_SECONDS + self._received / LEAST_BYTES_A_SECOND
        if not self._finished and self._waited > patience:
            self._refuse(408, "The body came too slowly; send it again.")
        await self._ask_again()
        return message

    async def _ask_again(self) -> None:
        whole = self._finished or self._received == self._declared
        if not whole or self._now() - self._began <= SLOW_SECONDS:
            return
        status, why, headers = await self._still()
        if why is not None:
            self._refuse(status, why, headers)

    def _refuse(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> NoReturn:
        closing = {**(headers or {}), "connection": "close"}
        self.refusal = PlainTextResponse(why, status_code=status, headers=closing)
        raise _BodyRefused

    async def _noticed(self, message: Message) -> None:
        if self.refusal is None or self._started:  # what was cut short has nothing to say
            self._started = True
            await self._send(message)
