"""What tells two versions of a file apart, by what its folder's file system keeps of it."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime

from s3sync_dagster.places.freshness import AHEAD_SECONDS

FINE_SECONDS, COARSE_SECONDS = 0.05, 2.5
"""Within so long after a change another one may leave the same time: of file systems that keep
fractions of a second, and of others (FAT: two seconds)."""


def etag_of(found: os.stat_result, *, by: str) -> str:
    """Return the version of a file that was found so, by ``stat`` or ``mtime``.

    Another change within the clock's step would leave the same times: such a version is marked, and
    looked at once more when it has settled. A time that is still to come is of a server whose clock
    is ahead, and may be of this moment.
    """
    parts = [found.st_size, found.st_mtime_ns]
    newest = found.st_mtime
    if by == "stat":
        parts += [found.st_ctime_ns, found.st_ino]
        newest = max(newest, found.st_ctime)
    fine = parts[1] % 1_000_000_000 != 0
    age = time.time() - newest
    fresh = -AHEAD_SECONDS < age < (FINE_SECONDS if fine else COARSE_SECONDS)
    return "-".join(f"{part:x}" for part in parts) + ("-new" if fresh else "")


def times_of(found: os.stat_result) -> tuple[int, ...]:
    """Return what changes where a file is written."""
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def time_of(found: os.stat_result) -> datetime | None:
    """Return when a file was written last, where that is a time."""
    with suppress(OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(found.st_mtime, UTC)
    return None
