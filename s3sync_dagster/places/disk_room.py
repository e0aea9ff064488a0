"""Room that copies of repositories and sites leave on the disk, whoever has how many sources."""

import shutil
from pathlib import Path

LEAST_FREE_BYTES = 512 * 1024**2
"""For the catalog and Chroma, which stop where the disk is full."""


def is_short(folder: Path) -> bool:
    """Return whether nothing more is to be copied to the disk of a folder that is there."""
    return shutil.disk_usage(folder).free < LEAST_FREE_BYTES
