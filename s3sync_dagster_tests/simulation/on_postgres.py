"""Worlds whose catalog is a real Postgres: other SQL and other locks than in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_catalog
from s3sync_dagster_tests.simulation.spells import Spells

WORLD = "s3sync_dagster_tests.simulation.world"
PEOPLE = "s3sync_dagster_tests.simulation.people"


@contextmanager
def catalogs_on_postgres(postgres_url: str) -> Iterator[None]:
    """Let each world that is made meanwhile have a database of its own.

    Args:
        postgres_url: of a server's maintenance database.
    """
    server = sa.create_engine(
        sa.make_url(postgres_url).set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",
    )
    copies = list[str]()

    def change(statement: str) -> None:
        with server.connect() as connection:
            connection.exec_driver_sql(statement)

    def fresh(clock: Any) -> Database:
        clock.follows = lambda **_seconds: True  # the world's clock is the server's
        return Database(fresh_postgres_catalog(postgres_url), clock=clock)

    def close(database: Database) -> None:
        database.close()
        for name in (database.url.database, *copies):
            change(f"DROP DATABASE {name}")
        copies.clear()

    def dump(catalog: Any) -> str:
        catalog.database.engine.dispose()  # a template has no other connections
        name = f"{catalog.database.url.database}_{len(copies)}"
        change(f"CREATE DATABASE {name} TEMPLATE {catalog.database.url.database}")
        copies.append(name)
        return name

    def load(catalog: Any, copy: str) -> None:
        catalog.database.engine.dispose()
        name = catalog.database.url.database
        change(f"DROP DATABASE {name}")
        change(f"CREATE DATABASE {name} TEMPLATE {copy}")

    try:
        with (
            patch(f"{WORLD}.fresh_database", fresh),
            patch(f"{WORLD}.close_database", close),
            patch(f"{PEOPLE}.dump_catalog", dump),
            patch(f"{PEOPLE}.load_catalog", load),
            patch.object(Spells, "_pragma", lambda *_: None),  # its disk does not run full
        ):
            yield
    finally:
        server.dispose()
