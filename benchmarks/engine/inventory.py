"""What it costs to find what changed by an inventory report, beside LISTs of the same bucket.

    python -m benchmarks.engine.inventory [--objects 1000000]

The server of ``listing_server`` holds made-up objects and reports of them, rows in no order;
the real stores, listing and catalog (SQLite) work in a process of their own for each phase, so that
the peak memory is the phase's.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.engine.listing_server import BUCKET, MadeUpBucket, etag, made_up_bucket
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.inventory_reports import delivered, packed, row_of

PHASES = ("first report", "no new report", "report, 0.1 % changed", "LIST, 0.1 % changed")
CHANGED_EVERY = 1000
FILE_ROWS = 100_000
PREFIX = f"made/{BUCKET}/all/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One phase for one process."""

    phase: str
    url: str
    folder: str


def run_phase(task: Task, answers: Any) -> None:
    """Do a phase in this process and put its figures into ``answers``."""
    from s3sync_dagster.catalog import open_catalog
    from s3sync_dagster.engine.clock import Clock
    from s3sync_dagster.engine.listing import continue_listing
    from s3sync_dagster.engine.reports import nothing_new
    from s3sync_dagster.model.place import CredentialsConfig
    from s3sync_dagster.ports.places import Surroundings, open_store
    from s3sync_dagster_tests.sources import changed, s3_source

    def none(*_: Any) -> Any:
        raise AssertionError("not asked for")

    clock = Clock()
    catalog = open_catalog(f"sqlite:///{task.folder}/catalog.db", clock=clock)
    source = s3_source(
        id="00000000-0000-4000-8000-000000000001",
        name="docs",
        bucket_name=BUCKET,
        region="us-east-1",
        endpoint_url=task.url,
        addressing_style="path",
        collection_name="docs",
        inventory=f"s3://reports/{PREFIX}",
        credentials=CredentialsConfig(access_key_id_env="KEY", secret_access_key_env="SECRET"),
    )
    if task.phase == PHASES[0]:
        catalog.sources.add(source)
    listed = changed(source, inventory=None) if task.phase.startswith("LIST") else source
    surroundings = Surroundings(
        home=Path(task.folder),
        resolve_env=lambda _name: "made-up",
        resolve_credential=none,
        uploads=none,
        guard_for=lambda *_: None,
    )
    store = open_store(listed, surroundings)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    found = 0
    if task.phase == PHASES[1]:
        assert nothing_new(source, store=store, catalog=catalog) is not None
    else:
        progress = continue_listing(
            listed,
            catalog=catalog,
            store=store,
            clock=clock,
            owner="bench",
            snapshots=Path(task.folder) / "listings",
        )
        assert progress is not None
        found = progress.listing.new + progress.listing.changed
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answers.put(
        {
            "phase": task.phase,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": round(used, 1),
            "peak_mib": peak_mib(),
            "new_or_changed": found,
        }
    )
    store.close()
    catalog.close()


def peak_mib() -> float:
    """Return the peak memory of this program: ``ru_maxrss`` begins with that of its parent."""
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(kib) / 1024, 1)


def deliver(bucket: MadeUpBucket, day: int) -> None:
    """Lay a report of the bucket as it is where reports are delivered."""
    keys = list(bucket.keys)
    random.Random(day).shuffle(keys)
    written = datetime(2026, 1, 1, tzinfo=UTC)
    files = []
    for place in range(0, len(keys), FILE_ROWS):
        bodies = ((key, bucket.body(key)) for key in keys[place : place + FILE_ROWS])
        refs = (
            ObjectRef(key=key, etag=etag(body), size=len(body), last_modified=written)
            for key, body in bodies
        )
        files.append(packed(row_of(ref) for ref in refs))
    created = written + timedelta(days=day)
    name = created.strftime("%Y-%m-%dT%H-%MZ")
    told = delivered(name, files, created=created, prefix=PREFIX, manifest={"sourceBucket": BUCKET})
    bucket.reports.update(told)


def measure(objects: int, folder: str) -> None:
    """Run all phases one after the other and print their figures."""
    processes = multiprocessing.get_context("spawn")
    with made_up_bucket(objects) as bucket:
        for phase in PHASES:
            if phase.endswith("changed"):
                bucket.change(CHANGED_EVERY)
            if "report" in phase and phase != PHASES[1]:
                deliver(bucket, PHASES.index(phase) + 1)
            answers = processes.Queue()
            task = Task(phase=phase, url=bucket.url, folder=folder)
            process = processes.Process(target=run_phase, args=(task, answers))
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"phase {phase!r} ended with {process.exitcode}")
            print(json.dumps(answers.get() | {"requests": bucket.take_requests()}), flush=True)


def main() -> None:
    """Print a line of JSON for each phase."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.objects, folder)


if __name__ == "__main__":
    main()
