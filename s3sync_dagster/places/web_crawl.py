"""A crawl: from the first page along links and sitemaps, until every page was asked for.

What it says of a page follows one rule: records go when the site itself said twice, in two whole
crawls, that the page is not there or is another one. What hides a page (an error, silence, a
refusal, robots.txt, a redirect for now) says nothing of it: the page is listed as it was read last.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    Throttled,
    Unavailable,
)
from s3sync_dagster.places.web_address import host_of, origin_of, page_address, varied
from s3sync_dagster.places.web_ends import end_crawl
from s3sync_dagster.places.web_evidence import hidden, miss, missed_once_more
from s3sync_dagster.places.web_fetch import WebAnswer
from s3sync_dagster.places.web_known import MISSES, Page, Task
from s3sync_dagster.places.web_memory import NOINDEX, SiteMemory
from s3sync_dagster.places.web_pace import NoTurn
from s3sync_dagster.places.web_page import has_page, page_of
from s3sync_dagster.places.web_sitemap import is_dated, sitemap_of
from s3sync_dagster.places.web_visitor import MOVED, SiteVisitor

if TYPE_CHECKING:
    from s3sync_dagster.places.web import WebPlace

MAX_HOPS = 10
"""Redirects from one page to the next."""
MAX_TRIES = 3
"""Of a page whose site asks for a pause, or fails, in one crawl."""
MAX_FAILURES = 10
"""Pages in a row that were not answered when they were first asked for: the site may be down."""
MAX_VARIANTS = 200
"""Addresses of one path that differ by what stands behind the ``?``, or behind a ``;``."""
MAX_SITEMAPS = 1000
PAUSE_SECONDS = 5.0
"""After a 429 or 503 that names no time."""
_MOVED_FOR_GOOD = frozenset({301, 308})
_MISSING = frozenset({404, 410})
_REFUSED = frozenset({401, 403, 407, 451})


class Crawl:
    """Looks at a site task by task.

    Args:
        place: where it begins and what it takes.
        memory: of this source.
        visitor: asks.
    """

    def __init__(self, place: "WebPlace", memory: SiteMemory, visitor: SiteVisitor) -> None:
        self._place, self._memory, self._visitor = place, memory, visitor
        self._room: int | None = None
        """For so many more pages; those that turn out to be none give theirs back in the next
        call."""

    def begin(self) -> int:
        """Begin a crawl and return its number.

        Raises:
            Unavailable: the site, or its robots.txt, does not answer: nothing is known of it.
            FixConfiguration: ``robots_disallowed`` for the first page.
        """
        place, memory = self._place, self._memory
        self._visitor.begin()
        with memory.step():
            number = int(memory.note("crawl") or 0) + 1
            memory.begin(number)
            hosts = self._visitor.hosts()
            self._note_hosts(hosts)
            if place.most_pages:
                memory.add(place.start, kind="page", depth=0)
            for gone in (False, True):
                known = [
                    (key, depth)
                    for key, depth in memory.known_pages(gone=gone)
                    if host_of(key) in hosts
                    and page_address(key) == key  # it had another form once
                    and place.takes(key)
                    and (place.max_depth is None or depth <= place.max_depth)
                ][: place.most_pages]
                for key, _ in known:
                    if (path := varied(key)) is not None:
                        memory.count_variant(path)
                memory.add_known(known, gone=gone)
        self._visitor.require_first(place.start)
        if place.sitemaps and place.max_depth != 0:
            robots = self._visitor.robots_of(origin_of(place.start))
            named = robots.sitemaps if robots else ()
            with memory.step():
                for text in named or ("/sitemap.xml",):
                    self._add_sitemap(page_address(text, place.start))
        return number

    def step(self) -> bool:
        """Look at one page or sitemap; returns False where nothing is left to look at.

        Raises:
            S3SyncError: the site does not answer: what was not looked at is not gone.
        """
        task = self._memory.next_task(first=self._first()) or self._one_that_was_left()
        if task is None:
            self._memory.require_unlike(self._memory.count_known())
            end_crawl(self._memory, self._place, hosts=self._visitor.hosts())
            return False
        try:
            if task.kind == "sitemap":
                self._look_at_sitemap(task)
            else:
                self._look_at_page(task)
        except NoTurn:  # said nothing of the site: the task stays
            pass
        return True

    def _look_at_sitemap(self, task: Task) -> None:
        sitemap = sitemap_of(self._visitor, task.key)
        with self._memory.step() as memory:
            for entry in sitemap.entries:
                address = page_address(entry.address, task.key)
                if entry.nested:
                    self._add_sitemap(address)
                elif address is not None:
                    self._add_pages([address], depth=1, changed=entry.changed)
            memory.end_task(task, "nothing" if sitemap.whole else "unread")

    def _look_at_page(self, task: Task) -> None:
        memory = self._memory
        known = memory.page(task.key) if self._place.takes(task.key) else None
        # The start, or where it leads by now; others of depth 0 are what pages call themselves.
        first = task.depth == 0 and task.key == self._first()
        if not self._visitor.allows(task.key):
            if first:
                self._visitor.require_first(task.key)
            return memory.end_task(task, hidden(known))
        if known is not None and is_dated(task, known, memory):
            with memory.step():
                memory.end_task(task, "listed")
                self._add_pages(known.links, depth=task.depth + 1)
            return None
        try:
            answer = self._visitor.ask(task.key, known)
        except NoTurn:
            raise
        except Unavailable as error:
            return self._failed(task, known, error, first=first)
        if answer.status in (429, 503):
            self._visitor.pause(task.key, answer.pause_seconds or PAUSE_SECONDS)
            error = Throttled(f"The site answers {task.key!r} with {answer.status}.")
            return self._failed(task, known, error, first=first)
        if answer.status >= 500 or answer.status < 200 or (answer.status == 304 and not known):
            why = f"The site answers {task.key!r} with the status {answer.status}."
            error = Unavailable(why, reason="site_error")
            return self._failed(task, known, error, first=first)
        with memory.step():
            memory.take_note("failures", "0")
            if answer.status == 304 and known is not None:
                self._unchanged(task, known)
            elif answer.status == 200:
                if first and not has_page(answer):
                    raise _first_page_missing(task.key, answer.status)
                self._read(task, known, answer)
            elif answer.status in MOVED and "location" in answer.headers:
                self._moved(task, known, answer, first=first)
            elif answer.status in _MISSING:
                if first:
                    raise _first_page_missing(task.key, answer.status)
                miss(memory, task, known)
            elif first:
                raise AccessDenied(
                    f"The site answers its first page {task.key!r} with the status "
                    f"{answer.status}. All records stay.",
                    reason="site_access_denied",
                )
            else:
                memory.end_task(task, hidden(known))
        return None

    def _first(self) -> str:
        """Return the first page, or where it was found to lead to in this crawl."""
        return self._memory.note("first") or self._place.start

    # --- what answers mean --------------------------------------------------------------------

    def _unchanged(self, task: Task, known: Page) -> None:
        misses = known.misses if known.canonical or known.noindex else 0
        now = replace(known, asked_at=self._memory.now(), misses=misses, changed=task.changed)
        self._memory.keep(task.key, now, depth=task.depth)
        self._end_page(task, now, known)

    def _read(self, task: Task, known: Page | None, answer: WebAnswer) -> None:
        if not has_page(answer):
            return miss(self._memory, task, known)
        page = page_of(
            task.key,
            answer,
            hosts=self._visitor.hosts(),
            most_bytes=self._visitor.most_bytes,
            changed=task.changed,
            now=self._memory.now(),
        )
        dated = known is not None and known.changed is not None and known.changed == task.changed
        if dated and known is not None and known.etag != page.etag:
            self._memory.take_note("dates", "wrong")  # from now on every page is asked for
        if page.canonical is not None or page.noindex:  # what was never listed is so at once
            misses, at = (MISSES, 0.0) if known is None else (known.misses, known.missed_at)
            page = replace(page, misses=misses, missed_at=at)
        if not self._place.takes(task.key):
            return self._end_page(task, page, known)
        changed = (known is None or known.etag != page.etag) and not answer.too_large
        if changed:
            self._memory.note_before(task.key)
        self._memory.keep(task.key, page, depth=task.depth)
        if changed:
            self._memory.put_body(task.key, page.etag, answer.body)
        return self._end_page(task, page, known)

    def _end_page(self, task: Task, page: Page, known: Page | None) -> None:
        if not self._place.takes(task.key):  # the first page leads here
            self._memory.end_task(task, "nothing")
        elif page.noindex:
            miss(self._memory, task, known)
            if known is None or missed_once_more(known, self._memory.now()).gone:
                self._memory.end_task(task, NOINDEX)
        else:
            end = "joined" if page.canonical else "listed"
            self._memory.end_task(task, end, target=page.canonical)
        if page.canonical is not None:
            self._add_pages([page.canonical], depth=task.depth)
        self._add_pages(page.links, depth=task.depth + 1)

    def _moved(self, task: Task, known: Page | None, answer: WebAnswer, *, first: bool) -> None:
        target = page_address(answer.headers["location"], task.key)
        for_good = answer.status in _MOVED_FOR_GOOD
        if target is not None and first and host_of(target) not in self._visitor.hosts():
            if not for_good:  # a captive portal, a login, a page for an outage
                raise FixConfiguration(
                    f"The first page of the site, {self._place.start!r}, leads to another host, "
                    f"and only for now ({answer.status}): where that is the site, begin there, or "
                    "name it in other_hosts. All records stay.",
                    reason="start_page_missing",
                )
            self._visitor.adopt(host_of(target))
            self._note_hosts(self._visitor.hosts())
        # Before the first page only those were looked at that led to it.
        nowhere = ("nothing", "missing", "kept", "unread") if first else ("nothing",)
        if target is not None and self._leads_back(target, task.key, nowhere):
            target = None
        if target is not None and task.hops < MAX_HOPS:
            self._add_pages([target], depth=task.depth, hops=task.hops + 1)
            if first:
                self._memory.take_note("first", target)
                if not self._place.takes(target):  # for its links alone
                    hops = task.hops + 1
                    self._memory.add(target, kind="page", depth=task.depth, hops=hops)
        elif first:
            raise FixConfiguration(
                f"The first page of the site, {self._place.start!r}, leads to nothing but other "
                "addresses. All records stay.",
                reason="start_page_missing",
            )
        if for_good and target is not None:  # what is there comes out yet
            self._memory.miss(task.key, self._memory.now())
            return self._memory.end_task(task, "moved", target=target)
        return self._memory.end_task(task, hidden(known))

    def _leads_back(self, target: str, key: str, nowhere: tuple[str, ...]) -> bool:
        """Return whether a redirect is known to lead to where it is from, or to what ended so."""
        for _ in range(MAX_HOPS):
            met = self._memory.end_of(target)
            if target == key or (met is not None and met[0] in nowhere):
                return True
            if met is None or met[0] != "moved":
                return False
            target = met[1] or key
        return True

    def _failed(self, task: Task, known: Page | None, error: Unavailable, *, first: bool) -> None:
        """Go on without a page that was not answered, unless the whole site does not answer."""
        with self._memory.step() as memory:
            # Pages that fail again are those that have failed: they say nothing of the others.
            failures = int(memory.note("failures") or 0) + (task.tries == 0)
            memory.take_note("failures", str(failures))
            last = task.tries + 1 >= MAX_TRIES
            if not last and (first or memory.note("broken") is None):
                memory.try_again(task)
            elif not first:
                memory.end_task(task, "unread" if known is None else hidden(known))
        if first and last:
            raise error
        if failures >= MAX_FAILURES and not self._answers(task.key):
            raise error

    def _answers(self, address: str) -> bool:
        """Return whether a page's host answers elsewhere: then it is those pages that fail.

        Of those, and others that fail in this crawl, each is asked for once from now on.
        """
        start = self._place.start
        asked = start if host_of(start) == host_of(address) else origin_of(address) + "/"
        if not self._visitor.allows(asked):
            return False
        try:
            status = self._visitor.ask(asked, self._memory.page(asked)).status
        except NoTurn:  # the next page that fails has it asked
            return True
        except Unavailable:
            return False
        if status == 429 or not 200 <= status < 500:
            return False
        with self._memory.step() as memory:
            memory.take_note("failures", "0")
            memory.take_note("broken", "yes")
        return True

    # --- what is looked at --------------------------------------------------------------------

    def _add_pages(
        self,
        addresses: Iterable[str],
        *,
        depth: int,
        hops: int = 0,
        changed: str | None = None,
    ) -> None:
        """Let the crawl look at pages, as many as there is room for.

        What is known has its room already, so that a new page never takes the place of one that is
        indexed.
        """
        place, memory = self._place, self._memory
        if place.max_depth is not None and depth > place.max_depth:
            return
        if self._room is None:
            self._room = self._room_now()
        hosts = self._visitor.hosts()
        wanted = [one for one in addresses if host_of(one) in hosts and place.takes(one)]
        there = memory.depths(wanted)
        for address in wanted:
            if address in there:
                if changed is not None or there[address] > depth:
                    memory.update_task(address, depth=depth, changed=changed)
                if hops:
                    memory.take_up(address, depth=depth, hops=hops)
            elif self._room <= 0 and not hops:
                memory.leave(address, depth=depth)
            elif not self._is_one_variant_more(address):
                memory.add(address, kind="page", depth=depth, hops=hops, changed=changed)
                self._room -= 1

    def _room_now(self) -> int:
        listed = self._memory.count_tasks("page", that_count=True)
        looked_at = self._memory.count_tasks("page")
        most = self._place.most_pages
        return min(most - listed, 3 * most + 100 - looked_at)

    def _one_that_was_left(self) -> Task | None:
        """Return what is looked at where others turned out to be no pages, whose room it has."""
        with self._memory.step() as memory:
            self._room = room = self._room_now()
            for task in memory.left() if room > 0 else ():
                if self._is_one_variant_more(task.key):
                    memory.end_task(task, "nothing")
                elif self._room > 0:
                    memory.take_up(task.key, depth=task.depth, hops=0)
                    self._room -= 1
            return memory.next_task(first=self._first()) if room > 0 else None

    def _is_one_variant_more(self, address: str) -> bool:
        """Return whether a path has had its share of addresses that differ by parameters."""
        path = varied(address)
        return path is not None and self._memory.count_variant(path) > MAX_VARIANTS

    def _note_hosts(self, hosts: frozenset[str]) -> None:
        """Have every page read once more where the site has another host by now.

        What is remembered of a page are its links to the hosts of then.
        """
        known = self._memory.note("linked_hosts")
        if known is not None and not hosts <= set(json.loads(known)):
            self._memory.forget_validators()
        self._memory.take_note("linked_hosts", json.dumps(sorted(hosts)))

    def _add_sitemap(self, address: str | None) -> None:
        if address is not None and self._memory.count_tasks("sitemap") < MAX_SITEMAPS:
            self._memory.add(address, kind="sitemap", depth=0)


def _first_page_missing(address: str, status: int) -> FixConfiguration:
    met = f"the status {status}" if status != 200 else "nothing, or with what is no page"
    return FixConfiguration(
        f"The site answers its first page {address!r} with {met}: was it moved? All records stay.",
        reason="start_page_missing",
    )
