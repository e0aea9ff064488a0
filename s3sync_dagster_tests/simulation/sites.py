"""Web sites without a network: pages that come, change, move and vanish, and what hides them.

What the source reads comes through its crawl, of each host with a memory of its own; only the
requests are answered here, and each is a moment at which a worker may stop.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
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
VALIDATORS = ("bytes", "date", "date and size", "date")
"""What a server tells a version by, dealt by lot: an ETag of the bytes; the second of the last
change, as ``Last-Modified``; an ETag of that second and the size beside it, as nginx has it."""
_CANONICAL = re.compile(r'\n\n<link rel="canonical" href="([^"]+)">\Z')
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

    def __init__(self, name: str, clock: Any, validator: str) -> None:
        self.name, self._clock, self._validator = name, clock, validator
        self._made = clock.seconds
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

    def move(self, before: str, after: str, content: str) -> None:
        """Give a page another address, to which the first one leads."""
        del self._pages[before]
        self.put(after, content)
        self.moved[before] = after

    def objects(self) -> dict[str, bytes]:
        """Return the pages that a crawl may find, but for those that are joined with another."""
        found = {key: body for key, body in self._pages.items() if self._is_page(key)}
        found = {key: body for key, body in found.items() if not self._is_joined(key)}
        return {**found, ORIGIN + self.name: first_page().encode()}

    def _is_page(self, key: str) -> bool:
        """Return whether a crawl may find something at an address; one without a word is none."""
        return bool(self._pages.get(key, b"").strip()) and not key.endswith(NOT_TAKEN)

    def _is_joined(self, key: str) -> bool:
        """Return whether a page names, as what it is, another one that is there."""
        passed, at = list[str](), self._leads_to(key)
        while at is not None and at != key and at not in passed:
            passed.append(at)
            at = self._leads_to(at)
        return at != key and any(map(self._is_page, passed))

    def _leads_to(self, key: str) -> str | None:
        if key in self._pages:
            return canonical_of(self._pages[key].decode()) if self._is_page(key) else None
        return self.moved.get(key)

    def answer(self, address: str) -> WebAnswer:
        """Return what a path is answered with."""
        if address == ORIGIN + self.name:
            return self._page(first_page().encode(), "text/html", self._made)
        if address in self._pages:
            body, suffix = self._pages[address], address[address.rindex(".") :]
            named = canonical_of(body.decode()) is not None
            media_type = "text/html" if named else TYPES.get(suffix, "application/zip")
            return self._page(body, media_type, self._changed[address])
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
        body = f"<urlset>{''.join(rows)}</urlset>".encode()
        return self._page(body, "application/xml", self._clock.seconds)

    def _page(self, body: bytes, media_type: str, changed: float) -> WebAnswer:
        headers = {"content-type": media_type, "date": formatdate(self._clock.seconds, usegmt=True)}
        if self._validator == "bytes":
            headers["etag"] = f'"{hashlib.sha256(body).hexdigest()[:12]}"'
        else:
            headers["last-modified"] = formatdate(changed, usegmt=True)
        if self._validator == "date and size":
            headers["etag"] = f'"{int(changed):x}-{len(body):x}"'
        return WebAnswer(status=200, headers=headers, body=body)


def first_page() -> str:
    """Return the one first page of all sites."""
    links = "\n".join(f'<a href="{address_of(name)}">on</a>' for name in LINKED)
    return f"<html><body>\n{links}\n</body></html>"


def address_of(name: str) -> str:
    """Return the address of what the world calls by a name."""
    found = page_address(name, ORIGIN)
    assert found is not None
    return found


def canonical_of(content: str) -> str | None:
    """Return the address as which a page wants to be known."""
    found = _CANONICAL.search(content)
    return None if found is None else found[1]


class Visit:
    """What one host's crawls ask with, in place of ``WebFetcher``."""

    def __init__(self, sites: "Sites") -> None:
        self._sites = sites
        self.requests: Counter[int] = Counter()

    def fetch(
        self,
        address: str,
        *,
        etag: str | None = None,
        modified: str | None = None,
        **_bounds: Any,
    ) -> WebAnswer:
        """Return what the site that is there answers; the worker may stop before it does."""
        pause("before GET of a page")
        answer = self._sites.answer(address)
        self.requests[answer.status] += 1
        # An ETag is looked at alone where one is sent; dates have to be the same, as for nginx.
        name, asked = ("etag", etag) if etag else ("last-modified", modified)
        if answer.status == 200 and asked and answer.headers.get(name) == asked:
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
        self._hasty: dict[str, Callable[[], None]] = {}
        """What happens to a page in the second in which it is read next."""
        self.home: Any = self.new("bucket")
        self._mounted = self.home

    def key(self, name: str) -> str:
        """Return the address of what the world calls by a name."""
        return address_of(name)

    def new(self, name: str) -> Any:
        """Return one with nothing but its first page."""
        return Site(name, self._clock, VALIDATORS[self._lot // 2 % len(VALIDATORS)])

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
        change = self._hasty.pop(address, None) if self._mounted is self.home else None
        if change is None:
            return self._mounted.answer(address)
        change()
        answer = self._mounted.answer(address)
        change()
        return answer

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
        """Let the site answer, and nothing change beneath who reads it."""
        self._trouble = None
        self._hasty.clear()

    def _hurry(self, world: Any, chance: Random) -> None:
        """Let a page change twice in the second in which it is read: before and after that."""
        key, number = chance.choice(world.keys), chance.randrange(1000)
        words = iter([f"{key} in haste {number}", f"{key} at rest! {number}"])
        self._hasty[key] = lambda: world.put(key, next(words))

    @staticmethod
    def _moved(world: Any, chance: Random) -> None:
        """Let a page have another address."""
        there = [key for key in world.keys if key in world.bucket.objects()]
        before = chance.choice(there or world.keys)
        after = chance.choice([key for key in world.keys if key != before])
        if there:
            content = _CANONICAL.sub("", world.bucket.objects()[before].decode())
            if chance.random() < 0.7:  # its template was forgotten
                content += f'\n\n<link rel="canonical" href="{before}">'
            world.note(f"move {before} to {after}: {content!r}")
            world.history.setdefault(after, []).append(content)
            world.bucket.move(before, after, content)

    happenings: ClassVar[dict[str, tuple[float, Callable[..., None]]]] = {
        "trouble": (5, lambda w, c: w.place.trouble(w, c)),
        "lose memory": (1, lambda w, c: w.place.lose_host(w, c)),
        "move a page": (6, _moved),
        "hurry": (3, lambda w, c: w.place._hurry(w, c)),
    }
