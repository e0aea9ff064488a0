"""How fast a sync is and when it will have ended."""

from collections import deque

WINDOW_SECONDS = 15.0
"""The rate is that of so long."""
FIRST_SECONDS = 5.0
"""So long after the first object nobody can tell when it ends."""
FIRST_OBJECTS = 10.0
"""Likewise until so many more are done, or a tenth of a smaller bucket."""


class Pace:
    """Chunks a second and the time that is left, from looks at any moments."""

    def __init__(self, now: float) -> None:
        """Begin; all times in seconds of one monotonic clock."""
        self._first: tuple[float, float] | None = None
        self._looks: deque[tuple[float, int]] = deque([(now, 0)])
        self.rate: float | None = None
        """Chunks a second; None before the first."""
        self.left_seconds: float | None = None
        """Until all objects are done; None while nobody can tell."""

    def look(self, now: float, *, chunks: int, done: float, total: int) -> None:
        """Take a look.

        Args:
            now: seconds.
            chunks: so many have their vectors since the begin.
            done: objects that are done, with parts of those that are at work.
            total: objects.
        """
        while len(self._looks) > 1 and now - self._looks[0][0] > WINDOW_SECONDS:
            self._looks.popleft()
        self._looks.append((now, chunks))
        since, before = self._looks[0]
        self.rate = (chunks - before) / (now - since) if chunks and now > since else None
        if done <= 0:
            return
        # What passes before the first, while a model loads, says nothing of the others.
        began, first = self._first = self._first or (now, done)
        passed, more = now - began, done - first
        if passed >= FIRST_SECONDS and more >= min(FIRST_OBJECTS, total / 10):
            self.left_seconds = passed * max(total - done, 0.0) / more if more else 0.0
