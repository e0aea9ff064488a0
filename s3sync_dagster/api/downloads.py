"""Objects on their way to who asked for them: a large one lies on the disk until it is taken."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import BinaryIO

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from s3sync_dagster.engine.ports import Content

PER_TENANT = 6
IN_ALL = 24
"""Downloads of all tenants: what lies on the disk is at most so many of the largest object."""
LOOKED_AT_SECONDS = 60.0
LEAST_BYTES_A_SECOND = 64 * 1024
"""Whoever took less in the last ``LOOKED_AT_SECONDS`` is ended: the place is for others."""
_PIECE_BYTES = 1024 * 1024


class Download(StreamingResponse):
    """A body piece by piece, and what is held until it is sent or its reader is gone."""

    def __init__(
        self,
        content: Content,
        *,
        held: ExitStack,
        headers: Mapping[str, str],
        media_type: str | None,
    ) -> None:
        """Send the content; a file loses its name at once and goes with its handle.

        Args:
            content: what is sent.
            held: what is to be let go of at the end; taken over when all else has gone well.
            headers: of the answer.
            media_type: of the answer.
        """
        if isinstance(content, bytes):
            body = iter((content,))
        else:
            file = held.enter_context(content.open("rb"))
            content.unlink()
            body = _pieces(file)
        super().__init__(body, headers=headers, media_type=media_type)
        self._held = held.pop_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. What is broken off here is short of its length: the reader sees that."""
        step = LOOKED_AT_SECONDS * LEAST_BYTES_A_SECOND
        left, now = step, asyncio.get_running_loop().time
        with self._held, suppress(TimeoutError):
            async with asyncio.timeout(LOOKED_AT_SECONDS) as ends:

                async def counted(message: Message) -> None:
                    nonlocal left
                    await send(message)  # waits while the reader takes nothing
                    left -= len(message.get("body", b""))
                    if left <= 0:
                        left = step
                        ends.reschedule(now() + LOOKED_AT_SECONDS)

                await super().__call__(scope, receive, counted)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
