"""The whole way with the real daemon: discover, dispatch, index, follow, survive."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from s3sync_dagster_tests.dagster_partitions import partition_counts, partition_states
from s3sync_dagster_tests.end_to_end.stage import close_stage, open_stage, page

pytestmark = pytest.mark.timeout(900)

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"
ODD = "docs/über uns, 100% [neu]…  (final).md"


def script():
    [found] = re.findall(r"```sh\n(.*?)```", API_PAGE.read_text("utf-8"), re.DOTALL)
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory, aws_endpoint):
    opened = open_stage(tmp_path_factory.mktemp("stage") / "home", aws_endpoint)
    yield opened
    close_stage(opened)


def test_sensors_discover_and_each_record_is_there_once(stage):
    for number in range(40):
        stage.put(f"docs/{number:03d}.md", page(f"{number}"))
    stage.put(ODD, page("odd names"))
    stage.aws.put(stage.bucket, "docs/bad.pdf", b"%PDF-1.4 cut off")
    stage.wait_in_step()
    stage.each_is_found_by_its_own_vector()
    counts = stage.catalog.views.counts(stage.source.id)
    assert counts.objects == len(stage.texts) + 1
    assert counts.indexed == len(stage.texts)
    assert sum(counts.failed.values()) == 1
    stage.wait(
        lambda: partition_counts(stage.dagster, stage.asset).failed == 1, "the bad key shows FAILED"
    )
    shown = partition_counts(stage.dagster, stage.asset)
    assert (shown.total, shown.materialized) == (len(stage.texts) + 1, len(stage.texts))
    assert partition_states(stage.dagster, stage.asset)["docs/bad.pdf"] == "failed"


def test_events_bring_a_change_a_removal_and_a_new_object(stage):
    stage.put("docs/000.md", page("0, second edition"))
    stage.delete("docs/001.md")
    stage.put("docs/brand new.md", page("brand new"))
    stage.wait_in_step()
    attributes = stage.aws.sqs.get_queue_attributes(
        QueueUrl=stage.source.place.queue_url, AttributeNames=["All"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"
    stage.wait(
        lambda: "docs/001.md" not in partition_states(stage.dagster, stage.asset),
        "the partition of the removed object is taken back",
    )


def test_the_walkthrough_of_the_docs(stage, aws_endpoint):
    running, parts = stage.stack, stage.parts
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put_all(
        bucket,
        {
            "docs/holidays.md": "# Holidays\n\nEverybody has 30 days of holidays a year.\n",
            "docs/bread.md": "# Bread\n\nFlour, water, salt and patience.\n",
            "docs/broken.pdf": b"no pdf",
            "else/away.md": "not under the prefix",
        },
    )
    url = running.addresses.api
    curl = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script()],
        env={
            **os.environ,
            "S3SYNC": url,
            "TOKEN": "any",
            "BUCKET": bucket,
            "REGION": aws_endpoint.region,
            "ENDPOINT": aws_endpoint.url,
            "KEY_ID": aws_endpoint.access_key_id,
            "SECRET": aws_endpoint.secret_access_key,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while curl.poll() is None:
        running.tend()
        try:
            curl.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    told, _ = curl.communicate()
    assert curl.returncode == 0, told
    assert '"object_key":"docs/holidays.md"' in told
    assert "30 days of holidays" in told
    assert '"key":"docs/broken.pdf","state":"failed"' in told
    with httpx.Client(base_url=url) as http:
        source_id = re.search(r"source ([0-9a-f-]{36})", told).group(1)
        history = http.get(f"/s3sync/v1/sources/{source_id}/history").json()
        first = history["runs"][-1]
        assert first["triggers"] == {"api": 1}
        # The run that did it is one of Dagster's, and the link leads there.
        run = running.dagster.run(first["run_id"])
        assert run.status in ("SUCCESS", "FAILURE")
        assert first["dagster_url"] == f"{running.addresses.dagster}/runs/{run.id}"
        assert http.get("/health").json()["parts"]["dagster"] == "ok"
        detail = http.get(
            f"/s3sync/v1/sources/{source_id}/object", params={"key": "docs/holidays.md"}
        ).json()
        [document] = detail["documents"]
        assert document["custom_id"] == "holidays"
        # Deleted at last: the sensor takes the row away, the records stay.
        assert http.delete(f"/api/v1/sources/{source_id}").status_code == 204
        stage.wait(lambda: parts.catalog.sources.row(source_id) is None, "the source is gone")
        question = {"collection_name": "handbook", "query": "bread"}
        assert http.post("/s3sync/v1/search", json=question).json()["hits"]


def test_a_killed_workers_keys_are_done_by_another_run_soon(stage):
    sources, source_id = stage.catalog.sources, stage.source.id
    sources.set_paused(source_id, paused=True)  # else those put first are done by the last
    for number in range(300):
        stage.put(f"more/{number:03d}.md", page(f"more {number}"))
    waiting = stage.catalog.invocations.live_count
    stage.wait(lambda: waiting(source_id) >= 300, "all are asked for")
    sources.set_paused(source_id, paused=False)
    _, run_id = stage.kill_worker()
    killed = time.monotonic()
    stage.wait(
        lambda: any(row.run_id != run_id for row in stage.working()) or stage.in_step(),
        "another run has the keys",
    )
    assert time.monotonic() - killed < 90  # no lease of two minutes was waited for
    stage.wait_in_step()
    stage.each_is_found_by_its_own_vector()
    assert stage.dagster.run(run_id).status == "FAILURE"
    assert sum(stage.catalog.views.counts(stage.source.id).failed.values()) == 1


@pytest.mark.long
def test_a_killed_code_server_comes_back_and_work_goes_on(stage):
    child = stage.stack._children["code server"]
    os.kill(child.pid, signal.SIGKILL)
    stage.put("docs/after the code server.md", page("still here"))
    stage.wait_in_step()


@pytest.mark.long
def test_after_the_death_of_everything_a_new_start_goes_on(stage):
    for number in range(100):
        stage.put(f"last/{number:03d}.md", page(f"last {number}"))
    stage.wait(stage.working, "a run works")
    stage.kill_all()
    stage.start_again()
    stage.wait_in_step()
    stage.each_is_found_by_its_own_vector()
    statuses = {run.status for run in stage.dagster.runs(limit=50)}
    assert statuses <= {"SUCCESS", "FAILURE", "CANCELED"}
