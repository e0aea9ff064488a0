"""``s3sync sync`` reads its next batch while one is written; each is a run all the same."""

import threading
import uuid

import dagster as dg
import pytest

from s3sync_dagster.engine import working_off
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts
from s3sync_dagster_tests.wire_proxy import wire_proxy

KEYS = 20
"""Of each batch: more than suspects of a worker's death come in."""


@pytest.fixture
def sync(s3sync, aws_endpoint, monkeypatch):
    """Syncs two batches of texts, one of which is a PDF that is none."""
    monkeypatch.setattr(working_off, "FIRST_KEYS", KEYS)
    bucket = aws_endpoint.make_bucket()
    texts = {f"{n:02}.txt": f"Text number {n}." for n in range(2 * KEYS - 1)}
    aws_endpoint.put_all(bucket, {**texts, "99.pdf": "%PDF-1.7 not really"})

    def run(url=aws_endpoint.url):
        return s3sync(
            "sync", f"s3://{bucket}/", "--collection", f"c-{uuid.uuid4().hex[:12]}",
            "--endpoint-url", url, "--embedding", "hash", "--json",
        )  # fmt: skip

    return run


@pytest.fixture
def runs(environment, home, monkeypatch):
    """Gives each recorded run, oldest first: its status and the lines of its log."""
    monkeypatch.setenv("DAGSTER_HOME", str(load_settings().dagster_home))

    def look():
        with dg.DagsterInstance.get() as instance:
            return [
                (run.status.value, [entry.user_message for entry in instance.all_logs(run.run_id)])
                for run in reversed(instance.get_runs())
            ]

    return look


def test_every_key_is_read_once_and_told_in_its_run(sync, runs, aws_endpoint):
    with wire_proxy(aws_endpoint.url) as proxy:
        answer = sync(proxy.url)
        assert proxy.counts() == {"LIST": 1, "GET": 2 * KEYS}
    assert answer.json["indexed"] == 2 * KEYS - 1
    assert answer.json["failed"] == {"damaged": 1}
    (first, own), (second, ahead) = runs()
    assert (first, second) == ("SUCCESS", "FAILURE")
    assert f"extracted {KEYS} keys" in " ".join(own)
    assert f"{KEYS} keys were extracted before this run" in ahead


def test_what_fails_ahead_fails_the_batch_s_own_run(sync, runs, monkeypatch):
    opened = Parts.batch_parts

    def open_parts(self, source, **hooks):
        if threading.current_thread().name.startswith("s3sync-ahead"):
            raise InvalidSetting("no model here", reason="no_model")
        return opened(self, source, **hooks)

    monkeypatch.setattr(Parts, "batch_parts", open_parts)
    answer = sync()
    assert answer.json["indexed"] == KEYS
    assert answer.json["failed"] == {"no_model": KEYS}
    (first, _), (second, ahead) = runs()
    assert (first, second) == ("SUCCESS", "FAILURE")
    assert "no_model" in " ".join(ahead)
