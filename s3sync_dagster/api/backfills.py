"""Listings that a person asked for: a thread of the API works on them, page by page."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from s3sync_dagster.engine.listing_turns import end_if_dead
from s3sync_dagster.model.errors import Conflict, S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

_log = logging.getLogger(__name__)

SLICE_SECONDS = 5.0
"""Between two looks at whether the server is asked to stop."""
THREADS = 2


class Backfills:
    """Runs listings, at most two at once, one a source."""

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
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self, source: Source) -> None:
        """Begin a listing from the first page; returns at once.

        Raises:
            Conflict: the source is being listed already (``listing_running``).
        """
        with self._lock:
            if source.id in self._running or end_if_dead(self._parts.listing, source.id):
                raise _running(source)
            self._running.add(source.id)
        self._threads.submit(self._work, source)

    def start_or_follow(self, source: Source) -> None:
        """Have a source listed by a listing that begins after this call, whoever lists it now.

        The catalog keeps that it was asked for: where another process lists it now, where this one
        stops, and where the listing fails, the next turn of the sensor follows.
        """
        self._parts.catalog.sources.ask_for_listing(source.id)
        with suppress(Conflict):  # a thread of ours looks when it has done
            self.start(source)

    def stop(self) -> None:
        """Give unfinished listings back; whoever lists next goes on or begins anew."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _work(self, source: Source) -> None:
        following: Source | None = source
        while following is not None:
            following = self._asked_again(following, listed=self._list(following))

    def _asked_again(self, source: Source, *, listed: bool) -> Source | None:
        """Return the source as it is now if it is to be listed once more.

        Else another thread may begin. One that was paused meanwhile waits, as all automatic work.
        """
        again: Source | None = None
        with self._lock:  # who asks from here on finds that nobody lists it, or is seen
            try:
                goes_on = listed and not self._stopping.is_set()
                if goes_on and self._parts.catalog.sources.listing_asked(source.id):
                    row = self._parts.catalog.sources.row(source.id)
                    free = row is not None and not row.paused and row.deleting is None
                    again = row.source if row is not None and free else None
            except S3SyncError as error:  # the catalog is away; it has what was asked for
                _log.warning("whether %s is asked for again: %s", source.name, error.message)
            finally:
                if again is None:
                    self._running.discard(source.id)
        return again

    def _list(self, source: Source) -> bool:
        """List a source; returns whether it was seen to the end."""
        fresh = True
        try:
            parts = self._parts.listing
            while not self._stopping.is_set():
                progress = parts.go_on(source, budget_seconds=SLICE_SECONDS, fresh=fresh)
                fresh = False
                self._listed(source.id)
                if progress is None or progress.done:
                    return progress is not None
        except S3SyncError as error:  # the listing's row says it too
            _log.warning("the backfill of %s ended: %s", source.name, error.message)
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to)
            _log.error("the backfill of %s ended: %s", source.name, type(error).__name__)
        return False


def _running(source: Source) -> Conflict:
    return Conflict(
        f"The source {source.name!r} is being listed now: wait until that listing has ended.",
        reason="listing_running",
    )
