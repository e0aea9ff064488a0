"""``s3sync sync`` while the Chroma that it writes to is killed, 20 times (long)."""

import json
import random
import time
from pathlib import Path

import pytest

from s3sync_dagster_tests.cli.test_interruptions import Process, assert_complete
from s3sync_dagster_tests.conftest_chroma import start_chroma
from s3sync_dagster_tests.wire_proxy import wire_proxy

KILLS = 20
NEW_FILES = 12
CHANGED_FILES = 4
PARAGRAPHS = 60

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def run(*command: str, log: Path) -> str:
    """Return what a command printed; it has to succeed."""
    code, out = Process(*command, log=log).end(300)
    assert code == 0, log.read_text()
    return out


def test_no_sync_hangs_and_nothing_is_lost(
    environment, aws_endpoint, home, tmp_path, monkeypatch, capfd
):
    chance = random.Random(6)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(3000)]

    def text() -> str:
        return "\n\n".join(" ".join(chance.choices(words, k=100)) for _ in range(PARAGRAPHS))

    bucket, objects, repairs = aws_endpoint.make_bucket(), {}, 0
    server = start_chroma(home / "chroma")
    try:
        with wire_proxy(server.url) as chroma:
            monkeypatch.setenv("S3SYNC_CHROMA_URL", chroma.url)
            sync = ["sync", f"s3://{bucket}/", "--collection", "docs", "--embedding", "hash"]
            sync += ["--endpoint-url", aws_endpoint.url, "--json"]
            for turn in range(KILLS):
                changed = chance.sample(sorted(objects), k=min(CHANGED_FILES, len(objects)))
                new = [f"{turn:02}/{number:02}.txt" for number in range(NEW_FILES)]
                for key in (*changed, *new):
                    objects[key] = text()
                    aws_endpoint.put(bucket, key, objects[key])

                chroma.reset()
                process = Process(*sync, log=tmp_path / f"{turn}.log")
                process.wait_for(
                    lambda: any(r.target.endswith(("/upsert", "/delete")) for r in chroma.log())
                )
                time.sleep(chance.uniform(0, 1.5))
                server.kill()
                time.sleep(chance.uniform(0, 3))
                server.restart()
                code, out = process.end(180)
                if code:  # the documented step, with the server stopped
                    server.stop()
                    repair = ["repair", "docs", "--path", str(home / "chroma"), "--json"]
                    run(*repair, log=tmp_path / f"{turn}-repair.log")
                    server.restart()
                    repairs += 1
                    out = run(*sync, log=tmp_path / f"{turn}-again.log")
                summary = json.loads(out.splitlines()[-1])
                assert (summary["pending"], summary["listed"]) == (0, len(objects))
        assert_complete(server.url, "docs", objects, graph_losses=0.005)
        # What kills and rewrites did to the graph goes with the graph: the documented step.
        monkeypatch.setenv("S3SYNC_CHROMA_URL", server.url)
        [source] = json.loads(run("source", "list", "--json", log=tmp_path / "list.log"))
        rebuilt = run("rebuild", source["name"], "--drop", "--json", log=tmp_path / "rebuild.log")
        summary = json.loads(rebuilt.splitlines()[-1])
        assert (summary["pending"], summary["embedded"]) == (0, 0)  # all vectors were kept
        assert_complete(server.url, "docs", objects, graph_losses=0.001)  # as bare Chroma
    finally:
        server.stop()
    with capfd.disabled():
        print(f"\n{KILLS} kills, {len(objects)} objects, {repairs} repairs")
