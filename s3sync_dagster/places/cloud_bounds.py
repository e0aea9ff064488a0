"""How much of an answer of Google's and Azure's services is taken, and for how long.

Their drivers read each answer whole, as long as bytes come, and make a tree of it: a server whose
answer does not end would fill the memory of all who share the process. What is streamed passes.
"""

import asyncio
import zlib
from functools import cache
from typing import Any

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.plain_xml import declares, has_more

MOST_BYTES = 32 * 1024 * 1024
"""Of a page of a listing, or of a piece of a file; unpacked as well."""
MOST_TAGS = 1_000_000
"""Or quotes, in a page: each takes far more memory than it has bytes."""
MOST_ESCAPED = 1_100_000
"""Characters in a page, of 1,000 names of 1,024 bytes; each takes 200 times the memory."""
ANSWER_SECONDS = 60.0
"""For what comes before a body, and for that."""


@cache
def bounded_response(*, marked: bool) -> type[Any]:
    """Return the class of answers for a session of aiohttp.

    Args:
        marked: whether XML is read of them: then nothing else is read whole.
    """
    from aiohttp import ClientResponse  # noqa: PLC0415  (only these sources pay for it)

    class Bounded(ClientResponse):
        async def start(self, connection: Any) -> ClientResponse:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().start(connection)

        async def read(self) -> bytes:
            if self._body is None:
                body = bytearray()
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        async for piece in self.content.iter_any():
                            body += piece
                            if len(body) > MOST_BYTES:
                                raise _too_long()
                    if marked:
                        require_plain(bytes(body), self.headers.get("Content-Encoding", ""))
                except BaseException:
                    self.close()
                    raise
                self._body = bytes(body)
            return await super().read()

    return Bounded


def bound_azure(client: Any) -> None:
    """Bound the answers of a client of Azure, and how often it asks again.

    Its own way is to ask four times, within a minute that others may wait for. It has no setting
    for either that the driver would pass on.
    """
    retries = client._config.retry_policy
    retries.total_retries, retries.initial_backoff, retries.increment_base = 1, 1, 1
    transport = client._pipeline._transport
    opening = transport.open

    async def opened() -> None:
        await opening()
        transport.session._response_class = bounded_response(marked=True)

    transport.open = opened


def require_plain(content: bytes, encoding: str) -> None:
    """Raise ``Unavailable`` for what a parser would make many times as large."""
    if encoding.strip().lower() not in ("", "identity"):
        unpacking = zlib.decompressobj(47)  # gzip and deflate
        try:
            content = unpacking.decompress(content, MOST_BYTES + 1)
        except zlib.error:
            raise Unavailable("The server's answer is damaged.", reason="store_failed") from None
        if len(content) > MOST_BYTES:
            raise _too_long()
    if declares(content):
        raise Unavailable(
            "The server's answer declares what no answer of its kind has: is it a web page?",
            reason="store_failed",
        )
    if has_more(content, MOST_TAGS) or has_more(content, MOST_ESCAPED, (b"%",)):
        raise _too_long()


def _too_long() -> Unavailable:
    return Unavailable(
        "The server's answer is longer than any answer of its kind, or does not end.",
        reason="answer_too_long",
    )
