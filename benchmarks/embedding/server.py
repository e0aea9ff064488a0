"""An endpoint on OpenAI's wire, with the times and limits that are given to it.

Its vectors are MiniLM's, which cost what they cost, or drawn from the text, which cost nothing.
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

DIMENSION = 384
BYTES_PER_TOKEN = 4


@dataclass
class Limit:
    """So much a second, of which some stands ready: a bucket that fills up again."""

    rate: float
    ready: float
    left: float = field(init=False)
    looked: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.ready

    def seconds_until(self, amount: float) -> float:
        """Return 0 and take it, or how long it is until so much is there."""
        now = time.monotonic()
        self.left = min(self.ready, self.left + (now - self.looked) * self.rate)
        self.looked = now
        if self.left < amount:
            return (amount - self.left) / self.rate
        self.left -= amount
        return 0.0


@dataclass
class Habits:
    """What an endpoint takes and how long."""

    request_seconds: float = 0.0
    text_seconds: float = 0.0
    side_by_side: int | None = None
    """Requests that are worked at; others wait. None: all."""
    most_texts: int = 10_000
    requests: Limit | None = None
    tokens: Limit | None = None
    tells: bool = True
    """It says how long to wait (Retry-After, in whole seconds)."""
    model: object | None = None
    """Gives real vectors; None: drawn from the text."""


class EndpointServer(ThreadingHTTPServer):
    """Counts what it was asked."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, habits: Habits) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.habits = habits
        self.lock = threading.Lock()
        self.turns = threading.Semaphore(habits.side_by_side) if habits.side_by_side else None
        self.asked = self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def pause_for(self, texts: list[str]) -> float:
        """Count a request; return for how long it is refused."""
        habits = self.habits
        tokens = sum(len(text.encode()) for text in texts) / BYTES_PER_TOKEN
        with self.lock:
            self.asked += 1
            pause = habits.requests.seconds_until(1) if habits.requests else 0.0
            if not pause and habits.tokens:
                pause = habits.tokens.seconds_until(tokens)
            self.refused += pause > 0
        return pause


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: a second one would wait for the first one's receipt
    server: EndpointServer

    def do_POST(self) -> None:
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        habits = self.server.habits
        if len(texts) > habits.most_texts:
            return self._answer(413, b"")
        if pause := self.server.pause_for(texts):
            told = {"Retry-After": str(int(pause) + 1)} if habits.tells else {}
            return self._answer(429, b"", told)
        with self.server.turns or nullcontext():
            time.sleep(habits.request_seconds + habits.text_seconds * len(texts))
            vectors = habits.model.infer(texts) if habits.model else map(drawn_vector, texts)
            rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
        data = [{"index": n, "embedding": row} for n, row in enumerate(rows)]
        return self._answer(200, json.dumps({"data": data}).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


def drawn_vector(text: str) -> np.ndarray:
    """Return a vector that no other text has."""
    spread = hashlib.shake_256(text.encode()).digest(DIMENSION)
    return np.frombuffer(spread, np.int8).astype(np.float32)


@contextmanager
def serving(habits: Habits) -> Iterator[EndpointServer]:
    """Run an endpoint in threads of this process."""
    server = EndpointServer(habits)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
