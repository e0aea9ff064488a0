"""An embedding endpoint that takes its time: ``endpoint.py MILLISECONDS``, prints its port.

It speaks OpenAI's wire. A request takes so many milliseconds for each of its texts, and any number
of requests are answered side by side: what a service with enough machines behind it does.
"""

import base64
import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

DIMENSION = 384


class Handler(BaseHTTPRequestHandler):
    """Answers ``POST /embeddings``."""

    protocol_version = "HTTP/1.1"
    milliseconds = 0.0

    def do_POST(self) -> None:
        """Wait, and answer with a vector for each text."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = body["input"]
        time.sleep(self.milliseconds / 1000 * len(texts))
        data = [{"index": n, "embedding": vector_of(text)} for n, text in enumerate(texts)]
        answer = json.dumps({"data": data, "usage": {"total_tokens": len(texts)}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


class Server(ThreadingHTTPServer):
    """With room for the connections of many hosts at once."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a host that was killed and waits for its answer no more."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def vector_of(text: str) -> str:
    """Return a vector of length one that no other text has, in base64."""
    spread = hashlib.shake_256(text.encode()).digest(DIMENSION)
    vector = np.frombuffer(spread, np.int8).astype(np.float32)
    return base64.b64encode((vector / np.linalg.norm(vector)).tobytes()).decode()


def main() -> None:
    """Serve until standard input closes."""
    Handler.milliseconds = float(sys.argv[1])
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
