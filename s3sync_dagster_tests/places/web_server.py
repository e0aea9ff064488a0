"""A web site of a test: pages in a dict, validators, redirects, and everything that goes wrong."""

import gzip
import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from s3sync_dagster.places.web import WebPlace
from s3sync_dagster.places.web_fetch import WebFetcher
from s3sync_dagster.places.web_memory import SiteMemory
from s3sync_dagster.places.web_pace import HostPace
from s3sync_dagster.places.web_store import SiteStore


@dataclass
class Reply:
    """What a path is answered with."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    validators: bool = True
    """Give an ETag, and 304 to who has it."""
    seconds: float = 0.0
    """Before the answer."""
    endless: bytes | None = None
    """Sent again and again until the client hangs up."""
    drip: bool = False
    """A byte of the headers now and then."""


@dataclass
class Site:
    """Answers by path; keeps what it was asked."""

    url: str = ""
    replies: dict[str, Reply | Callable[[str], Reply]] = field(default_factory=dict)
    default: Callable[[str], Reply] | None = None
    seen: list[tuple[str, int]] = field(default_factory=list)
    """Path with query, and the status of the answer."""
    hosts: list[str] = field(default_factory=list)
    connections: list[tuple[str, int]] = field(default_factory=list)
    """Addresses of those who connected, one for each connection."""

    def page(self, path: str, *links: str, text: str = "", head: str = "", **more: object) -> None:
        """Put an HTML page with links at a path."""
        words = text or f"Words of {path}"
        inside = "".join(f'<a href="{link}">to {link}</a>' for link in links)
        top = f"<html><head><title>{path}</title>{head}</head>"
        body = f"{top}<body><p>{words}</p>{inside}</body></html>"
        headers = {"Content-Type": "text/html; charset=utf-8", **more.pop("headers", {})}  # type: ignore[dict-item]
        self.replies[path] = Reply(body.encode(), headers=headers, **more)  # type: ignore[arg-type]

    def put(self, path: str, body: bytes | str = b"", **more: object) -> None:
        """Put any answer at a path."""
        content = body.encode() if isinstance(body, str) else body
        self.replies[path] = Reply(content, **more)  # type: ignore[arg-type]

    def move(self, path: str, target: str, status: int = 301) -> None:
        """Answer a path with a redirect."""
        self.replies[path] = Reply(status=status, headers={"Location": target})

    def asked(self, path: str) -> list[int]:
        """Return the statuses with which a path was answered."""
        return [status for one, status in self.seen if one == path]

    def pages_asked(self) -> list[tuple[str, int]]:
        """Return what was asked for but robots.txt and sitemap."""
        return [one for one in self.seen if one[0] not in ("/robots.txt", "/sitemap.xml")]


@contextmanager
def web_site(address: str = "127.0.0.1") -> Iterator[Site]:
    """Serve until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def setup(self) -> None:
            site.connections.append(self.client_address)
            super().setup()

        def do_GET(self) -> None:
            site.hosts.append(self.headers.get("host", ""))
            found = site.replies.get(self.path, site.default)
            reply = found(self.path) if callable(found) else found
            if reply is None:
                reply = Reply(b"nothing here", status=404)
            self._answer(reply)

        def _answer(self, reply: Reply) -> None:
            time.sleep(reply.seconds)
            if reply.drip:
                return self._drip()
            body, status = reply.body, reply.status
            headers = dict(reply.headers)
            if status == 200 and reply.validators and reply.endless is None:
                headers.setdefault("ETag", f'"{hashlib.sha256(body).hexdigest()[:12]}"')
                if self.headers.get("if-none-match") == headers["ETag"]:
                    status, body = 304, b""
            site.seen.append((self.path, status))
            self.send_response(status)
            for name, value in headers.items():
                if not (status == 304 and name.lower() == "content-type"):
                    self.send_header(name, value)
            if reply.endless is not None:
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(reply.endless)
                except OSError:
                    self.close_connection = True
                return None
            if status != 304:
                self.send_header("Content-Length", headers.get("content-length", str(len(body))))
            self.end_headers()
            self.wfile.write(body)
            return None

        def _drip(self) -> None:
            site.seen.append((self.path, 200))
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            pass  # the client hung up, which is what these tests want

    server = Server((address, 0), Handler)
    site.url = f"http://{address}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def gzipped(body: bytes) -> Reply:
    """Return a packed answer."""
    return Reply(
        gzip.compress(body), headers={"Content-Type": "text/html", "Content-Encoding": "gzip"}
    )


def later(folder: Path, *, hours: float) -> None:
    """Let what the crawls below a folder remember be so much older."""
    for file in folder.rglob("site.db"):
        with closing(sqlite3.connect(file, timeout=30)) as database, database:
            database.execute(
                "UPDATE pages SET page = json_set(page, "
                "'$.missed_at', json_extract(page, '$.missed_at') - ?1, "
                "'$.asked_at', json_extract(page, '$.asked_at') - ?1, "
                "'$.read_at', max(0, json_extract(page, '$.read_at') - ?1))",
                (hours * 3600,),
            )
            database.execute(
                "UPDATE notes SET value = CAST(value AS REAL) - ? "
                "WHERE name LIKE 'missing %' OR name IN ('begun_at', 'whole_at')",
                (hours * 3600,),
            )
            database.execute(
                "UPDATE notes SET value = json_set(value, '$.at', json_extract(value, '$.at') - ?) "
                "WHERE name LIKE 'robots %'",
                (hours * 3600,),
            )


class Visitor:
    """A source of a site, and the crawls that a listing would make of it."""

    def __init__(self, site: Site, folder, *, guard=None, most_bytes: int = 50 * 1024**2, **place):
        place.setdefault("delay_milliseconds", 0)
        place.setdefault("starting_url", f"{site.url}/")
        self.site, self.folder, self.place = site, folder, WebPlace(**place)
        self.guard, self.most_bytes = guard, most_bytes
        self.store = self.opened()

    def opened(self) -> SiteStore:
        """Return a store of its own on the same files, as another process has it."""
        self.place.check()
        return SiteStore(
            self.place,
            open_memory=lambda: SiteMemory(self.folder / "site.db", most_bytes=10**9),
            fetcher=WebFetcher(self.guard),
            pace=HostPace(self.folder / "hosts.db", who="tenant"),
            most_bytes=self.most_bytes,
        )

    def crawl(self, prefix: str = "", *, hours: float = 6) -> dict[str, str]:
        """Return path -> etag of a whole listing, so long after what was before.

        What is listed to be skipped is in ``skipped``.
        """
        later(self.folder, hours=hours)
        found: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        token: str | None = None
        while True:
            page = self.store.list_unordered(prefix, token=token)
            for ref in page.objects:
                path = ref.key.removeprefix(self.site.url)
                assert path not in found
                if ref.storage_class == "STANDARD":
                    found[path] = ref.etag
                else:
                    self.skipped[path] = ref.storage_class
            token = page.token
            if token is None:
                return found

    def read(self, path: str) -> bytes:
        """Return a page as a batch gets it."""
        body = self.store.read(self.site.url + path, max_size_bytes=10**9)
        content = body.content
        return content if isinstance(content, bytes) else content.read_bytes()


def small(site: Site) -> None:
    """Give a site four pages that lead to each other."""
    site.page("/", "/a", "b#part", "b")
    site.page("/a", "/")
    site.page("/b", "/c/")
    site.page("/c/", "../a")
