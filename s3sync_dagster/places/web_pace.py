"""How fast hosts are asked: one page after the other by all of a data folder, in turn by tenants.

A host's own wish (``Crawl-delay``) holds for all of them together. What one source wishes holds for
its tenant alone, so that nobody slows down the crawls of others.
"""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.write_ahead import write_ahead
from s3sync_dagster.model.errors import Throttled
from s3sync_dagster.places.web_tables import crawl_refusals

MAX_WAIT_SECONDS = 30.0
"""Also what a host may ask for: a listing's lease has to be renewed in between."""
PATIENCE_SECONDS = MAX_WAIT_SECONDS + 5.0
SHARED_SECONDS = 0.25
"""At most so long a source's own delay keeps others from a host, too."""
WAITING_SECONDS = 3.0
"""So long whoever looked for a turn counts as waiting; he looks again before that."""
LOOK_SECONDS = 0.02
_KEPT_SECONDS = 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, free_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS visitors (
    host TEXT, who TEXT, served_at REAL DEFAULT 0, paused_until REAL DEFAULT 0,
    waits_until REAL DEFAULT 0, PRIMARY KEY (host, who)
) WITHOUT ROWID;
"""


class NoTurn(Throttled):
    """So many ask a host that a turn did not come in time."""


class HostPace:
    """Turns at hosts, handed out through a file.

    Args:
        file: shared by all who keep to it.
        who: the tenant; of several the one that waited longest is next.
        clock: of this host.
    """

    def __init__(self, file: Path, *, who: str, clock: Clock | None = None) -> None:
        self._file = file
        self._who, self._clock = who, clock or Clock()
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def wait(self, host: str, seconds: float, *, crawl_delay: float = 0.0) -> None:
        """Wait until the host may be asked again, and take the turn.

        Args:
            host: with its port.
            seconds: between two turns of this tenant.
            crawl_delay: seconds between any two turns, as the host itself wishes.

        Raises:
            NoTurn: after ``PATIENCE_SECONDS``.
        """
        own, shared = max(seconds, crawl_delay), max(min(seconds, SHARED_SECONDS), crawl_delay)
        ends = self._clock.monotonic() + PATIENCE_SECONDS
        while left := self._turn(host, own, shared):
            patience = ends - self._clock.monotonic()
            if patience <= 0:
                raise NoTurn(f"So many ask {host!r} that the turn of this source did not come.")
            self._clock.sleep(min(left, patience, WAITING_SECONDS / 3))

    def pause(self, host: str, seconds: float) -> None:
        """Leave a host alone for so long, as it asked for; at most ``MAX_WAIT_SECONDS``.

        Others ask on, and are told by the host itself: one tenant's addresses may be such that
        the host is busy for them alone.
        """
        with self._turns() as turns:
            until = self._now() + min(max(seconds, 0.0), MAX_WAIT_SECONDS)
            turns.execute(
                "INSERT INTO visitors (host, who, paused_until) VALUES (?1, ?2, ?3) "
                "ON CONFLICT DO UPDATE SET paused_until = ?3",
                (host, self._who, until),
            )

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _turn(self, host: str, own: float, shared: float) -> float:
        """Take the turn and return 0, or return the seconds until it is worth another look."""
        with self._turns() as turns:
            now = self._now()
            row = turns.execute("SELECT free_at FROM hosts WHERE host = ?", (host,)).fetchone()
            free_at = _sane(row[0], now) if row else 0.0
            row = turns.execute(
                "SELECT served_at, paused_until FROM visitors WHERE host = ? AND who = ?",
                (host, self._who),
            ).fetchone()
            served_at = min(row[0], now) if row else 0.0
            ready_at = max(_sane(row[0] + own, now), _sane(row[1], now)) if row else 0.0
            if max(ready_at, free_at) <= now and self._is_next(turns, host, served_at, now):
                if own or row:
                    turns.execute("REPLACE INTO hosts VALUES (?, ?)", (host, now + shared))
                    turns.execute(
                        "REPLACE INTO visitors (host, who, served_at) VALUES (?, ?, ?)",
                        (host, self._who, now),
                    )
                return 0.0
            if ready_at <= now:
                turns.execute(
                    "INSERT INTO visitors (host, who, waits_until) VALUES (?1, ?2, ?3) "
                    "ON CONFLICT DO UPDATE SET waits_until = ?3",
                    (host, self._who, now + WAITING_SECONDS),
                )
            return max(ready_at - now, free_at - now, LOOK_SECONDS)

    def _is_next(self, turns: sqlite3.Connection, host: str, served_at: float, now: float) -> bool:
        """Return whether nobody waits who was served longer ago."""
        found = turns.execute(
            "SELECT 1 FROM visitors WHERE host = ? AND who <> ? AND served_at < ? "
            "AND waits_until BETWEEN ? AND ?",
            (host, self._who, served_at, now, now + WAITING_SECONDS),
        )
        return found.fetchone() is None

    @contextmanager
    def _turns(self) -> Generator[sqlite3.Connection]:
        with crawl_refusals(), self._lock:
            if self._opened is None:
                self._opened = self._open()
            with self._opened as turns:
                turns.execute("BEGIN IMMEDIATE")
                yield turns

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = sqlite3.connect(
            self._file, timeout=30, isolation_level=None, check_same_thread=False
        )
        write_ahead(opened)
        opened.execute("PRAGMA synchronous = OFF")
        opened.executescript(_SCHEMA)
        old = (self._now() - _KEPT_SECONDS,)
        opened.execute("DELETE FROM hosts WHERE free_at < ?", old)
        opened.execute("DELETE FROM visitors WHERE max(served_at, paused_until) < ?", old)
        return opened


def _sane(moment: float, now: float) -> float:
    """Return a moment; 0 for one further ahead than anybody may ask for: of another clock."""
    return moment if moment <= now + MAX_WAIT_SECONDS else 0.0
