"""Two hosts on one catalog in Postgres, one of them an hour ahead: each goes on for the other.

Processes with data folders of their own, and libfaketime as the wrong clock. None can see whether
the other's process lives: what one holds is free when its lease has ended by the server's clock.
"""

import json
import os
import random
import re
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster_tests.cli.test_interruptions import Process, assert_complete
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database
from s3sync_dagster_tests.wire_proxy import Fault, wire_proxy

pytestmark = pytest.mark.long

FILES = 40
PARAGRAPHS = 70
"""2,800 chunks in all: several writes."""
LIBRARY = "faketime/libfaketimeMT.so.1"
LEASE_PATIENCE_SECONDS = 400.0
"""For a lease of two minutes, on a machine that does other things besides."""
SLEEP = """
import threading, time


def sleep(seconds):
    threading.Event().wait(seconds)


time.sleep = sleep
"""


@pytest.fixture(scope="module")
def library() -> str:
    """What makes a process's clock go wrong."""
    for folder in (Path("/usr/lib"), Path("/usr/local/lib")):
        for found in (*folder.glob(LIBRARY), *folder.glob(f"*/{LIBRARY}")):
            return str(found)
    return pytest.fail("These tests need libfaketime: apt-get install faketime.")


class Hosts:
    """Starts ``s3sync sync`` as on one of two hosts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
        self._folder, self._patch, self._library = folder, monkeypatch, library
        self.arguments: list[str] = []
        self._started = 0

    def start(self, host: str) -> Process:
        """Start a sync on ``right``, or on ``ahead``, whose clock is an hour ahead."""
        self._started += 1
        with self._patch.context() as patch:
            patch.setenv("S3SYNC_HOME", str(self._folder / host))
            if host == "ahead":
                patch.setenv("LD_PRELOAD", self._library)
                patch.setenv("FAKETIME", "+3600s")
                patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                patch.setenv("PYTHONPATH", str(self._sleeping()))
            return Process(*self.arguments, log=self._folder / f"{self._started}-{host}.log")

    def _sleeping(self) -> Path:
        """Return a folder whose ``sitecustomize`` sleeps as the library lets it.

        Where it leaves the monotonic clock alone it refuses ``time.sleep`` (EINVAL), and where it
        does not, waits for conditions do not end.
        """
        folder = self._folder / "python"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(SLEEP)
        return folder


@pytest.fixture
def hosts(environment, fresh_home, tmp_path, monkeypatch, library, postgres_url) -> Hosts:
    for host in ("right", "ahead"):
        shutil.copytree(fresh_home, tmp_path / host)
    monkeypatch.setenv("S3SYNC_DATABASE_URL", fresh_postgres_database(postgres_url))
    return Hosts(tmp_path, monkeypatch, library)


def text(chance: random.Random) -> str:
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(500)]
    return "\n\n".join(" ".join(chance.choices(words, k=100)) for _ in range(PARAGRAPHS))


class Place:
    """A bucket, its objects, and a collection behind a proxy that can let a write hang."""

    def __init__(self, aws, chroma, url: str) -> None:
        self.aws, self.chroma, self.url = aws, chroma, url
        self.bucket, self.collection = aws.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
        self.chance = random.Random(5)
        self.objects = {f"docs/{number:03}.txt": text(self.chance) for number in range(FILES)}
        aws.put_all(self.bucket, self.objects)
        self.arguments = [
            "sync", f"s3://{self.bucket}/docs/", "--collection", self.collection,
            "--embedding", "hash", "--endpoint-url", aws.url, "--json",
        ]  # fmt: skip

    def put(self, key: str) -> None:
        self.objects[key] = text(self.chance)
        self.aws.put(self.bucket, key, self.objects[key])

    def delete(self, key: str) -> None:
        self.aws.delete(self.bucket, key)
        del self.objects[key]

    def hang_at(self, write: int, seconds: float) -> Callable[[], bool]:
        """Let a write hang; returns what tells whether it has come."""
        writes: list[str] = []

        def plan(request):
            if re.search(r"/upsert$", request.target):
                writes.append(request.target)
                return Fault(delay_seconds=seconds) if len(writes) == write else None
            return None

        self.chroma.plan = plan
        return lambda: len(writes) >= write

    def is_right(self, process: Process) -> None:
        """Wait for a sync's end: the collection has what the bucket asks for, and only that."""
        code, out = process.end(LEASE_PATIENCE_SECONDS)
        assert code == 0, process.log.read_text()
        summary = json.loads(out.splitlines()[-1])
        done = summary["indexed"] + summary["updated"] + summary["unchanged"]
        assert done == summary["listed"] == len(self.objects)
        assert_complete(self.url, self.collection, self.objects)


@contextmanager
def place_of(hosts: Hosts, aws, url: str, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    with wire_proxy(url) as chroma:
        patch.setenv("S3SYNC_CHROMA_URL", chroma.url)
        place = Place(aws, chroma, url)
        hosts.arguments = place.arguments
        yield place


def kill(process: Process) -> None:
    os.killpg(process.popen.pid, signal.SIGKILL)
    process.end()


def test_each_host_ends_what_the_other_was_killed_at(
    hosts, aws_endpoint, chroma_server, monkeypatch
):
    with place_of(hosts, aws_endpoint, chroma_server, monkeypatch) as place:
        at_work = place.hang_at(2, seconds=30)
        ahead = hosts.start("ahead")
        ahead.wait_for(at_work)
        kill(ahead)
        place.chroma.plan = None
        place.is_right(hosts.start("right"))

        place.put("docs/003.txt")
        place.put("docs/new.txt")
        place.delete("docs/004.txt")
        at_work = place.hang_at(1, seconds=30)
        right = hosts.start("right")
        right.wait_for(at_work)
        kill(right)
        place.chroma.plan = None
        place.is_right(hosts.start("ahead"))


def test_a_host_that_is_ahead_takes_no_work_from_one_that_lives(
    hosts, aws_endpoint, chroma_server, monkeypatch
):
    with place_of(hosts, aws_endpoint, chroma_server, monkeypatch) as place:
        at_work = place.hang_at(2, seconds=20)
        right = hosts.start("right")
        right.wait_for(at_work)
        ahead = hosts.start("ahead")  # lists, and meets the other one's batch
        place.is_right(right)
        place.is_right(ahead)
    catalog = open_catalog(os.environ["S3SYNC_DATABASE_URL"])
    with catalog.database.read() as tx:
        states = tx.execute(sa.text("SELECT DISTINCT state FROM batches")).scalars().all()
    catalog.close()
    assert states == ["done"]
