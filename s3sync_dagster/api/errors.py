"""Where errors meet HTTP: one table, one body ``{error, message}`` for everything."""

import logging
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from s3sync_dagster.model import errors as model
from s3sync_dagster.model.errors import S3SyncError

_log = logging.getLogger(__name__)

STATUS_BY_REASON: Mapping[str, int] = {
    "unauthorized": 401,
    "forbidden": 403,
    "no_credentials": 400,
    "not_pending": 412,
    "object_gone": 404,
    "too_many_uploads": 429,
    "too_many_searches": 429,
    "too_many_sources": 429,
    "too_many_credentials": 429,
    "too_many_objects": 429,
    "too_many_upload_bytes": 429,
    "too_many_requests": 429,
    "body_too_large": 413,
    "body_timeout": 408,
}
"""Reasons whose status differs from that of their branch."""
STATUS_BY_KIND: tuple[tuple[type[S3SyncError], int], ...] = (
    (model.FixInput, 400),
    (model.NotFound, 404),
    (model.AccessDenied, 403),
    (model.EmbeddingMismatch, 409),
    (model.Conflict, 409),
    (model.FixConfiguration, 400),
    (model.Unavailable, 503),
)
CONTRACT_PREFIX = "/api/v1/"
_WORDS = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_timeout",
    413: "body_too_large",
    415: "invalid_request",
    429: "too_many_requests",
}


class Unauthorized(model.AccessDenied):
    """No token, or one that is not known."""

    reason = "unauthorized"


class Forbidden(model.AccessDenied):
    """The token's role may not do this."""

    reason = "forbidden"


class TooMany(model.Throttled):
    """The caller asks for too much at once."""

    reason = "too_many_requests"


def status_of(error: S3SyncError, *, path: str) -> int:
    """Return the HTTP status of an error; the contract knows 500 and no 503."""
    status = STATUS_BY_REASON.get(error.reason)
    if status is None:
        status = next((code for kind, code in STATUS_BY_KIND if isinstance(error, kind)), 500)
    if status == 503 and path.startswith(CONTRACT_PREFIX):
        return 500
    return status


def error_response(
    status: int, error: str, message: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the body that every error has."""
    return JSONResponse(
        {"error": error, "message": message}, status_code=status, headers=dict(headers or {})
    )


def answer_error(error: S3SyncError, *, path: str) -> JSONResponse:
    """Return the answer to one of our own errors."""
    status = status_of(error, path=path)
    headers = {}
    if isinstance(error, model.Unavailable):
        headers["retry-after"] = str(max(1, round(error.retry_after_seconds)))
    if status == 401:
        headers["www-authenticate"] = "x-chroma-token"
    return error_response(status, error.reason, error.message, headers=headers)


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(S3SyncError, _own)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)


async def _own(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, S3SyncError)
    return answer_error(error, path=request.url.path)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(400, "invalid_request", describe(error.errors()))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = 400 if error.status_code in (415, 422) else error.status_code
    if status == 404:
        message = f"There is nothing at {request.url.path[:200]!r}; see /openapi.json."
    elif status == 405:
        message = f"{request.method} is not possible at {request.url.path[:200]!r}."
    elif status == 400:
        message = "The body is not JSON, or not sent as application/json."
    else:
        message = HTTPStatus(status).phrase
    word = _WORDS.get(status, "error")
    shown = getattr(request.app.state, "error_page", None)
    if status == 404 and shown and "text/html" in request.headers.get("accept", ""):
        return shown(request, status, word)  # a person who looks for a page
    return error_response(status, word, message, headers=error.headers)


def answer_unexpected(error: Exception, *, route: str, request_id: str) -> JSONResponse:
    """Return the answer to a failure that nobody foresaw.

    Neither answer nor log have its text: a foreign exception's may hold anything.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s in %s\n%s", type(error).__name__, route, frames)
    return error_response(
        500, "internal", f"The server failed; its log says more under request id {request_id}."
    )


def describe(problems: Sequence[Mapping[str, Any]]) -> str:
    """Return what validation found, field by field, without any of the values."""
    if any(problem["type"] == "json_invalid" for problem in problems):
        return (
            "body: is not strict JSON in UTF-8, holds a NUL character or half of a surrogate pair, "
            "or has too many values or levels"
        )
    sentences = [f"{_place(problem['loc'])}: {_rule(problem)}" for problem in problems[:5]]
    if len(problems) > 5:
        sentences.append(f"and {len(problems) - 5} more")
    return "; ".join(sentences)


_ROOMS = ("body", "query", "path")
"""Of a request, the first step of a place; a field may be named so too."""


def _place(location: Sequence[Any]) -> str:
    # Keys that a client made up may be anything: what is shown is short and printable.
    fields = location[1:] if location and location[0] in _ROOMS else location
    names = [ascii(str(part))[1:-1][:100] for part in fields]
    return ".".join(names) or "body"


def _rule(problem: Mapping[str, Any]) -> str:
    message = str(problem["msg"])
    return message.removeprefix("Value error, ")
