"""What this machine does to a command, as one sentence: a full disk, a folder that is read-only."""

import errno
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3sync_dagster.settings import load_settings

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_SQLITE_FULL = ("database or disk is full", "disk i/o error")
_SQLITE_READ_ONLY = ("readonly database", "unable to open database file")
_NOT_IN_HISTORY = "Exception while writing logger call to event log: "
"""Dagster's own words, which it writes itself."""


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


@contextmanager
def hushed() -> Iterator[None]:
    """Leave out what Dagster and our log say of such a fault: the command's end says it once.

    Dagster writes a line for each event that its history does not take. Where the fault passed by
    itself, one sentence says how much is left out.
    """
    stream = _Hushed(sys.stderr)
    log = logging.getLogger("s3sync_dagster.engine.unexpected")
    sys.stderr = stream
    log.addFilter(stream.filter)
    ended_by_it = False
    try:
        yield
    except BaseException as error:
        ended_by_it = machine_fault(error) is not None
        raise
    finally:
        log.removeFilter(stream.filter)
        if sys.stderr is stream:  # whoever has put something over it takes it away himself
            sys.stderr = stream.beneath
        if stream.left_out and not ended_by_it:
            print(  # noqa: T201
                f"Note: the disk took nothing more for a while; Dagster's history lacks "
                f"{stream.left_out} events.",
                file=sys.stderr,
            )


class _Hushed:
    """Standard error without the lines of a fault of this machine."""

    def __init__(self, beneath: Any) -> None:
        self.beneath = beneath
        self.left_out = 0

    def write(self, text: str) -> int:
        words = text.lower()
        if text.startswith(_NOT_IN_HISTORY) and any(
            one in words for one in (*_SQLITE_FULL, *_SQLITE_READ_ONLY)
        ):
            self.left_out += 1
            return len(text)
        return self.beneath.write(text)

    def filter(self, record: logging.LogRecord) -> bool:
        cause = getattr(record, "cause", None)
        return not isinstance(cause, BaseException) or machine_fault(cause) is None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)


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
