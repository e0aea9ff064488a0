"""How much of an answer an HTTP client of ours takes, and for how long.

httpx reads an answer whole, as long as bytes come, and unpacks what is packed: a server whose
answer does not end would fill the memory of all who share the process.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpcore
import httpx

STREAMED = "s3sync_streamed"
"""Extension of a request whose body is read piece by piece by who bounds it."""
ACCEPTED = {"accept-encoding": "gzip, deflate"}
"""Headers of a client: how its answers may be packed."""
MOST_SECONDS = 120.0
_UNPACKED = frozenset({"", "identity"})
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PIECE = 65536
"""Bytes that are unpacked at once."""


class UnboundedAnswer(httpx.TransportError):
    """An answer that is longer than any of its service."""


def bounded_client(most_bytes: int, seconds: float = MOST_SECONDS, **options: Any) -> httpx.Client:
    """Return a client whose answers are bounded, their headers too.

    Args:
        most_bytes: of a body, unpacked.
        seconds: for an answer, from its first byte that is waited for to its last.
        options: of ``httpx.Client``.
    """
    headers = {**ACCEPTED, **(options.pop("headers", None) or {})}
    made = httpx.Client(headers=headers, event_hooks=bounded(most_bytes, seconds), **options)
    for transport in (made._transport, *made._mounts.values()):  # pyright: ignore[reportPrivateUsage]
        # httpx has no setting for this; where a pool has none, the hooks bound bodies alone.
        pool = getattr(transport, "_pool", None)
        if hasattr(pool, "_network_backend"):
            pool._network_backend = _Timed(pool._network_backend, seconds)  # pyright: ignore
    return made


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
        unpacking, bare = zlib.decompressobj(47), self._encoding == "deflate"  # gzip and deflate
        came = False
        for packed in self._timed():
            rest, piece, came = packed, b"", came or bool(packed)
            while (rest or len(piece) == _PIECE) and not unpacking.eof:  # some may be left in it
                try:
                    piece = unpacking.decompress(rest, _PIECE)
                except zlib.error:
                    if not bare:
                        raise httpx.RemoteProtocolError("damaged") from None
                    unpacking, bare = zlib.decompressobj(-15), False  # as some servers mean it
                    continue
                bare, rest = False, unpacking.unconsumed_tail
                yield piece
        if came and not unpacking.eof:  # of nothing some servers say so, too
            raise httpx.RemoteProtocolError("cut off")


class _Timed(httpcore.NetworkBackend):
    """Connects as another one does, and ends an answer at its time, also byte by byte."""

    def __init__(self, inner: httpcore.NetworkBackend, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds

    def connect_tcp(self, *args: Any, **more: Any) -> httpcore.NetworkStream:
        return _TimedStream(self._inner.connect_tcp(*args, **more), self._seconds)

    def connect_unix_socket(self, *args: Any, **more: Any) -> httpcore.NetworkStream:
        return _TimedStream(self._inner.connect_unix_socket(*args, **more), self._seconds)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds
        self._ends: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        now = time.monotonic()
        if self._ends is None:
            self._ends = now + self._seconds
        if now >= self._ends:
            raise httpcore.ReadTimeout
        left = self._ends - now
        return self._inner.read(max_bytes, left if timeout is None else min(left, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._ends = None  # another answer follows
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *args: Any, **more: Any) -> httpcore.NetworkStream:
        return _TimedStream(self._inner.start_tls(*args, **more), self._seconds)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
