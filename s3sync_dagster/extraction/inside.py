"""What the files inside one file may take, all of them together."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from s3sync_dagster.engine.ports import TextRoom
from s3sync_dagster.model.errors import LimitExceeded

MAX_SECONDS = 600.0
"""After which no further file inside a file is begun: each may take minutes, and a mail has 200
of mails that have 200."""
MAX_HELD_BYTES = 256 * 1024**2
"""Of files that wait to be read, those of a mail and of the mails inside it: a file may unfold to
as much at each level."""
MAX_BYTES = 128 * 1024**2
"""Of memory for their texts, in which one sign may make each character take four: a mail of 100 KB
has 200 workbooks of 200 MB."""


@dataclass(slots=True)
class Inside:
    """What is left for the files inside a file, at whatever depth."""

    until: float = math.inf
    """Moment of ``time.monotonic`` after which none is begun."""
    bytes_left: float = math.inf
    held_left: float = math.inf
    """Bytes of files that may wait to be read."""
    room: TextRoom | None = None
    """Where the file itself is one of many."""

    def begin(self) -> None:
        """Begin a file; raises ``LimitExceeded`` (``timeout``) where no more is begun."""
        if time.monotonic() > self.until:
            message = f"The files before it take longer than {MAX_SECONDS:g} s together."
            raise LimitExceeded(message, reason="timeout")

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold files of so many bytes; raises ``LimitExceeded`` (``output_too_large``)."""
        if size > self.held_left:
            raise LimitExceeded(
                f"Its files, and those of the mails around it, are more than "
                f"{MAX_HELD_BYTES // 1024**2} MiB.",
                reason="output_too_large",
            )
        with self.beside(size):
            self.held_left -= size
            try:
                yield
            finally:
                self.held_left += size

    @contextmanager
    def beside(self, size: int) -> Iterator[None]:
        """Take memory for as long as something is made of what is there."""
        self.put_together(size)
        try:
            yield
        finally:
            if self.room is not None:
                self.room.give_back(size)

    def take(self, text: str) -> None:
        """Take the memory of a text; raises ``LimitExceeded`` (``output_too_large``)."""
        size = sys.getsizeof(text)
        if size > self.bytes_left:
            raise LimitExceeded(
                f"With the texts before it, its own takes more than {MAX_BYTES // 1024**2} MiB of "
                "memory.",
                reason="output_too_large",
            )
        self.bytes_left -= size
        self.put_together(size)

    def put_together(self, size: int) -> None:
        """Take memory of what is made of others, which are counted for themselves."""
        if self.room is not None:
            self.room.take(size)


def open_inside(room: TextRoom | None) -> Inside:
    """Return what the files inside a file may take, from now on."""
    return Inside(
        until=time.monotonic() + MAX_SECONDS,
        bytes_left=MAX_BYTES,
        held_left=MAX_HELD_BYTES,
        room=room,
    )
