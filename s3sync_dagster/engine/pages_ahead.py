"""Pages of a bucket that are asked for ahead, several at once: no answer is waited for alone.

Where the pages begin is known from the keys of the listing before: each 1,000th one. Any key would
do, since a page holds all that follows where it begins: what is new or gone since moves where pages
end, and what lies between two of them is asked for besides. So a bucket in which nothing changed
still costs one LIST per 1,000 keys.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from s3sync_dagster.engine.pages import AskedPage, open_pages

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from s3sync_dagster.engine.pages import Pages
    from s3sync_dagster.engine.store_ports import AheadStore, ListPage, ObjectStore


AT_ONCE = 8
"""Pages that are waited for or kept: an interrupted listing has asked for so many in vain."""
ROOM_AT_MOST = 0.25
"""Share of a page that is left to new keys, where many of the pages before had some."""

FORGOTTEN = 0.97
"""What is left of that room after each page that needed none."""


class Marks(Protocol):
    """Tells where pages may begin, see ``ListingsPort.marks``."""

    def __call__(self, after: str | None, *, every: int, limit: int) -> list[str]:
        """Return each ``every``-th known key behind ``after``."""
        ...


def open_ahead(
    store: ObjectStore, prefix: str, *, marks: Marks, snapshot: Path | None = None
) -> Pages:
    """Return the ordered pages of a store, asked for ahead where it can be.

    Args:
        store: the bucket.
        prefix: of the keys.
        marks: returns each n-th known key behind one, see ``ListingsPort.marks``.
        snapshot: see ``engine.pages.open_pages``, which has what it raises as well.
    """
    pages = open_pages(store, prefix, snapshot=snapshot)
    if not store.ordered or not hasattr(store, "list_ahead"):
        return pages
    return PagesAhead(cast("AheadStore", store), prefix, one_by_one=pages, marks=marks)


@dataclass(frozen=True, slots=True)
class _Waiting:
    start: str | None
    number: int
    page: Future[ListPage]


class PagesAhead:
    """``engine.pages.Pages`` of a bucket that may be asked for many pages at once.

    Args:
        store: the bucket.
        prefix: of the keys.
        one_by_one: its pages, each asked for when it is wanted.
        marks: returns each n-th known key behind one.
    """

    stays_here = False

    def __init__(
        self,
        store: AheadStore,
        prefix: str,
        *,
        one_by_one: Pages,
        marks: Marks,
    ) -> None:
        self._store, self._prefix, self._marks = store, prefix, marks
        self._one_by_one, self._in_turn = one_by_one, store.pages_in_turn
        self._queue: deque[_Waiting] = deque()
        self._room = 0.0
        """Keys of a page that are left to new ones, from how many there were lately."""

    def next(self, after: str | None, *, limit: int, number: int = 0) -> AskedPage | None:
        """Return the page behind ``after``, as ``Pages.next``."""
        if self._in_turn > 0:
            self._in_turn -= 1
            return self._one_by_one.next(after, limit=limit, number=number)
        self._ask_ahead(after, limit=limit, number=number)
        while self._is_next(after):
            waiting = self._queue[0]
            page = waiting.page.result()
            rest = tuple(ref for ref in page.objects if after is None or ref.key > after)
            if rest or page.last:
                return AskedPage(page=replace(page, objects=rest), number=waiting.number)
            self._queue.popleft()
            if self._is_next(after):
                self._note(0)
        return self._between(after, limit=limit, number=number)

    def close(self) -> None:
        """Take back what nobody waits for any more."""
        for waiting in self._queue:
            waiting.page.cancel()
        self._queue.clear()

    def discard(self) -> None:
        """As ``close``: nothing is kept."""
        self.close()

    def _is_next(self, after: str | None) -> bool:
        return bool(self._queue) and (self._queue[0].start or "") <= (after or "")

    def _ask_ahead(self, after: str | None, *, limit: int, number: int) -> None:
        """Fill the queue again where it is half empty: one look at the known keys serves many."""
        wanted = AT_ONCE - len(self._queue)
        if wanted < AT_ONCE // 2:
            return
        every = limit - int(min(self._room, limit * ROOM_AT_MOST))
        if self._queue:
            starts = self._marks(self._queue[-1].start, every=every, limit=wanted)
        else:
            marks = self._marks(after, every=every, limit=wanted - 1)
            starts = [after, *marks] if marks else []
        for start in starts:
            page = self._store.list_ahead(self._prefix, start_after=start, limit=limit)
            self._queue.append(_Waiting(start, number, page))

    def _between(self, after: str | None, *, limit: int, number: int) -> AskedPage | None:
        """Ask for what lies before the next page of the queue, or behind all known keys."""
        asked = self._one_by_one.next(after, limit=limit, number=number)
        if asked is not None and self._queue:
            follows = self._queue[0].start or ""
            refs = asked.page.objects
            before = sum(ref.key <= follows for ref in refs)
            if before < len(refs):  # else it is one stretch of many new keys
                self._note(before)
        return asked

    def _note(self, between: int) -> None:
        """Remember of how many keys a page was too short: room for twice as many is left."""
        self._room = max(self._room * FORGOTTEN, 2.0 * between)
