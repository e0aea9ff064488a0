"""Memory of a process for the names of repositories: one bound for all that it has open.

How many files a commit has nobody knows before git has told them: 150 KB to be served may be
500,000 long names, which take 230 MB as long as the repository is open, 370 while they are read.
"""

import threading
import time
from collections.abc import Callable

from s3sync_dagster.model.errors import Unavailable

MOST_BYTES = 768 * 1024**2
"""Of a process, for large ones; one alone always fits (``MAX_ANSWER_BYTES``, ``MAX_FILES``)."""
SMALL_BYTES = 32 * 1024**2
"""What takes no more always has room, about 80,000 files: whoever has large ones stops no other."""
WAIT_SECONDS = 20.0
"""For others to be done: less than a tick of a sensor waits for a listing."""
LOOK_SECONDS = 0.25


class NamesRoom:
    """The room of one process. Safe for several threads."""

    def __init__(self, most_bytes: int = MOST_BYTES, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._most, self._wait = most_bytes, wait_seconds
        self._changed = threading.Condition()
        self._held: dict[Names, int] = {}
        """The one that has held its own for longest first."""

    @property
    def taken(self) -> int:
        """Bytes that large ones hold now."""
        return sum(self._held.copy().values())

    def take(self, names: "Names", size: int) -> None:
        """Hold so many bytes, once they are free: those that nobody reads now give theirs up.

        Raises:
            Unavailable: ``git_busy``.
        """
        ends = time.monotonic() + self._wait
        while not self._took(names, size):
            idle = any(other.give_up() for other in list(self._held) if other is not names)
            left = ends - time.monotonic()
            if not idle and left <= 0:
                raise Unavailable(
                    "The repositories that are listed at the moment have so many files that there "
                    "is no room for the names of another large one: it has its turn when one of "
                    "them is done.",
                    reason="git_busy",
                )
            if not idle:
                with self._changed:
                    self._changed.wait(min(left, LOOK_SECONDS))

    def _took(self, names: "Names", size: int) -> bool:
        with self._changed:
            known = self._held.copy()  # whom the collector ends meanwhile gives back in between
            others = sum(held for one, held in known.items() if one is not names)
            if others and others + size > self._most:
                return False
            self._held[names] = size
            return True

    def keep(self, names: "Names", size: int) -> None:
        """Hold no more than so many bytes from now on."""
        with self._changed:
            held = self._held.pop(names, 0)
            if held and size:
                self._held[names] = min(size, held)
            self._changed.notify_all()


class Names:
    """What one repository holds of a room.

    Args:
        room: of the process.
        give_up: lets go of what is held, and of this, where nobody reads it now; whether it did.
    """

    def __init__(self, room: NamesRoom, give_up: Callable[[], bool] = lambda: False) -> None:
        self._room, self.give_up = room, give_up

    def take(self, size: int) -> None:
        """Hold so many bytes; what is small needs no room.

        Raises:
            Unavailable: ``git_busy``.
        """
        if size > SMALL_BYTES:
            self._room.take(self, size)

    def shrink(self, size: int) -> None:
        """Hold no more than so many bytes from now on."""
        self._room.keep(self, size)


OF_PROCESS = NamesRoom()
