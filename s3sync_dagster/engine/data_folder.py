"""What the data folder may refuse to who keeps a database of his own in it."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from s3sync_dagster.model.errors import FixConfiguration


@contextmanager
def folder_refusals(folder: str, *, reason: str) -> Generator[None]:
    """Raise ``FixConfiguration`` for what the system or SQLite refuses within the block.

    Args:
        folder: for the message: which one, and what it is for.
        reason: of the error.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise FixConfiguration(
            f"{folder}, cannot be used ({type(error).__name__}): is the disk full, or the folder "
            "not yours?",
            reason=reason,
        ) from None
