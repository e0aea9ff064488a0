"""Time and randomness as parameters, so that a test can replay a run to the letter."""

import time
import uuid
from datetime import UTC, datetime
from random import Random, SystemRandom

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Where the system has one: other monotonic clocks stand still while a machine sleeps, and who
wakes up would believe that its leases hold."""


class Clock:
    """The real clock, and the source of chance."""

    def __init__(self, *, random: Random | None = None) -> None:
        self.random = random or SystemRandom()
        self._ahead: float | None = None
        self._told_at = 0.0

    def now(self) -> datetime:
        """Return aware UTC time: of the clock that is followed, else of this host."""
        if self._ahead is None:
            return datetime.fromtimestamp(self.wall(), UTC)
        return datetime.fromtimestamp(self.monotonic() + self._ahead, UTC)

    def follow(self, seconds: float) -> None:
        """Go on from here by the clock that all hosts of a catalog share.

        Args:
            seconds: since 1970, as that clock says now.
        """
        self._told_at = self.monotonic()
        self._ahead = seconds - self._told_at

    def follows(self, *, within_seconds: float) -> bool:
        """Return whether the shared clock told its time so short a time ago."""
        return self._ahead is not None and 0 <= self.monotonic() - self._told_at < within_seconds

    def wall(self) -> float:
        """Return what this host's own clock says, in seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only go forward, through a sleep of the machine too."""
        if _BOOTTIME is not None:
            return time.clock_gettime(_BOOTTIME)
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def uuid(self) -> str:
        """Return a fresh UUID with hyphens."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
