"""A whole deployment for a test module: S3 and SQS, Chroma, Dagster with its daemon, one source."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.stack import Stack
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.settings import Settings, load_settings
from s3sync_dagster.wiring import Parts, open_parts
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.opened import stock_client

PATIENCE_SECONDS = 240.0


@dataclass
class Stage:
    """What a test plays on; ``wait`` tends the stack as ``s3sync up`` does."""

    aws: AwsEndpoint
    settings: Settings
    bucket: str
    source: Source
    parts: Parts
    stack: Stack
    texts: dict[str, str] = field(default_factory=dict)
    """What the bucket holds: the oracle."""

    @property
    def catalog(self):
        return self.parts.catalog

    @property
    def dagster(self):
        return self.stack.dagster

    @property
    def asset(self) -> list[str]:
        return ["s3", self.source.name]

    def put(self, key: str, text: str) -> None:
        self.aws.put(self.bucket, key, text)
        self.texts[key] = text

    def delete(self, key: str) -> None:
        self.aws.delete(self.bucket, key)
        del self.texts[key]

    def wait(
        self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS
    ) -> Any:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"{what}: {self.describe()}"
            self.stack.tend()
            time.sleep(0.25)
        return value

    def describe(self) -> str:
        counts = self.catalog.views.counts(self.source.id)
        runs = [(run.job, run.status) for run in self.dagster.runs(limit=8)]
        return f"{counts} {runs}"

    def records(self) -> dict[str, dict[str, Any]]:
        """All records of the collection, read with plain chromadb: id -> document, key, vector."""

        url = self.stack.addresses.chroma
        client = stock_client(host="127.0.0.1", port=int(url.rpartition(":")[2]))
        names = [collection.name for collection in client.list_collections()]
        if self.source.collection_name not in names:
            return {}
        collection = client.get_collection(self.source.collection_name, embedding_function=None)
        found: dict[str, dict[str, Any]] = {}
        while page := collection.get(
            limit=500, offset=len(found), include=["documents", "metadatas", "embeddings"]
        ):
            if not page["ids"]:
                break
            for place, name in enumerate(page["ids"]):
                found[name] = {
                    "document": page["documents"][place],
                    "key": page["metadatas"][place]["document_key"],
                    "vector": page["embeddings"][place],
                }
        return found

    def in_step(self) -> bool:
        """Whether the collection has exactly one record for each object, with its text."""
        from chromadb.errors import InternalError

        wanted = {
            f"{hashlib.sha256(key.encode()).hexdigest()}-0": (key, text.strip())
            for key, text in self.texts.items()
        }
        try:
            records = self.records()
        except (httpx.HTTPError, ValueError):  # chromadb: it is being started again
            return False
        except InternalError:  # its index is not built yet ("Nothing found on disk")
            return False
        return wanted == {
            name: (one["key"], one["document"].strip()) for name, one in records.items()
        }

    def wait_in_step(self, seconds: float = PATIENCE_SECONDS) -> None:
        self.wait(self.in_step, "the collection follows the bucket", seconds)
        self.wait(self.idle, "all work has ended", seconds)

    def idle(self) -> bool:
        return not self.catalog.invocations.live_count(self.source.id) and not self.working()

    def working(self) -> list[Any]:
        return [row for row in self.catalog.batches.live() if row.state == "running"]

    def each_is_found_by_its_own_vector(self) -> None:

        url = self.stack.addresses.chroma
        client = stock_client(host="127.0.0.1", port=int(url.rpartition(":")[2]))
        collection = client.get_collection(self.source.collection_name, embedding_function=None)
        records = self.records()
        names = sorted(records)
        vectors = {tuple(one["vector"]) for one in records.values()}
        assert len(vectors) == len(records)
        for start in range(0, len(names), 100):
            part = names[start : start + 100]
            answer = _patiently(
                lambda part=part: collection.query(
                    query_embeddings=[records[name]["vector"] for name in part], n_results=1
                )
            )
            found = [ids[0] for ids in answer["ids"]]
            lost = {records[name]["key"] for name in set(part) - set(found)}
            assert found == part, f"not found by their own vectors: {lost}"

    def kill_worker(self) -> tuple[int, str]:
        """SIGKILL the run worker of a batch that has just begun; returns pid and run id."""
        row = self.wait(lambda: (self.working() or [None])[0], "a run works")
        pid = int(row.owner.partition(":")[2].partition("-")[0])
        assert psutil.Process(pid).environ()["S3SYNC_HOME"] == str(self.settings.home)
        os.kill(pid, signal.SIGKILL)
        return pid, row.run_id

    def processes(self) -> list[psutil.Process]:
        """All processes of this home but this one."""
        found = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("S3SYNC_HOME")
            except psutil.Error:
                continue
            if process.pid != os.getpid() and home == str(self.settings.home):
                found.append(process)
        return found

    def kill_all(self) -> None:
        """Do what a power cut does to the processes."""
        for process in self.processes():
            try:
                process.send_signal(signal.SIGSTOP)  # nobody revives anybody
            except psutil.NoSuchProcess:
                continue
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.stack.stop()

    def start_again(self) -> None:
        self.stack = start_stack(self.settings, self.parts)


def _patiently(query: Callable[[], Any]) -> Any:
    """Ask again when Chroma has not built its index yet ("Nothing found on disk")."""
    from chromadb.errors import InternalError

    end = time.monotonic() + 30
    while True:
        try:
            return query()
        except InternalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def page(key: str) -> str:
    """A text that no other key has, also to an embedder that only hashes words.

    Its many words matter: where all vectors are about equally far from each other, as those of
    pages that share most of their words, an HNSW graph loses the way to some of them.
    """
    words = [hashlib.sha256(f"{key} {n}".encode()).hexdigest()[:8] for n in range(32)]
    return f"# Page of {key}\n\n{' '.join(words)}\n"


def start_stack(settings: Settings, parts: Parts) -> Stack:
    stack = Stack(settings, sources_version=parts.catalog.sources.version)
    stack.start()
    return stack


def open_stage(
    home: Path, aws: AwsEndpoint, *, environment: Mapping[str, str] | None = None, **fields: Any
) -> Stage:
    """Start everything; the source has a queue where no field says otherwise, listed every 20 s.

    A queue that nobody reads makes 20,000 objects take moto ten times as long.
    """
    settings = load_settings(
        {
            **{k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))},
            **aws.environment(),
            "S3SYNC_HOME": str(home),
            **(environment or {}),
        }
    )
    prepare_home(settings)
    bucket = aws.make_bucket()
    if "queue_url" not in fields:
        fields["queue_url"] = aws.make_queue(bucket=bucket)
    values: dict[str, Any] = {
        "name": "docs",
        "embedding": EmbeddingConfig(kind="hash"),
        "list_interval_seconds": 20,
    }
    source = aws.source(bucket, **(values | fields))
    parts = open_parts(settings)
    parts.catalog.sources.add(source)
    return Stage(
        aws=aws,
        settings=settings,
        bucket=bucket,
        source=source,
        parts=parts,
        stack=start_stack(settings, parts),
    )


def close_stage(stage: Stage) -> None:
    stage.stack.stop()
    stage.parts.close()
    left = [process.cmdline() for process in stage.processes()]
    assert left == [], left
