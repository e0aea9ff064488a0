"""What this machine does to a command, as one sentence: a full disk, a folder that is read-only."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from s3sync_dagster.settings import load_settings

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_SQLITE_FULL = ("database or disk is full", "disk i/o error")
_SQLITE_READ_ONLY = ("readonly database", "unable to open database file")


def machine_fault(error: BaseException) -> str | None:
    """Return a sentence that names the folder and the way out; None where it is no such fault."""
    kinds = {kind for one in _chain(error) if (kind := _kind(one))}
    if not kinds:
        return None
    home = load_settings().home
    if "full" in kinds:
        return (
            f"The disk of {str(home)!r} takes nothing more ({_free(home)} free): make room, or "
            "name another folder in S3SYNC_HOME. What was done is kept; the next run goes on from "
            "here."
        )
    return (
        f"{str(home)!r}, or a file in it, is read-only: make it writable, or name another folder "
        "in S3SYNC_HOME."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return "full"
        return "read-only" if error.errno in _READ_ONLY else None
    if type(error).__name__ != "OperationalError":  # of sqlite3, or SQLAlchemy's around it
        return None
    text = str(error).lower()
    if any(words in text for words in _SQLITE_FULL):
        return "full"
    return "read-only" if any(words in text for words in _SQLITE_READ_ONLY) else None


def _free(folder: Path) -> str:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        size = shutil.disk_usage(folder).free
    except OSError as error:
        return os.strerror(error.errno or 0)
    return f"{size / 1024**2:.0f} MiB"
