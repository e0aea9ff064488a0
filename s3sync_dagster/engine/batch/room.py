"""Memory for the text of a batch's documents, as it is held: a character may take four bytes.

What is read stays until it is written, and that begins when all is read. So a batch that holds
enough reads no further, and its other keys go back. How much a document will be nobody knows before
it is read: 6 KB unfold to 200 MB. What turns out to be too much beside the others is let go of, and
its key goes back, too; one at a time may go beyond the bound, so that each has its turn.
"""

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from s3sync_dagster.model.document import Document

HELD_BYTES = 256 * 1024**2
"""A batch that holds as much text reads no further."""


def memory_of(document: Document) -> int:
    """Return the bytes of memory that a document's texts take: its own, labels and warnings."""
    beside = (page.label for page in document.pages)
    return sum(map(sys.getsizeof, (document.text, *beside, *document.warnings)))


class NoRoom(Exception):
    """A batch has no room for a document."""


class Room:
    """The room of one batch. Safe for several threads."""

    def __init__(self) -> None:
        self.held = 0
        """Bytes of the documents that were read."""
        self.begun = 0
        """Bytes of those that are being read."""
        self.beyond: Share | None = None
        """Who goes beyond the bound."""
        self.changed = threading.Condition()

    @property
    def is_full(self) -> bool:
        """Whether enough is held."""
        return self.held >= HELD_BYTES


class Share:
    """What one document takes of a room while it is read (see ``TextRoom``)."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bytes = 0

    def __enter__(self) -> Self:
        """Begin. Raises ``NoRoom`` where the batch holds enough."""
        if self._room.is_full:
            raise NoRoom
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """End, and give back what was taken and not kept."""
        with self._room.changed:
            self._end()

    def wait(self, size: int) -> None:
        """Take so many bytes, when there is room: what others have begun comes to an end.

        Who has taken some has waited, and would wait for ever. Raises ``NoRoom``.
        """
        if not self._bytes:
            self._take(size, unless=lambda: self._room.is_full)

    def take(self, size: int) -> None:
        """Take so many bytes more at once. Raises ``NoRoom``."""
        self._take(size, unless=lambda: True)

    def keep(self, size: int) -> None:
        """End with a document of so many bytes, which stays. Raises ``NoRoom``."""
        with self._room.changed:
            if self._room.is_full and self._room.beyond is not self:
                raise NoRoom
            self._end()
            self._room.held += size

    def _take(self, size: int, *, unless: Callable[[], bool]) -> None:
        room = self._room
        with room.changed:
            room.changed.wait_for(lambda: self._may_take(size) or unless())
            if not self._may_take(size):
                raise NoRoom
            if not self._fits(size):
                room.beyond = self
            self._bytes += size
            room.begun += size

    def _may_take(self, size: int) -> bool:
        room = self._room
        return room.beyond is self or (
            not room.is_full and (room.beyond is None or self._fits(size))
        )

    def _fits(self, size: int) -> bool:
        return self._room.held + self._room.begun + size <= HELD_BYTES

    def _end(self) -> None:
        self._room.begun -= self._bytes
        self._bytes = 0
        if self._room.beyond is self:
            self._room.beyond = None
        self._room.changed.notify_all()
