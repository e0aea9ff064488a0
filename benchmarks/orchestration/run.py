"""What Dagster costs beside the work: CPU per key of daemon, code server and run workers.

    python -m benchmarks.orchestration.run [--keys 1 20 200 1000] [--batch 500] [--repeat 1]

Each size is measured twice over small Markdown objects on a local S3, with the hash embedder: by
the bare loop (lease a batch, extract, chunk, upsert) in this process, and by the whole stack.
CPU-seconds are robust on a busy machine, wall times are not; idle use is measured and taken off.
"""

import argparse
import json
import tempfile
import time
import uuid
from pathlib import Path

import psutil

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.lease import Lease
from s3sync_dagster.core.sync import sync_batch
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.end_to_end.stage import Stage, close_stage, open_stage

IDLE_SECONDS = 20.0


def stack_cpu_seconds(stage: Stage) -> dict[str, float]:
    """CPU of each part, its ended children included."""
    used = {}
    for name in ("daemon", "code server"):
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


def bare_loop(stage: Stage, keys: list[str]) -> float:
    """CPU-seconds of the same core functions in this process."""
    source = stage.source.with_changes(
        id=str(uuid.uuid4()),
        name=f"bare_{uuid.uuid4().hex[:8]}",
        collection_name=f"bare-{uuid.uuid4().hex[:8]}",
        queue_url=None,
    )
    parts = stage.parts
    parts.settings = stage.stack.settings
    parts.catalog.sources.add(source)
    parts.catalog.sources.set_paused(source.id, paused=True)  # the daemon leaves it alone
    engine = parts.engine_for(source)
    parts.catalog.invocations.request(source, keys, trigger=Trigger.API)
    began = time.process_time()
    while batch := parts.catalog.batches.reserve(
        source.id, take=Take(), owner=parts.owners.me(), run_id="bare"
    ):
        sync_batch(engine, Lease(batch.token, catalog=parts.catalog, clock=parts.clock))
    used = time.process_time() - began
    assert parts.catalog.views.counts(source.id).indexed == len(keys)
    return used


def through_the_stack(stage: Stage, keys: list[str], idle: float) -> tuple[float, float]:
    """CPU-seconds and wall seconds of the stack for these keys, idle use taken off."""
    before, began = sum(stack_cpu_seconds(stage).values()), time.monotonic()
    stage.catalog.invocations.request(stage.source, keys, trigger=Trigger.API)
    stage.wait(stage.idle, "the keys are done", 1800)
    stage.wait(
        lambda: not stage.dagster.runs(statuses=("STARTED", "STARTING", "QUEUED")), "runs ended"
    )
    time.sleep(3.0)  # the worker's CPU is its parent's only after it was reaped
    wall = time.monotonic() - began
    return sum(stack_cpu_seconds(stage).values()) - before - idle * wall, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, nargs="+", default=[1, 20, 200, 1000])
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    server = start_moto()
    aws = AwsEndpoint(url=server.url)
    folder = tempfile.TemporaryDirectory()
    stage = open_stage(Path(folder.name) / "home", aws, list_interval_seconds=0, queue_url=None)
    try:
        stage.wait(lambda: stage.dagster.tick_times("dispatch"), "the daemon ticks")
        before = sum(stack_cpu_seconds(stage).values())
        time.sleep(IDLE_SECONDS)
        idle = (sum(stack_cpu_seconds(stage).values()) - before) / IDLE_SECONDS
        print(f"idle: {idle * 100:.1f} % of a core (daemon and code server)")
        print("  keys | bare CPU-ms/key | stack CPU-ms/key | overhead CPU-ms/key | ratio | wall s")
        for number in options.keys:
            for _ in range(options.repeat):
                print(json.dumps(measure(stage, number, idle)))
    finally:
        close_stage(stage)
        server.close()
        folder.cleanup()


def measure(stage: Stage, number: int, idle: float) -> dict[str, float]:
    prefix = uuid.uuid4().hex[:8]
    keys = [f"{prefix}/{place:05d}.md" for place in range(number)]
    for key in keys:
        stage.aws.put(stage.bucket, key, f"# {key}\n\nSome words about {key}.\n")
    refs = [(ObjectRef(key=key, etag="?", size=64), None) for key in keys]
    for start in range(0, len(refs), 5000):
        stage.catalog.work.record_objects(stage.source.id, refs[start : start + 5000])
    bare = bare_loop(stage, keys)
    used, wall = through_the_stack(stage, keys, idle)
    return {
        "keys": number,
        "bare_ms": round(1000 * bare / number, 2),
        "stack_ms": round(1000 * used / number, 2),
        "overhead_ms": round(1000 * (used - bare) / number, 2),
        "ratio": round(used / bare, 1),
        "wall_s": round(wall, 1),
    }


if __name__ == "__main__":
    main()
