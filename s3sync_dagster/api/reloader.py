"""Loads Dagster's definitions again when the catalog's sources have changed.

Under ``s3sync up`` the supervisor looks, elsewhere the API that knows the webserver.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from s3sync_dagster.engine.repeating import repeating
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.ports.dagster_runs import DagsterRuns

_log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
"""Between two reloads: fifty sources created in a loop must not mean fifty reloads."""
RETRY_SECONDS = 60.0
"""Before a reload that failed is tried again with the same sources."""
UNTICKED_SECONDS = 30.0
"""A reload in a daemon's first seconds is seen by it only a minute later, so its first tick is
waited for; this long where no sensor ticks."""

LOOK_SECONDS = 2.0
"""Between two looks of the API at the catalog: one row."""

_NOTHING = object()
"""What is loaded after a reload that failed."""


class Reloader:
    """Watches a value that stands for the sources, such as the newest change's time."""

    def __init__(
        self,
        dagster: DagsterRuns,
        version: Callable[[], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        interval_seconds: float = INTERVAL_SECONDS,
        loaded: bool = True,
    ) -> None:
        """Take note of what is there.

        Args:
            dagster: whose definitions are loaded again.
            version: a cheap call whose value changes with the sources.
            clock: measures, in seconds.
            wall: seconds since 1970.
            interval_seconds: between two reloads.
            loaded: False where nobody knows whether Dagster has today's sources: it loads once.
        """
        self._dagster = dagster
        self._version = version
        self._clock = clock
        self._wall = wall
        self._interval_seconds = interval_seconds
        self._loaded = version() if loaded else _NOTHING
        self._tried = self._loaded
        self._last = clock() - interval_seconds
        self._daemon_started: tuple[float, float] | None = None

    def daemon_started(self) -> None:
        """Note that a daemon begins now: no reload before its first tick."""
        self._daemon_started = (self._clock(), self._wall())

    def look(self) -> None:
        """Reload when it is due; a failure is logged and tried again later."""
        try:
            version = self._version()
            if not self._is_due(version) or not self._daemon_ticks():
                return
            self._last, self._tried, self._loaded = self._clock(), version, _NOTHING
            self._dagster.reload()
        except S3SyncError as error:
            _log.error("the sources have changed, but: %s", error.message)
            self._last = self._clock()
            return
        self._loaded = version
        _log.info("the sources have changed: definitions loaded again")

    def _is_due(self, version: object) -> bool:
        waited = self._clock() - self._last
        if version == self._loaded or waited < self._interval_seconds:
            return False
        failed_before = self._loaded is _NOTHING and version == self._tried
        return waited >= RETRY_SECONDS or not failed_before

    def _daemon_ticks(self) -> bool:
        if self._daemon_started is None:
            return True
        since, began = self._daemon_started
        ticks = self._dagster.tick_times("dispatch", limit=1)
        if self._clock() - since < UNTICKED_SECONDS and not (ticks and ticks[0] >= began):
            return False
        self._daemon_started = None
        return True


def reloading(
    reloader: Reloader, *, every_seconds: float = LOOK_SECONDS
) -> AbstractContextManager[None]:
    """Look from a thread until the block ends; a reload under way ends with the process."""
    return repeating(
        reloader.look,
        every_seconds=every_seconds,
        name="reloading",
        patience_seconds=every_seconds,
    )
