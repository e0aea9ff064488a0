"""A server whose answers do not end: on a thread of this process, and it counts what it sends."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat


class Endless:
    """Answers with what ``pieces`` gives, in chunks."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.media = "application/xml"
        self.encoding: str | None = None
        self.pieces: Callable[[str], Iterator[bytes]] = lambda _: iter(())
        """Of a path."""
        self.headers_first = True
        self.sent = 0
        """Bytes of bodies."""
        self.asked: list[str] = []
        self.keeps = False
        """Whether connections are kept."""
        self.connections = 0


def without_end(begin: bytes, piece: bytes) -> Iterator[bytes]:
    """Yield a beginning, and then the same again and again, in pieces of about 64 KiB."""
    if begin:
        yield begin
    yield from repeat(piece * (65536 // len(piece) + 1))


def trickle(seconds: float = 0.1, begin: bytes = b"") -> Iterator[bytes]:
    """Yield a space now and then."""
    if begin:
        yield begin
    while True:
        yield b" "
        time.sleep(seconds)


@contextmanager
def endless_server() -> Generator[Endless]:
    """Run one."""
    state = Endless()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            state.connections += 1

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            state.asked.append(f"{self.command} {self.path}")
            with suppress(OSError):
                self._answer()
            self.close_connection = not state.keeps

        do_POST = do_PUT = do_PROPFIND = do_GET  # noqa: N815

        def do_HEAD(self) -> None:
            if not state.headers_first:
                return self.do_GET()
            self.send_response(state.status)
            self.send_header("Content-Length", "5")
            return self.end_headers()

        def _answer(self) -> None:
            if not state.headers_first:
                for piece in state.pieces(self.path):
                    self.wfile.write(piece)
                    state.sent += len(piece)
                return
            self.send_response(state.status)
            self.send_header("Content-Type", state.media)
            self.send_header("Transfer-Encoding", "chunked")
            if state.encoding is not None:
                self.send_header("Content-Encoding", state.encoding)
            self.end_headers()
            for piece in state.pieces(self.path):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                state.sent += len(piece)
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *args: object, **more: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
