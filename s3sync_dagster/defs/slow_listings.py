"""Sources whose listings keep a tick for long: they wait for as long as the others need."""

import threading
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from typing import Any

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.listing import ListingProgress
from s3sync_dagster.engine.listing_turns import ListingParts
from s3sync_dagster.model.source import Source

SLOW_SECONDS = 30.0
"""A turn that took longer went beyond its budget: a place was waited for."""
LONGEST_SECONDS = 300.0
"""That a place may be waited for."""
SHARE = 3
"""For so many times what one of them took, none of them is listed."""


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

    def begin(self, name: str, *, now: float) -> None:
        """Take that a turn of a source begins: while one that was slow is at it, the others wait.

        A tick may be over long before.
        """
        with self._lock:
            if name in self._names:
                self._until = max(self._until, now + LONGEST_SECONDS)

    def note(self, name: str, *, began: float, ended: float) -> None:
        """Take what a turn of a source took."""
        with self._lock:
            took = ended - began
            if took > SLOW_SECONDS:
                self._names.add(name)
                self._until = ended + SHARE * took
            elif name in self._names:
                self._names.discard(name)
                self._until = ended

    def measured(self, parts: ListingParts) -> ListingParts:
        """Return parts whose turns are noted."""
        given = {one.name: getattr(parts, one.name) for one in fields(parts)}
        return _Measured(**given, slow=self)

    def others(self, names: Collection[str], clock: Clock) -> list[str]:
        """Return the names of those that do not wait."""
        waiting = self.waiting(now=clock.monotonic())
        return [one for one in names if one not in waiting]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured(ListingParts):
    slow: SlowListings

    def go_on(self, source: Source, **options: Any) -> ListingProgress | None:
        began = self.clock.monotonic()
        self.slow.begin(source.name, now=began)
        try:
            return ListingParts.go_on(self, source, **options)
        finally:
            self.slow.note(source.name, began=began, ended=self.clock.monotonic())
