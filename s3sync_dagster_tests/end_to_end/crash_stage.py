"""A bucket, a queue, a catalog and Chroma, all real, and processes that work on them and die."""

import hashlib
import json
import multiprocessing
import os
import signal
import time
import uuid
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import chromadb
import psutil

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.model.source import ChunkingConfig, EmbeddingConfig, Source
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.end_to_end import crash_process
from s3sync_dagster_tests.end_to_end.crash_process import Orders

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([crash_process.__name__])
SECONDS = 120.0


@dataclass
class CrashStage:
    """What a test plays on. ``texts`` and ``ids`` are the oracle."""

    aws: AwsEndpoint
    bucket: str
    environment: dict[str, str]
    source: Source
    catalog: Catalog
    chroma: Any
    texts: dict[str, str] = field(default_factory=dict)
    """Key -> text, one chunk a line."""
    ids: dict[str, str] = field(default_factory=dict)
    """Key -> custom id, of those that a sidecar gave one."""

    def put(self, key: str, lines: int, word: str = "text") -> None:
        self.texts[key] = "\n".join(f"{word} {n} of {key}" for n in range(lines))
        self.aws.put(self.bucket, key, self.texts[key])

    def delete(self, key: str) -> None:
        self.aws.delete(self.bucket, key)
        del self.texts[key]

    def name(self, key: str, custom_id: str) -> None:
        """Give an object a custom id by a sidecar."""
        said = {"version": "chroma-v1", "id": custom_id, "path": key}
        self.aws.put(self.bucket, f"{key}.meta.json", json.dumps(said))
        self.ids[key] = custom_id

    def unname(self, key: str) -> None:
        """Take the sidecar of an object away: its document under the custom id goes."""
        self.aws.delete(self.bucket, f"{key}.meta.json")
        del self.ids[key]

    def start(self, **orders: Any) -> BaseProcess:
        process = PROCESSES.Process(
            target=crash_process.run,
            args=(self.environment, self.source.id, Orders(**orders)),
            daemon=True,
        )
        process.start()
        return process

    def dies(self, step: str | None = None, count: int = 1, **orders: Any) -> None:
        """Let a process work until it is killed."""
        process = self.start(step=step, count=count, **orders)
        process.join(SECONDS)
        assert process.exitcode == -signal.SIGKILL, f"{step}: exit code {process.exitcode}"

    def works(self, **orders: Any) -> None:
        """Let a process work to its end."""
        process = self.start(**orders)
        process.join(SECONDS)
        assert process.exitcode == 0, process.exitcode

    def stands_still(self, process: BaseProcess) -> None:
        """Wait until a process has stopped itself."""
        end = time.monotonic() + SECONDS
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            assert process.is_alive()
            assert time.monotonic() < end
            time.sleep(0.02)

    def records(self) -> dict[str, str]:
        """Return id -> text of all records, read with plain chromadb."""
        found = self.chroma.get_collection(self.source.collection_name).get()
        return {name: text.strip() for name, text in zip(found["ids"], found["documents"])}

    def wanted(self) -> dict[str, str]:
        return {
            f"{self.ids.get(key) or hashlib.sha256(key.encode()).hexdigest()}-{n}": line
            for key, text in self.texts.items()
            for n, line in enumerate(text.splitlines())
        }

    def is_right(self) -> None:
        """Check collection and catalog: nothing missing, nothing stale, nothing doubled."""
        assert self.records() == self.wanted()
        counts = self.catalog.views.counts(self.source.id)
        assert counts.indexed == len(self.texts)
        assert sum(counts.skipped.values()) == len(self.ids)  # the sidecars
        assert (counts.pending, counts.processing, counts.failed) == (0, 0, {})
        documents = self.catalog.documents.of_source(self.source.id)
        assert {one.phase.value for one in documents} <= {"clean"}
        assert self.catalog.batches.live() == []


def open_crash_stage(folder: Path, aws: AwsEndpoint, chroma_url: str) -> CrashStage:
    """Return a stage with an empty bucket whose events go to a queue."""
    bucket = aws.make_bucket()
    home = folder / "home"
    home.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))},
        **aws.environment(),
        "S3SYNC_HOME": str(home),
        "S3SYNC_CHROMA_URL": chroma_url,
    }
    catalog = open_catalog(load_settings(environment).database_url)
    source = aws.source(
        bucket,
        name="docs",
        collection_name=f"crash-{uuid.uuid4().hex[:12]}",
        embedding=EmbeddingConfig(kind="hash"),
        chunking=ChunkingConfig(type="lines", max_lines=1),
        queue_url=aws.make_queue(bucket=bucket, VisibilityTimeout="1"),
    )
    catalog.sources.add(source)
    host, _, port = chroma_url.removeprefix("http://").partition(":")
    return CrashStage(
        aws=aws,
        bucket=bucket,
        environment=environment,
        source=source,
        catalog=catalog,
        chroma=chromadb.HttpClient(host=host, port=int(port)),
    )
