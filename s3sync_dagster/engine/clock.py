"""Time and randomness as parameters, so that a test can replay a run to the letter."""

import time
import uuid
from datetime import UTC, datetime
from random import Random, SystemRandom


class Clock:
    """The real clock, and the source of chance."""

    def __init__(self, *, random: Random | None = None) -> None:
        self.random = random or SystemRandom()

    def now(self) -> datetime:
        """Return aware UTC time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def uuid(self) -> str:
        """Return a fresh UUID with hyphens."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
