"""What is asked for is dispatched at once: a thread gathers requests and hands them on."""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection

from s3sync_dagster.model.errors import S3SyncError, Unavailable

_log = logging.getLogger(__name__)

Dispatch = Callable[[Collection[str]], None]
"""Reserves batches of these sources and launches their runs."""
FIRST_SECONDS = 0.05
"""A request after a quiet time waits only for those that are sent with it: somebody may wait."""


class Dispatching:
    """A call of ``dispatch`` with the sources that have new invocations, now and then.

    The first of many is dispatched nearly at once; what follows it gathers, since each run costs
    as much as dozens of keys. Nothing is lost here: what is not dispatched stays pending for the
    dispatch sensor.
    """

    def __init__(self, dispatch: Dispatch | None, *, gather_seconds: float) -> None:
        self._dispatch = dispatch
        self._gather_seconds = gather_seconds
        self._waiting: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.failures = 0

    def start(self) -> None:
        """Start the thread."""
        if self._dispatch is not None and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="dispatching", daemon=True)
            self._thread.start()

    def wake(self, source_id: str) -> None:
        """Ask for the dispatch of a source; returns at once."""
        with self._changed:
            self._waiting.add(source_id)
            self._changed.notify()

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """End the thread; a dispatch that has begun is waited for."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _work(self) -> None:
        last = -math.inf
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                gather = max(FIRST_SECONDS, last + self._gather_seconds - time.monotonic())
                gather = min(gather, self._gather_seconds)
                self._changed.wait_for(lambda: self._stopping, timeout=gather)
                sources, self._waiting = self._waiting, set()
            self._dispatch_once(sources)
            last = time.monotonic()

    def _dispatch_once(self, sources: set[str]) -> None:
        assert self._dispatch is not None
        try:
            self._dispatch(sources)
        except S3SyncError as error:
            self.failures += 1
            level = logging.INFO if isinstance(error, Unavailable) else logging.WARNING
            _log.log(level, "dispatch is left to the sensor: %s", error.message)
        except Exception as error:  # noqa: BLE001  (the thread has to live; the sensor works)
            self.failures += 1
            _log.error("dispatch is left to the sensor: %s", type(error).__name__)
