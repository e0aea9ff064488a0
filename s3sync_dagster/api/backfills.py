"""Listings that a person asked for: a thread of the API works on them, page by page."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from s3sync_dagster.engine.listing_turns import end_if_dead
from s3sync_dagster.model.errors import Conflict, S3SyncError, Unavailable
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

_log = logging.getLogger(__name__)

SLICE_SECONDS = 5.0
"""Of one turn; a page that a site is slow with may make it longer."""
THREADS = 8
PER_TENANT = 2
"""Listings that work at once. The others of the tenant wait, whoever else is listed."""


@dataclass(frozen=True, slots=True)
class _Turn:
    source: Source
    fresh: bool
    """True before its first page."""


class Backfills:
    """Runs listings in turns, one a source, some of each tenant at once."""

    def __init__(self, parts: Parts, *, listed: Callable[[str], None]) -> None:
        """Keep the parts.

        Args:
            parts: of this process.
            listed: called with the source's id whenever a listing has asked for work.
        """
        self._parts = parts
        self._listed = listed
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="backfill")
        self._running: set[str] = set()
        """Sources that are listed, or wait for a turn."""
        self._turns: deque[_Turn] = deque()
        self._busy: Counter[str] = Counter()
        """Turns that are taken now, by tenant."""
        self._served: dict[str, int] = {}
        """By tenant: how many turns had been handed out when it was given its last."""
        self._handed_out = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self, source: Source) -> None:
        """Begin a listing from the first page; returns at once.

        Raises:
            Conflict: the source is being listed already (``listing_running``).
            Unavailable: the server is stopping.
        """
        with self._lock:
            if self._stopping.is_set():
                raise Unavailable("The server is stopping.", reason="stopping")
            if source.id in self._running or end_if_dead(self._parts.listing, source.id):
                waits = any(turn.fresh and turn.source.id == source.id for turn in self._turns)
                raise _running(source, waits=waits)
            self._running.add(source.id)
            self._turns.append(_Turn(source, fresh=True))
            self._hand_out()

    def start_or_follow(self, source: Source) -> None:
        """Have a source listed by a listing that begins after this call, whoever lists it now.

        The catalog keeps that it was asked for: where another process lists it now, where this one
        stops, and where the listing fails, the next turn of the sensor follows.
        """
        self._parts.catalog.sources.ask_for_listing(source.id)
        with suppress(Conflict, Unavailable):  # a thread of ours looks when it has done
            self.start(source)

    def stop(self) -> None:
        """Give unfinished listings back; whoever lists next goes on or begins anew."""
        with self._lock:
            self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _hand_out(self) -> None:
        """Give turns to the threads as far as there is room; under the lock.

        Next is the tenant that was served longest ago, however many listings others wait for.
        """
        while not self._stopping.is_set() and self._busy.total() < THREADS:
            free = [one for one in self._turns if self._busy[one.source.tenant] < PER_TENANT]
            if not free:
                return
            turn = min(free, key=lambda one: self._served.get(one.source.tenant, 0))
            tenant = turn.source.tenant
            self._turns.remove(turn)
            self._busy[tenant] += 1
            self._handed_out += 1
            self._served[tenant] = self._handed_out
            self._threads.submit(self._work, turn)

    def _work(self, turn: _Turn) -> None:
        following: _Turn | None = None
        try:
            done = self._list(turn)
            if done is None:
                following = replace(turn, fresh=False)
            elif self._is_asked_again(turn.source, listed=done):
                following = replace(turn, fresh=True)
        finally:
            with self._lock:
                self._busy[turn.source.tenant] -= 1
                if following is not None:
                    self._turns.append(following)
                self._hand_out()

    def _is_asked_again(self, source: Source, *, listed: bool) -> bool:
        """Return whether the source is to be listed once more; else another thread may begin.

        One that was paused meanwhile waits, as all automatic work.
        """
        again, sources = False, self._parts.catalog.sources
        with self._lock:  # who asks from here on finds that nobody lists it, or is seen
            try:
                goes_on = listed and not self._stopping.is_set()
                asked = goes_on and sources.listing_asked(source.id)
                again = asked and not sources.paused(source.id)
            except S3SyncError as error:  # the catalog is away; it has what was asked for
                _log.warning("whether %s is asked for again: %s", source.name, error.message)
            finally:
                if not again:
                    self._running.discard(source.id)
        return again

    def _list(self, turn: _Turn) -> bool | None:
        """List a source for one turn; returns whether it was seen to the end, None to go on."""
        source = turn.source
        try:
            row = self._parts.catalog.sources.row(source.id)  # it may have waited for long
            if self._stopping.is_set() or row is None or row.deleting is not None:
                return False
            source = row.source
            progress = self._parts.listing.go_on(
                source, budget_seconds=SLICE_SECONDS, fresh=turn.fresh
            )
            self._listed(source.id)
            if progress is None or progress.done:
                return progress is not None
        except S3SyncError as error:  # the listing's row says it too
            _log.warning("the backfill of %s ended: %s", source.name, error.message)
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to)
            _log.error("the backfill of %s ended: %s", source.name, type(error).__name__)
        else:
            return None
        return False


def _running(source: Source, *, waits: bool) -> Conflict:
    now = "waits for its turn to be listed" if waits else "is being listed now"
    return Conflict(
        f"The source {source.name!r} {now}: wait until that listing has ended.",
        reason="listing_running",
    )
