"""What it costs to reconcile a large bucket: seconds, memory, SQL statements, requests.

    python -m benchmarks.engine.scale [--objects 100000] [--database-url postgresql+psycopg2://...]

A server of this program's own lists made-up objects over HTTP and counts the requests; the real
S3 port, the real listing and the real catalog run in a process of their own for each phase, so
that the peak memory is the phase's. Phases: the first listing; the work that follows (texts come
from memory, not over the wire, records go to a fake Chroma: what is measured is engine and
catalog); a listing of the unchanged bucket; a listing after one object in a hundred changed; and
the work on those, read over the wire.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHASES = ("first", "work", "unchanged", "changed", "changed work")
LISTINGS = ("first", "unchanged", "changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One phase for one process."""

    phase: str
    url: str
    database_url: str


def run_phase(task: Task, answers: Any) -> None:
    """Do a phase in this process and put its figures into ``answers``."""
    import sqlalchemy as sa

    from benchmarks.engine.listing_server import BUCKET, etag
    from s3sync_dagster.catalog import open_catalog
    from s3sync_dagster.catalog.batches import Take
    from s3sync_dagster.embedding import open_embedder
    from s3sync_dagster.engine.batch.lease import Lease
    from s3sync_dagster.engine.batch.parts import BatchParts
    from s3sync_dagster.engine.batch.run import sync_batch
    from s3sync_dagster.engine.clock import Clock
    from s3sync_dagster.engine.listing import continue_listing
    from s3sync_dagster.engine.store_ports import ObjectBody
    from s3sync_dagster.model.object import ObjectRef
    from s3sync_dagster.model.place import CredentialsConfig
    from s3sync_dagster.model.source import EmbeddingConfig
    from s3sync_dagster.ports.memory_chroma import MemoryCollections
    from s3sync_dagster.ports.s3 import open_object_store
    from s3sync_dagster_tests.engine_fixture import paragraph_chunker, text_extractor
    from s3sync_dagster_tests.sources import s3_source

    clock = Clock()
    catalog = open_catalog(task.database_url, clock=clock)
    source = s3_source(
        id="00000000-0000-4000-8000-000000000001",
        name="docs",
        bucket_name=BUCKET,
        region="us-east-1",
        endpoint_url=task.url,
        addressing_style="path",
        collection_name="docs",
        embedding=EmbeddingConfig(kind="hash"),
        credentials=CredentialsConfig(access_key_id_env="KEY", secret_access_key_env="SECRET"),
    )
    if task.phase == "first":
        catalog.sources.add(source)
    store = open_object_store(source.place, resolve_env=lambda _name: "made-up")

    class FromMemory:
        """The store, with bodies that do not come over the wire."""

        ordered = True

        def read(self, key: str, **_options: Any) -> ObjectBody:
            body = f"Text number {int(key[5:12])}, version 1.".encode()
            ref = ObjectRef(key=key, etag=etag(body), size=len(body))
            return ObjectBody(ref=ref, content=body, content_type="text/plain", metadata={})

    statements = 0

    def count(*_arguments: Any) -> None:
        nonlocal statements
        statements += 1

    sa.event.listen(catalog.database.engine, "before_cursor_execute", count)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    keys = 0
    if task.phase in LISTINGS:
        continue_listing(
            source, catalog=catalog, store=store, clock=clock, owner="bench", fresh=True
        )
        keys = catalog.invocations.live_count(source.id)
    else:
        engine = BatchParts(
            source=source,
            catalog=catalog,
            store=store if task.phase == "changed work" else FromMemory(),  # type: ignore[arg-type]
            collections=MemoryCollections(),
            embedder=open_embedder(source.embedding, model_dir=None),
            extractor=text_extractor,
            chunker=paragraph_chunker,
            pool=None,  # type: ignore[arg-type]
            clock=clock,
        )
        while batch := catalog.batches.reserve(source.id, take=Take(), owner="b", run_id="r"):
            keys += len(batch.keys)
            sync_batch(engine, Lease(batch.token, catalog=catalog, clock=clock))
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    answers.put(
        {
            "phase": task.phase,
            "seconds": round(seconds, 2),
            "cpu_seconds": round(
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2
            ),
            "peak_mib": round(after.ru_maxrss / 1024, 1),
            "added_mib": round((after.ru_maxrss - before.ru_maxrss) / 1024, 1),
            "statements": statements,
            "keys_to_work_on": keys,
        }
    )
    catalog.close()


def measure(objects: int, database_url: str) -> list[dict[str, Any]]:
    """Run all phases one after the other and return their figures."""
    from benchmarks.engine.listing_server import made_up_bucket

    processes = multiprocessing.get_context("spawn")
    figures = []
    with made_up_bucket(objects) as bucket:
        for phase in PHASES:
            if phase == "changed":
                bucket.change()
            answers = processes.Queue()
            task = Task(phase=phase, url=bucket.url, database_url=database_url)
            process = processes.Process(target=run_phase, args=(task, answers))
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"phase {phase!r} ended with {process.exitcode}")
            figures.append(answers.get() | {"requests": bucket.take_requests()})
            print(json.dumps(figures[-1]), flush=True)
    return figures


def main() -> None:
    """Print a line of JSON for each phase."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--database-url", help="an empty database; default: a new SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.objects, options.database_url or f"sqlite:///{Path(folder)}/catalog.db")


if __name__ == "__main__":
    main()
