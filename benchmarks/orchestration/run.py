"""What Dagster costs beside the work: CPU per key of daemon, code server and run workers.

    python -m benchmarks.orchestration.run [--keys 1 20 200 500 1000] [--storage sqlite postgres]

Each size is measured twice over small Markdown objects on a local S3, with the hash embedder: by
the bare loop (lease a batch, extract, chunk, upsert) in this process, and by the whole stack,
whose runs take up to 500 keys. Parser workers count on both sides; S3, Chroma and Postgres on
none. CPU-seconds are robust on a busy machine, wall times are not; idle use is taken off.
``worker_mb`` is the most that one run worker had in memory, what it shares with others included.
"""

import argparse
import contextlib
import json
import random
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.orchestration.storage import storage
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.end_to_end.stage import Stage, close_stage, open_stage

IDLE_SECONDS = 30.0
BARE_KEYS = 2000
"""The bare loop takes no more of them: its cost a key is the same from 200 on."""


WORDS = (__doc__ or "").split()
PARTS = ("daemon", "code server", "runs", "workers")
"""Processes of the stack; run workers are children of ``runs``."""


def stack_cpu_seconds(stage: Stage, parts: Sequence[str] = PARTS) -> dict[str, float]:
    """CPU of each part, its ended children included."""
    used = {}
    for name in parts:
        process = psutil.Process(stage.stack._children[name].pid)
        seconds = 0.0
        for one in (process, *process.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            seconds += times.user + times.system + times.children_user + times.children_system
        used[name] = seconds
    return used


def add_bare_source(stage: Stage) -> Source:
    """Add a source of the same bucket that the daemon leaves alone.

    Once, and before anything is measured: a new source makes the stack load the definitions anew.
    """
    source = stage.source.with_changes(
        id=str(uuid.uuid4()),
        name="bare",
        collection_name="bare",
        place=replace(stage.source.place, queue_url=None),
    )
    stage.parts.settings = stage.stack.settings
    stage.catalog.sources.add(source)
    stage.catalog.sources.set_paused(source.id, paused=True)
    return source


def bare_loop(stage: Stage, source: Source, keys: list[str]) -> float:
    """CPU-seconds of the same core functions in this process."""
    parts = stage.parts
    engine = parts.batch_parts(source)
    parts.catalog.invocations.request(source, keys, trigger=Trigger.API)
    began = time.process_time() + sum(stack_cpu_seconds(stage, ["workers"]).values())
    while batch := parts.catalog.batches.reserve(
        source.id, take=Take(), owner=parts.owners.me(), run_id="bare"
    ):
        sync_batch(engine, Lease(batch.token, catalog=parts.catalog, clock=parts.clock))
    used = time.process_time() + sum(stack_cpu_seconds(stage, ["workers"]).values()) - began
    outcomes = parts.catalog.views.counts(source.id)
    assert (outcomes.pending, outcomes.failed) == (0, {}), outcomes
    return used


def worker_megabytes(stage: Stage) -> float:
    """Return the memory of the largest run worker."""
    sizes = [0.0]
    for worker in psutil.Process(stage.stack._children["runs"].pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes.append(worker.memory_info().rss / 1e6)
    return max(sizes)


def through_the_stack(
    stage: Stage, keys: list[str], idle: float
) -> tuple[dict[str, float], float, float]:
    """CPU-seconds by part, wall seconds and megabytes for these keys.

    Idle use is taken off the daemon.
    """
    before, began = stack_cpu_seconds(stage), time.monotonic()
    sizes: list[float] = []

    def done() -> bool:
        sizes.append(worker_megabytes(stage))
        return stage.idle()

    stage.catalog.invocations.request(stage.source, keys, trigger=Trigger.API)
    stage.wait(done, "the keys are done", 1800)
    stage.wait(
        lambda: not stage.dagster.runs(statuses=("STARTED", "STARTING", "QUEUED")), "runs ended"
    )
    time.sleep(3.0)  # the worker's CPU is its parent's only after it was reaped
    wall = time.monotonic() - began
    used = {name: now - before[name] for name, now in stack_cpu_seconds(stage).items()}
    used["daemon"] -= idle * wall
    return used, wall, max(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, nargs="+", default=[1, 20, 200, 500, 1000])
    parser.add_argument("--storage", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--embedding", default="hash")
    parser.add_argument("--paragraphs", type=int, default=1, help="of each document, 60 words each")
    options = parser.parse_args()
    server = start_moto()
    try:
        for kind in options.storage:
            with tempfile.TemporaryDirectory() as folder:
                on_storage(kind, Path(folder) / "home", server.url, options)
    finally:
        server.close()


def on_storage(kind: str, home: Path, aws_url: str, options: argparse.Namespace) -> None:
    """Start a stack on this storage, measure each size, stop it."""
    with storage(kind, home) as environment:
        stage = open_stage(
            home,
            AwsEndpoint(url=aws_url),
            environment=environment,
            list_interval_seconds=0,
            queue_url=None,
            embedding=EmbeddingConfig(kind=options.embedding),
        )
        try:
            compare(stage, options, kind)
        finally:
            close_stage(stage)


def compare(stage: Stage, options: argparse.Namespace, kind: str) -> None:
    """Print a line for each size."""
    stage.wait(lambda: stage.dagster.tick_times("dispatch"), "the daemon ticks")
    bare = add_bare_source(stage)
    # The first run of all opens and creates things.
    measure(stage, bare, 1, 0.0, kind=kind, paragraphs=options.paragraphs)
    before = sum(stack_cpu_seconds(stage).values())
    time.sleep(IDLE_SECONDS)
    idle = (sum(stack_cpu_seconds(stage).values()) - before) / IDLE_SECONDS
    print(f"{kind}: idle {idle * 100:.1f} % of a core (daemon, code server, parser workers)")
    for number in options.keys * options.repeat:
        line = measure(stage, bare, number, idle, kind=kind, paragraphs=options.paragraphs)
        print(json.dumps(line), flush=True)


def add_objects(stage: Stage, number: int, paragraphs: int) -> list[str]:
    """Put Markdown objects and return their keys; no text is there twice, for a cached vector."""
    prefix = uuid.uuid4().hex[:8]
    keys = [f"{prefix}/{place:05d}.md" for place in range(number)]
    chance = random.Random(prefix)
    for key in keys:
        body = f"Some words about {key}."
        if paragraphs > 1:
            body = "\n\n".join(" ".join(chance.choices(WORDS, k=60)) for _ in range(paragraphs))
        stage.aws.put(stage.bucket, key, f"# {key}\n\n{body}\n")
    return keys


def measure(
    stage: Stage, source: Source, number: int, idle: float, *, kind: str, paragraphs: int
) -> dict[str, Any]:
    """Return CPU-milliseconds a key, bare and through the stack."""
    compared = add_objects(stage, min(number, BARE_KEYS), paragraphs)
    keys = add_objects(stage, number, paragraphs)
    refs = [(ObjectRef(key=key, etag="?", size=64), None) for key in keys]
    for start in range(0, len(refs), 5000):
        stage.catalog.work.record_objects(stage.source.id, refs[start : start + 5000])
    before = stage.catalog.views.counts(source.id).chunks
    bare = bare_loop(stage, source, compared) * number / len(compared)
    chunks = stage.catalog.views.counts(source.id).chunks - before
    parts, wall, megabytes = through_the_stack(stage, keys, idle)
    used = sum(parts.values())
    return {
        "storage": kind,
        "keys": number,
        "chunks_a_key": round(chunks / len(compared), 1),
        "bare_ms": round(1000 * bare / number, 2),
        "stack_ms": round(1000 * used / number, 2),
        "overhead_ms": round(1000 * (used - bare) / number, 2),
        "ratio": round(used / bare, 1),
        "seconds": {name: round(seconds, 2) for name, seconds in parts.items()},
        "wall_s": round(wall, 1),
        "worker_mb": round(megabytes),
    }


if __name__ == "__main__":
    main()
