"""JSON bodies read strictly, for all routes with a body."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

MAX_DEPTH = 64


class StrictRequest(Request):
    """A request whose JSON holds nothing that JSON or a database has no place for."""

    async def json(self) -> Any:
        """Return the body; ``json.JSONDecodeError`` for what is not strict JSON."""
        if not hasattr(self, "_strict"):
            self._strict = parse_strictly(await self.body())
        return self._strict


class StrictRoute(APIRoute):
    """A route that reads its body with ``StrictRequest``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def parse_strictly(body: bytes) -> Any:
    """Return the value of a JSON body.

    Python's own reader takes NaN and halves of surrogate pairs, and falls over deep nesting.

    Raises:
        json.JSONDecodeError: the body is not UTF-8, not JSON, or nested too deeply.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse)
        _check(value, depth=0)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError):
        raise json.JSONDecodeError("not strict JSON", "", 0) from None
    return value


def _refuse(_constant: str) -> None:
    raise ValueError


def _check(value: object, *, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError
        value.encode()  # raises for halves of surrogate pairs
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError
    elif isinstance(value, (list, dict)):
        if depth > MAX_DEPTH:
            raise ValueError
        if isinstance(value, dict):
            for key in value:
                _check(key, depth=depth)
            value = list(value.values())
        for each in value:
            _check(each, depth=depth + 1)
