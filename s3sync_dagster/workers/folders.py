"""Folders for the temporary files of workers, which are taken to be taken over one day.

All that a worker writes has one bound: a limit of the kernel's holds for one file. And whatever a
worker has put there goes with it, in whatever depth and with whatever rights.
"""

import fcntl
import itertools
import logging
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

from s3sync_dagster.workers import processes

MOST_BYTES = 2 * 1024**3
MOST_FILES = 4_000
"""LibreOffice's profile has some hundreds."""
MOST_READ = 4 * 1024**2
"""Bytes of what the kernel says of a worker's areas of memory, a line of about 100 for each: one of
LibreOffice has half a mebibyte."""
_PREFIX = "s3sync-workers-"
_LOG = logging.getLogger(__name__)
_BLOCK_BYTES = 512
"""Unit of ``st_blocks``."""


def is_overfull(
    folder: str,
    *,
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
    look: processes.Look | None = None,
) -> bool:
    """Return whether a folder holds more than it may, or cannot be looked at any more.

    Only a program that hides something takes the right to look away, or nests beyond any path.
    What has another name by its turn is not counted, and ``look`` is not whole then.
    """
    look = look or processes.Look()
    size = files = 0
    waiting = [folder] if most_bytes >= 0 else []
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                for one in found:
                    files += 1
                    size += _size_of(one, look)
                    if size > most_bytes or files > most_files:
                        return True
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(one.path)
        except FileNotFoundError:
            if place != folder:  # which no worker can move
                look.miss()
        except OSError:
            return True
    return most_bytes < 0


def _size_of(one: os.DirEntry[str], look: processes.Look) -> int:
    try:
        return _BLOCK_BYTES * one.stat(follow_symlinks=False).st_blocks
    except FileNotFoundError:
        look.miss()
        return 0


def nameless_bytes(
    family: Iterable[processes.Process],
    folder: str,
    *,
    most_read: int = MOST_READ,
    look: processes.Look | None = None,
) -> int:
    """Return the bytes of files of a folder that processes hold and that have no name more.

    Of what is mapped alone nobody is told the size: each such file counts as more than may be
    written. So does a process that may not be looked at, and one of whose areas of memory the
    kernel has too much to say. What is closed or has ended by its turn is not counted, and ``look``
    is not whole then. Of other systems than Linux nothing is known: 0.
    """
    look = look or processes.Look()
    told = _Told(most_read)
    total = 0
    for one in family:
        try:
            total += (MOST_BYTES + 1) * _nameless_maps(one, folder, told)
            total += _nameless_open(one, folder, look)
        except PermissionError:
            if processes.is_there(one):
                return MOST_BYTES + 1
            look.miss_of(one)  # it has ended, and nobody has waited for it
        except _TooMuch:
            return MOST_BYTES + 1
        except OSError:  # it has ended meanwhile
            look.miss_of(one)
        if total > MOST_BYTES:
            break
    return total


class _TooMuch(Exception):
    """Nobody has the time to read what there is."""


class _Told:
    """What the kernel says of processes: so many bytes of it are read, whatever they hold."""

    def __init__(self, most: int) -> None:
        self._left = most

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 (once a second for each process)
            said = file.read(self._left + 1)
        self._left -= len(said)
        if self._left < 0:
            raise _TooMuch
        return said


def _nameless_open(process: processes.Process, folder: str, look: processes.Look) -> int:
    total = 0
    for one in Path(f"{process.folder}/fd").iterdir():
        try:
            name = str(one.readlink())
            if name.startswith(f"{folder}/"):
                status = one.stat()
                total += _BLOCK_BYTES * status.st_blocks if status.st_nlink == 0 else 0
        except FileNotFoundError:  # closed, or moved to another number
            look.miss_of(process)
    return total


def _nameless_maps(process: processes.Process, folder: str, told: _Told) -> int:
    begins, ends = f" {folder}/".encode(), b" (deleted)"
    lines = told.read(f"{process.folder}/maps").splitlines()
    return len({one.split()[4] for one in lines if begins in one and one.endswith(ends)})


def make_own() -> tuple[str, int]:
    """Return a new folder for a forker's workers, and the descriptor that says that it lives.

    As long as that one is open, by whichever process, the folder is removed by nobody else.
    """
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        held = _hold(folder)
        if held is not None:
            return folder, held  # else somebody who sweeps has found it first, and removes it


def sweep() -> None:
    """Remove the folders that forkers of this user have left that are gone."""
    for one in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        held = _hold(str(one))
        if held is not None:
            remove(str(one))
            os.close(held)


def _hold(folder: str) -> int | None:
    """Return a descriptor of a folder of this user that no other process holds; None else."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # a link, a file, another user's, or gone
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there, seen = os.fstat(held), os.lstat(folder)
        if there.st_uid == os.geteuid() and os.path.samestat(there, seen):
            return held
    except OSError:  # held by another one, or gone
        pass
    os.close(held)
    return None


def remove(folder: str) -> None:
    """Remove a folder that nobody writes in any more, with all that is in it.

    One folder after the other, each moved to the first one, under a name that nobody can have
    known: no path becomes too long, and no depth takes this process's stack. What a user other
    than root may not list is opened. What cannot be removed stays, keeps nothing else, and is told
    in the log.
    """
    name, numbers = secrets.token_hex(16), itertools.count()
    waiting = [folder]
    left = 0
    while waiting:
        current = waiting.pop()
        try:
            Path(current).chmod(0o700)
            with os.scandir(current) as found:
                for one in found:
                    try:
                        if not one.is_dir(follow_symlinks=False):
                            Path(one.path).unlink()
                            continue
                        place = one.path
                        if current != folder:
                            Path(place).chmod(0o700)
                            place = f"{folder}/{name}-{next(numbers)}"
                            Path(one.path).rename(place)
                        waiting.append(place)
                    except FileNotFoundError:
                        continue  # somebody else has removed it
                    except OSError:
                        left += 1
            if current != folder:
                Path(current).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            left += 1
    try:
        Path(folder).rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        _LOG.warning("%d files of a worker were not removed: %s: %s", left, folder, error)
