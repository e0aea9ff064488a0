"""The demo's story as one test: real S3 endpoint, Chroma, Dagster with daemon, model."""

import os
import re
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import psutil
import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.local.chroma_server import use_chroma
from s3sync_dagster.local.demo import demo_settings
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.opened import stock_client

S3SYNC = Path(sysconfig.get_path("scripts")) / "s3sync"
FOUND_BY = {
    "? How many days of holiday": "company/handbook/holidays-and-leave.md",
    "? What do we do when a buoy drifts away": "company/reports/incident-2024-02-drifting-buoy.md",
    "? wait and try again": "company/code/python/tidewatch_client.py",
    "? Who pays the baby sitter": "company/handbook/expenses.md",
    "? Can I get a bicycle": "company/handbook/bicycles & scooters.md",
}


def start(home):
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))}
    return subprocess.Popen(
        [S3SYNC, "demo"],
        env={**environ, "S3SYNC_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def settings_of(home):
    return demo_settings(load_settings({**os.environ, "S3SYNC_HOME": str(home)}))


def processes_of(home):
    found = []
    for process in psutil.process_iter():
        try:
            belongs = process.environ().get("S3SYNC_HOME", "").startswith(str(home))
            if belongs and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def told_until(process, words):
    """Read what the demo prints until a line has these words."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError("".join(lines))


def check_story(text):
    assert "\n37 objects: 1 failed, 33 indexed, 3 skipped; " in text
    states = re.findall(r"^  (indexed|failed|skipped) +(\d*) +(company/.+)$", text, re.MULTILINE)
    assert len(states) == 37
    by_state = {name: [k for s, _, k in states if s == name] for name, *_ in states}
    assert by_state["failed"] == ["company/product/manuals/damaged-scan.pdf  (damaged)"]
    assert len(by_state["indexed"]) == 33
    assert all(int(chunks) > 0 for state, chunks, _ in states if state == "indexed")
    for words, key in FOUND_BY.items():
        answer = text[text.index(words) :].splitlines()[1]
        assert answer.strip().startswith(f"{key}, lines "), f"{words}: {answer}"
    assert re.search(
        r"deleted  company/product/releases/changelog\.txt  [1-9]\d* chunks, now 0", text
    )


def check_collection(home):
    """A plain client sees each document's records exactly once."""
    with use_chroma(settings_of(home)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        collection = stock_client(host=host, port=int(port)).get_collection("company")
        records = collection.get(include=["metadatas"])
        keys = {}
        for record_id, metadata in zip(records["ids"], records["metadatas"], strict=True):
            keys.setdefault(metadata["document_key"], []).append(int(record_id.rsplit("-", 1)[1]))
        assert all(sorted(found) == list(range(len(found))) for found in keys.values())
        assert len(keys) == 33  # one deleted, one new
        vector = open_embedder(EmbeddingConfig()).embed_query("who pays for the baby sitter")
        hits = collection.query(query_embeddings=[vector], n_results=1)
        assert hits["metadatas"][0][0]["document_key"] == "company/handbook/expenses.md"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("interrupted", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_demo_tells_the_whole_story_also_when_it_was_interrupted(tmp_path, interrupted):
    home = tmp_path / "home"
    if interrupted:
        with start(home) as first:
            told_until(first, "4  Dagster's daemon")
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=60)
            assert first.returncode == 130
        assert processes_of(home) == []
    with start(home) as demo:
        text, _ = demo.communicate(timeout=400)
        assert demo.returncode == 0, text
    check_story(text)
    assert processes_of(home) == []
    check_collection(home)


def run_workers(home):
    return [
        process
        for process in processes_of(home)
        if "run_forker" in " ".join(process.cmdline())
        and "run_forker" in " ".join(process.parent().cmdline())  # else it is their parent
    ]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_killed_run_worker_costs_no_record_and_doubles_none(tmp_path):
    home = tmp_path / "home"
    with start(home) as demo:
        told_until(demo, "4  Dagster's daemon")
        killed = []
        end = time.monotonic() + 120
        while not killed:
            assert time.monotonic() < end
            if workers := run_workers(home):
                time.sleep(4.0)  # in the middle: started, not finished
                workers[0].kill()
                killed.append(workers[0].pid)
            time.sleep(0.1)
        text, _ = demo.communicate(timeout=600)
        assert demo.returncode == 0, text
    check_story(text)
    check_collection(home)
