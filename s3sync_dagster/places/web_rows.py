"""The file in which crawls are kept, as rows."""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.write_ahead import write_ahead
from s3sync_dagster.places.web_tables import LAYOUT, SCHEMA, crawl_refusals

CACHE_KIB = 8 * 1024


class SiteRows:
    """The file of one source.

    Args:
        file: of this source alone.
        clock: of this host.

    Raises:
        FixConfiguration: ``crawl_unusable``, here and in every method.
    """

    def __init__(self, file: Path, *, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        with crawl_refusals():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                file, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            write_ahead(self._database)
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._lay_out()

    @contextmanager
    def step(self) -> Generator[Self]:
        """Make all that is changed inside one transaction."""
        with self._lock, crawl_refusals():
            if self._database.in_transaction:
                yield self
                return
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield self

    def _lay_out(self) -> None:
        """Make the tables. A crawl that was begun in another layout does not go on."""
        if self._database.execute("PRAGMA user_version").fetchone()[0] < LAYOUT:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("DROP TABLE IF EXISTS tasks")
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT)"
                    " WITHOUT ROWID"
                )
                self._database.execute("UPDATE notes SET value = value + 1 WHERE name = 'crawl'")
                self._database.execute(f"PRAGMA user_version = {LAYOUT}")
        self._database.executescript(SCHEMA)

    def now(self) -> float:
        """Return the seconds since 1970 by which it is told how old something is."""
        return self._clock.now().timestamp()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _run(self, statement: str, *values: Any) -> None:
        with self._lock, crawl_refusals():
            self._database.execute(statement, values)

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        with self._lock, crawl_refusals():
            return self._database.execute(statement, values).fetchone()

    def _all(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, crawl_refusals():
            return self._database.execute(statement, values).fetchall()
