"""How many connections a server bears, and how long each may keep it waiting.

uvicorn waits for the head of a request, and for a reader of its answer, as long as anybody likes.
A connection without a request costs whoever holds it nothing, so it is the first to go when
others want in: whoever holds many of them keeps nobody out.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HttpProtocol
else:  # what is installed here
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as HttpProtocol

HEAD_BYTES = 64 * 1024
READER_SECONDS = 60.0
"""How long an answer may lie there without any of it being taken."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 72\r\n\r\n"
    b'{"error":"unavailable","message":"Too many connections; again in a bit"}'
)


@dataclass(slots=True, kw_only=True)
class Connections:
    """The open connections of one server, the one that waits longest first."""

    most: int
    most_by_address: int
    head_seconds: float
    _open: "dict[PatientProtocol, None]" = field(default_factory=dict["PatientProtocol", None])
    _by_address: Counter[str] = field(default_factory=Counter[str])

    def admit(self, one: "PatientProtocol") -> bool:
        """Count a new connection; False where all places are taken by requests."""
        address = one.address
        if self._by_address[address] >= self.most_by_address and not self._end_idle(address):
            return False
        if len(self._open) >= self.most and not self._end_idle(None):
            return False
        self._open[one] = None
        self._by_address[address] += 1
        return True

    def touched(self, one: "PatientProtocol") -> None:
        """Put a connection behind all that have been idle for longer."""
        if one in self._open:
            del self._open[one]
            self._open[one] = None

    def forget(self, one: "PatientProtocol") -> None:
        """Give a connection's place to others."""
        if one not in self._open:
            return
        del self._open[one]
        self._by_address[one.address] -= 1
        if not self._by_address[one.address]:
            del self._by_address[one.address]

    def _end_idle(self, address: str | None) -> bool:
        for one in self._open:
            if one.idle and address in (None, one.address):
                self.forget(one)
                one.transport.abort()
                return True
        return False


class PatientProtocol(HttpProtocol):
    """uvicorn's protocol with an end to patience. Made by ``patient``."""

    registry: Connections

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.address = ""
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether no request is being served: none came, or only a part of its head."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        """Take a new connection, or turn it away."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self.registry.admit(self):
            transport.write(_FULL)
            transport.close()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on; the clock of a head runs from its first byte to its last."""
        if self.transport.is_closing():
            return
        was_idle = self.idle
        super().data_received(data)
        if not self.idle:
            self._stop(head=True)
            self._head_bytes = 0
            self.registry.touched(self)
        elif was_idle:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()
            elif self._head_timer is None:
                self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop(head=True, reader=True)
        self.registry.forget(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read: wait for it no longer than it may take."""
        super().pause_writing()
        if self._reader_timer is None:
            self._wait_for_reader()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop(reader=True)
        super().resume_writing()

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.registry.head_seconds, self._give_up)

    def _wait_for_reader(self, before: int | None = None) -> None:
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.transport.abort()
        else:
            self._reader_timer = self.loop.call_later(READER_SECONDS, self._wait_for_reader, left)

    def _give_up(self) -> None:
        self._head_timer = None
        if self.idle:
            self.transport.abort()

    def _stop(self, *, head: bool = False, reader: bool = False) -> None:
        if head and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if reader and self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def patient(connections: Connections) -> type[PatientProtocol]:
    """Return the protocol of a server with these connections."""
    return type("Patient", (PatientProtocol,), {"registry": connections})
