"""Listings that a person asked for: a thread of the API works on them, page by page."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
        self._again: dict[str, Source] = {}
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
        """Have a source listed by a listing that begins after this call, whoever lists it now."""
        with self._lock:
            if source.id in self._running:
                self._again[source.id] = source
                return
        try:
            self.start(source)
        except Conflict:  # another process is at it: the next turn of the sensor follows
            self._parts.catalog.sources.list_soon(source.id)

    def stop(self) -> None:
        """Give unfinished listings back; whoever lists next goes on or begins anew."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _work(self, source: Source) -> None:
        fresh = True
        try:
            parts = self._parts.listing
            while not self._stopping.is_set():
                progress = parts.go_on(source, budget_seconds=SLICE_SECONDS, fresh=fresh)
                fresh = False
                self._listed(source.id)
                if progress is None or progress.done:
                    return
        except S3SyncError as error:  # the listing's row says it too
            _log.warning("the backfill of %s ended: %s", source.name, error.message)
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to)
            _log.error("the backfill of %s ended: %s", source.name, type(error).__name__)
        finally:
            with self._lock:
                self._running.discard(source.id)
                again = self._again.pop(source.id, None)
            if again is not None and not self._stopping.is_set():
                self.start_or_follow(again)


def _running(source: Source) -> Conflict:
    return Conflict(
        f"The source {source.name!r} is being listed now: wait until that listing has ended.",
        reason="listing_running",
    )
