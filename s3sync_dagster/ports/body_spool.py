"""Where an object's bytes go: into memory when they are few, into a file when they are many."""

import tempfile
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.model.errors import LimitExceeded

MAX_MEMORY_BYTES = 8 * 1024 * 1024
"""Bodies up to here stay in memory."""
_PIECE_BYTES = 1024 * 1024


class BodySpool:
    """Reads bodies; keeps large ones as files in one folder.

    Args:
        folder: where files go; the caller deletes them. None: a temporary folder, made when it
            is first needed and removed by ``close``.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    def read(self, pieces: Iterator[bytes], *, key: str, limit: int) -> Content:
        """Return a body's bytes, or the file that holds them.

        Args:
            pieces: the body; whatever it raises is passed on and leaves no file behind.
            key: for messages.
            limit: most bytes that are taken; ``LimitExceeded`` (``too_large``) beyond.
        """
        bounded = _bounded(pieces, key=key, limit=limit)
        begun: list[bytes] = []
        size = 0
        for piece in bounded:
            begun.append(piece)
            size += len(piece)
            if size > MAX_MEMORY_BYTES:
                return self._write(chain(_emptying(begun), bounded))
        return b"".join(begun)

    def close(self) -> None:
        """Remove the temporary folder, if one was made."""
        with self._lock:
            temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.cleanup()

    def _write(self, pieces: Iterator[bytes]) -> Path:
        with tempfile.NamedTemporaryFile(
            dir=self._directory(), prefix="body-", delete=False
        ) as file:
            path = Path(file.name)
            try:
                for piece in pieces:
                    file.write(piece)
            except BaseException:
                path.unlink()
                raise
        return path

    def _directory(self) -> Path:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._folder
        with self._lock:
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="s3sync-")
            return Path(self._temporary.name)


def discard(content: Content) -> None:
    """Let go of a body that nobody gets: a file of the spool is deleted."""
    if isinstance(content, Path):
        content.unlink(missing_ok=True)


def require_size(what: str, size: int, *, most: int) -> None:
    """Raise ``LimitExceeded`` (``too_large``) for what is larger than is to be read.

    Args:
        what: for the message, like ``object 'a.md'``.
        size: in bytes.
        most: that many bytes are read.
    """
    if size > most:
        raise LimitExceeded(f"{what} has {size} bytes; at most {most} are read", reason="too_large")


def pieces_of(body: Any) -> Iterator[bytes]:
    """Yield botocore's stream piece by piece; it raises when it ends before its announced end."""
    while piece := body.read(_PIECE_BYTES):
        yield piece


def _bounded(pieces: Iterator[bytes], *, key: str, limit: int) -> Iterator[bytes]:
    taken = 0
    for piece in pieces:
        taken += len(piece)
        if taken > limit:
            raise LimitExceeded(f"object {key!r} has more than {limit} bytes", reason="too_large")
        yield piece


def _emptying(pieces: list[bytes]) -> Iterator[bytes]:
    """Yield pieces and let go of each, so that they are not in memory and in the file."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()
