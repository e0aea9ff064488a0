"""How fast hosts are asked: one page after the other, by all of a data folder together."""

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from s3sync_dagster.model.errors import FixConfiguration

MAX_WAIT_SECONDS = 30.0
"""Also what a host may ask for: a listing's lease has to be renewed in between."""


class HostPace:
    """Turns at hosts, handed out through a file.

    Args:
        file: shared by all who keep to it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def wait(self, host: str, seconds: float) -> None:
        """Wait until the host may be asked again, and take the turn.

        Args:
            host: with its port.
            seconds: between two turns.
        """
        with self._turns() as turns:
            now = time.time()
            row = turns.execute("SELECT free_at FROM turns WHERE host = ?", (host,)).fetchone()
            # What lies further ahead than anybody may ask for was written by another clock.
            begins = max(now, row[0]) if row and row[0] <= now + 100 * MAX_WAIT_SECONDS else now
            begins = min(begins, now + MAX_WAIT_SECONDS)
            if not seconds and begins == now:
                return
            turns.execute("REPLACE INTO turns VALUES (?, ?)", (host, begins + seconds))
        time.sleep(begins - now)

    def pause(self, host: str, seconds: float) -> None:
        """Leave a host alone for so long, as it asked for; at most ``MAX_WAIT_SECONDS``."""
        with self._turns() as turns:
            until = time.time() + min(max(seconds, 0.0), MAX_WAIT_SECONDS)
            turns.execute("REPLACE INTO turns VALUES (?, ?)", (host, until))

    @contextmanager
    def _turns(self) -> Generator[sqlite3.Connection]:
        try:
            with self._lock:
                if self._opened is None:
                    self._opened = self._open()
                with self._opened as turns:
                    turns.execute("BEGIN IMMEDIATE")
                    yield turns
        except (OSError, sqlite3.Error) as error:
            raise FixConfiguration(
                "The folder `web` of the data folder, in which crawls are kept, cannot be used "
                f"({type(error).__name__}): is the disk full, or the folder not yours?",
                reason="crawl_unusable",
            ) from None

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = sqlite3.connect(
            self._file, timeout=30, isolation_level=None, check_same_thread=False
        )
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA synchronous = OFF")
        opened.execute("CREATE TABLE IF NOT EXISTS turns (host TEXT PRIMARY KEY, free_at REAL)")
        return opened
