"""A site that is read like a bucket: a listing is a crawl, and what it read waits to be indexed."""

import codecs
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from s3sync_dagster.core.selection import NOINDEX, PAGE_LIMIT
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody, UnorderedPage
from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    NotFound,
    NotPossible,
    ObjectChanged,
    Throttled,
    Unavailable,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.places.web_address import host_of, page_address, path_of
from s3sync_dagster.places.web_crawl import Crawl
from s3sync_dagster.places.web_evidence import APART_SECONDS, LEARNT
from s3sync_dagster.places.web_fetch import WebAnswer, WebFetcher, http_date
from s3sync_dagster.places.web_known import MISSES, Page
from s3sync_dagster.places.web_memory import LEFT, SiteMemory
from s3sync_dagster.places.web_pace import HostPace
from s3sync_dagster.places.web_page import has_page, page_of
from s3sync_dagster.places.web_text import decoded
from s3sync_dagster.places.web_visitor import SiteVisitor
from s3sync_dagster.ports.body_spool import BodySpool, require_size

if TYPE_CHECKING:
    from s3sync_dagster.places.web import WebPlace

STEP_SECONDS = 5.0
"""A crawl gives its listing's lease the chance to be renewed after so long."""
PAGE_KEYS = 1000
_TOKEN = re.compile(r"(\d+)([.@])(.*)", re.DOTALL)
_TEXT = re.compile(r"text/|application/(?:xhtml\+xml|xml|json)")
_HTML = ("text/html", "application/xhtml+xml", "")


class SiteStore:
    """``engine.ports.ObjectStore`` over the pages of a site.

    Args:
        place: the site.
        open_memory: opens what is remembered of it; called when it is first needed.
        fetcher: asks servers.
        pace: how fast.
        most_bytes: of a page.
        clock: of this host.
    """

    ordered = False

    def __init__(
        self,
        place: "WebPlace",
        *,
        open_memory: Callable[[], SiteMemory],
        fetcher: WebFetcher,
        pace: HostPace,
        most_bytes: int,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._place, self._open_memory, self._pace = place, open_memory, pace
        self._most_bytes = most_bytes
        self.fetcher = fetcher
        self._spool = BodySpool(None)
        self._lock = threading.Lock()
        self._opened: tuple[SiteMemory, SiteVisitor] | None = None

    def __repr__(self) -> str:
        return f"SiteStore({self._place.start!r})"

    def look(self) -> None:
        """Find out whether the first page may be read: its robots.txt, and the page."""
        memory, visitor = self._open()
        visitor.require_first(self._place.start)
        answer = visitor.ask(self._place.start, memory.page(self._place.start))
        if answer.status >= 400:
            raise _refusal(self._place.start, answer, gone=answer.status in (404, 410))

    def tells_missing(self) -> bool:
        """Return whether what the last listing did not name is gone: not in a home that is new."""
        return self._open()[0].note("tells_missing") is not None

    def may_have(self, key: str) -> bool:
        """Return whether an address is of a page of the site, as far as patterns tell."""
        _, visitor = self._open()
        return visitor.is_inside(key)

    def learn(self, parts: Iterable[Mapping[str, str]]) -> None:
        """Have each crawl from the next on ask for pages that others have met, by their addresses.

        Nothing may lead to them any more, or what does may not be to be had. Where they lead to is
        not nearer for that than the source takes pages to be.
        """
        memory, visitor = self._open()
        most = self._place.max_depth
        if most != 0:
            for part in parts:
                with memory.step():
                    for key in filter(visitor.is_inside, part):
                        memory.learn(key, part[key], depth=1 if most is None else most)
        memory.take_note(LEARNT, "yes")

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Raise ``NotPossible``: links have no order."""
        del prefix, start_after, limit
        raise NotPossible("A site is not listed in order.", reason="unordered_listing")

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Go on with a crawl, and return its pages when it has seen all.

        Raises:
            Unavailable: ``site_unreachable``, ``robots_unavailable``, ``crawl_lost`` and the like:
                what was not seen is not gone.
            FixConfiguration: ``start_page_missing``, ``robots_disallowed``.
        """
        memory, visitor = self._open()
        crawl = Crawl(self._place, memory, visitor)
        if token is None:
            return UnorderedPage(objects=(), token=f"{crawl.begin()}.0")
        number, kind, rest = self._place_in(token)
        if number != memory.note("crawl"):
            raise Unavailable(
                "Another crawl of the site was begun, or what this one knew is lost.",
                reason="crawl_lost",
            )
        if kind == ".":
            ends = self._clock.monotonic() + STEP_SECONDS
            while crawl.step():
                if self._clock.monotonic() > ends:
                    return UnorderedPage(objects=(), token=f"{number}.{int(rest) + 1}")
            return UnorderedPage(objects=(), token=f"{number}@")
        tasks = memory.listed(after=rest, limit=PAGE_KEYS)
        refs = [
            _left(task.key) if task.outcome == LEFT else _ref(task.key, memory.page(task.key))
            for task in tasks
            if task.key.startswith(prefix)
        ]
        last = len(tasks) < PAGE_KEYS
        return UnorderedPage(
            objects=tuple(refs), token=None if last else f"{number}@{tasks[-1].key}"
        )

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the site has at an address now; a page that did not change costs a 304.

        Raises:
            NotFound: ``object_gone``, for a page that two crawls missed, or, where none knows it,
                two answers.
            Unavailable: ``page_missing``: one answer, which has to be confirmed.
        """
        del version_id
        memory, visitor = self._open()
        visitor.require(key)
        known = memory.page(key)
        if known is None and self.tells_missing() and not self._has_room():
            return _left(key)  # as listings say, whatever the site has there
        answer = visitor.ask(key, known)
        if answer.status == 304 and known is not None:
            return _ref(key, known)
        return _ref(key, self._renewed(key, answer, known, keep_body=True))

    def expect(self, key: str, etag: str) -> None:
        """Forget the bytes that wait for a page where they are of another version."""
        self._open()[0].drop_body(key, unless=etag)

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return a page's bytes, as the crawl read them where they wait for that; text as UTF-8.

        Raises:
            NotFound: ``object_gone``.
            LimitExceeded: ``too_large``.
            ObjectChanged: ``if_match`` does not hold.
        """
        del version_id
        memory, visitor = self._open()
        page = memory.page(key)
        body = None if page is None else memory.take_body(key, page.etag)
        if page is None or body is None:
            visitor.require(key)
            answer = visitor.ask(key, None)
            page, body = self._renewed(key, answer, page, keep_body=False), answer.body
        if if_match and if_match != page.etag:
            raise ObjectChanged(f"page {key!r} was changed before it could be read")
        require_size(f"page {key!r}", page.size, most=min(max_size_bytes, len(body)))
        if _TEXT.match(page.media_type):
            text = decoded(body, page.charset)
            body = body if text is None else codecs.BOM_UTF8 + text.encode()
        limit = max(max_size_bytes, len(body))
        return ObjectBody(
            ref=_ref(key, page),
            content=self._spool.read(iter((body,)), key=key, limit=limit),
            content_type=page.media_type or None,
            name=_name(key, page),
        )

    def requests(self) -> Mapping[str, int]:
        """Return requests so far; all of them are GETs."""
        return {"LIST": 0, "GET": sum(self.fetcher.requests.values()), "HEAD": 0}

    def close(self) -> None:
        """Close connections and files; the next call opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened[0].close()
                self._opened = None
        self.fetcher.close()
        self._pace.close()
        self._spool.close()

    def _open(self) -> tuple[SiteMemory, SiteVisitor]:
        with self._lock:
            if self._opened is None:
                memory = self._open_memory()
                visitor = SiteVisitor(
                    self._place, memory, self.fetcher, self._pace, most_bytes=self._most_bytes
                )
                self._opened = (memory, visitor)
            return self._opened

    def _has_room(self) -> bool:
        """Return whether one more page may be known: it would have the room of another one."""
        return self._open()[0].count_known() < self._place.most_pages

    def _place_in(self, token: str) -> tuple[str, str, str]:
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise Unavailable("The listing cannot go on here.", reason="crawl_lost")
        return found[1], found[2], found[3]

    def _renewed(self, key: str, answer: WebAnswer, known: Page | None, *, keep_body: bool) -> Page:
        """Remember what one answer says of a page. Raises what a refusal means."""
        memory, visitor = self._open()
        if answer.status != 200 or not has_page(answer):
            if known is not None:
                gone = known.gone and answer.status in (200, 301, 308, 404, 410)
            else:
                told = answer.status in (200, 404, 410) or _is_met(memory, key, answer)
                gone = told and memory.missing_for(key) >= APART_SECONDS
            raise _refusal(key, answer, gone=gone)
        page = page_of(
            key,
            answer,
            hosts=visitor.hosts(),
            most_bytes=self._most_bytes,
            changed=known.changed if known else None,
            now=memory.now(),
        )
        if known is not None and (page.canonical is not None or page.noindex):  # for crawls
            page = replace(page, misses=known.misses, missed_at=known.missed_at)
        elif page.noindex:
            page = replace(page, misses=MISSES)
        with memory.step():
            if known is None and not self._has_room():
                memory.found(key)
                return page
            if known is None or known.etag != page.etag:
                memory.note_before(key)
            memory.renew(key, page)
            if keep_body and not answer.too_large:
                memory.put_body(key, page.etag, answer.body)
        return page


def _is_met(memory: SiteMemory, key: str, answer: WebAnswer) -> bool:
    """Return whether a page was moved for good to one that crawls have met and know to be there."""
    if answer.status not in (301, 308):
        return False
    target = page_address(answer.headers.get("location", ""), key)
    page = None if target is None or target == key else memory.page(target)
    return page is not None and not page.gone


def _refusal(key: str, answer: WebAnswer, *, gone: bool) -> Exception:
    """Return what an answer without a page means for it; records stay but for ``NotFound``."""
    status = answer.status
    if gone:
        return NotFound(f"The site has no page {key!r}", reason="object_gone")
    if status in (200, 404, 410):
        met = f"with {status}" if status != 200 else "with what is no page"
        return Unavailable(
            f"The site answers {key!r} {met}: its records go when two listings find that.",
            reason="page_missing",
        )
    if status in (429, 503):
        return Throttled(f"The site {host_of(key)!r} asks for a pause.")
    if status >= 500 or status < 300:
        return Unavailable(f"The site answers {key!r} with {status}.", reason="site_error")
    if status < 400:
        return FixConfiguration(
            f"The page {key!r} was moved: a listing finds its new address.", reason="page_moved"
        )
    return AccessDenied(
        f"The site answers {key!r} with {status}: it is not for everybody.",
        reason="page_access_denied",
    )


def _left(key: str) -> ObjectRef:
    return ObjectRef(key=key, etag="left", size=-1, storage_class=PAGE_LIMIT)


def _ref(key: str, page: Page | None) -> ObjectRef:
    if page is None:  # it is there, and could not be read: whoever asks for it learns why
        return ObjectRef(key=key, etag="unread", size=-1)
    return ObjectRef(
        key=key,
        etag=page.etag,
        size=page.size,
        last_modified=http_date(page.server_modified),
        storage_class=NOINDEX if page.noindex and page.gone else "STANDARD",
    )


def _name(key: str, page: Page) -> str:
    """Return a file name that says what a page is: its server knows better than its address."""
    last = path_of(key).rpartition("/")[2]
    if page.media_type not in _HTML or last.lower().endswith((".html", ".htm", ".xhtml")):
        return last or "page"
    return f"{last or 'index'}.html"
