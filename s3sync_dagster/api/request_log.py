"""One line of JSON for each request, with an id that the answer carries too."""

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.errors import answer_unexpected
from s3sync_dagster.api.threads import SCOPE

REQUEST_ID = ContextVar("request_id", default="")
GONE = 499
"""Stands for the status where the client left before there was one."""
_HEADER = b"x-request-id"
_USABLE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("s3sync_dagster.api.requests")


class Counts(Protocol):
    """What is told of every request (``metrics.Traffic``)."""

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        ...


class RequestLog:
    """ASGI middleware: request id, one log line, counters."""

    def __init__(self, app: ASGIApp, *, traffic: Counts) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["s3sync_request_id"] = request_id
        REQUEST_ID.set(request_id)
        SCOPE.set(scope)
        began = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:  # before all of it was heard or done: nobody hears an answer
            status = status or GONE
        except Exception as error:  # noqa: BLE001  (the boundary: what is left becomes a 500)
            answer = answer_unexpected(error, route=route_of(scope), request_id=request_id)
            if status == 0:
                await answer(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            route = route_of(scope)
            self._traffic.count(scope["method"], route, status or GONE, seconds)
            _log.info(
                "request",
                extra={
                    "request": {
                        "id": request_id,
                        "method": scope["method"],
                        "route": route,
                        "status": status or GONE,
                        "ms": round(seconds * 1000, 1),
                    }
                },
            )


def route_of(scope: Scope) -> str:
    """Return the pattern that matched: paths themselves can hold keys and are not counted."""
    route = scope.get("route")
    return getattr(route, "path", None) or "(none)"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER and _USABLE_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line, with the request they belong to."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = getattr(record, "request", None)
        if request is not None:
            line |= request
        elif request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__  # its text may hold anything
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Write all logs of this process as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("s3sync_dagster").setLevel(level)
