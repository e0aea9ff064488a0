"""Logs of the parts of a stack: no longer than they are worth, also while their process runs."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3sync_dagster.local.privacy import private_file

_log = logging.getLogger(__name__)

LOG_BYTES = 20 * 1024 * 1024
"""A larger log becomes ``<name>.log.1``, and begins anew."""


def keep_short(log: Path) -> None:
    """Begin a log anew that has become too large.

    It is copied, since its process goes on writing to the same file, at whose end it appends; what
    is written meanwhile may be lost. Where there is no room for a copy there is none.
    """
    try:
        if log.stat().st_size <= LOG_BYTES:
            return
    except FileNotFoundError:
        return
    older = log.with_suffix(".log.1")
    try:
        with log.open("rb") as kept, open(older, "wb", opener=private_file) as copy:
            shutil.copyfileobj(kept, copy)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        _log.warning("the log %s begins anew, and is not kept: %s", log, reason)
        with suppress(OSError):  # a part of it, where there was no more room
            older.unlink()
    os.truncate(log, 0)


def keep_all_short(folder: Path) -> None:
    """Do so with all logs in a folder."""
    for log in folder.glob("*.log"):
        keep_short(log)


@contextmanager
def written_to(path: Path, *names: str) -> Iterator[None]:
    """Write what loggers of this process say to a file, besides what is done with it already."""
    loggers = [logging.getLogger(name) for name in names]
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            logger.removeHandler(handler)
        handler.close()
