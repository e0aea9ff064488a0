"""Thirty bad files and thirty good ones in one bucket, through the real sync."""

import os
import threading
import uuid

import pytest

from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.bad_files import BAD_FILES, good_pdf
from s3sync_dagster_tests.extraction.test_many_at_once import (
    MAX_MEMORY_BYTES,
    SLOW,
    private_memory,
)
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.workers.processes import descendants_of

pytestmark = pytest.mark.long


def test_every_good_file_is_indexed_and_every_bad_one_has_its_reason(
    s3sync, aws_endpoint, chroma_server
):
    good = [(f"{i}-{name}", make()) for i in range(3) for name, make in corpus.CORPUS.items()][:29]
    good.append(("page.pdf", good_pdf()))
    refused = [file for file in BAD_FILES if None not in file.reasons and file.name not in SLOW]
    bad = [(file.name, file.make()) for file in refused][-30:]
    assert (len(good), len(bad)) == (30, 30)
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put_all(bucket, {f"docs/{name}": body for name, body in [*good, *bad]})
    collection = f"c-{uuid.uuid4().hex[:12]}"
    started_before = set(descendants_of(os.getpid()))
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            ours = set(descendants_of(os.getpid())) - started_before
            peak = max(peak, private_memory([*ours]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = s3sync(
            "sync", f"s3://{bucket}/docs/", "--collection", collection, "--endpoint-url",
            aws_endpoint.url, "--embedding", "hash", "--json",
        )  # fmt: skip
    finally:
        done.set()
        watcher.join()
    summary = answer.json
    assert summary["listed"] == 60
    assert (summary["indexed"], summary["pending"]) == (30, 0)
    said = {
        entry["key"].removeprefix("docs/"): entry["reason"]
        for entry in s3sync("failures", "--json").json
    }
    allowed = {file.name: file.reasons for file in refused}
    assert [name for name, reason in said.items() if reason not in allowed[name]] == []
    skipped = sum(summary["skipped"].values())
    assert len(said) + skipped == 30
    host, port = chroma_server.removeprefix("http://").split(":")
    records = stock_client(host=host, port=int(port)).get_collection(collection).get()
    keys = {metadata["document_key"] for metadata in records["metadatas"]}
    assert keys == {f"docs/{name}" for name, _ in good}
    # Docling's own imports take more than the lower bound: the processes have been seen.
    print(f"peak memory {peak / 2**20:.0f} MiB")
    assert 100 * 1024**2 < peak < MAX_MEMORY_BYTES, f"{peak / 2**20:.0f} MiB"
