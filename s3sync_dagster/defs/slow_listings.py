"""Sources whose listings outlast a tick: they wait for as long as the others need."""

import threading
from collections.abc import Collection
from collections.abc import Set as AbstractSet

from s3sync_dagster.engine.clock import Clock

SHARE = 3
"""For so many times what one of them took of a tick, none of them is listed."""


class SlowListings:
    """Which sources were slow in this process, and until when they all wait.

    Many slow places together take a quarter of the sensor's time: one that is slow for the first
    time keeps the others waiting once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._until = 0.0

    def waiting(self, *, now: float) -> AbstractSet[str]:
        """Return the names of the sources that wait."""
        with self._lock:
            return set(self._names) if now < self._until else frozenset()

    def outlasted(self, name: str, *, began: float, ended: float) -> None:
        """Take that a turn of a source was waited for to the end of a tick, and goes on."""
        with self._lock:
            self._names.add(name)
            self._until = ended + SHARE * (ended - began)

    def is_well(self, name: str, *, now: float) -> None:
        """Take that a turn of a source ended within its tick."""
        with self._lock:
            if name in self._names:
                self._names.discard(name)
                self._until = now

    def others(self, names: Collection[str], clock: Clock) -> list[str]:
        """Return the names of those that do not wait."""
        waiting = self.waiting(now=clock.monotonic())
        return [one for one in names if one not in waiting]
