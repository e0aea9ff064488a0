"""Room that copies of repositories and sites leave on the disk, whoever has how many sources."""

import os
import shutil
from pathlib import Path

LEAST_FREE_BYTES = 512 * 1024**2
"""For the catalog and Chroma, which stop where the disk is full."""


def is_short(folder: Path) -> bool:
    """Return whether nothing more is to be copied to the disk of a folder that is there."""
    return shutil.disk_usage(folder).free < LEAST_FREE_BYTES


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118  (thousands)
            except OSError:
                continue  # git renamed it
    return total
