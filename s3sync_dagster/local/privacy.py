"""A data folder is for its user alone: it holds every text, and keys to buckets."""

import os
import stat
from pathlib import Path

OTHERS = 0o077
"""Bits of a mode that give rights to the group and to everybody."""


def keep_files_private() -> None:
    """Let what this process and its children create be for their user alone."""
    os.umask(OTHERS)


def private_file(path: str, flags: int) -> int:
    """Open a file that its user alone may read, for ``opener`` of ``open``."""
    return os.open(path, flags, 0o600)


def make_private(folder: Path) -> None:
    """Create a folder, and take from others what they may do in it, whatever existed before.

    A folder that is not ours, or is shared by intent (such as ``/tmp``), stays as it is:
    ``open_to_others`` tells of it.

    Raises:
        OSError: it cannot be created.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if not found.st_mode & OTHERS or not _is_ours(found):
        return
    folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
    # Once: from now on nobody gets here. What was opened before stays open, and what has a
    # second name elsewhere is reached by that.
    take_from_others(folder)


def take_from_others(folder: Path) -> None:
    """Take from others what they may do with all that lies in a folder of ours."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _close(Path(place, name))


def open_to_others(folder: Path) -> bool:
    """Return whether other users of the machine may look into a folder."""
    return bool(folder.stat().st_mode & OTHERS)


def _close(path: Path) -> None:
    try:
        found = path.lstat()
        if found.st_mode & OTHERS and _is_ours(found) and not stat.S_ISLNK(found.st_mode):
            path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
    except FileNotFoundError:
        return  # somebody works in the folder


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX
