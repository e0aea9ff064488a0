"""Messages over standard input that are none: the SDK drops them, and whoever asked waits for good.

Half a character is such a message: JSON may write one, and no text has it.
"""

import json
from typing import Any, Self, cast

from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, RequestId
from pydantic import ValidationError


class AnsweredMessages:
    """Messages as they come; what is none is answered with an error.

    Args:
        reading: of the SDK: messages, and errors in place of those that it could not read.
        writing: where answers go.
    """

    def __init__(self, reading: Any, writing: Any) -> None:
        self._reading, self._writing = reading, writing

    @property
    def last_context(self) -> Any:
        """The context of whoever sent what came last."""
        return self._reading.last_context

    async def receive(self) -> Any:
        """Return the next message."""
        while isinstance(item := await self._reading.receive(), Exception):
            await self._writing.send(SessionMessage(_refusal(item)))
        return item

    async def aclose(self) -> None:
        """Read no more."""
        await self._reading.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while isinstance(item := await anext(self._reading), Exception):
            await self._writing.send(SessionMessage(_refusal(item)))
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _refusal(error: Exception) -> JSONRPCError:
    given = _given(error)
    try:
        told = json.loads(given) if isinstance(given, str) else given  # it reads such halves
    except (ValueError, RecursionError):
        what = ErrorData(code=PARSE_ERROR, message="The message is no JSON in UTF-8.")
        return JSONRPCError(jsonrpc="2.0", id=None, error=what)
    what = ErrorData(
        code=INVALID_REQUEST,
        message="The message is not one of JSON-RPC with a method, in strict JSON and whole "
        "characters.",
    )
    return JSONRPCError(jsonrpc="2.0", id=_id_of(told), error=what)


def _given(error: Exception) -> Any:
    """Return what was wrong: the line where it is no JSON, else the message where it has an id."""
    found = [one["input"] for one in error.errors()] if isinstance(error, ValidationError) else [""]
    return next((one for one in found if isinstance(one, dict) and "id" in one), found[0])


def _id_of(told: Any) -> RequestId | None:
    found: Any = cast("dict[str, Any]", told).get("id") if isinstance(told, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if isinstance(found, str) and not any("\ud800" <= one <= "\udfff" for one in found):
        return found
    return None
