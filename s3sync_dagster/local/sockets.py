"""Unix sockets that only their user may open."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATH_BYTES = 104
"""What the strictest system (macOS) accepts as the path of a socket."""
_INNER = "tmp????????"
"""How Dagster names the socket of a code server's inner process, which stands beside it."""


def fits_socket(path: Path) -> bool:
    """Return whether a path is short enough for a socket."""
    return len(os.fsencode(path)) < _PATH_BYTES


@contextmanager
def private_socket(home: Path, name: str) -> Iterator[Path]:
    """Give a path for a socket in the home, or in a folder of its own where that is too long."""
    path = home / name
    if fits_socket(path) and fits_socket(home / _INNER):
        path.unlink(missing_ok=True)  # what a killed server left
        for left in home.glob(_INNER):
            if left.is_socket():
                left.unlink()
        yield path
        path.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="s3sync-") as folder:  # mode 700
        yield Path(folder) / name
