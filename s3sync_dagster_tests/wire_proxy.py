"""A small HTTP proxy before an endpoint: counts requests by kind, and breaks what a test asks.

What went over the wire is counted here, outside of the process under test. Host and path are
passed on unchanged, so signatures stay valid.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Kind = Literal["LIST", "GET", "HEAD", "BUCKET", "QUEUE", "OTHER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """What the proxy knows of a request."""

    kind: Kind
    """LIST: list objects; GET, HEAD: of an object; BUCKET: HEAD of a bucket; QUEUE: any SQS."""
    method: str
    target: str
    """Path and query as they came, still encoded."""
    number: int
    """Counts from 1 over all requests since the last ``reset``."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a request instead of, or besides, being passed on."""

    delay_seconds: float = 0.0
    status: int | None = None
    """Answer this instead of asking the endpoint."""
    code: str = "InternalError"
    """Error code in the body that goes with ``status``."""
    headers: tuple[tuple[str, str], ...] = ()
    """Added to the answer that goes with ``status``."""
    body: bytes | None = None
    """Instead of S3's XML, with ``status``."""
    cut_after_bytes: int | None = None
    """Close the connection after so many bytes of the body (headers are whole)."""
    refuse: bool = False
    """Close the connection without an answer."""


Plan = Callable[[WireRequest], Fault | None]


class WireProxy:
    """Forwards to an endpoint; ``url`` is its own address.

    Attributes:
        plan: decides on each request; set it to break things.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._log: list[WireRequest] = []
        self.plan: Plan | None = None
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def counts(self) -> dict[str, int]:
        """Return requests by kind since the last ``reset``."""
        with self._lock:
            return dict(self._counts)

    def log(self) -> list[WireRequest]:
        """Return all requests since the last ``reset``."""
        with self._lock:
            return list(self._log)

    def reset(self) -> None:
        """Forget counts and plan."""
        with self._lock:
            self._counts.clear()
            self._log.clear()
        self.plan = None

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def _note(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> WireRequest:
        with self._lock:
            request = WireRequest(
                kind=_kind(method, target),
                method=method,
                target=target,
                number=len(self._log) + 1,
                headers={name.lower(): value for name, value in headers.items()},
                body=body,
            )
            self._counts[request.kind] += 1
            self._log.append(request)
        return request

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = proxy._note(self.command, self.path, dict(self.headers), sent)
                fault = (proxy.plan(request) if proxy.plan else None) or Fault()
                time.sleep(fault.delay_seconds)
                if fault.refuse:
                    self.close_connection = True
                elif fault.status is not None:
                    self._answer(fault)
                else:
                    self._forward(sent, fault)

            def _answer(self, fault: Fault) -> None:
                body = fault.body
                if body is None:
                    body = f"<Error><Code>{fault.code}</Code></Error>".encode()
                self.send_response(fault.status or 500)
                for name, value in fault.headers:
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _forward(self, sent: bytes, fault: Fault) -> None:
                connection = http.client.HTTPConnection(*proxy._upstream, timeout=60)
                try:
                    connection.putrequest(
                        self.command, self.path, skip_host=True, skip_accept_encoding=True
                    )
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(sent or None)
                    answer = connection.getresponse()
                    body = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in _HOP_BY_HOP:
                            self.send_header(name, value)
                    if "content-length" not in {name.lower() for name, _ in answer.getheaders()}:
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    if fault.cut_after_bytes is not None:
                        body = body[: fault.cut_after_bytes]
                        self.close_connection = True
                    if self.command != "HEAD":
                        self.wfile.write(body)
                finally:
                    connection.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay silent."""

        return Handler


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that hang up are what tests are about."""


@contextmanager
def wire_proxy(endpoint: str) -> Iterator[WireProxy]:
    """Run a proxy for the length of a ``with`` block."""
    proxy = WireProxy(endpoint)
    try:
        yield proxy
    finally:
        proxy.close()


_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "date", "server"})


def _kind(method: str, target: str) -> Kind:
    """Tell what a path-style request asks for."""
    parts = urlsplit(target)
    path = parts.path.removeprefix("/")
    has_key = "/" in path and not path.endswith("/") or path.count("/") > 1
    if method == "POST":
        return "QUEUE" if path == "" or path[:12].isdigit() else "OTHER"
    if method == "GET":
        if has_key:
            return "GET"
        return "LIST" if "list-type" in parse_qs(parts.query) else "OTHER"
    if method == "HEAD":
        return "HEAD" if has_key else "BUCKET"
    return "OTHER"
