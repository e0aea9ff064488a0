"""SQLite's write-ahead log, for files that several processes open at once."""

import sqlite3
import time

_LOOK_AGAIN_SECONDS = 0.02


def write_ahead(connection: sqlite3.Connection, *, within_seconds: float = 30) -> None:
    """Put a file into write-ahead mode, or wait for the process that does it just now.

    SQLite asks for the whole file to change its mode and does not call its busy handler for that
    (https://sqlite.org/c3ref/busy_handler.html): of two processes that open a new file in the same
    moment one is told at once that the database is locked, whatever its timeout says.

    Args:
        connection: opened, in no transaction.
        within_seconds: how long others may hold the file.

    Raises:
        sqlite3.OperationalError: others hold it for longer, or it cannot be written.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return
