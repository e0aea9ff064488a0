"""Vectors of earlier runs: what only moved, is tried again or is rebuilt costs no inference.

Everything here can be made again, so nothing here may stop a sync: a cache that fails is passed
over for a while, with a line in the log.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, schema
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.write_ahead import write_ahead

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Vector, Vectors

MAX_BYTES = 2 * 1024**3
ROW_BYTES = 120
"""What a row takes beside its vector: key, day, index, page overhead."""
KEYS_PER_STATEMENT = 400
BUSY_SECONDS = 10
PAUSE_SECONDS = 60.0
"""How long a cache that failed is left alone."""

log = logging.getLogger(__name__)
T = TypeVar("T")
Row = tuple[bytes, bytes, int]
"""Key, vector, day."""
_COLUMNS = ("key", "vector", "used_day")
_SELECT = "SELECT key, vector, used_day FROM vector_cache WHERE key IN"
_INSERT = "INSERT INTO vector_cache (key, vector, used_day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

_metadata = sa.MetaData()
_vectors = sa.Table(
    "vector_cache",
    _metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    # With SQLite's rowid, which a key of its own would save: rows in the order of their hashes
    # touch a page each, three times the cost of rows in the order in which they come.
    sa.Column("used_day", sa.Integer, nullable=False, index=True),
)
_totals = sa.Table(
    "vector_cache_totals",
    _metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)


class VectorCache:
    """Vectors by model, task and text, in a SQLite file or in Postgres.

    Several processes and threads may use one cache. The vectors that were not used for the
    longest time go first when it is full.
    """

    def __init__(
        self, where: str | Path, *, max_bytes: int = MAX_BYTES, clock: Clock | None = None
    ) -> None:
        """Open or create the cache at the first use.

        Args:
            where: path of a SQLite file, or a URL of Postgres (``postgresql+psycopg2://...``).
            max_bytes: bound of what the vectors take.
            clock: time.
        """
        self.hits = 0
        self.misses = 0
        self._max_bytes = max_bytes
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._reported = (0, 0)
        self._silent_until = 0.0
        self._ready = False
        self._engine = _engine(where)
        self._sqlite = self._engine.dialect.name == "sqlite"

    def get(self, model: str, texts: Sequence[str]) -> dict[str, Vector]:
        """Return the vectors that are known, by text."""
        import numpy as np

        by_key = {_key(model, text): text for text in texts}
        rows = self._guarded(lambda: self._read(list(by_key))) or []
        found = {
            # Of one that is cut off, what is left: it is of another length than all others.
            by_key[key]: np.frombuffer(vector, dtype="<f4", count=len(vector) // 4)
            for key, vector in rows
        }
        with self._lock:
            self.hits += len(found)
            self.misses += len(by_key) - len(found)
        return found

    def put(self, model: str, texts: Sequence[str], vectors: Vectors) -> None:
        """Remember vectors."""
        today = self._today()
        rows = [
            (_key(model, text), row.tobytes(), today)
            for text, row in zip(texts, vectors.astype("<f4", copy=False), strict=True)
        ]
        # One order for all writers: two that insert the same keys never wait for each other.
        rows.sort()
        if rows:
            self._guarded(lambda: self._write(rows))

    def forget(self, model: str, texts: Sequence[str]) -> None:
        """Forget vectors that were found and are of no use: they count as misses."""
        keys = [_key(model, text) for text in texts]
        with self._lock:
            self.hits -= len(keys)
            self.misses += len(keys)
        self._guarded(lambda: self._delete(keys))

    def totals(self) -> dict[str, int]:
        """Return ``entries``, ``bytes``, ``hits`` and ``misses`` of all processes so far.

        Hits and misses of a process arrive with its writes and when it closes the cache.
        """
        found = self._guarded(self._read_totals) or {}
        return {name: found.get(name, 0) for name in ("entries", "bytes", "hits", "misses")}

    def close(self) -> None:
        """Report hits and misses and close connections."""
        if self._ready and self._reported != (self.hits, self.misses):
            self._guarded(lambda: self._write([]))
        self._engine.dispose()

    def _read(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        rows: list[Any] = []
        with self._engine.connect() as connection:
            for part in _parts(keys):
                rows += self._select(connection, part)
        today = self._today()
        old = sorted(row.key for row in rows if row.used_day != today)
        if old:
            self._touch(old, today)
        return [(bytes(row.key), bytes(row.vector)) for row in rows]

    def _select(self, connection: sa.Connection, keys: Sequence[bytes]) -> Sequence[Any]:
        if not self._sqlite:
            return connection.execute(sa.select(_vectors).where(_vectors.c.key.in_(keys))).all()
        marks = ",".join("?" * len(keys))
        return connection.exec_driver_sql(f"{_SELECT} ({marks})", tuple(keys)).all()

    def _insert(self, connection: sa.Connection, rows: Sequence[Row]) -> int:
        """Insert what is not there yet; returns how many that were."""
        if self._sqlite:  # a statement of SQLAlchemy's for each part takes five times as long
            return connection.exec_driver_sql(_INSERT, list(rows)).rowcount
        added = 0
        for part in _parts(rows):
            values = [dict(zip(_COLUMNS, row, strict=True)) for row in part]
            statement = postgresql.insert(_vectors).values(values).on_conflict_do_nothing()
            added += connection.execute(statement).rowcount
        return added

    def _touch(self, keys: Sequence[bytes], today: int) -> None:
        # Once a day and vector: a read of what is in use writes nothing.
        with self._in_turn() as connection:
            for part in _parts(keys):
                connection.execute(
                    _vectors.update().where(_vectors.c.key.in_(part)).values(used_day=today)
                )

    def _write(self, rows: Sequence[Row]) -> None:
        with self._lock:
            hits, misses = self.hits, self.misses
        with self._engine.begin() as connection:
            added = self._insert(connection, rows) if rows else 0
            size = _bytes(rows[0][1]) * added if rows else 0
            self._add(connection, "entries", added)
            total = self._add(connection, "bytes", size)
            self._add(connection, "hits", hits - self._reported[0])
            self._add(connection, "misses", misses - self._reported[1])
            if total > self._max_bytes:
                self._evict(connection, total - self._max_bytes * 9 // 10)
        self._reported = (hits, misses)

    def _evict(self, connection: sa.Connection, excess_bytes: int) -> None:
        """Delete the vectors longest unused, a little more than needed."""
        order = sa.select(_vectors.c.key, sa.func.length(_vectors.c.vector).label("size")).order_by(
            _vectors.c.used_day
        )
        doomed: list[bytes] = []
        freed = 0
        for key, size in connection.execute(order):
            doomed.append(key)
            freed += size + ROW_BYTES
            if freed >= excess_bytes:
                break
        self._delete_in(connection, doomed)

    def _delete(self, keys: Sequence[bytes]) -> None:
        with self._in_turn() as connection:
            self._delete_in(connection, keys)

    @contextmanager
    def _in_turn(self) -> Iterator[sa.Connection]:
        """Open a transaction that may change vectors which others change too.

        Its first lock is that of the totals, as a write has it before it evicts: two that took
        vectors first, each in its own order, would wait for each other.
        """
        with self._engine.begin() as connection:
            self._add(connection, "entries", 0)
            yield connection

    def _delete_in(self, connection: sa.Connection, keys: Sequence[bytes]) -> None:
        """Delete vectors; those that another process has deleted meanwhile count once."""
        size = sa.func.length(_vectors.c.vector)
        for part in _parts(keys):
            statement = _vectors.delete().where(_vectors.c.key.in_(part)).returning(size)
            sizes = connection.execute(statement).scalars().all()
            self._add(connection, "entries", -len(sizes))
            self._add(connection, "bytes", -sum(sizes) - ROW_BYTES * len(sizes))

    def _add(self, connection: sa.Connection, name: str, amount: int) -> int:
        insert = sqlite.insert if self._sqlite else postgresql.insert
        statement = (
            insert(_totals)
            .values(name=name, value=amount)
            .on_conflict_do_update(
                index_elements=["name"], set_={"value": _totals.c.value + amount}
            )
            .returning(_totals.c.value)
        )
        return connection.execute(statement).scalar_one()

    def _read_totals(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            return {row.name: row.value for row in connection.execute(sa.select(_totals))}

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """Return what ``work`` returns, None while the cache is out of order."""
        if self._clock.monotonic() < self._silent_until:
            return None
        try:
            if not self._ready:
                self._create()
            return work()
        except SQLAlchemyError as error:
            self._silent_until = self._clock.monotonic() + PAUSE_SECONDS
            log.warning(
                "the vector cache %r is passed over for %d s (%s); vectors are inferred again",
                self._engine.url.render_as_string(hide_password=True),
                PAUSE_SECONDS,
                type(error).__name__,
            )
            return None

    def _create(self) -> None:
        statements = [
            *(schema.CreateTable(table, if_not_exists=True) for table in (_vectors, _totals)),
            *(schema.CreateIndex(index, if_not_exists=True) for index in _vectors.indexes),
        ]
        for statement in statements:
            # Postgres tells one of two that create at once that the other was first.
            with suppress(IntegrityError, ProgrammingError), self._engine.begin() as connection:
                connection.execute(statement)
        self._ready = True

    def _today(self) -> int:
        return int(self._clock.now().timestamp() // 86_400)


def _key(model: str, text: str) -> bytes:
    return hashlib.sha256(f"{model}\0{text}".encode()).digest()


def _bytes(vector: bytes) -> int:
    return len(vector) + ROW_BYTES


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), KEYS_PER_STATEMENT):
        yield items[start : start + KEYS_PER_STATEMENT]


def _engine(where: str | Path) -> sa.Engine:
    if isinstance(where, str) and "://" in where and not where.startswith("sqlite:"):
        return sa.create_engine(
            where, pool_pre_ping=True, connect_args={"connect_timeout": BUSY_SECONDS}
        )
    path = Path(str(where).removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        write_ahead(connection, within_seconds=BUSY_SECONDS)
        # A power cut may lose the last vectors, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
