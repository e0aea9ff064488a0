"""Engine, transactions and migrations: SQLite by default, Postgres by URL."""

import fcntl
import math
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect

from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.catalog.sqlite_engines import begin_writing, give_back, in_memory, take_engine
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.errors import AccessDenied, InvalidSetting, Unavailable
from s3sync_dagster.model.extras import require_extra

COALESCING = sa.text("status = 'pending' AND automatic AND owner IS NULL")
"""The condition of ``uq_invocations_coalesce``, as ON CONFLICT must repeat it to the letter."""
MIGRATION_LOCK = 0x53335359  # "S3SY": Postgres advisory lock
ROWS_A_PART = 2000
"""Rows that one transaction deletes where they may be a million."""
PLACES_LOCK = 0x53335350  # "S3SP"
CLEARING_LOCK = 0x53335343  # "S3SC"
TENANT_LOCK = 0x53335354  # "S3ST": its second number is the tenant's hash
FOLLOW_SECONDS = 30.0
"""On Postgres the server is asked for the time so often: all hosts go by its clock."""

_SOURCE = sa.text("SELECT deleting FROM sources WHERE id = :id")
_LOCK_SOURCE = sa.text("SELECT 1 FROM sources WHERE id = :id FOR UPDATE")


class Database:
    """Connections to the catalog's database.

    Transactions hold no network call and are short: ``write`` begins with ``BEGIN IMMEDIATE``
    on SQLite, so that a read inside it cannot be overtaken by another writer.
    """

    def __init__(
        self, url: str, *, clock: Clock | None = None, quota: ObjectQuota | None = None
    ) -> None:
        self.clock = clock or Clock()
        self.quota = quota
        self.url = _driver_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._in_use = True
        if self.sqlite:
            self.engine = take_engine(self.url)
        else:
            require_extra("postgres", what="A catalog on Postgres")
            self.engine = sa.create_engine(
                self.url,
                pool_pre_ping=True,
                pool_size=4,
                max_overflow=8,
                executemany_mode="values_plus_batch",
                connect_args={"connect_timeout": 10},
            )

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """Open a transaction that only reads."""
        with _refusals(), self.engine.connect() as connection, connection.begin():
            self._ask_the_time(connection)
            yield connection

    @contextmanager
    def write(self, *, durable: bool = False) -> Generator[sa.Connection]:
        """Open a transaction that writes.

        Args:
            durable: what it commits outlives a power cut, also on SQLite, and all before it. For
                what no listing finds again.
        """
        with _refusals(), self.engine.connect() as connection:
            if self.sqlite:
                begin_writing(connection)
            driver: Any = connection.connection.driver_connection
            if durable and self.sqlite:
                driver.execute("PRAGMA synchronous = FULL")
            try:
                with connection.begin():
                    self._ask_the_time(connection)
                    yield connection
            finally:
                if durable and self.sqlite:
                    driver.execute("PRAGMA synchronous = NORMAL")

    def now(self) -> float:
        """Return the time, in seconds since 1970: on Postgres the server's, for hosts may differ.

        Where a clock is put right, times that were set by it lie further off than they can have
        been set: who reads one asks ``core.patience.is_due``.
        """
        if not self.sqlite and not self.clock.follows(within_seconds=math.inf):
            with self.read():
                pass
        return self.clock.now().timestamp()

    def _ask_the_time(self, connection: sa.Connection) -> None:
        if not self.sqlite and not self.clock.follows(within_seconds=FOLLOW_SECONDS):
            query = sa.text("SELECT EXTRACT(EPOCH FROM clock_timestamp())")
            self.clock.follow(float(connection.execute(query).scalar_one()))

    def insert(self, table: sa.Table) -> Any:
        """Return the dialect's INSERT, which knows ON CONFLICT."""
        return insert_into(table, sqlite=self.sqlite)

    def delete_in_parts(
        self, key: sa.Column[Any], which: sa.ColumnElement[bool], *, rows: int = ROWS_A_PART
    ) -> int:
        """Delete rows of one table in transactions of their own.

        Args:
            key: of the table, unique among the rows that go.
            which: the rows that go.
            rows: of one transaction.
        """
        deleted = 0
        while True:
            with self.write() as connection:
                part = sa.select(key).where(which).limit(rows).correlate(None)
                gone = connection.execute(key.table.delete().where(which, key.in_(part))).rowcount
            deleted += gone
            if gone < rows:
                return deleted

    def lock_source(self, connection: sa.Connection, source_id: str) -> None:
        """Serialise writes about one source until the transaction ends.

        Every transaction that writes several rows of a source begins with it, so that two of
        them never wait for each other's rows. On SQLite BEGIN IMMEDIATE has serialised all.
        """
        if not self.sqlite:
            connection.execute(_LOCK_SOURCE, {"id": source_id})

    def lock_sources(self, connection: sa.Connection, source_ids: Iterable[str]) -> None:
        """Serialise writes about several sources, in an order that all who do so keep."""
        for source_id in sorted(set(source_ids)):
            self.lock_source(connection, source_id)

    def lock_places(self, connection: sa.Connection) -> None:
        """Serialise those who look whether a source overlaps another, and then write it."""
        if not self.sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": PLACES_LOCK})

    def lock_clearing(self, connection: sa.Connection, *, begins: bool = False) -> None:
        """Let nobody's records begin to be taken away while others take some of them over.

        After the locks of sources. Who takes over looks afterwards whose records are going.

        Args:
            connection: an open transaction.
            begins: for who lets records be taken away, and waits for all who take over just now.
        """
        if not self.sqlite:
            lock = "pg_advisory_xact_lock" if begins else "pg_advisory_xact_lock_shared"
            connection.execute(sa.text(f"SELECT {lock}(:n)"), {"n": CLEARING_LOCK})

    def lock_tenant(self, connection: sa.Connection, tenant: str) -> None:
        """Serialise what adds to the things of a tenant that are counted.

        What no index can say, such as how many there may be, is true then until it is written.
        """
        if not self.sqlite:
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(:room, hashtext(:tenant))"),
                {"room": TENANT_LOCK, "tenant": tenant},
            )

    def lock_batch(self, connection: sa.Connection, token: str) -> None:
        """Serialise writes about a batch's source until the transaction ends."""
        if not self.sqlite:
            connection.execute(
                sa.text(
                    "SELECT 1 FROM sources WHERE id = "
                    "(SELECT source_id FROM batches WHERE token = :token) FOR UPDATE"
                ),
                {"token": token},
            )

    def has_source(self, connection: sa.Connection, source_id: str) -> bool:
        """Lock a source; returns whether it is there: nothing is stored for one that is not."""
        self.lock_source(connection, source_id)
        return connection.execute(_SOURCE, {"id": source_id}).first() is not None

    def open_source(self, connection: sa.Connection, source_id: str) -> bool:
        """Lock a source; returns whether it is there to be worked on and not being deleted."""
        self.lock_source(connection, source_id)
        row = connection.execute(_SOURCE, {"id": source_id}).first()
        return row is not None and row.deleting is None

    def migrate(self) -> None:
        """Create the schema or bring it to ``head_revision``, one process at a time.

        A schema that has more than this program knows is left as it is.
        """
        current = self.current_revision()
        if current is not None and current >= self.head_revision():
            return
        from alembic import command  # noqa: PLC0415  (0.2 CPU-s that only a migration has to pay)

        with self._migration_lock():
            config = _alembic_config(self.url)
            with _ddl_rights(), self.engine.connect() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()

    def current_revision(self) -> str | None:
        """Return the schema's revision, None for an empty database."""
        try:
            with self.read() as connection:
                if not sa.inspect(connection).has_table("alembic_version"):
                    return None
                return connection.execute(
                    sa.text("SELECT version_num FROM alembic_version")
                ).scalar_one_or_none()
        except exc.OperationalError as error:
            raise Unavailable(
                f"The catalog {_shown(self.url)} cannot be opened: check that the server or folder "
                "exists and may be written, or set S3SYNC_DATABASE_URL.",
                reason="catalog_unavailable",
            ) from error

    def head_revision(self) -> str:
        """Return the newest revision that this version of the program knows."""
        names = sorted((Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py"))
        return names[-1].name.split("_")[0]

    @contextmanager
    def _migration_lock(self) -> Generator[None]:
        if self.sqlite:
            if in_memory(self.url):
                yield
                return
            with Path(f"{self.url.database}.migrate.lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
            return
        with self.engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:n)"), {"n": MIGRATION_LOCK})
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:n)"), {"n": MIGRATION_LOCK})

    def shown(self) -> str:
        """Return its address for people, without the password."""
        return _shown(self.url)

    def close(self) -> None:
        """Close pooled connections; who goes on opens new ones."""
        self.engine.dispose()
        if self._in_use and self.sqlite:
            self._in_use = False
            give_back(self.url, self.engine)


def insert_into(table: sa.Table, *, sqlite: bool) -> Any:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    return sqlite_dialect.insert(table) if sqlite else postgresql.insert(table)


def _driver_url(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise InvalidSetting(
            "S3SYNC_DATABASE_URL is not a database URL; use sqlite:////path/catalog.db or "
            "postgresql://user:password@host/database."
        ) from error
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise InvalidSetting(
            f"S3SYNC_DATABASE_URL names {backend!r}; only sqlite and postgresql are supported."
        )
    if backend == "postgresql":  # SQLAlchemy 2.1 would take psycopg 3, which is not installed
        return parsed.set(drivername="postgresql+psycopg2")
    return parsed


def _alembic_config(url: sa.URL) -> Any:
    from alembic.config import Config  # noqa: PLC0415  (see migrate)

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option(
        "sqlalchemy.url", url.render_as_string(hide_password=False).replace("%", "%%")
    )
    return config


class RefusedByServer(Unavailable):
    """The server answers, and lets nobody in: the message says what it lacks."""


def _refused_by_server(error: exc.OperationalError) -> str | None:
    """Return what a server of Postgres says against us; None where it does not answer.

    It has no other sign than its sentence, whose words are looked for: an English server's.
    """
    said = str(error.orig)
    if "database" in said and "does not exist" in said:
        return "has no such database: make it (createdb), or correct the URL"
    if "role" in said and "does not exist" in said or "authentication failed" in said:
        return "refuses this user or its password: correct the URL"
    return None


class Collided(Unavailable):
    """The database ended a transaction because of another one: a deadlock, a row made meanwhile."""

    given_up = False
    """True when it has been tried again often enough."""


_COLLISIONS = {"40P01", "40001", "23505"}
"""Postgres: deadlock detected, serialization failure, unique violation. Each rule that the schema
checks is asked for before, so that a second try meets the answer to a person."""


@contextmanager
def _refusals() -> Generator[None]:
    try:
        yield
    except (exc.IntegrityError, exc.OperationalError) as error:
        if getattr(error.orig, "pgcode", None) in _COLLISIONS:
            raise Collided(
                "Another process changed the same rows of the catalog; it is tried again.",
                reason="catalog_unavailable",
            ) from error
        if isinstance(error, exc.IntegrityError):
            raise
        if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_ERROR":
            raise  # a statement or schema that is wrong: nothing that passes by itself
        if (why := _refused_by_server(error)) is not None:
            raise RefusedByServer(
                f"The database server that S3SYNC_DATABASE_URL names {why}.",
                reason="catalog_unavailable",
            ) from error
        raise _unanswered() from error
    except exc.TimeoutError as error:  # of the pool: all its connections wait
        raise _unanswered() from error


def _unanswered() -> Unavailable:
    return Unavailable(
        "The catalog's database did not answer; it is tried again.", reason="catalog_unavailable"
    )


@contextmanager
def _ddl_rights() -> Generator[None]:
    try:
        yield
    except exc.ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != "42501":  # insufficient_privilege
            raise
        raise AccessDenied(
            "This user of the database may not change the catalog's tables: run `s3sync migrate` "
            "as one who may.",
            reason="catalog_rights",
        ) from error


def _shown(url: sa.URL) -> str:
    return url.render_as_string(hide_password=True)
