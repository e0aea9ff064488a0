"""What many sources cost: loading the definitions, a reload, ticks, idle CPU.

    python -m benchmarks.orchestration.sources [--sources 1 20 200]

The sources are those of the catalog, of an empty bucket, listed every 300 s. The second reload
comes while the sources that were just created are listed for the first time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.orchestration.run import stack_cpu_seconds
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.end_to_end.stage import Stage, close_stage, open_stage

IDLE_SECONDS = 30.0
LOAD = """
import resource
from s3sync_dagster.definitions import defs
defs().get_repository_def()
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""
TICKS = (
    "query($s:SensorSelector!){sensorOrError(sensorSelector:$s){... on Sensor"
    "{sensorState{ticks(limit:5){timestamp endTimestamp}}}}}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=int, nargs="+", default=[1, 20, 200])
    options = parser.parse_args()
    server = start_moto()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage = open_stage(
                Path(folder) / "home", AwsEndpoint(url=server.url),
                list_interval_seconds=300, queue_url=None,
            )  # fmt: skip
            try:
                have = 1
                for number in sorted(options.sources):
                    add(stage, have, number)
                    have = max(have, number)
                    print(json.dumps(measure(stage, have)), flush=True)
            finally:
                close_stage(stage)
    finally:
        server.close()


def add(stage: Stage, first: int, number: int) -> None:
    """Add sources until there are ``number``, each with a prefix of its own."""
    for place in range(first, number):
        stage.catalog.sources.add(
            stage.source.with_changes(
                id=str(uuid.uuid4()),
                name=f"source_{place:03d}",
                place=replace(stage.source.place, path_prefix=f"team-{place:03d}/"),
                collection_name=f"team-{place:03d}",
            )
        )


def measure(stage: Stage, number: int) -> dict[str, Any]:
    """Return what these sources cost while nothing changes."""
    began = time.monotonic()
    rows = list(stage.catalog.sources.rows())
    assert len(rows) == number
    new = [row for row in rows if not listed(stage, row)] or rows
    stage.wait(lambda: any(listed(stage, row) for row in new), "a new one listed")
    try:
        busy = reload_seconds(stage)  # while the first listings go on
    except Unavailable:
        busy = float("inf")  # no answer in the minute that the port waits
    stage.wait(lambda: all(listed(stage, row) for row in rows), "all listed", 600)
    all_listed = time.monotonic() - began
    quiet = reload_seconds(stage)
    load = subprocess.run(
        [sys.executable, "-c", LOAD],
        env=stage.settings.child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    time.sleep(5.0)
    before = sum(stack_cpu_seconds(stage).values())
    time.sleep(IDLE_SECONDS)
    idle = (sum(stack_cpu_seconds(stage).values()) - before) / IDLE_SECONDS
    server = psutil.Process(stage.stack._children["code server"].pid)
    return {
        "sources": number,
        "load_cpu_s": round(float(load.stdout), 2),
        "reload_s": round(quiet, 1),
        "reload_while_new_ones_are_listed_s": round(busy, 1),
        "all_listed_after_s": round(all_listed, 1),
        "dispatch_tick_s": tick_seconds(stage, "dispatch"),
        "listing_tick_s": tick_seconds(stage, "catalog_auto_sync"),
        "idle_percent_of_a_core": round(100 * idle, 1),
        "code_server_mb": round(
            sum(
                one.memory_info().rss
                for one in (server, *server.children(recursive=True))
                if one.is_running()
            )
            / 1e6
        ),
    }


def listed(stage: Stage, row: Any) -> bool:
    """Whether the source's first listing has at least begun."""
    return stage.catalog.listings.latest(row.source.id) is not None


def reload_seconds(stage: Stage) -> float:
    """Load the definitions anew."""
    began = time.monotonic()
    stage.dagster.reload()
    return time.monotonic() - began


def tick_seconds(stage: Stage, sensor: str) -> float:
    """Return the median of a sensor's last five ticks."""
    selector = stage.dagster._repository() | {"sensorName": sensor}
    answer = stage.dagster._graphql.ask(TICKS, {"s": selector})
    ticks = answer["sensorOrError"]["sensorState"]["ticks"]
    spans = sorted(t["endTimestamp"] - t["timestamp"] for t in ticks if t["endTimestamp"])
    return round(spans[len(spans) // 2], 2)


if __name__ == "__main__":
    main()
