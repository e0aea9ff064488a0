"""``s3sync sync`` where S3 or Chroma misbehave for a while, and where two run at once."""

import json
import threading
import time
import uuid
from contextlib import closing

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local.stack_state import stack_lock
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster_tests.cli.test_interruptions import Process
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.scripted_http import scripted_server
from s3sync_dagster_tests.wire_proxy import Fault, wire_proxy


@pytest.fixture
def bucket(aws_endpoint) -> str:
    name = aws_endpoint.make_bucket()
    aws_endpoint.put_all(name, {f"docs/{n}.md": f"# Title {n}\n\nText {n}." for n in range(5)})
    return name


@pytest.fixture
def collection() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


@pytest.mark.long
def test_what_stays_broken_is_failed_and_the_next_sync_tries_it_at_once(
    s3sync, aws_endpoint, bucket, collection
):
    with wire_proxy(aws_endpoint.url) as proxy:
        sync = ["sync", f"s3://{bucket}/docs/", "--collection", collection, "--json"]
        sync += ["--endpoint-url", proxy.url, "--embedding", "hash"]
        fault = Fault(status=500)
        proxy.plan = lambda request: fault if request.target.endswith("3.md") else None
        began = time.monotonic()
        first = s3sync(*sync)
        assert time.monotonic() - began < 150
        assert first.code == 1
        assert first.json["indexed"] == 4
        assert (first.json["pending"], sum(first.json["failed"].values())) == (0, 1)
        assert proxy.counts()["GET"] - 4 == first.json["requests"]["GET"] - 4 >= 5
        [failure] = s3sync("failures", "--json").json
        assert failure["key"] == "docs/3.md"
        assert failure["next_try"] is not None
        proxy.reset()
        second = s3sync(*sync)
        assert second.code == 0
        assert (second.json["indexed"], second.json["unchanged"]) == (1, 4)
        assert proxy.counts()["GET"] == 1


def test_two_first_syncs_of_a_place_share_one_source(
    environment, aws_endpoint, chroma_server, bucket, collection, tmp_path, s3sync
):
    with wire_proxy(aws_endpoint.url) as proxy:
        slow = Fault(delay_seconds=0.3)
        proxy.plan = lambda request: slow
        sync = ["sync", f"s3://{bucket}/docs/", "--collection", collection, "--json"]
        sync += ["--endpoint-url", proxy.url, "--embedding", "hash"]
        both = [Process(*sync, log=tmp_path / f"{n}.log") for n in range(2)]
        ends = [None, None]

        def wait(place):
            ends[place] = both[place].end()

        threads = [threading.Thread(target=wait, args=(place,)) for place in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    summaries = []
    for process, (code, out) in zip(both, ends, strict=True):
        assert code == 0, process.log.read_text()
        summaries.append(json.loads(out.splitlines()[-1]))
    assert [one["listed"] for one in summaries] == [5, 5]
    assert [one["pending"] for one in summaries] == [0, 0]
    assert sum(one["indexed"] for one in summaries) == 5  # each object by one of the two
    assert sum(one["chunks_written"] for one in summaries) == 5
    assert len(s3sync("source", "list", "--json").json) == 1
    host, port = chroma_server.removeprefix("http://").split(":")
    found = stock_client(host=host, port=int(port)).get_collection(collection)
    assert found.count() == 5


def test_a_queue_that_cannot_be_read_is_said_by_status(s3sync, home):
    made = ["source", "create", "docs", "--bucket", "bucket", "--collection", "docs"]
    made += ["--queue-url", "https://sqs.eu-west-1.amazonaws.com/123456789012/away", "--no-check"]
    assert s3sync(*made).code == 0
    with closing(open_catalog(f"sqlite:///{home}/catalog.db")) as catalog:
        source = catalog.sources.find("docs")
        wrong = NotFound("the queue does not exist; check its URL", reason="queue_not_found")
        catalog.queue_troubles.note([source], wrong)
        told = (
            "queue      cannot be read: the queue does not exist; check its URL (queue_not_found)"
        )
        assert told in s3sync("status").out
        [one] = s3sync("status", "--json").json
        assert one["queue_trouble"]["reason"] == "queue_not_found"
        catalog.queue_troubles.note([source], None)
    assert "cannot be read" not in s3sync("status").out


def test_a_source_that_works_by_itself_says_so(s3sync, home, monkeypatch):
    made = ["source", "create", "docs", "--bucket", "bucket", "--collection", "docs"]
    made += ["--no-check"]
    assert s3sync(*made).code == 0
    [told] = s3sync("status", "--json").json
    assert (told["stack"], told["sensor"], told["sensor_on"]) == (False, "catalog_auto_sync", None)
    assert "no `s3sync up` runs on this data folder" in s3sync("status").out
    with stack_lock(home):
        assert "works on it: the stack of this data folder is just starting" in s3sync("status").out
        told = s3sync(*made[:2], "other", "--bucket", "other", *made[5:]).err
        assert "Next: the running stack begins with it in seconds" in told
    with scripted_server() as server:
        empty = json.dumps({"data": {"workspaceOrError": {"locationEntries": []}}})
        server.decide = lambda _asked: (200, empty, {})
        monkeypatch.setenv("S3SYNC_DAGSTER_URL", server.url)
        told = s3sync(*made[:2], "third", "--bucket", "third", *made[5:]).err
        assert f"Next: the Dagster at {server.url} begins with it" in told
    monkeypatch.delenv("S3SYNC_DAGSTER_URL")
    assert s3sync("source", "pause", "docs").code == 0
    assert "paused" in s3sync("status").out
    assert s3sync("retry", "docs").code == 0
    assert s3sync("retry", "docs", "no-such-key").code == 1
    assert s3sync("why", "no-such-key", "--source", "docs", "--json").json[0]["state"] == "unknown"


def test_what_had_no_records_is_not_said_to_have_lost_any(s3sync, aws_endpoint, collection):
    bucket = aws_endpoint.make_bucket()
    sidecar = {"version": "chroma-v1", "id": "x", "path": "nothing.md"}
    aws_endpoint.put_all(bucket, {f"{n}.md": f"text {n}" for n in range(6)})
    with wire_proxy(aws_endpoint.url) as proxy:
        sync = ["sync", f"s3://{bucket}/", "--collection", collection]
        sync += ["--endpoint-url", proxy.url, "--embedding", "hash"]
        gone = Fault(status=404, code="NoSuchKey")
        proxy.plan = lambda request: (
            gone if request.kind == "GET" and "/0.md" in request.target else None
        )
        first = s3sync(*sync)  # the object is deleted between LIST and GET
        assert (first.code, "records of" in first.out) == (0, False), first.out
        assert f"{collection}: 6 objects listed" in first.out
        assert "indexed    5\n" in first.out
        assert "skipped    1 (object_gone 1)" in first.out
        aws_endpoint.delete(bucket, "0.md")
        proxy.reset()
        for body in (json.dumps(sidecar), None, json.dumps(sidecar)):
            if body is None:
                aws_endpoint.delete(bucket, "n.meta.json")
            else:
                aws_endpoint.put(bucket, "n.meta.json", body)
            told = s3sync(*sync)
            assert (told.code, "records of" in told.out) == (0, False), told.out
        one = {**sidecar, "id": "one", "path": "1.md"}
        aws_endpoint.put(bucket, "1.meta.json", json.dumps(one))
        assert "records of" not in s3sync(*sync).out
        aws_endpoint.delete(bucket, "1.meta.json")
        told = s3sync(*sync, "--json", "--approve-deletes").json
        assert (told["listed"], told["removed"]) == (6, 0), told
        aws_endpoint.delete(bucket, "2.md")
        assert (
            "besides, records of 1 objects were removed" in s3sync(*sync, "--approve-deletes").out
        )


def test_up_starts_no_chroma_where_one_is_named(s3sync, monkeypatch):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "http://127.0.0.1:9")
    told = s3sync("up")
    assert (told.code, "http://127.0.0.1:9" in told.err) == (1, True)
    assert "Looking for Chroma at http://127.0.0.1:9" in told.out + told.err
    assert "Starting Chroma" not in told.out + told.err


def test_what_cannot_be_watched_leaves_no_source_behind(s3sync, chroma_server):
    told = s3sync(
        "sync", "s3://a-bucket/docs", "-c", "docs", "--chroma-url", chroma_server, "--watch"
    )
    assert told.code == 1
    assert "--watch follows the changes of a folder; s3://a-bucket/docs is none" in told.err
    assert "a-bucket" not in s3sync("source", "list").out


def test_a_text_that_the_model_refuses_is_not_told_as_a_record_that_was_deleted(
    s3sync, aws_endpoint
):
    """Before anything is written it is begun; what was begun and never there goes uncounted."""
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    aws_endpoint.put_all(bucket, {"a.txt": "cats and dogs", "z.txt": "a zebra here"})

    def vectors(body):
        texts = json.loads(body)["input"]
        if any("zebra" in text for text in texts):
            return 400, "{}", {}
        rows = [{"index": n, "embedding": [1.0, 0.5]} for n, _ in enumerate(texts)]
        return 200, json.dumps({"data": rows}), {}

    with scripted_server() as server:
        server.decide = vectors
        sync = (
            "sync", f"s3://{bucket}/", "--collection", collection, "--json",
            "--endpoint-url", aws_endpoint.url, "--embedding", "openai",
            "--embedding-model", "m", "--embedding-url", server.url,
        )  # fmt: skip
        first = s3sync(*sync).json
        assert (first["indexed"], first["failed"]) == (1, {"text_refused": 1})
        assert (first["chunks_written"], first["chunks_deleted"]) == (1, 0)
        aws_endpoint.put_all(bucket, {"a.txt": "cats and a zebra"})
        second = s3sync(*sync).json
        assert second["failed"] == {"text_refused": 2}
        assert second["chunks_deleted"] == 1  # the text that the object has no more
