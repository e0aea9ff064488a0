"""What comes over standard input and is no message: whoever asked hears of it."""

import asyncio
from typing import Any

import pytest
from mcp_types import jsonrpc_message_adapter

from s3sync_dagster.agents.messages import AnsweredMessages

GOOD = '{"jsonrpc":"2.0","id":1,"method":"ping"}'


class Stream:
    """Gives what the SDK gives for some lines, and keeps what is sent."""

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)
        self.sent: list[Any] = []
        self.last_context = None

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Any:
        if not self._lines:
            raise StopAsyncIteration
        try:
            return jsonrpc_message_adapter.validate_json(self._lines.pop(0), by_name=False)
        except ValueError as error:
            return error

    receive = __anext__

    async def send(self, message: Any) -> None:
        self.sent.append(message.message)

    async def aclose(self) -> None:
        pass


def told(*lines: str) -> tuple[list[Any], list[Any]]:
    stream = Stream(*lines)

    async def run() -> list[Any]:
        async with AnsweredMessages(stream, stream) as messages:
            return [one async for one in messages]

    return asyncio.run(run()), stream.sent


@pytest.mark.parametrize(
    ("line", "number", "code"),
    [
        ('{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\\ud800"}}', 7, -32600),
        ('{"jsonrpc":"2.0","id":"x","method":"p\\udfff"}', "x", -32600),
        ('{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', None, -32600),
        ('{"jsonrpc":"2.0","id":8,"method":5}', 8, -32600),
        ('{"jsonrpc":"1.0","id":9,"method":"ping"}', 9, -32600),
        ('{"jsonrpc":"2.0","id":true,"method":5}', None, -32600),
        ("[]", None, -32600),
        ("{", None, -32700),
        ("", None, -32700),
        ("[" * 100_000, None, -32700),
    ],
)
def test_what_is_no_message_is_answered(line: str, number: object, code: int) -> None:
    read, sent = told(line, GOOD)
    assert [one.method for one in read] == ["ping"]
    assert [(one.id, one.error.code) for one in sent] == [(number, code)]
