"""An HTTP server on a free port that answers what a test tells it to."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, str, dict[str, str]]
"""Status, body, headers."""


class ScriptedServer(ThreadingHTTPServer):
    """Answers from a list, then 200 and ``{}``; or as ``decide`` says. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Answer] = []
        self.decide: Callable[[bytes], Answer] | None = None
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        """Method, path, headers (names in lower case) and body of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        server = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.asked.append((self.command, self.path, headers, body))
        if server.decide is not None:
            status, text, headers = server.decide(body)
        else:
            status, text, headers = server.script.pop(0) if server.script else (200, "{}", {})
        self.send_response(status)
        for name, value in {"content-length": str(len(text.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_DELETE = do_PROPFIND = _answer  # noqa: N815 - the base class looks these names up

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def scripted_server(*, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server in a thread, behind TLS where a context is given."""
    made = ScriptedServer()
    if tls is not None:
        made.socket = tls.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
