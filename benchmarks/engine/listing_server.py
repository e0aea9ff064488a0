"""An S3 endpoint of many made-up objects: it answers LIST and GET and counts what came.

No test server lists 100,000 objects fast enough to measure anything but itself.
"""

import hashlib
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "bucket"
CHANGED_EVERY = 100
_DATE = "2026-01-01T00:00:00.000Z"


class MadeUpBucket:
    """``count`` small texts, of which some have another version after each ``change``."""

    def __init__(self, count: int) -> None:
        self.keys = [f"docs/{n:07}.txt" for n in range(count)]
        self.requests: Counter[str] = Counter()
        self.reports: dict[str, bytes] = {}
        """What the bucket ``reports`` holds."""
        self._changed: list[int] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def change(self, every: int = CHANGED_EVERY) -> None:
        """Give every hundredth object, or that of another number, other bytes."""
        self._changed.append(every)

    def take_requests(self) -> dict[str, int]:
        """Return the requests since the last call, by kind."""
        with self._lock:
            taken, self.requests = dict(self.requests), Counter()
        return taken

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, kind: str) -> None:
        with self._lock:
            self.requests[kind] += 1

    def body(self, key: str) -> bytes:
        number = int(key[5:12])
        version = 1 + sum(number % every == 0 for every in self._changed)
        return f"Text number {number}, version {version}.".encode()

    def page(self, query: dict[str, list[str]], *, reports: bool = False) -> bytes:
        after = unquote(query.get("start-after", [""])[0])
        limit = int(query.get("max-keys", ["1000"])[0])
        prefix = unquote(query.get("prefix", [""])[0])
        there = self.keys
        if reports:
            there = sorted(key for key in self.reports if key.startswith(prefix))
        start = bisect_right(there, after)
        keys = there[start : start + limit]
        cut = start + limit < len(there)
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{_DATE}</LastModified>"
            f"<ETag>&quot;{etag(body)}&quot;</ETag><Size>{len(body)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key, body in (
                (key, self.reports[key] if reports else self.body(key)) for key in keys
            )
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><KeyCount>{len(keys)}</KeyCount><MaxKeys>{limit}</MaxKeys>"
            f"<IsTruncated>{str(cut).lower()}</IsTruncated>"
            f"{'<NextContinuationToken>more</NextContinuationToken>' if cut else ''}"
            f"<EncodingType>url</EncodingType>{rows}</ListBucketResult>"
        ).encode()


def etag(body: bytes) -> str:
    """Return the etag of a body."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@contextmanager
def made_up_bucket(count: int) -> Iterator[MadeUpBucket]:
    """Serve a bucket for the length of a ``with`` block."""
    bucket = MadeUpBucket(count)
    try:
        yield bucket
    finally:
        bucket.close()


def _handler(bucket: MadeUpBucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
            bucket.count("HEAD" if key.startswith("docs/") else "BUCKET")
            if key.startswith("docs/"):
                body = bucket.body(key)
                self._answer(body, {"ETag": f'"{etag(body)}"'})
            else:
                self._answer(b"", {})

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            name, _, key = unquote(parts.path).removeprefix("/").partition("/")
            if key:
                bucket.count("GET")
                body = bucket.body(key) if name == BUCKET else bucket.reports[key]
                self._answer(body, {"ETag": f'"{etag(body)}"', "Content-Type": "text/plain"})
            else:
                bucket.count("LIST")
                self._answer(
                    bucket.page(parse_qs(parts.query), reports=name != BUCKET),
                    {"Content-Type": "application/xml"},
                )

        def _answer(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent."""

    return Handler
