"""What the files inside one file may take, all of them together."""

import math
import sys
import time
from dataclasses import dataclass

from s3sync_dagster.engine.ports import TextRoom
from s3sync_dagster.model.errors import LimitExceeded

MAX_SECONDS = 600.0
"""After which no further file inside a file is begun: each may take minutes, and a mail has 200
of mails that have 200."""
MAX_BYTES = 128 * 1024**2
"""Of memory for their texts, in which one sign may make each character take four: a mail of 100 KB
has 200 workbooks of 200 MB."""


@dataclass(slots=True)
class Inside:
    """What is left for the files inside a file, at whatever depth."""

    until: float = math.inf
    """Moment of ``time.monotonic`` after which none is begun."""
    bytes_left: float = math.inf
    room: TextRoom | None = None
    """Where the file itself is one of many."""

    def begin(self) -> None:
        """Begin a file; raises ``LimitExceeded`` (``timeout``) where no more is begun."""
        if time.monotonic() > self.until:
            message = f"The files before it take longer than {MAX_SECONDS:g} s together."
            raise LimitExceeded(message, reason="timeout")

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
        """Take the memory of a text that is made of others; they are counted for themselves."""
        if self.room is not None:
            self.room.take(size)


def open_inside(room: TextRoom | None) -> Inside:
    """Return what the files inside a file may take, from now on."""
    return Inside(until=time.monotonic() + MAX_SECONDS, bytes_left=MAX_BYTES, room=room)
