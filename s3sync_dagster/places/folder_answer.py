"""Whether a folder answers at all: a mount whose server is gone keeps for good whoever asks."""

import os
import threading
from contextlib import suppress
from pathlib import PurePosixPath

from s3sync_dagster.model.errors import Unavailable

ANSWER_SECONDS = 10.0
"""A disk wakes up within, and a mount that is made when it is asked for."""

_hanging: dict[str, threading.Thread] = {}
"""Who still waits, by folder: one of this process, whoever asks and however often."""
_lock = threading.Lock()


def require_answer(folder: str) -> None:
    """Return once the system tells anything of a folder, also that it is not there.

    Raises:
        Unavailable: ``folder_hangs``.
    """
    with _lock:
        for known in [one for one, waits in _hanging.items() if not waits.is_alive()]:
            del _hanging[known]
        if any(PurePosixPath(folder).is_relative_to(known) for known in _hanging):
            raise _hangs(folder)
    waits = threading.Thread(target=_look, args=(folder,), name="s3sync-folder", daemon=True)
    waits.start()
    waits.join(ANSWER_SECONDS)
    if waits.is_alive():
        with _lock:
            _hanging[folder] = waits
        raise _hangs(folder)


def _look(folder: str) -> None:
    # No names: some file systems give the first of a large folder when they know all.
    with suppress(OSError, ValueError):
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fstatvfs(there)  # of the server itself
        finally:
            os.close(there)


def _hangs(folder: str) -> Unavailable:
    return Unavailable(
        f"The folder {folder!r} does not answer: is the server of its mount gone? Its records stay "
        "as they are.",
        reason="folder_hangs",
    )
