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
    """``count`` small texts; every hundredth has a second version after ``change``."""

    def __init__(self, count: int) -> None:
        self.keys = [f"docs/{n:07}.txt" for n in range(count)]
        self.requests: Counter[str] = Counter()
        self._changed = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def change(self) -> None:
        """Give every hundredth object other bytes."""
        self._changed = True

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
        version = 2 if self._changed and number % CHANGED_EVERY == 0 else 1
        return f"Text number {number}, version {version}.".encode()

    def page(self, query: dict[str, list[str]]) -> bytes:
        after = unquote(query.get("start-after", [""])[0])
        limit = int(query.get("max-keys", ["1000"])[0])
        start = bisect_right(self.keys, after)
        keys = self.keys[start : start + limit]
        cut = start + limit < len(self.keys)
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{_DATE}</LastModified>"
            f"<ETag>&quot;{etag(body)}&quot;</ETag><Size>{len(body)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key, body in ((key, self.body(key)) for key in keys)
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
            bucket.count("HEAD" if "/docs/" in self.path else "BUCKET")
            self._answer(b"", {})

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
            if key:
                bucket.count("GET")
                body = bucket.body(key)
                self._answer(body, {"ETag": f'"{etag(body)}"', "Content-Type": "text/plain"})
            else:
                bucket.count("LIST")
                self._answer(
                    bucket.page(parse_qs(parts.query)), {"Content-Type": "application/xml"}
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
