"""Who is at work on other hosts, as Postgres sees it: a connection ends with its process.

A process that works on batches has a connection that does nothing but hold an advisory lock named
after it. However it ends, its kernel closes the connection, and the server frees the lock at once.
A host without power or network closes nothing: its lock stays, and its lease is waited for.

A free lock alone says nothing: the server may have been started again, or another stands in its
place. It is believed of a process whose lock was seen held before, over the same connection.
"""

import hashlib
import logging
import threading
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import exc

_log = logging.getLogger(__name__)
MOST_SEEN = 10_000
"""Names that are remembered: each run has its own."""
_HELD = sa.text(
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = :high AND objid = :low"
)


def _number(owner: str) -> int:
    """Return the lock of an owner: 64 bits, which no lock of ours with a fixed number meets."""
    digest = hashlib.sha256(f"s3sync owner {owner}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _connect(url: sa.URL) -> sa.Connection:
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": 10, "application_name": "s3sync presence"},
    )
    return engine.connect()


class Presence:
    """The locks of one process; freed by ``close``, or by its end."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: sa.Connection | None = None

    def hold(self, owner: str) -> None:
        """Be seen as ``owner``; where no connection is to be had, its lease has to do."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _connect(self._url)
                self._connection.execute(
                    sa.text("SELECT pg_try_advisory_lock(:number)"), {"number": _number(owner)}
                )
            except exc.OperationalError:
                _log.warning("Postgres gives no connection to be seen by: the lease has to do.")
                self._drop()

    def close(self) -> None:
        """Be seen no more."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # it may be broken: nothing is asked of it any more
            self._connection.close()
            self._connection = None


@dataclass(slots=True)
class _Watch:
    """What one process has seen of others, over one connection for as long as that lasts."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    connection: sa.Connection | None = None
    seen: set[str] = field(default_factory=set[str])


_WATCHES: dict[sa.URL, _Watch] = {}
"""By database: a tick of a sensor opens its parts anew, and would have seen nobody before."""


def has_left(url: sa.URL, owner: str) -> bool:
    """Return whether a process that was seen at work has closed its connection.

    It has ended, nearly always. Others can end a connection as well, an administrator or what
    stands between: who believes it looks whether the process still renews its lease.
    """
    watch = _WATCHES.setdefault(url, _Watch())
    number = _number(owner)
    with watch.lock:
        try:
            if watch.connection is None:
                watch.seen.clear()
                watch.connection = _connect(url)
            place = {"high": number >> 32 & 0xFFFFFFFF, "low": number & 0xFFFFFFFF}
            held = watch.connection.execute(_HELD, place).first() is not None
        except exc.OperationalError:  # the server went: nothing that was seen is known any more
            if watch.connection is not None:
                watch.connection.invalidate()
                watch.connection.close()
                watch.connection = None
            return False
        if held:
            if len(watch.seen) >= MOST_SEEN:
                watch.seen.clear()  # who is at work is seen again at the next look
            watch.seen.add(owner)
            return False
        return owner in watch.seen
