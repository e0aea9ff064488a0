"""ASGI guards around the routes: size and pace of bodies, headers that protect browsers."""

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.access import too_many_tokens
from s3sync_dagster.api.errors import error_response
from s3sync_dagster.api.options import MAX_FILE_BYTES, ApiOptions

LEAST_BYTES_A_SECOND = 1024
"""A body that comes more slowly, after the silence that is allowed, is one that never ends."""
UPLOAD_PATH = "/api/v1/add-file"
_UPLOAD_BYTES = MAX_FILE_BYTES + 1024 * 1024
"""The file, and the other parts of the form."""
BODY_BYTES = 1024 * 1024
"""Of what JSON describes. What lists thousands of keys may have as many as the operator
says."""
FORM_BYTES = 64 * 1024
SIGN_IN_BYTES = 16 * 1024
"""Of forms, and of the one of who is not known yet; uploads have their own parser and bound."""
_FORM = b"form"
"""Stands in the type of every body that is read as a form."""
SIGN_IN_PATH = "/login"
_LARGE = re.compile(
    "/api/v1/sources/[^/]+/invocations/latest-by-keys|/s3sync/v1/sources/[^/]+/retry"
)
_WEBHOOKS = "/webhooks/"
DELIVERY_BYTES = 4 * 1024 * 1024
"""Of a webhook, which is read before it is known who signed it."""
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", _POLICY.encode()),
]


class _BodyRefused(Exception):
    pass


class BodyLimits:
    """ASGI middleware: 413 for a body that is too large, 408 for one that does not come."""

    def __init__(self, app: ASGIApp, *, options: ApiOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        declared = _content_length(scope)
        if declared is not None and declared > limit:
            await self._too_large(limit)(scope, receive, send)
            return
        received = 0
        began = asyncio.get_running_loop().time()
        finished = started = False
        refusal: ASGIApp | None = None

        async def limited() -> Message:
            nonlocal received, finished, refusal
            if finished:  # what follows the body is the client's departure, which may take long
                return await receive()
            try:
                async with asyncio.timeout(self._options.body_timeout_seconds):
                    message = await receive()
            except TimeoutError:
                refusal = _too_slow()
                raise _BodyRefused from None
            received += len(message.get("body", b""))
            finished = not message.get("more_body", False)
            elapsed = asyncio.get_running_loop().time() - began
            patience = self._options.body_timeout_seconds
            if not scope["path"].startswith(_WEBHOOKS):  # of whom nobody knows all come at once
                patience += received / LEAST_BYTES_A_SECOND
            if not finished and elapsed > patience:
                refusal = _too_slow()
                raise _BodyRefused
            if received > limit:
                refusal = self._too_large(limit)
                raise _BodyRefused
            return message

        async def noticed(message: Message) -> None:
            nonlocal started
            if refusal is None or started:  # a route that was cut short has nothing to say
                started = True
                await send(message)

        try:
            await self._app(scope, limited, noticed)
        except _BodyRefused:
            pass
        if refusal is not None and not started:
            await refusal(scope, receive, send)

    def _limit(self, scope: Scope) -> int:
        path = scope["path"]
        if path == UPLOAD_PATH:
            return _UPLOAD_BYTES
        most = self._options.max_body_bytes
        if _is_form(scope):
            return min(most, SIGN_IN_BYTES if path == SIGN_IN_PATH else FORM_BYTES)
        if path.startswith(_WEBHOOKS):
            return min(most, DELIVERY_BYTES)
        return most if takes_large_bodies(path) else min(most, BODY_BYTES)

    def _too_large(self, limit: int) -> ASGIApp:
        uploads = limit == _UPLOAD_BYTES  # the contract of add-file knows no 413
        return error_response(
            400 if uploads else 413,
            "body_too_large",
            f"The body has more than {limit} bytes.",
            headers={"connection": "close"},
        )


def takes_large_bodies(path: str) -> bool:
    """Return whether a JSON body may be larger than ``BODY_BYTES`` there."""
    return _LARGE.fullmatch(path) is not None


def _too_slow() -> ASGIApp:
    return error_response(
        408,
        "body_timeout",
        "The body stopped coming; send it again.",
        headers={"connection": "close"},
    )


class OneToken:
    """ASGI middleware: 400 for a request with several tokens, of which others may read another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            message = too_many_tokens(Headers(scope=scope))
            if message is not None:
                await error_response(400, "invalid_request", message)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class SecurityHeaders:
    """ASGI middleware: headers that protect whoever looks at an answer in a browser."""

    def __init__(self, app: ASGIApp, *, options: ApiOptions) -> None:
        self._app = app
        self._headers = list(_HEADERS)
        if (options.public_url or "").startswith("https:"):
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in self._headers if pair[0] not in present]
                if b"cache-control" not in present:
                    added.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_protected)


def _is_form(scope: Scope) -> bool:
    return any(name == b"content-type" and _FORM in told.lower() for name, told in scope["headers"])


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
