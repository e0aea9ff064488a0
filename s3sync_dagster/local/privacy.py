"""A data folder is for its user alone: it holds every text, and keys to buckets."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from s3sync_dagster.model.errors import InvalidSetting

OTHERS = 0o077
"""Bits of a mode that give rights to the group and to everybody."""
_NOT_LOOKED_THROUGH = 0o040
"""The one bit of these by which nobody comes into a folder: its group may list names there."""


def keep_files_private() -> None:
    """Let what this process and its children create be for their user alone."""
    os.umask(OTHERS)


def private_file(path: str, flags: int) -> int:
    """Open a file that its user alone may read, for ``opener`` of ``open``."""
    return os.open(path, flags, 0o600)


def make_private(folder: Path) -> None:
    """Create a data folder, and take from others what they may do in it, whatever existed before.

    One that is root's, or is shared by intent (such as ``/tmp``), stays as it is:
    ``open_to_others`` tells of it.

    Raises:
        InvalidSetting: it, or something in one that was open to others, belongs to another user
            (``home_of_others``).
        OSError: it cannot be created.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if _is_anothers(found) or _is_anothers(folder.lstat()):
        raise _refused(folder, folder)
    if not found.st_mode & OTHERS or not _is_ours(found):
        return
    own = stat.S_IMODE(found.st_mode) & ~OTHERS
    # Nobody gets here from now on, and one who opens it after a refusal, or after this process was
    # killed, sees that nobody has looked through all of it.
    folder.chmod(own | _NOT_LOOKED_THROUGH)
    take_from_others(folder)
    if (planted := next(of_others(folder), None)) is not None:
        raise _refused(folder, planted)
    # Once. What was opened before stays open, and what has a second name elsewhere is reached by
    # that.
    folder.chmod(own)


def take_from_others(folder: Path) -> None:
    """Take from others what they may do with all that lies in a folder of ours."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _close(Path(place, name))


def of_others(folder: Path) -> Iterator[Path]:
    """Yield a data folder and what is in it, links too, of users other than this one and root."""
    if _is_anothers(folder.stat()) or _is_anothers(folder.lstat()):
        yield folder
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # somebody works in the folder
                if _is_anothers(Path(place, name).lstat()):
                    yield Path(place, name)


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


def _is_anothers(found: os.stat_result) -> bool:
    return found.st_uid not in (os.geteuid(), 0)


def _refused(folder: Path, planted: Path) -> InvalidSetting:
    where = "" if planted == folder else f", in the data folder {str(folder)!r},"
    return InvalidSetting(
        f"{str(planted)!r}{where} belongs to user {planted.lstat().st_uid}, who could put there "
        "what this program runs and trusts: chown it if it is yours, remove it if it is not, or "
        "name another folder in S3SYNC_HOME.",
        reason="home_of_others",
    )
