"""Millions of objects in shards of 100,000 on Postgres: what a shard costs beside the others.

    python -m benchmarks.engine.shards [--shards 10 30] [--objects 100000] [--migrate]

One bucket whose keys lie in so many sources, a prefix each; rows as a sync leaves them are put in
by the server itself, and each size is measured on what is there: a listing in which nothing
changed, one in which a thousandth did, dispatch, counts, pages, house-keeping. The listing comes
from memory: what is measured is engine and catalog. CPU is of this process and of Postgres.
``--migrate`` also takes the newest revisions off a copy and puts them on again: minutes.
"""

import argparse
import hashlib
import json
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.orchestration.storage import postgres_server
from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.dispatching import BatchOrder, dispatch
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.engine.store_ports import ListPage
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database
from s3sync_dagster_tests.sources import s3_source

CHANGED_EVERY = 1000
CHANGED_SHARDS = 3
CHUNKS = 10
MIGRATED_FROM = "0025"
"""Before counts were kept: the revision whose upgrade reads all rows."""
FILL = (
    """
    INSERT INTO objects (source_id, object_key, partition_key, etag, size, seen_at, outcome,
                         outcome_etag, fingerprint, partition_added, told_count)
    SELECT :id, key, key, md5(key), 20000, :now, 'indexed', md5(key), :fingerprint, true, 1
    FROM (SELECT :prefix || lpad(n::text, 6, '0') || '.txt' AS key
          FROM generate_series(0, :number - 1) AS n) AS keys
    """,
    """
    INSERT INTO documents (source_id, object_key, tenant, database_name, collection_name,
                           document_id, metadata, owner, phase, etag, fingerprint, chunks,
                           high_water, digests, metadata_keys, text_bytes, indexed_at)
    SELECT :id, object_key, 'default_tenant', 'default_database', 'docs',
           encode(sha256(object_key::bytea), 'hex'), '{}', '', 'clean', etag, fingerprint,
           :chunks, :chunks, decode(repeat(etag, :chunks * 2), 'hex'), '[]', 19000, :now
    FROM objects WHERE source_id = :id
    """,
)


class Shard:
    """A listing of a shard's keys: ``engine.store_ports.ObjectStore`` as far as it lists."""

    ordered = True

    def __init__(self, prefix: str, number: int, *, changed: bool) -> None:
        self._prefix, self._number, self._changed = prefix, number, changed

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the next page."""
        assert prefix == self._prefix
        first = int(start_after[len(prefix) : -4]) + 1 if start_after else 0
        last = min(first + limit, self._number)
        refs = tuple(self._ref(f"{prefix}{n:06}.txt", n) for n in range(first, last))
        return ListPage(objects=refs, last=last == self._number)

    def _ref(self, key: str, number: int) -> ObjectRef:
        told = f"new {key}" if self._changed and number % CHANGED_EVERY == 0 else key
        etag = hashlib.md5(told.encode(), usedforsecurity=False).hexdigest()
        return ObjectRef(key=key, etag=etag, size=20000)


class Asked:
    """Runs that nobody starts: ``engine.dispatching.Runs``."""

    def __init__(self) -> None:
        self.keys = 0

    def add_partitions(self, source: Source, names: Sequence[str], *, shard: int) -> bool:
        """Do nothing."""
        return True

    def launch(self, order: BatchOrder) -> bool:
        """Count the keys."""
        self.keys += len(order.keys)
        return True


class Sizes:
    """One catalog that grows, and what is measured at each size."""

    def __init__(self, server: Any, objects: int) -> None:
        self._server, self.objects = server, objects
        self.url = fresh_postgres_database(server.get_uri())
        self.catalog: Catalog = open_catalog(self.url)
        self.sources: list[Source] = []
        self.statements = 0
        sa.event.listen(self.catalog.database.engine, "before_cursor_execute", self._count)

    def _count(self, *_arguments: Any) -> None:
        self.statements += 1

    def postgres_cpu(self) -> float:
        """Return CPU-seconds of the server and all of its processes, ended ones too."""
        pid = int((Path(self._server.pgdata) / "postmaster.pid").read_text().split()[0])
        main, used = psutil.Process(pid), 0.0
        for one in (main, *main.children(recursive=True)):
            times = one.cpu_times()
            used += times.user + times.system
        ended = main.cpu_times()
        return used + ended.children_user + ended.children_system

    def measured(self, what: str, work: Callable[[], Any]) -> dict[str, Any]:
        """Do something and print what it cost."""
        self.statements = 0
        server, began, cpu = self.postgres_cpu(), time.monotonic(), time.process_time()
        found = work()
        line = {
            "shards": len(self.sources),
            "what": what,
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "postgres_cpu_seconds": round(self.postgres_cpu() - server, 2),
            "statements": self.statements,
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "found": found,
        }
        print(json.dumps(line), flush=True)
        return line

    def grow(self, shards: int) -> None:
        """Add shards until there are so many, each as a sync leaves it."""

        def fill() -> int:
            before = len(self.sources)
            while len(self.sources) < shards:
                number = len(self.sources)
                source = s3_source(
                    id=f"00000000-0000-4000-8000-{number:012}",
                    name=f"shard_{number:03}",
                    bucket_name="bucket",
                    path_prefix=f"docs/{number:03}/",
                    collection_name="docs",
                    list_interval_seconds=300,
                    embedding=EmbeddingConfig(kind="hash"),
                )
                self.catalog.sources.add(source)
                self.sources.append(source)
                values = {
                    "id": source.id,
                    "prefix": source.place.path_prefix,
                    "number": self.objects,
                    "now": time.time(),
                    "fingerprint": source.fingerprint(),
                    "chunks": CHUNKS,
                }
                with self.catalog.database.write() as tx:
                    for statement in FILL:
                        tx.execute(sa.text(statement), values)
            return (len(self.sources) - before) * self.objects

        self.measured("rows put in", fill)
        engine = self.catalog.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")

    def disk(self) -> None:
        """Print bytes an object, by table with its indexes."""
        with self.catalog.database.read() as tx:
            sizes = {
                name: int(
                    tx.execute(sa.text(f"SELECT pg_total_relation_size('{name}')")).scalar_one()
                )
                for name in ("objects", "documents")
            }
        total = len(self.sources) * self.objects
        told = {name: round(size / total) for name, size in sizes.items()}
        gib = round(sum(sizes.values()) / 1024**3, 2)
        print(json.dumps({"shards": len(self.sources), "gib": gib, "bytes_an_object": told}))

    def listing(self, source: Source, *, changed: bool) -> int:
        """List a shard; returns how many keys wait afterwards."""
        progress = continue_listing(
            source,
            catalog=self.catalog,
            store=Shard(source.place.path_prefix, self.objects, changed=changed),  # type: ignore[arg-type]
            clock=Clock(),
            owner="bench",
            fresh=True,
        )
        assert progress is not None
        return progress.listing.new + progress.listing.changed

    def look(self) -> None:
        """Measure what syncs, ticks and people ask of a catalog of this size."""
        catalog, sources = self.catalog, self.sources
        views, middle, last = catalog.views, sources[len(sources) // 2], sources[-1]
        self.measured("a shard listed, nothing changed", lambda: self.listing(last, changed=False))
        self.measured(
            f"{CHANGED_SHARDS} shards listed, 0.1 % changed",
            lambda: sum(self.listing(one, changed=True) for one in sources[:CHANGED_SHARDS]),
        )

        def hand_out() -> int:
            runs = Asked()
            known = {one.id: one for one in sources}
            dispatch(catalog, runs, known, refused=_refuse, share=lambda _tenant: None)
            return runs.keys

        self.measured("dispatch of what changed", hand_out)

        def tick() -> int:
            waiting = catalog.batches.pending_sources()
            return len(waiting) + len(catalog.batches.live()) + len(catalog.work.untidy_sources())

        self.measured("a tick's questions", tick)
        self.measured("all sources read", lambda: len(list(catalog.sources.rows())))
        self.measured("counts of a shard", lambda: views.counts(middle.id).indexed)
        self.measured("counts of all", lambda: sum(views.counts(one.id).indexed for one in sources))
        after = f"{middle.place.path_prefix}{self.objects // 2:06}.txt"
        self.measured("a page of objects", lambda: len(views.object_rows(middle.id)))
        self.measured(
            "a page from the middle", lambda: len(views.object_rows(middle.id, after=after))
        )
        self.measured(
            "a page of those that failed (none)",
            lambda: len(views.object_rows(middle.id, state="failed")),
        )
        self.measured("a key", lambda: len(views.object_rows(middle.id, key=after)))
        self.measured(
            "history pruned", lambda: catalog.invocations.prune(older_than_seconds=30 * 86_400.0)
        )
        self.settle()

    def settle(self) -> None:
        """Undo what the listings have found, so that the next size begins as this one did."""
        with self.catalog.database.write() as tx:
            for statement in (
                "UPDATE objects SET etag = md5(object_key) WHERE source_id = ANY(:ids)"
                + " AND etag <> md5(object_key)",
                "DELETE FROM invocations",
                "DELETE FROM batches",
            ):
                ids = [one.id for one in self.sources[:CHANGED_SHARDS]]
                tx.execute(sa.text(statement), {"ids": ids} if ":ids" in statement else {})

    def migrate(self) -> None:
        """Print what the upgrade costs that has to read every row."""
        from alembic import command

        from s3sync_dagster.catalog.database import _alembic_config

        database = self.catalog.database
        config = _alembic_config(database.url)
        with database.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, MIGRATED_FROM)
            connection.commit()
        self.measured(f"migration from {MIGRATED_FROM}", database.migrate)


def _refuse(source: Source, error: Exception) -> None:
    raise AssertionError(f"{source.name}: {error}")


def main() -> None:
    """Print a line of JSON for each question at each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--objects", type=int, default=100_000, help="of each shard")
    parser.add_argument("--migrate", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server ends with this process
    with postgres_server() as server:
        sizes = Sizes(server, options.objects)
        for shards in sorted(options.shards):
            sizes.grow(shards)
            sizes.disk()
            sizes.look()
            if options.migrate:
                sizes.migrate()
        sizes.catalog.close()


if __name__ == "__main__":
    main()
