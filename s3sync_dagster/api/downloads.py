"""Objects on their way to who asked for them: a large one lies on the disk until it is taken."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import BinaryIO

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from s3sync_dagster.engine.ports import Content

PER_TENANT = 6
IN_ALL = 24
"""Downloads of all tenants: what lies on the disk is at most so many of the largest object."""
GRACE_SECONDS = 60.0
LEAST_BYTES_A_SECOND = 64 * 1024
"""Whoever reads more slowly, after the grace, is ended: the place is for others."""
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
        """Send the content; a file loses its name at once and goes with its handle."""
        self._held = held
        if isinstance(content, bytes):
            self._size, body = len(content), iter((content,))
        else:
            file = held.enter_context(content.open("rb"))
            self._size = content.stat().st_size
            content.unlink()
            body = _pieces(file)
        super().__init__(body, headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. What is broken off here is short of its length: the reader sees that."""
        with self._held, suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS + self._size / LEAST_BYTES_A_SECOND):
                await super().__call__(scope, receive, send)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
