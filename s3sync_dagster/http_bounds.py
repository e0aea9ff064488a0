"""How much of an answer an HTTP client of ours takes, and for how long.

httpx reads an answer whole, as long as bytes come, and unpacks what is packed: a server whose
answer does not end would fill the memory of all who share the process.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx

STREAMED = "s3sync_streamed"
"""Extension of a request whose body is read piece by piece by who bounds it."""
ACCEPTED = {"accept-encoding": "gzip, deflate"}
"""Headers of a client: how its answers may be packed."""
MOST_SECONDS = 120.0
_UNPACKED = frozenset({"", "identity"})
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class UnboundedAnswer(httpx.TransportError):
    """An answer that is longer than any of its service."""


def bounded(most_bytes: int, seconds: float = MOST_SECONDS) -> dict[str, list[Callable[..., Any]]]:
    """Return the hooks of a client (``event_hooks``) that bound its answers.

    Args:
        most_bytes: of a body, unpacked.
        seconds: from its headers to its end.
    """

    def bound(answer: httpx.Response) -> None:
        if answer.is_success and answer.request.extensions.get(STREAMED):
            return
        encoding = answer.headers.pop("content-encoding", "").strip().lower()
        assert isinstance(answer.stream, httpx.SyncByteStream)
        ends = time.monotonic() + seconds
        answer.stream = _Bounded(answer.stream, encoding=encoding, most=most_bytes, ends=ends)

    return {"response": [bound]}


class _Bounded(httpx.SyncByteStream):
    def __init__(
        self, stream: httpx.SyncByteStream, *, encoding: str, most: int, ends: float
    ) -> None:
        self._stream, self._encoding, self._most, self._ends = stream, encoding, most, ends

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for piece in self._unpacked():
            left -= len(piece)
            if left < 0:
                raise UnboundedAnswer("too long")
            yield piece

    def close(self) -> None:
        self._stream.close()

    def _timed(self) -> Iterator[bytes]:
        for piece in self._stream:
            if time.monotonic() > self._ends:
                raise httpx.ReadTimeout("too slow")
            yield piece

    def _unpacked(self) -> Iterator[bytes]:
        if self._encoding in _UNPACKED:
            yield from self._timed()
            return
        if self._encoding not in _PACKED:
            raise httpx.RemoteProtocolError("packed in a way that was not asked for")
        unpacking = zlib.decompressobj(47)  # gzip and deflate
        for packed in self._timed():
            rest = packed
            while rest and not unpacking.eof:
                try:
                    yield unpacking.decompress(rest, 65536)
                except zlib.error:
                    raise httpx.RemoteProtocolError("damaged") from None
                rest = unpacking.unconsumed_tail
        if not unpacking.eof:
            raise httpx.RemoteProtocolError("cut off")
