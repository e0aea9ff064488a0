"""Who asks is known before a body is read; JSON bodies are read strictly, and none for long."""

import json
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from starlette.datastructures import Headers

from s3sync_dagster.api.access import CALLER, TOKEN_HEADER, Access, find_caller, find_client
from s3sync_dagster.api.guards import BODY_BYTES, takes_large_bodies
from s3sync_dagster.api.threads import TenantRoute

MAX_DEPTH = 64
MAX_VALUES = 30_000
"""Of one body: the largest that the contract knows lists 10,000 keys. So many take 20 ms."""
AT_ONCE_BYTES = 8 * 1024
"""A body up to here is read where all wait for it: a thread would cost more than it takes."""
MAX_DIGITS = 20
"""Of a whole number: a database takes no longer one, and to read one costs their square."""
LARGE_BODIES_PER_TENANT = 4
"""In flight, from their first byte on."""
SLOW_SECONDS = 1.0
"""Of a body that took longer it is asked again whose it is: its token may be revoked by then."""
PARSED_AT_ONCE = 1
"""Bodies that threads parse: nobody else's Python goes on while one is parsed."""
_R = TypeVar("_R")
_parsers = RunVar[CapacityLimiter]("parsers")


class StrictRequest(Request):
    """A request whose JSON holds nothing that JSON or a database has no place for."""

    async def json(self) -> Any:
        """Return the body; ``json.JSONDecodeError`` for what is not strict JSON."""
        if not hasattr(self, "_strict"):
            self._strict = await parse_aside(await self.body())
        return self._strict


class StrictRoute(TenantRoute):
    """A route that reads its body with ``StrictRequest``, and nobody's whom it does not know."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()
        finder = _finder(self.dependant) if self.body_field is not None else None

        async def strict(request: Request) -> Response:
            if finder is find_caller:
                await find_caller(request, request.headers.get(TOKEN_HEADER))
            elif finder is find_client:
                await find_client(request)
            with large_body_slot(request) if finder is find_caller else nullcontext():
                asked = StrictRequest(request.scope, request.receive)
                if finder is not None:
                    await read_whole(asked)
                return await handle(asked)

        return strict


async def read_whole(request: Request) -> bytes:
    """Return the body of somebody who was let in, which the request keeps.

    Raises:
        Unauthorized: it came slowly, and who sent it would not be let in by now.
    """
    began = time.monotonic()
    body = await request.body()
    if time.monotonic() - began > SLOW_SECONDS:
        access: Access = request.app.state.access
        await access.aside(access.require_still, request.scope[CALLER])
    return body


def large_body_slot(request: Request) -> AbstractContextManager[None]:
    """Return a slot of the caller's tenant for a body that may be large.

    Raises (when entered):
        TooMany: the tenant has as many such requests in flight as it may.
    """
    if not may_be_large(request.headers) or not takes_large_bodies(request.url.path):
        return nullcontext()
    return request.app.state.context.large_bodies.taken(request.scope[CALLER].tenant)


def may_be_large(headers: Headers) -> bool:
    """Return whether a body may have more than ``BODY_BYTES``: it says so, or not how many."""
    length = headers.get("content-length")
    if length is None:
        return "transfer-encoding" in headers  # without both there is no body
    digits = length.lstrip("0")
    return not length.isdecimal() or len(digits) > MAX_DIGITS or int(digits or 0) > BODY_BYTES


async def parse_aside(body: bytes, *, most_values: int = MAX_VALUES) -> Any:
    """Return what ``parse_bounded`` does, from a thread where it would keep others waiting."""
    return await read_aside(partial(parse_bounded, body, most_values=most_values), size=len(body))


async def read_aside(read: Callable[[], _R], *, size: int) -> _R:
    """Return what is read of a body of so many bytes, from a thread where it is a long one."""
    return read() if size <= AT_ONCE_BYTES else await to_thread.run_sync(read, limiter=_limiter())


def _limiter() -> CapacityLimiter:
    """Return that of this event loop."""
    limiter = _parsers.get(None)
    if limiter is None:
        limiter = CapacityLimiter(PARSED_AT_ONCE)
        _parsers.set(limiter)
    return limiter


def parse_bounded(body: bytes, *, most_values: int) -> Any:
    """Return what ``parse_strictly`` does; ``json.JSONDecodeError`` also for too many values."""
    if len(body) > most_values and _marks(body) > most_values:  # some may stand in texts
        quotes = body.count(b'"')
        if quotes > 8 * most_values or _marks(_outside_texts(body)) > most_values:
            raise json.JSONDecodeError("too many values", "", 0)
    return parse_strictly(body)


def _outside_texts(body: bytes) -> bytes:
    """Return JSON without what stands between quotes; of pairs, the first backslash escapes."""
    return b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])


def _marks(body: bytes) -> int:
    """Return before how many values something stands; each has a mark, but for the outermost."""
    return sum(map(body.count, (b",", b"[", b"{")))


def parse_strictly(body: bytes) -> Any:
    """Return the value of a JSON body.

    Python's own reader takes NaN and halves of surrogate pairs, and falls over deep nesting.

    Raises:
        json.JSONDecodeError: the body is not UTF-8, not JSON, or nested too deeply.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse, parse_int=_whole)
        _check(value)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        raise json.JSONDecodeError("not strict JSON", "", 0) from None
    return value


def _refuse(_constant: str) -> None:
    raise ValueError


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:  # counted before they are read
        raise ValueError
    return int(digits)


def _check(value: object) -> None:
    depth, level = 0, [value]
    while level:
        deeper: list[object] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, int):
                if not -(2**63) <= each < 2**64:
                    raise ValueError
            elif isinstance(each, (list, dict)):
                if depth > MAX_DEPTH:
                    raise ValueError
                if isinstance(each, dict):
                    fields = cast("dict[str, object]", each)
                    for key in fields:
                        _check_text(key)
                    deeper.extend(fields.values())
                else:
                    deeper.extend(cast("list[object]", each))
        depth, level = depth + 1, deeper


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError
    text.encode()  # raises for halves of surrogate pairs


def _finder(dependant: Dependant) -> Callable[..., Any] | None:
    """Return how a route finds out who calls; None where it asks nobody."""
    for one in dependant.dependencies:
        found = one.call if one.call in (find_caller, find_client) else _finder(one)
        if found is not None:
            return found
    return None
