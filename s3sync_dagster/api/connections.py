"""How many connections a server bears, and how long each may keep it waiting.

uvicorn waits for the head of a request, and for a reader of its answer, as long as anybody likes,
and keeps of heads, trailers and requests behind a running one whatever comes. Where all places are
taken and others want in, one of whoever holds most has to go: of an address those connections count
that are without a request, or with one of which nobody knows yet whose it is, and of a tenant its
requests, once they are more than its share. Whoever holds many keeps nobody out.

The API and the doors of Dagster and Chroma listen so.
"""

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from s3sync_dagster.api.guesses import network_of
from s3sync_dagster.api.threads import LEFT

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as HttpProtocol
else:  # what is installed here
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as HttpProtocol

HEAD_BYTES = 64 * 1024
"""Of a head or trailer without an end; what one packet brings may be more."""
HEADER_LINES = 200
"""Of a head, or of its trailer: each takes more memory than it has bytes."""
PIPELINED = 8
"""Requests that wait behind the one that is served; no program that people use sends any."""
TENANT_SHARE = 0.25
"""Of the places: what a tenant's requests keep though others want in."""
READER_SECONDS = 60.0
"""How long an answer may lie there without any of it being taken."""
BUSY_SECONDS = 10.0
"""How old a request of a tenant is that makes room though the tenant has only its share."""
TURNED_AWAY = 32
"""Connections that were refused and still are read, so that the answer is; more end at once."""
TURNED_AWAY_SECONDS = 1.0
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
    """Of IPv6: by what one customer has all of."""
    head_seconds: float
    known_by: str
    """A name that stands in the scope of a request once it is known whose it is."""
    tenant_of: Callable[[Any], str] | None = None
    """Of what stands there; None: there are no tenants, and what is known never makes room."""
    _open: "dict[PatientProtocol, None]" = field(default_factory=dict["PatientProtocol", None])
    _by_address: Counter[str] = field(default_factory=Counter[str])
    turned_away: int = 0
    """Refused ones that have not ended yet."""

    def admit(self, one: "PatientProtocol") -> bool:
        """Count a new connection; False where known tenants have all places, each its share.

        Where they keep them for long, the oldest request of whoever has most makes room all the
        same: some tenants together would else keep all others out.
        """
        address = one.address
        if self._by_address[address] >= self.most_by_address:
            unknown, over = self._held(address, places=self.most_by_address)
            ended = self._end_one(unknown or over)
        elif len(self._open) >= self.most:
            # Not any idle one before others: that is often who is just about to ask.
            ended = self._end_one(max(self._held(None, places=self.most), key=len))
        else:
            ended = True
        if not ended:
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

    def _held(
        self, address: str | None, *, places: int
    ) -> "tuple[list[PatientProtocol], list[PatientProtocol]]":
        """Return what one address, and one tenant, holds most of, the oldest first.

        Of the tenant nothing while it has no more than its share of the places, and none for long.
        """
        unknown: dict[str, list[PatientProtocol]] = {}
        tenants: dict[str, list[PatientProtocol]] = {}
        for one in self._open:
            if address not in (None, one.address):
                continue
            if one.idle or not one.known:
                unknown.setdefault(one.address, []).append(one)
            elif (tenant := one.tenant) is not None:
                tenants.setdefault(tenant, []).append(one)
        over = max(tenants.values(), key=len, default=[])
        pays = len(over) > places * TENANT_SHARE or any(one.busy_for_long for one in over[:1])
        return max(unknown.values(), key=len, default=[]), over if pays else []

    def _end_one(self, held: "list[PatientProtocol]") -> bool:
        """End the oldest, one without a request before all others."""
        if not held:
            return False
        last = next((one for one in held if one.idle), held[0])
        self.forget(last)
        last.transport.abort()
        return True


class TooMuch(Exception):
    """What a client sent is more than is kept; its connection has been ended."""


class PatientProtocol(HttpProtocol):
    """uvicorn's protocol with an end to patience. Made by ``patient``."""

    registry: Connections

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.address = ""
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unfinished = 0
        """Bytes since the parser last got to the end of a head, or further in a body."""
        self._websocket: Any = None
        """The protocol that this connection was handed over to."""
        self._turned_away = False
        self._busy_since = 0.0
        self._served: Any = None
        """What is being served; ``cycle`` is the newest that came, which may wait behind it."""

    @property
    def idle(self) -> bool:
        """Whether no request is being served: none came, or only a part of its head."""
        return self._websocket is None and (self.cycle is None or self.cycle.response_complete)

    @property
    def busy_for_long(self) -> bool:
        """Whether a request that is being served came long ago."""
        return self.loop.time() - self._busy_since > BUSY_SECONDS

    @property
    def known(self) -> bool:
        """Whether it is known whose request is being served."""
        if self._websocket is not None:
            return self.registry.known_by in (_scope_of(self._websocket) or ())
        # Behind a running one the parser's newest is another; who does not wait for answers is
        # taken for anybody.
        return not self.pipeline and self.registry.known_by in self.cycle.scope

    @property
    def tenant(self) -> str | None:
        """Whose the known request is that is being served; None where that is no tenant's."""
        registry = self.registry
        if self._websocket is not None or registry.tenant_of is None:
            return None
        return registry.tenant_of(self.cycle.scope[registry.known_by])

    def connection_made(self, transport: Any) -> None:
        """Take a new connection, or turn it away."""
        super().connection_made(transport)
        self.address = network_of(self.client[0]) if self.client else ""
        if self.registry.admit(self):
            self._wait_for_head()
        else:
            self._turn_away()

    def data_received(self, data: bytes) -> None:
        """Read on; the clock of a head runs from its first byte to its last."""
        if self._turned_away or self.transport.is_closing():
            return
        was_idle = self.idle
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > HEAD_BYTES and self._websocket is None:
            self.transport.abort()
        elif not self.idle:
            if was_idle:
                self._stop(head=True)
                self._busy_since = self.loop.time()
                self.registry.touched(self)
        elif was_idle and self._head_timer is None:
            self._wait_for_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a line of a head or trailer; only so many are kept."""
        super().on_header(name, value)
        if len(self.headers) > HEADER_LINES:
            self.transport.abort()
            raise TooMuch

    def on_headers_complete(self) -> None:
        """Serve a request; behind a running one only so many wait.

        One that asks for another protocol has no body: the parser takes it for what follows, and
        would read it as the next request.
        """
        parser: Any = self.parser
        if parser.should_upgrade() and any(map(_tells_of_a_body, self.headers)):
            if not self.idle:
                self.transport.abort()
            raise TooMuch
        super().on_headers_complete()
        if not self.pipeline:
            self._served = self.cycle
        self._unfinished = 0
        # The application has the list: what follows a body would become headers under its hands.
        self.headers = self.headers.copy()
        if len(self.pipeline) > PIPELINED:
            self.transport.abort()
            raise TooMuch

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; one that was answered already is not waited for."""
        if not self.cycle.response_complete:
            self._unfinished = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on to the next request that waits."""
        if self.pipeline:
            self._served = self.pipeline[-1][0]
        super().on_response_complete()

    def on_message_complete(self) -> None:
        """Note that a request has come to its end."""
        self._unfinished = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, where anybody is left to hear it."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """Hand over to the protocol of websockets, and hear when it ends.

        Behind a request that is being served there is none to be had: nobody would tell it of the
        end of the connection, and it would go on for good. So would a head that the protocol of
        websockets does not read to its end: it neither answers nor waits for more.
        """
        if not self.idle:
            self.transport.abort()
            return
        self._stop(head=True, reader=True)
        self.ws_protocol_class = partial(self._websocket_of, self.ws_protocol_class)
        super().handle_websocket_upgrade()
        if _scope_of(self._websocket) is None:
            self.send_400_response("This is no head of a websocket that is read here.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop(head=True, reader=True)
        self.registry.forget(self)
        self.registry.turned_away -= self._turned_away
        super().connection_lost(exc)
        if self._served is not None and not self._served.response_complete:
            self._served.scope[LEFT] = True
            self._served.disconnected = True
            self._served.message_event.set()

    def pause_writing(self) -> None:
        """The client does not read: wait for it no longer than it may take."""
        super().pause_writing()
        if self._reader_timer is None:
            self._wait_for_reader()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop(reader=True)
        super().resume_writing()

    def _websocket_of(self, kind: Callable[..., Any], **named: Any) -> Any:
        """Make a protocol of websockets that gives its place back when its connection is lost."""
        made = self._websocket = kind(**named)
        lose = made.connection_lost

        def connection_lost(exc: Exception | None) -> None:
            self.registry.forget(self)
            lose(exc)

        made.connection_lost = connection_lost
        return made

    def _turn_away(self) -> None:
        """Say that all places are taken, and read on for a moment.

        A request that nobody had read would end the connection with a reset, and the client would
        often not hear the answer.
        """
        self.transport.write(_FULL)
        if self.registry.turned_away >= TURNED_AWAY:
            self.transport.close()
            return
        self._turned_away = True
        self.registry.turned_away += 1
        self.transport.write_eof()
        self.loop.call_later(TURNED_AWAY_SECONDS, self.transport.close)

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


def _scope_of(websocket: Any) -> Mapping[str, Any] | None:
    """Return what the application was told of a websocket; None before its head was read."""
    return getattr(websocket, "scope", None)


def _tells_of_a_body(line: tuple[bytes, bytes]) -> bool:
    name, value = line
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b"")


def patient(connections: Connections) -> type[PatientProtocol]:
    """Return the protocol of a server with these connections."""
    return type("Patient", (PatientProtocol,), {"registry": connections})


def handed_down(descriptor: int) -> socket.socket:
    """Return the socket that whoever started this process listens at, for this process alone.

    What uvicorn makes of a descriptor is one of Unix, whose answers wait for more to send.
    """
    listener = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor
    )
    listener.set_inheritable(False)
    return listener


def affordable_connections() -> int:
    """Half of the files that this process may open; the others are for Chroma, S3, the catalog."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**31 if files == resource.RLIM_INFINITY else max(files // 2, 1)
