"""Whoever asks a site for something: by the rules of its robots.txt, in turn with all others."""

import json
from typing import TYPE_CHECKING, Any

from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting, Unavailable
from s3sync_dagster.places.web_address import host_of, origin_of, page_address
from s3sync_dagster.places.web_fetch import WebAnswer, WebFetcher
from s3sync_dagster.places.web_known import Page
from s3sync_dagster.places.web_memory import SiteMemory
from s3sync_dagster.places.web_pace import HostPace, NoTurn
from s3sync_dagster.places.web_page import keeps_out
from s3sync_dagster.places.web_robots import MAX_BYTES, Robots, parse_robots
from s3sync_dagster.ports.addresses import Reach

if TYPE_CHECKING:
    from s3sync_dagster.places.web import WebPlace

MOVED = frozenset({301, 302, 303, 307, 308})
ROBOTS_SECONDS = 3600.0
"""A robots.txt is asked for again after so long: a home that only reads pages begins no crawl."""


class SiteVisitor:
    """Asks for pages of one source's site.

    Args:
        place: the site.
        memory: of this source.
        fetcher: asks.
        pace: how fast.
        most_bytes: of a page.
    """

    def __init__(
        self,
        place: "WebPlace",
        memory: SiteMemory,
        fetcher: WebFetcher,
        pace: HostPace,
        *,
        most_bytes: int,
    ) -> None:
        self._place, self._memory, self._fetcher, self._pace = place, memory, fetcher, pace
        self.most_bytes = most_bytes
        self._robots: dict[str, tuple[float, Robots | None]] = {}
        """By origin, with the time at which it was asked for."""

    def hosts(self) -> frozenset[str]:
        """Return the hosts of the site: its own, those named, those its first page led to."""
        led_to: list[str] = json.loads(self._memory.note("hosts") or "[]")
        return self._place.hosts() | set(led_to)

    def adopt(self, host: str) -> None:
        """Count a host, to which the first page led, as one of the site."""
        led_to = sorted({*json.loads(self._memory.note("hosts") or "[]"), host})
        self._memory.take_note("hosts", json.dumps(led_to))

    def is_inside(self, address: str) -> bool:
        """Return whether an address is one of a page of the site that the place takes."""
        known = page_address(address) == address and host_of(address) in self.hosts()
        return known and self._place.takes(address)

    def require(self, address: str) -> None:
        """Refuse what is no page of the site, or what its robots.txt does not let be read.

        Raises:
            InvalidSetting: ``outside_site``.
            FixConfiguration: ``robots_disallowed``.
        """
        if not self.is_inside(address):
            raise InvalidSetting(
                f"{address!r} is no page of this source: another host, or a path that its patterns "
                "leave out.",
                reason="outside_site",
            )
        if not self.allows(address):
            raise FixConfiguration(
                f"The site's robots.txt does not let {address!r} be read; its records stay.",
                reason="robots_disallowed",
            )

    def ask(self, address: str, known: Page | None) -> WebAnswer:
        """Return what the site says of a page, in turn with all who ask its host.

        A 304 tells of the bytes alone: where its header tells otherwise than before of the index,
        or no more, the page is asked for whole.
        """
        if known is not None and not known.is_told_by_validators(self._memory.now()):
            known = None
        answer = self._asked(address, known)
        if known is None or answer.status != 304 or keeps_out(answer) == known.header_noindex:
            return answer
        return self._asked(address, None)

    def _asked(self, address: str, known: Page | None) -> WebAnswer:
        delay = self._place.delay_milliseconds / 1000
        robots = self.robots_of(origin_of(address))
        crawl_delay = robots.delay_seconds if robots else 0.0
        wanted = {
            "most_bytes": self.most_bytes,
            "etag": known.server_etag if known else None,
            "modified": known.server_modified if known else None,
        }
        self._pace.wait(host_of(address), delay, crawl_delay=crawl_delay)
        answer = self._fetched(address, **wanted)
        whole = _with_parameters(address, answer)
        if whole is None or not self.allows(whole):
            return answer
        self._pace.wait(host_of(address), delay, crawl_delay=crawl_delay)
        return self._fetched(whole, **wanted)

    def require_first(self, first: str) -> None:
        """Refuse a site whose first page may not be read now.

        Raises:
            Unavailable: ``robots_unavailable``: nothing is known of it.
            FixConfiguration: ``robots_disallowed``.
        """
        if self.robots_of(origin_of(first)) is None:
            raise Unavailable(
                f"The robots.txt of {host_of(first)!r} is not to be had: until it is there, "
                "nothing is read, and all records stay.",
                reason="robots_unavailable",
            )
        if not self.allows(first):
            raise FixConfiguration(
                f"The robots.txt of {host_of(first)!r} does not let this source's first page be "
                "read. All records stay.",
                reason="robots_disallowed",
            )

    def pause(self, address: str, seconds: float) -> None:
        """Leave a page's host alone, as it asked for."""
        self._pace.pause(host_of(address), seconds)

    def begin(self) -> None:
        """Ask for every robots.txt anew."""
        self._robots.clear()

    def allows(self, address: str) -> bool:
        """Return whether the site lets a page be read."""
        robots = self.robots_of(origin_of(address))
        return robots is not None and robots.allows(address)

    def robots_of(self, origin: str) -> Robots | None:
        """Return what a host's robots.txt says; None where it cannot be had, so that all waits.

        Raises:
            Unavailable: the first page's host does not answer.
        """
        if origin not in self._robots or not self._is_new(self._robots[origin][0]):
            note = json.loads(self._memory.note(f"robots {origin}") or "null")
            # Of a version before, it has no time.
            if not isinstance(note, dict) or not self._is_new(note["at"]):
                note = {"text": self._asked_robots(origin), "at": self._memory.now()}
                self._memory.take_note(f"robots {origin}", json.dumps(note))
            text = note["text"]
            self._robots[origin] = (note["at"], None if text is None else parse_robots(text))
        return self._robots[origin][1]

    def _is_new(self, at: float) -> bool:
        return 0 <= self._memory.now() - at < ROBOTS_SECONDS

    def _asked_robots(self, origin: str) -> str | None:
        try:
            answer = self.followed(f"{origin}/robots.txt", most_bytes=MAX_BYTES)
        except NoTurn:
            raise
        except Unavailable:
            if origin == origin_of(self._place.start):
                raise
            return None
        if answer.status >= 500 or answer.status == 429:
            return None
        return answer.body.decode("utf-8", "replace") if answer.status == 200 else ""

    def followed(self, address: str, *, most_bytes: int) -> WebAnswer:
        """Return the answer at the end of a few redirects, of a file that is not a page."""
        for _ in range(6):
            self._pace.wait(host_of(address), self._place.delay_milliseconds / 1000)
            answer = self._fetched(address, most_bytes=most_bytes)
            target = page_address(answer.headers.get("location", ""), address)
            if answer.status not in MOVED or target is None:
                return answer
            address = target
        return WebAnswer(status=404)

    def _fetched(self, address: str, **wanted: Any) -> WebAnswer:
        """Return an answer from no further inside than whoever declared the site can have meant.

        A host that a person named is where it was found the first time, and never further inside
        after: its owner may change that by a name alone. What else a page leads to is no further
        inside than the first page.
        """
        host = host_of(address)
        start = host_of(self._place.start)
        named = host == start or host in self._place.other_hosts
        found = self._memory.note(f"reach {host if named else start}")
        unseen = Reach.MACHINE if named else Reach.INTERNET
        most = unseen if found is None else Reach(int(found))
        answer = self._fetcher.fetch(address, reach=most, **wanted)
        if named and found is None:
            self._memory.take_note(f"reach {host}", str(int(answer.reach)))
        return answer


def _with_parameters(address: str, answer: WebAnswer) -> str | None:
    """Return where a page leads that wants no more than parameters which addresses go without."""
    location = answer.headers.get("location", "")
    if answer.status not in MOVED or page_address(location, address) != address:
        return None
    whole = page_address(location, address, whole=True)
    return None if whole == address else whole
