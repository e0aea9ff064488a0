"""Where an object's bytes go: into memory when they are few, into a file when they are many."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.core.interfaces import Content
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

    def read(self, body: Any, *, key: str, size: int, limit: int) -> Content:
        """Return a body's bytes, or the file that holds them.

        Args:
            body: botocore's stream; raises when it ends before its announced length.
            key: for messages.
            size: announced bytes, -1 when the server gave no length.
            limit: most bytes that are taken; ``LimitExceeded`` (``too_large``) beyond.
        """
        pieces = _bounded(body, key=key, limit=limit)
        if 0 <= size <= MAX_MEMORY_BYTES:
            return b"".join(pieces)
        return self._write(pieces)

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


def _bounded(body: Any, *, key: str, limit: int) -> Iterator[bytes]:
    taken = 0
    while piece := body.read(_PIECE_BYTES):
        taken += len(piece)
        if taken > limit:
            raise LimitExceeded(f"object {key!r} has more than {limit} bytes", reason="too_large")
        yield piece
