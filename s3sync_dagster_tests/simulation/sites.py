"""Web sites without a network: pages that come, change, move and vanish, and what hides them.

What the source reads comes through its crawl, of each host with a memory of its own; only the
requests are answered here, and each is a moment at which a worker may stop.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.web import WebPlace, open_web
from s3sync_dagster.places.web_address import page_address
from s3sync_dagster.places.web_fetch import WebAnswer
from s3sync_dagster.ports.places import Surroundings
from s3sync_dagster_tests.simulation.two_hosts import TwoHosts
from s3sync_dagster_tests.simulation.worker import pause

ORIGIN = "https://docs.example.org/"
START = ("bucket", "bucket-eu", "elsewhere")
"""First pages, by the name of the site: it has its own alone, to which nothing leads."""
LINKED = (
    "0 first.txt", "0 late.txt", "0 second.md", "0.meta.json", "a.txt", "a.txt.meta.json", "b.txt",
    "dir/c.md", "dir/ü d.txt", "foreign.txt", "late.txt", "skip.zip", "z.meta.json",
)  # fmt: skip
"""What each first page has a link to, whether it is there or not."""
NOT_TAKEN = ".zip"
"""What no crawl looks at, by its name."""
TYPES = {".txt": "text/plain", ".md": "text/markdown", ".json": "application/json"}
REQUEST_SECONDS = 0.4
"""That an answer takes: a crawl of a dozen pages has to go on in a second call."""
PAUSED = {"retry-after": "2"}
HIDING: dict[str, WebAnswer] = {
    "500": WebAnswer(status=500),
    "503": WebAnswer(status=503, headers=PAUSED),
    "429": WebAnswer(status=429, headers=PAUSED),
    "403": WebAnswer(status=403),
    "login": WebAnswer(status=302, headers={"location": "https://login.example.org/"}),
    "elsewhere for now": WebAnswer(status=307, headers={"location": f"{ORIGIN}a.txt"}),
    "304 for nothing": WebAnswer(status=304),
}
"""What says nothing of whether a page is there."""
DENYING: dict[str, WebAnswer] = {
    "404": WebAnswer(status=404),
    "410": WebAnswer(status=410),
    "a picture": WebAnswer(status=200, headers={"content-type": "image/png"}, body=b"BAD picture"),
    "elsewhere for good": WebAnswer(status=301, headers={"location": f"{ORIGIN}a.txt"}),
}
"""What says that a page is not there: said once, or twice within an hour, it is no evidence."""
ROBOTS: dict[str, WebAnswer] = {
    "robots 503": WebAnswer(status=503),
    "robots refuse all": WebAnswer(status=200, body=b"User-agent: *\nDisallow: /\n"),
    "robots refuse some": WebAnswer(
        status=200, body=b"User-agent: *\nDisallow: /dir\nDisallow: /0"
    ),
}
SHORT_SECONDS = (30, 600, 3000)
"""That a site is troubled: less than lies between two crawls that both count."""


@dataclass(frozen=True)
class Trouble:
    """What a site does for a while."""

    kind: str
    page: str | None
    """Address; None: all pages."""
    until: float


class Site:
    """Pages by their addresses."""

    def __init__(self, name: str, clock: Any) -> None:
        self.name, self._clock = name, clock
        self._pages: dict[str, bytes] = {}
        self._changed: dict[str, float] = {}
        self.moved: dict[str, str] = {}
        """Addresses that lead to others for good."""

    def put(self, key: str, content: str) -> None:
        """Publish a page."""
        self._pages[key] = content.encode()
        self._changed[key] = self._clock.seconds
        self.moved.pop(key, None)

    def delete(self, key: str) -> None:
        """Take a page away."""
        self._pages.pop(key, None)
        self.moved.pop(key, None)

    def move(self, before: str, after: str) -> None:
        """Give a page another address, to which the first one leads."""
        self.put(after, self._pages.pop(before).decode())
        self.moved[before] = after

    def objects(self) -> dict[str, bytes]:
        """Return the pages that a crawl may find; one without a word is none."""
        found = {
            key: body
            for key, body in self._pages.items()
            if body.strip() and not key.endswith(NOT_TAKEN)
        }
        return {**found, ORIGIN + self.name: first_page().encode()}

    def answer(self, address: str) -> WebAnswer:
        """Return what a path is answered with."""
        if address == ORIGIN + self.name:
            return _page(first_page().encode(), "text/html")
        if address in self._pages:
            suffix = address[address.rindex(".") :]
            return _page(self._pages[address], TYPES.get(suffix, "application/zip"))
        if address in self.moved:
            return WebAnswer(status=301, headers={"location": self.moved[address]})
        return WebAnswer(status=410 if len(address) % 2 else 404)

    def sitemap(self, *, dated: bool) -> WebAnswer:
        """Return the list of all pages."""
        rows = []
        for key in sorted(self._pages):
            at = datetime.fromtimestamp(self._changed[key], UTC).isoformat()
            date = f"<lastmod>{at}</lastmod>" if dated else ""
            rows.append(f"<url><loc>{key}</loc>{date}</url>")
        return _page(f"<urlset>{''.join(rows)}</urlset>".encode(), "application/xml")


def first_page() -> str:
    """Return the one first page of all sites."""
    links = "\n".join(f'<a href="{address_of(name)}">on</a>' for name in LINKED)
    return f"<html><body>\n{links}\n</body></html>"


def address_of(name: str) -> str:
    """Return the address of what the world calls by a name."""
    found = page_address(name, ORIGIN)
    assert found is not None
    return found


def _page(body: bytes, media_type: str) -> WebAnswer:
    tag = f'"{hashlib.sha256(body).hexdigest()[:12]}"'
    return WebAnswer(status=200, headers={"content-type": media_type, "etag": tag}, body=body)


class Visit:
    """What one host's crawls ask with, in place of ``WebFetcher``."""

    def __init__(self, sites: "Sites") -> None:
        self._sites = sites
        self.requests: Counter[int] = Counter()

    def fetch(self, address: str, *, etag: str | None = None, **_bounds: Any) -> WebAnswer:
        """Return what the site that is there answers; the worker may stop before it does."""
        pause("before GET of a page")
        answer = self._sites.answer(address)
        self.requests[answer.status] += 1
        if answer.status == 200 and etag and answer.headers.get("etag") == etag:
            return WebAnswer(status=304)
        return answer

    def close(self) -> None:
        """Nothing is open."""


class Sites(TwoHosts):
    """Sites, one of which answers where the source looks, and the memories of two hosts."""

    listings_to_know: ClassVar[int] = 3
    always: ClassVar[Mapping[str, str]] = {ORIGIN + name: first_page() for name in START}

    def __init__(self, clock: Any, lot: int) -> None:
        super().__init__(clock)
        self.told: list[str] = []
        """Nobody tells of what changes on a site."""
        self._clock = clock
        self._lot = lot
        self._trouble: Trouble | None = None
        self.home: Any = self.new("bucket")
        self._mounted = self.home

    def key(self, name: str) -> str:
        """Return the address of what the world calls by a name."""
        return address_of(name)

    def new(self, name: str) -> Any:
        """Return one with nothing but its first page."""
        return Site(name, self._clock)

    def mount(self, other: Any) -> Any:
        """Let another one answer; returns the one that did."""
        before, self._mounted = self._mounted, other
        return before

    def rename(self, name: str) -> None:
        """Let the pages be found from another first page."""
        self.home.name = name

    def declared(self, place: Any, name: str) -> Any:
        """Return a source's place that begins at another page."""
        del place
        return WebPlace(starting_url=ORIGIN + name, delay_milliseconds=self._lot % 2)

    def etag_of(self, text: str) -> str:
        """Return the version of a content."""
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def opened(self, source: Any, surroundings: Surroundings) -> Any:
        """Return a crawl of a host, whose requests are answered here."""
        store: Any = open_web(source, surroundings)
        store.fetcher = Visit(self)
        return store

    def news(self) -> bool | None:
        """Return True: whoever wants to know has to look."""
        return True

    def answer(self, address: str) -> WebAnswer:
        """Return what the site that is there answers, or hides."""
        self._clock.seconds += REQUEST_SECONDS
        trouble, path = self._trouble, address.removeprefix(ORIGIN)
        if trouble is not None and self._clock.seconds > trouble.until:
            trouble = self._trouble = None
        if path == "robots.txt":
            known = ROBOTS.get(trouble.kind) if trouble else None
            return known or WebAnswer(status=404)
        if trouble is not None and trouble.page in (None, address):
            hidden = HIDING.get(trouble.kind) or DENYING.get(trouble.kind)
            if trouble.kind == "silence":
                raise Unavailable("The site did not answer in time.", reason="site_timeout")
            if hidden is not None:
                return hidden
        if path == "sitemap.xml":
            unmapped = self._lot % 3 == 0 or (trouble and trouble.kind == "no sitemap")
            if unmapped:
                return WebAnswer(status=404)
            return self._mounted.sitemap(dated=self._lot % 3 == 1)
        return self._mounted.answer(address)

    def trouble(self, world: Any, chance: Random) -> None:
        """Let the site hide pages for less than an hour."""
        kinds = [*HIDING, *DENYING, *ROBOTS, "silence", "no sitemap"]
        kind, seconds = chance.choice(kinds), chance.choice(SHORT_SECONDS)
        pages = [None, None, *world.keys, *world.pillar_texts]
        page = chance.choice(pages)
        if kind == "elsewhere for good":
            page = page or world.keys[1]
        world.note(f"the site: {kind} for {page or 'all'} for {seconds} s")
        self._trouble = Trouble(kind, page, self._clock.seconds + seconds)

    def calm(self) -> None:
        """Let the site answer."""
        self._trouble = None

    @staticmethod
    def _moved(world: Any, chance: Random) -> None:
        """Let a page have another address."""
        there = [key for key in world.keys if key in world.bucket.objects()]
        before = chance.choice(there or world.keys)
        after = chance.choice([key for key in world.keys if key != before])
        if there:
            world.note(f"move {before} to {after}")
            content = world.bucket.objects()[before].decode()
            world.history.setdefault(after, []).append(content)
            world.bucket.move(before, after)

    happenings: ClassVar[dict[str, tuple[float, Callable[..., None]]]] = {
        "trouble": (5, lambda w, c: w.place.trouble(w, c)),
        "lose memory": (1, lambda w, c: w.place.lose_host(w, c)),
        "move a page": (2, _moved),
    }
