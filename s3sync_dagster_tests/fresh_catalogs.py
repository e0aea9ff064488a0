"""Catalogs at the newest revision, without running each migration for each of them."""

import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.engine.clock import Clock

_CLOSED: list[Database] = []
_FIRST: dict[type, sa.Engine] = {}


def compile_once() -> None:
    """Let all catalogs of this process share their compiled statements, which an engine keeps.

    Each test opens a catalog of its own, and compiling its hundred statements anew was a fifth of
    a scene's CPU. An engine lends its dialect once it has seen a server.
    """
    opens = Database.__init__

    def opened(self: Database, *arguments: Any, **options: Any) -> None:
        opens(self, *arguments, **options)
        engine: Any = self.engine
        first: Any = _FIRST.get(type(engine.dialect))
        if first is None or not getattr(first.dialect, "server_version_info", None):
            _FIRST[type(engine.dialect)] = engine
            return
        engine.dialect = engine.pool._dialect = first.dialect
        engine._compiled_cache = first._compiled_cache

    Database.__init__ = opened


def fresh_database(clock: Clock) -> Database:
    """Return an empty catalog in memory, copied from a template: no migration each time.

    What a world before it has closed serves again: its engine has compiled all statements.
    """
    database = _CLOSED.pop() if _CLOSED else Database("sqlite://")
    database.clock, database.quota = clock, None
    with database.engine.connect() as connection:
        _template().backup(connection.connection.dbapi_connection)
    return database


def close_database(database: Database) -> None:
    """Forget what a catalog in memory holds."""
    database.close()  # and its connection, with what the disk had for it
    _CLOSED.append(database)


def fresh_catalog(url: str, *, clock: Clock) -> Catalog:
    """Open a catalog that is made where there is none yet: on SQLite as a copy of the template."""
    if url == "sqlite://":
        return Catalog(fresh_database(clock))
    fill(url)
    return open_catalog(url, clock=clock)


def fill(url: str) -> None:
    """Copy the template to where a URL of SQLite names no file yet."""
    path = sa.make_url(url).database
    if url.startswith("sqlite:") and path and not Path(path).exists():
        target = sqlite3.connect(path)
        _template().backup(target)
        target.close()


@cache
def _template() -> Any:
    database = Database("sqlite://")
    database.migrate()
    return database.engine.raw_connection().dbapi_connection
