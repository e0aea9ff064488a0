"""What caller, server and workers say to each other over their sockets.

A call is one stream socket. The caller writes a header (JSON: what to call, and the limits) and a
payload (pickled arguments, which the worker may trust); the worker writes one reply, which is
data (``replies``), since what it read was a stranger's. A second socket, written by the process
that watches the worker, says at the end how the worker came to its end. The far ends of both
travel to the server as file descriptors, so that no byte of a document passes through it.
"""

import json
import socket
import struct
from dataclasses import asdict, dataclass

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.source import CHUNKER_VERSION, EXTRACTOR_VERSION

STAMP = f"4.{EXTRACTOR_VERSION}.{CHUNKER_VERSION}"
"""A warm server of another version refuses the call, and the caller starts a server of its own."""
VALUE, ERROR = b"V", b"E"
DONE = b"d"
"""What a child says to its forker when it waits for the next call."""
AGAIN = "again"
"""Reason of a child that read other documents before the one it died of: no proof against that."""
MAX_HEADER_BYTES = 8192
_LENGTH = struct.Struct(">Q")


class TooLarge(EOFError):
    """The other end announces more than it may send: nothing of it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first frame of a call: plain values, read before anything is unpickled."""

    module: str
    function: str
    limits: WorkLimits
    caller: str = ""
    """Whose call it is: calls of different callers never share a process."""
    fresh: bool = False
    """Whether it has to have a process of its own, whatever the function allows."""

    def encode(self) -> bytes:
        """Return the frame's body."""
        values = asdict(self) | {"stamp": STAMP}
        return json.dumps(values).encode()

    @classmethod
    def decode(cls, body: bytes) -> "Header | None":
        """Return the header, or None where another version wrote it."""
        values = json.loads(body)
        if values.pop("stamp", None) != STAMP:
            return None
        return cls(
            module=values["module"],
            function=values["function"],
            limits=WorkLimits(**values["limits"]),
            caller=values["caller"],
            fresh=values["fresh"],
        )


def send_frame(link: socket.socket, body: bytes, *, kind: bytes = b"") -> None:
    """Write ``kind``, the length and the body."""
    link.sendall(kind + _LENGTH.pack(len(body)))
    link.sendall(body)


def read_exactly(link: socket.socket, size: int) -> bytes:
    """Return ``size`` bytes; raises ``EOFError`` when the other end closes before."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = link.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return bytes(data)


def read_frame(link: socket.socket, *, max_bytes: int) -> bytes:
    """Return one frame's body; raises ``EOFError`` for a broken one, ``TooLarge`` for such."""
    (size,) = _LENGTH.unpack(read_exactly(link, _LENGTH.size))
    if size > max_bytes:
        raise TooLarge
    return read_exactly(link, size)


def peek_header(link: socket.socket) -> Header | None:
    """Return the header and leave it in the socket, for the process that will serve the call."""
    head = link.recv(MAX_HEADER_BYTES + _LENGTH.size, socket.MSG_PEEK)
    (size,) = _LENGTH.unpack(head[: _LENGTH.size])
    body = head[_LENGTH.size : _LENGTH.size + size]
    if size > MAX_HEADER_BYTES or len(body) != size:
        return None
    return Header.decode(body)
