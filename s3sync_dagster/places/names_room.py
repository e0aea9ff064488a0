"""Memory of a process for the names of repositories: one bound for all that it has open.

How many files a commit has nobody knows before git has told them: 150 KB to be served may be
500,000 long names, which take 230 MB as long as the repository is open, 370 while they are read.
"""

import threading
import time

from s3sync_dagster.model.errors import Unavailable

MOST_BYTES = 768 * 1024**2
"""Of a process, for large ones; one alone always fits (``MAX_ANSWER_BYTES``, ``MAX_FILES``)."""
SMALL_BYTES = 32 * 1024**2
"""What takes no more always has room, about 80,000 files: whoever has large ones stops no other."""
WAIT_SECONDS = 20.0
"""For others to be closed: less than a tick of a sensor waits for a listing."""


class NamesRoom:
    """The room of one process. Safe for several threads."""

    def __init__(self, most_bytes: int = MOST_BYTES, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._most, self._wait = most_bytes, wait_seconds
        self._changed = threading.Condition()
        self.taken = 0
        """Bytes that large ones hold now."""

    def take(self, size: int) -> None:
        """Hold so many bytes, once they are free.

        Raises:
            Unavailable: ``git_busy``.
        """
        ends = time.monotonic() + self._wait
        with self._changed:
            while self.taken and self.taken + size > self._most:
                left = ends - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise Unavailable(
                        "The repositories that are listed at the moment have so many files that "
                        "there is no room for the names of another large one: it has its turn "
                        "when one of them is done.",
                        reason="git_busy",
                    )
            self.taken += size

    def give_back(self, size: int) -> None:
        """Take that so many bytes are free again."""
        with self._changed:
            self.taken -= size
            self._changed.notify_all()


class Names:
    """What one repository holds of a room."""

    def __init__(self, room: NamesRoom) -> None:
        self._room, self._size = room, 0

    def take(self, size: int) -> None:
        """Hold so many bytes; what is small needs no room.

        Raises:
            Unavailable: ``git_busy``.
        """
        if size > SMALL_BYTES:
            self._room.take(size)
            self._size = size

    def shrink(self, size: int) -> None:
        """Hold no more than so many bytes from now on."""
        free = max(0, self._size - size)
        self._size -= free
        self._room.give_back(free)


OF_PROCESS = NamesRoom()
