"""How fast an endpoint is asked that says when it is asked too much (status 429).

All requests of an endpoint share one pace. A refusal is an order for all of them: nobody asks
before the pause is over, and from then on requests start as far from each other as those that were
taken since the refusal before, so that what the endpoint takes a second or a minute is found, also
where others ask it too. With each request that is taken the pace grows a little.
"""

from __future__ import annotations

import threading

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.retry import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

SLACK = 1.05
"""What the measured distance is multiplied by: what stood ready at first is used up by then."""
GROWTH = 1 / 64
"""By which the distance shrinks with each request that is taken: about one in sixteen is refused
where the limit stays what it is."""
MOST_SECONDS = 10.0
"""Of a distance: eight that stand in line have their turns within the time of a request."""
IDLE_SECONDS = 5.0
"""Longer than that without a request, or a wait for one, and what was measured is forgotten: time
in which nobody asked says nothing of what an endpoint takes."""


class Pace:
    """Turns to ask. Without a refusal nobody ever waits. Safe for several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._distance = 0.0
        self._next = 0.0
        """When the next request may start."""
        self._paused_until = float("-inf")
        self._counted_from = clock.monotonic()
        self._taken = 0
        self._refusals = 0
        """One behind the other, each of a request that started after the refusal before."""
        self._refused_at = float("-inf")
        self._asked_at = clock.monotonic()
        """When a request began or was answered last."""

    def wait(self, *, until: float, first: bool = False) -> float | None:
        """Wait for a turn and return when it began; None where none comes by then.

        Args:
            until: on the clock.
            first: before all that stand in line; pauses alone are waited for.
        """
        while True:
            with self._lock:
                now = self._clock.monotonic()
                if now - max(self._asked_at, self._next) > IDLE_SECONDS:
                    self._distance, self._counted_from, self._taken = 0.0, now, 0
                start = max(now, self._paused_until if first else self._next)
                if start > until:
                    return None
                if not first:
                    self._next = start + self._distance
                self._asked_at = max(self._asked_at, start)
            if start == now:
                return start
            self._clock.sleep(start - now)
            with self._lock:
                if self._paused_until <= start:  # else another was refused meanwhile
                    return start

    def pause_left(self) -> float:
        """Return for how many seconds nobody asks."""
        with self._lock:
            return max(0.0, self._paused_until - self._clock.monotonic())

    def taken(self) -> None:
        """Count a request that was not refused."""
        with self._lock:
            self._taken += 1
            self._asked_at = max(self._asked_at, self._clock.monotonic())
            self._refusals = 0
            self._distance *= 1 - GROWTH

    def refused(self, started: float, *, asked_seconds: float) -> None:
        """Keep the pause that an endpoint asked for; where it named none, one that grows.

        Args:
            started: as ``wait`` returned it. Of many requests that were under way together one
                refusal counts.
            asked_seconds: 0 for none.
        """
        with self._lock:
            now = self._clock.monotonic()
            self._asked_at = max(self._asked_at, now)
            self._pause(now + asked_seconds)
            if started < self._refused_at:
                return
            if self._taken:
                measured = SLACK * (now - self._counted_from) / self._taken
                self._distance = min(MOST_SECONDS, measured)
                self._counted_from, self._taken = now, 0
            grown = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._refusals)
            self._refusals += 1
            self._refused_at = now
            self._pause(now + max(grown, self._distance))

    def _pause(self, until: float) -> None:
        self._paused_until = max(self._paused_until, until)
        self._next = max(self._next, until)
