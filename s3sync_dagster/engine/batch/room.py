"""Memory of a process for what its batches hold: one budget, in bytes, whatever it is for.

Texts, from when they are read until the batch has ended; chunks, records and vectors, from when
they are made until they are written. Whoever adds asks, whoever is done gives back; two batches of
a process, one of which is read while the other is written, have one room.

Nobody waits for what stays: that goes when its batch is written, which may need the waiter. So who
reads waits for what others are reading, and a batch that holds enough reads no further: its other
keys go back before anything was done for them. How much a document will be nobody knows before it
is read: 6 KB unfold to 200 MB. One at a time may go beyond the bound, so that each has its turn.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from s3sync_dagster.model.document import Chunk, Document, Record

MOST_BYTES = 256 * 1024**2
"""Of a process. A batch that holds something reads no further where as much is held in all."""
UNKNOWN_AT_ONCE = 8
"""Documents that are read at once while nobody knows how large they will be, where nothing else
says how many: each may be let go of when it is known."""
OTHERS_SECONDS = 60.0
"""So long a batch that holds nothing yet waits for another one's end before it goes beyond."""
_CHUNK_BYTES = 500
_RECORD_BYTES = 1500
"""Besides its text: of a chunk its places and names, of a record its metadata."""


def memory_of(document: Document) -> int:
    """Return the bytes of memory that a document's texts take: its own, labels and warnings."""
    beside = (page.label for page in document.pages)
    return sum(map(sys.getsizeof, (document.text, *beside, *document.warnings)))


def memory_of_chunks(chunks: Iterable[Chunk]) -> int:
    """Return the bytes of memory that chunks take."""
    return sum(_CHUNK_BYTES + sys.getsizeof(one.text) for one in chunks)


def memory_of_records(records: Iterable[Record]) -> int:
    """Return the bytes of memory that records take, of which the texts are their chunks'."""
    return sum(
        _RECORD_BYTES
        + sys.getsizeof(one.document)
        + (0 if one.embedding_text is one.document else sys.getsizeof(one.embedding_text))
        for one in records
    )


class NoRoom(Exception):
    """A batch has no room for a document."""


class Room:
    """The room of one process. Safe for several threads.

    Args:
        most_bytes: in all.
        unknown_at_once: documents that are read at once while nobody knows how large they will be.
    """

    def __init__(
        self, most_bytes: int | None = None, *, unknown_at_once: int = UNKNOWN_AT_ONCE
    ) -> None:
        self.most = MOST_BYTES if most_bytes is None else most_bytes
        self.unknown_at_once = unknown_at_once
        self.held = 0
        """Bytes that stay until a batch has ended, or has written them."""
        self.begun = 0
        """Bytes of what is under way, which ends by itself."""
        self.unknown = 0
        """Documents that are being read of which nobody knows how large they will be."""
        self.largest = 0
        """Bytes of the largest one of those so far."""
        self.beyond: Share | None = None
        """Who goes beyond the bound."""
        self.changed = threading.Condition()

    def fits(self, size: int) -> bool:
        """Return whether so many bytes more are within the bound."""
        return self.held + self.begun + size <= self.most

    @property
    def guess(self) -> int:
        """What is taken for a document of which nothing is known."""
        left = self.most - self.held
        return max(self.largest, left // (4 * self.unknown_at_once), 1)


class BatchRoom:
    """What one batch has of its process's room; ``Room`` alone where it is the only one."""

    def __init__(self, room: Room | None = None) -> None:
        self.room = room or Room()
        self.changed = self.room.changed
        self.held = 0
        self.begun = 0
        """As the room's, of this batch."""
        self._turns = 0

    @property
    def is_full(self) -> bool:
        """Whether it reads no further."""
        return self.held > 0 and self.room.held >= self.room.most

    def wait_for_others(self, *, seconds: float = OTHERS_SECONDS) -> None:
        """Wait, where others hold all of the room, until they give some back."""
        room = self.room
        with self.changed:
            self.changed.wait_for(lambda: self.held or room.held < room.most, timeout=seconds)

    def hold(self, size: int) -> None:
        """Take bytes, which stay, whether there is room for them or not: they are there."""
        with self.changed:
            self.held += size
            self.room.held += size

    def give_back(self, size: int) -> None:
        """Give back bytes that were held."""
        self.hold(-size)
        self._notify()

    def fits(self, size: int) -> bool:
        """Return whether so many bytes more would be within the bound."""
        with self.changed:
            return self.room.fits(size)

    def begin(self, size: int) -> None:
        """Take bytes for what comes next, as soon as they fit or nothing of the batch is begun."""
        with self.changed:
            self._turns += 1
            self.changed.wait_for(lambda: self.room.fits(size) or not self.begun)
            self._turns -= 1
            self.begin_now(size)

    def begin_ahead(self, size: int, *, unless: Callable[[], bool]) -> bool:
        """Take bytes as ``begin``, behind all who wait there.

        Args:
            size: bytes.
            unless: asked whenever something changes; where it is true, or the batch is full,
                nothing is taken, and this returns False.
        """
        with self.changed:
            self.changed.wait_for(
                lambda: (
                    unless()
                    or self.is_full
                    or (not self._turns and (self.room.fits(size) or not self.begun))
                )
            )
            if unless() or self.is_full:
                return False
            self.begin_now(size)
            return True

    def begin_now(self, size: int) -> None:
        """Take bytes for what is under way, whether they fit or not."""
        with self.changed:
            self.begun += size
            self.room.begun += size

    def end(self, size: int, *, kept: int = 0) -> None:
        """Give back what ``begin`` took; of what came of it so many bytes stay."""
        self.begin_now(-size)
        self.hold(kept)
        self._notify()

    def close(self) -> None:
        """Give back all that is held: the batch has ended."""
        with self.changed:
            self.give_back(self.held)

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


class Share:
    """What one document takes of a room while it is read (see ``TextRoom``)."""

    def __init__(self, batch: BatchRoom) -> None:
        self._batch = batch
        self._room = batch.room
        self._bytes = 0
        self._guess: int | None = None
        """Of ``_bytes``, what was taken while nobody knew how many it would be."""

    def __enter__(self) -> Self:
        """Begin. Raises ``NoRoom`` where the batch holds enough."""
        if self._batch.is_full:
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

    def wait(self, size: int | None) -> None:
        """Take so many bytes, when there is room: what others have begun comes to an end.

        None: nobody knows how many it will be, see ``found``. Who has taken some has waited, and
        would wait for ever. Raises ``NoRoom``.
        """
        if self._bytes:
            return
        room = self._room
        with room.changed:
            if size is None:
                room.changed.wait_for(
                    lambda: room.unknown < room.unknown_at_once or self._batch.is_full
                )
                size = self._guess = room.guess
                room.unknown += 1
            self._take(size, unless=lambda: self._batch.is_full)

    def found(self, size: int) -> None:
        """Say how large the text is of which nobody knew. Raises ``NoRoom``."""
        room = self._room
        with room.changed:
            if self._guess is not None:
                room.largest = max(room.largest, size)
                self._let_go(self._guess)
                self._forget_guess()
                self._take(size, unless=lambda: True)

    def take(self, size: int) -> None:
        """Take so many bytes more at once. Raises ``NoRoom``."""
        with self._room.changed:
            self._take(size, unless=lambda: True)

    def give_back(self, size: int) -> None:
        """Give back bytes that were taken."""
        with self._room.changed:
            self._let_go(size)

    def keep(self, size: int) -> None:
        """End with a document of so many bytes, which stays. Raises ``NoRoom``."""
        room = self._room
        with room.changed:
            if self._guess is not None:
                room.largest = max(room.largest, size)
            if self._batch.is_full and room.beyond is not self:
                raise NoRoom
            self._end()
            self._batch.hold(size)

    def _take(self, size: int, *, unless: Callable[[], bool]) -> None:
        room = self._room
        room.changed.wait_for(lambda: self._may_take(size) or unless())
        if not self._may_take(size):
            raise NoRoom
        if not room.fits(size):
            room.beyond = self
        self._bytes += size
        self._batch.begin_now(size)

    def _may_take(self, size: int) -> bool:
        room = self._room
        return room.beyond is self or (
            not self._batch.is_full and (room.beyond is None or room.fits(size))
        )

    def _let_go(self, size: int) -> None:
        self._bytes -= size
        self._batch.begin_now(-size)
        self._room.changed.notify_all()

    def _forget_guess(self) -> None:
        self._room.unknown -= self._guess is not None
        self._guess = None

    def _end(self) -> None:
        self._forget_guess()
        self._let_go(self._bytes)
        if self._room.beyond is self:
            self._room.beyond = None
