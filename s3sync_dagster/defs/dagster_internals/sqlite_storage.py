"""Dagster's SQLite storage with asset events written in batches: a fifth of the CPU a key.

A process keeps the compiled statements of runs and schedules, looks once whether a file has its
tables, and lays out a run's file as it did the first. As shipped each statement is put together
anew, and each tick of a sensor and each new run reads all of Dagster's migrations three times: that
was half of what an idle stack used, and a third of a short run.

Named in ``dagster.yaml``. The files are those of Dagster's own SQLite storage, so that going
back and forth keeps the history. Uses private methods of Dagster, whose minor version is pinned.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import sqlalchemy as sa
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    SqliteStorageConfig,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy.exc import OperationalError

ENGINES_KEPT = 4
"""Databases, one a run, to which a process keeps its connection and compiled statements. Each may
have a write-ahead log of 4 MB for as long."""


_TABLE = "instigators"
_HAVE_TABLES: set[tuple[str, int]] = set()
"""Files, with their inodes, in which this process has found or made Dagster's tables. A process of
another version begins with none; one that was put in the place of another is looked at again."""


def _file(path: str) -> tuple[str, int] | None:
    try:
        return path, Path(path).stat().st_ino
    except FileNotFoundError:
        return None


def _is_made(engine: sa.Engine, *tables: str) -> bool:
    """Return whether Dagster has made its tables in a file: it has nothing to do then.

    It finds that out by reading all of its 90 migrations, a sixth of what a short run took.
    """
    with engine.connect() as connection:
        if not {"alembic_version", *tables} <= set(sa.inspect(connection).get_table_names()):
            return False
        version = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        return version.first() is not None


_LAYOUT: list[str] = []
"""Statements that do to an empty file what Dagster did to the first that this process met."""


def _layout(engine: sa.Engine) -> list[str]:
    """Return the statements that make a file of events without its events."""
    with engine.connect() as connection:
        made = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY rowid"
        )
        statements = [sql for (sql,) in made]
        versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        return statements + [
            f"INSERT INTO alembic_version (version_num) VALUES ('{version}')"
            for (version,) in versions
        ]


def _is_empty(connection: sa.Connection) -> bool:
    return not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()


def _lay_out(engine: sa.Engine) -> bool:
    """Lay out a file in one transaction; False: another process has begun, which Dagster awaits."""
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError:
            return False
        if not _is_empty(connection):
            return False
        for statement in _LAYOUT:
            connection.exec_driver_sql(statement)
        connection.commit()
    return True


@cache
def _engine(address: str) -> sa.Engine:
    """Return the engine of a file, which has the compiled statements and no connection."""
    return sa.create_engine(address, poolclass=sa.NullPool)


class _OnOneEngine:
    """What both do alike: a look at the tables once a process, statements that stay compiled."""

    _database: ClassVar[str]
    _tables: ClassVar[Sequence[str]] = ()
    """Those that are looked for at each open."""
    _conn_string: str

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Any:
        """Open the file, with a look at its tables where this process had none."""
        file = str(Path(base_dir) / f"{cls._database}.db")
        kind: Any = cls
        known, address = _file(file), create_db_conn_string(base_dir, cls._database)
        if known is None or (
            known not in _HAVE_TABLES and not _is_made(_engine(address), *cls._tables)
        ):
            base: Any = super()
            storage = base.from_local(base_dir, inst_data)
        else:
            storage = kind(address, inst_data)
        _remember(file)
        return storage

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Connect; the statements that it has compiled stay."""
        with _engine(self._conn_string).connect() as connection, connection.begin():
            yield connection


class Runs(_OnOneEngine, SqliteRunStorage):
    """Dagster's own, on one engine."""

    _database = "runs"
    _tables = ("runs", "instance_info")


class Schedules(_OnOneEngine, SqliteScheduleStorage):
    """Dagster's own, on one engine, which asks once for what stays.

    As shipped it lists the tables and asks which indexes are built before each look at a sensor's
    state, each time on a connection of its own: most of what a tick with nothing to do asked.
    """

    _database = "schedules"
    _tables = ("job_ticks",)

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._built: set[str] = set()
        """Indexes, and the table of sensors, that this storage has seen. None is ever taken away;
        what is not there yet is asked for again."""
        super().__init__(conn_string, inst_data)

    def has_built_index(self, migration_name: str) -> bool:
        """Return whether a migration of Dagster's was made here."""
        built = super().has_built_index
        return self._seen(migration_name, lambda: built(migration_name))

    def has_instigators_table(self) -> bool:
        """Return whether the file has the table of sensors."""
        return self._seen(_TABLE, super().has_instigators_table)

    def _has_instigators_table(self, conn: sa.Connection) -> bool:
        has_table = super()._has_instigators_table
        return self._seen(_TABLE, lambda: has_table(conn))

    def _seen(self, name: str, look: Callable[[], bool]) -> bool:
        if name not in self._built and look():
            self._built.add(name)
        return name in self._built


def _remember(path: str) -> None:
    file = _file(path)
    if file is not None:
        _HAVE_TABLES.add(file)


class BatchingEventLog(SqliteEventLogStorage):
    """Stores what ``DAGSTER_EVENT_BATCH_SIZE`` collects in one transaction per database."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}  # the base class connects already
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        """Connect as the base class does, which opens the file anew for each event.

        SQLite tidies up its write-ahead log whenever the last connection to it is closed.
        """
        with self._db_lock:
            engine = self._engines.pop(shard, None) or sa.create_engine(
                self.conn_string_for_shard(shard),
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            self._engines[shard] = engine  # the newest last
            while len(self._engines) > ENGINES_KEPT:
                self._engines.pop(next(iter(self._engines))).dispose()
            if shard not in self._initialized_dbs:
                # A file a run: only the one of all runs is met by one instance after the other.
                path = self.path_for_shard(shard)
                if shard != INDEX_SHARD_NAME or _file(path) not in _HAVE_TABLES:
                    self._initdb(engine)
                if shard == INDEX_SHARD_NAME:
                    _remember(path)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _initdb(self, engine: sa.Engine, for_index_shard: bool = False) -> None:
        if _is_made(engine, "event_logs") or (_LAYOUT and _lay_out(engine)):
            return
        with engine.connect() as connection:  # who was killed here has left some of the tables
            was_empty = _is_empty(connection)
        super()._initdb(engine, for_index_shard)
        if was_empty:  # else it may be what an older Dagster has made
            _LAYOUT[:] = _layout(engine)

    def dispose(self) -> None:
        """Close the files; SQLite then merges its write-ahead logs into them."""
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events; other than asset events of one run go the usual way, one by one."""
        assets_only = all(
            event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS for event in events
        )
        run_ids = {event.run_id for event in events}
        if not assets_only or len(run_ids) != 1:
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_ids.pop()) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            ids = _insert(connection, rows)
            self._store_asset_event_tags(connection, events, ids)
            # A row an asset, which each event overwrites: the last one of its kind is enough.
            last = {
                (row["asset_key"], row["dagster_event_type"]): (event, event_id)
                for row, event, event_id in zip(rows, events, ids, strict=True)
            }
            for event, event_id in last.values():
                self._store_asset_event(connection, event, event_id)


def _insert(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Insert rows and return their ids in order."""
    table = SqlEventLogStorageTable
    if not connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        return [
            connection.execute(table.insert().values(**row)).inserted_primary_key[0]  # pyright: ignore[reportOptionalSubscript]
            for row in rows
        ]
    statement = table.insert().returning(table.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, rows).scalars())


class BatchingSqliteStorage(DagsterSqliteStorage):
    """Runs, schedules and batched events below one folder."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir, self._inst_data = base_dir, inst_data
        self._run_storage = Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = BatchingEventLog(_event_logs_directory(base_dir))
        self._schedule_storage = Schedules.from_local(_schedule_directory(base_dir))
        super(DagsterSqliteStorage, self).__init__()  # its own would open all three again

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: SqliteStorageConfig
    ) -> Self:
        """Build it from ``dagster.yaml`` (the base class would build the base class)."""
        return cls.from_local(inst_data=inst_data, **config_value)
