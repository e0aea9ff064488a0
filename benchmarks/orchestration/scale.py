"""What a source of 100,000 objects costs: discovery, the partitions page, status, a restart.

    python -m benchmarks.orchestration.scale [--keys 100000] [--storage sqlite|postgres]

The bucket's listing comes from memory, so S3's own time is not in it. Materialisations are stored
as a run stores them, without the work. GraphQL is asked through the real webserver.
"""

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry

from benchmarks.orchestration.run import stack_cpu_seconds
from benchmarks.orchestration.storage import storage
from s3sync_dagster.defs.dagster_internals.pooling import pool_connections
from s3sync_dagster.defs.dispatching import InstanceRuns
from s3sync_dagster.engine.dispatching import tell_partitions
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.engine.store_ports import ListPage
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.dagster_partitions import partition_counts, partition_states
from s3sync_dagster_tests.end_to_end.stage import Stage, close_stage, open_stage

PAGE = (
    "query($k:AssetKeyInput!){assetNodeOrError(assetKey:$k){... on AssetNode"
    "{partitionKeyConnection(limit:100,ascending:true){results hasMore}}}}"
)
IDLE_SECONDS = 20.0
RUN_KEYS = 500


class Bucket:
    """A listing of keys that nobody stored: ``engine.ports.ObjectStore`` as far as it lists."""

    ordered = True

    def __init__(self, number: int) -> None:
        self.keys = sorted(
            f"reports/{place % 7 + 2020}/customer-{place % 997:03d}/document_{place:06d}.pdf"
            for place in range(number)
        )
        self._places = {key: place for place, key in enumerate(self.keys)}

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the next page."""
        first = self._places[start_after] + 1 if start_after else 0
        part = self.keys[first : first + limit]
        refs = tuple(ObjectRef(key=key, etag=f"{hash(key):x}", size=1000) for key in part)
        return ListPage(objects=refs, last=first + limit >= len(self.keys))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what ``work`` returns and its wall seconds."""
    began = time.monotonic()
    result = work()
    return result, round(time.monotonic() - began, 2)


def materialise(instance: dg.DagsterInstance, asset: dg.AssetKey, keys: Sequence[str]) -> None:
    """Store one materialisation a key, as batched runs do."""
    for start in range(0, len(keys), RUN_KEYS):
        run_id = str(uuid.uuid4())
        entries = [
            EventLogEntry(
                error_info=None,
                user_message="",
                level=20,
                run_id=run_id,
                timestamp=time.time(),
                job_name="index_docs",
                dagster_event=DagsterEvent(
                    event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
                    job_name="index_docs",
                    event_specific_data=StepMaterializationData(
                        dg.AssetMaterialization(
                            asset, partition=key, metadata={"state": "indexed", "chunks": 3}
                        )
                    ),
                ),
            )
            for key in keys[start : start + RUN_KEYS]
        ]
        for first in range(0, len(entries), 100):
            instance.event_log_storage.store_event_batch(entries[first : first + 100])


def discover(stage: Stage, bucket: Bucket, instance: dg.DagsterInstance) -> dict[str, float]:
    """List the bucket, tell Dagster of every key, store a materialisation of each."""
    found: dict[str, float] = {}
    parts, source = stage.parts, stage.source

    def listing() -> None:
        continue_listing(
            source,
            catalog=parts.catalog,
            store=bucket,  # type: ignore[arg-type]  (it only lists)
            clock=parts.clock,
            owner=parts.owners.me(),
            fresh=True,
        )

    began = time.process_time()
    _, found["first listing s"] = timed(listing)
    found["first listing CPU s"] = round(time.process_time() - began, 1)
    began = time.process_time()
    _, found["partitions added s"] = timed(
        lambda: tell_partitions(parts.catalog, InstanceRuns(instance), source, bucket.keys)
    )
    found["partitions added CPU s"] = round(time.process_time() - began, 1)
    began = time.process_time()
    _, found["listing without changes s"] = timed(listing)
    _, found["materialisations s"] = timed(
        lambda: materialise(instance, dg.AssetKey(stage.asset), bucket.keys)
    )
    return found


def look(stage: Stage) -> dict[str, float]:
    """Ask what the UI and this project ask, first cold and then warm."""
    found: dict[str, float] = {}
    dagster, asset = stage.dagster, stage.asset

    def page() -> None:
        dagster._graphql.ask(PAGE, {"k": {"path": asset}})

    for name in ("cold", "warm"):
        counts, found[f"counts {name} s"] = timed(lambda: partition_counts(dagster, asset))
    assert counts.materialized == counts.total, counts
    _, found["partitions page s"] = timed(lambda: partition_states(dagster, asset))
    _, found["100 keys s"] = timed(page)
    web = psutil.Process(stage.stack._children["webserver"].pid)
    found["webserver MB"] = round(web.memory_info().rss / 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--storage", choices=["sqlite", "postgres"], default="sqlite")
    options = parser.parse_args()
    server = start_moto()
    bucket = Bucket(options.keys)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with storage(options.storage, home) as environment:
            stage = open_stage(
                home, AwsEndpoint(url=server.url), environment=environment,
                list_interval_seconds=0, queue_url=None,
            )  # fmt: skip
            try:
                stage.catalog.sources.set_paused(stage.source.id, paused=True)  # nobody works
                os.environ["DAGSTER_HOME"] = str(home / "dagster")
                with dg.DagsterInstance.get() as instance:
                    pool_connections(instance)
                    print(json.dumps(discover(stage, bucket, instance)), flush=True)
                print(json.dumps(look(stage)), flush=True)
                before = stack_cpu_seconds(stage)
                time.sleep(IDLE_SECONDS)
                used = sum(stack_cpu_seconds(stage).values()) - sum(before.values())
                print(json.dumps({"idle % of a core": round(100 * used / IDLE_SECONDS, 1)}))
                _, stopped = timed(stage.stack.stop)
                _, started = timed(stage.start_again)
                found = {"stop s": stopped, "start s": started} | look(stage)
                print(json.dumps({f"restart: {name}": value for name, value in found.items()}))
                print(json.dumps({"dagster folder MB": _size_mb(home / "dagster")}))
            finally:
                close_stage(stage)
                server.close()


def _size_mb(folder: Path) -> float:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6, 1)


if __name__ == "__main__":
    main()
