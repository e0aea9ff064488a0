"""The door of servers that ask nobody who he is, Dagster's and Chroma: no stranger's page gets in.

Dagster's GraphQL starts and stops everything and shows every key, to whoever reaches it; it takes
mutations from a link or as plain text. So requests pass that programs of this machine send, and
pages that the server served itself.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from s3sync_dagster.api.access import too_many_tokens
from s3sync_dagster.api.connections import (
    Connections,
    PatientProtocol,
    affordable_connections,
    patient,
)
from s3sync_dagster.api.errors import TooMany
from s3sync_dagster.api.hosts import FORWARDED, is_of_host, names_this_machine
from s3sync_dagster.local.door_body import HeardBody, Refusal, has_body
from s3sync_dagster.model.errors import S3SyncError

READING = frozenset({"GET", "HEAD"})
ASKED_AGAIN_SECONDS = 10.0
"""So long a websocket outlives the token that opened it."""
CONNECTIONS = 512
"""Open at once, and never more than half of the files that the process may open."""
HEAD_SECONDS = 10.0
ADMITTED = "s3sync_admitted"
"""Where a request's scope tells that it has passed."""
_READ_IN_TWO_WAYS = re.compile(r"[\x00-\x1f\x7f]")
"""Starlette's routes end with ``$``, which a line feed may follow: ``/graphql%0a`` is one."""
_SIGN_IN = (
    "There are API tokens, so this server asks who you are: sign in at the console as an owner of "
    "a trusted tenant and come back, or send the token as x-chroma-token."
)


class Keeper(Protocol):
    """Knows who may pass."""

    def admits(self, asks: HTTPConnection) -> bool:
        """Return whether a request may pass; may block. Raises ``TooMany`` for guesses."""
        ...

    def still_admits(self, asks: HTTPConnection) -> bool:
        """Return whether one that was let in may pass still, now that its body is there."""
        ...


class Door:
    """ASGI middleware: 403 for requests of other sites' pages, 401 or 429 for who is not known."""

    def __init__(
        self, app: ASGIApp, *, public_url: str | None = None, keeper: Keeper | None = None
    ) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            public_url: where people's browsers find it behind a proxy; its host passes too. The
                proxy has to ask who people are.
            keeper: looks who it is, once there are API tokens; None: nobody looks.
        """
        self._app = app
        self._keeper = keeper
        self._public_host = urlsplit(public_url).netloc.lower() if public_url else None
        self._public_tls = bool(public_url) and urlsplit(public_url).scheme == "https"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status, refusal, headers = 403, self.refusal(scope), {}
        if refusal is None and self._keeper is not None:
            status, refusal, headers = await self._asked(self._keeper.admits, HTTPConnection(scope))
        if refusal is None:
            scope[ADMITTED] = True
        if refusal is None and scope["type"] == "websocket" and self._keeper is not None:
            await self._watched(self._keeper, scope, receive, send)
        elif refusal is None and scope["type"] == "http" and has_body(Headers(scope=scope)):
            await self._heard(scope, receive, send)
        elif refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            answer = PlainTextResponse(refusal, status_code=status, headers=headers)
            await answer(scope, receive, send)

    async def _heard(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with a body, which has to come, and not to outlive its token."""
        keeper = self._keeper

        async def still() -> Refusal:
            if keeper is None:
                return 200, None, {}
            return await self._asked(keeper.still_admits, HTTPConnection(scope))

        body = HeardBody(scope, receive, send, still=still)
        await body.served_by(self._app)
        if body.refusal is not None:  # nothing of it was done
            scope.pop(ADMITTED, None)

    async def _watched(self, keeper: Keeper, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a websocket for as long as whoever opened it may pass."""
        served = asyncio.ensure_future(self._app(scope, receive, send))
        try:
            while not (await asyncio.wait({served}, timeout=ASKED_AGAIN_SECONDS))[0]:
                status, refusal, _ = await self._asked(keeper.admits, HTTPConnection(scope))
                if refusal is not None and status in (401, 429):  # 429 as a guess: nobody has it
                    break
            else:
                served.result()
                return
        finally:
            served.cancel()
            with suppress(asyncio.CancelledError):
                await served
        await send({"type": "websocket.close", "code": 1008, "reason": "The token ended: sign in."})

    async def _asked(
        self, admits: Callable[[HTTPConnection], bool], asks: HTTPConnection
    ) -> Refusal:
        try:
            admitted = await run_in_threadpool(admits, asks)
        except TooMany as error:
            pause = str(max(1, round(error.retry_after_seconds)))
            return 429, error.message, {"retry-after": pause}
        except S3SyncError:
            return 503, "The catalog, which knows the tokens, does not answer.", {}
        return 401, None if admitted else _SIGN_IN, {}

    def refusal(self, scope: Scope) -> str | None:
        """Return why a request is refused; None lets it in."""
        headers = Headers(scope=scope)
        method = "GET" if scope["type"] == "websocket" else scope["method"]
        hosts = headers.getlist("host")
        public = len(hosts) == 1 and hosts[0].lower() == self._public_host
        if not public and not names_this_machine(hosts):
            return "This server answers to names of its own machine alone."
        if not public and any(name in headers for name in FORWARDED):
            return "Behind a proxy S3SYNC_DAGSTER_PUBLIC_URL has to name its address."
        if _READ_IN_TWO_WAYS.search(scope["path"]):
            return "No path here has control characters."
        if (several := too_many_tokens(headers)) is not None:
            return several
        if not _same_site(headers, hosts, method, tls=public and self._public_tls):
            return "A page of another site may not use this server."
        if method in READING:
            asks = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/graphql")
            return "GraphQL is asked with POST." if asks and scope["query_string"] else None
        if method != "POST":
            return None
        # Pages send text and forms anywhere; JSON and other methods only after asking, in vain.
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return None if kind == "application/json" else "Send application/json."


def door_protocol() -> type[PatientProtocol]:
    """Return how a door listens: as the API does. All of this machine have one address."""
    most = min(CONNECTIONS, affordable_connections())
    return patient(
        Connections(most=most, most_by_address=most, head_seconds=HEAD_SECONDS, known_by=ADMITTED)
    )


def _same_site(headers: Headers, hosts: Sequence[str], method: str, *, tls: bool) -> bool:
    if not all(is_of_host(one, hosts[0], tls=tls) for one in headers.getlist("origin")):
        return False
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    # A link to a page may be followed: who set it learns nothing of what is shown.
    followed = headers.get("sec-fetch-mode") == "navigate" and method in READING
    return followed and headers.get("sec-fetch-dest") == "document"
