"""Processes that die by SIGKILL at named places; whoever comes next makes it right."""

import os
import signal
import subprocess
import sys

import pytest

from s3sync_dagster_tests.end_to_end.crash_process import DEADLY
from s3sync_dagster_tests.end_to_end.crash_stage import CrashStage, open_crash_stage


@pytest.fixture
def stage(tmp_path, aws_endpoint, chroma_server):
    opened = open_crash_stage(tmp_path, aws_endpoint, chroma_server)
    yield opened
    opened.catalog.close()


def test_five_chunks_then_twenty_killed_at_twelve_then_three(stage: CrashStage):
    stage.put("a.txt", 5)
    stage.works()
    stage.is_right()
    stage.put("a.txt", 20, "longer")
    stage.dies("upserted", 3, records_a_write=4)
    assert len(stage.records()) == 12
    stage.put("a.txt", 3, "short")
    stage.works()
    stage.is_right()


def test_a_new_key_killed_while_it_is_written_then_deleted(stage: CrashStage):
    stage.put("stays.txt", 1)
    stage.works()
    stage.put("a.txt", 10)
    stage.dies("upserted", 1, records_a_write=4)
    assert len(stage.records()) == 5
    stage.delete("a.txt")
    stage.works()
    stage.is_right()


def test_a_second_version_killed_before_its_commit_then_the_first_again(stage: CrashStage):
    stage.put("a.txt", 4, "one")
    stage.works()
    stage.put("a.txt", 6, "two")
    stage.dies("before_commit")
    assert len(stage.records()) == 6
    stage.put("a.txt", 4, "one")  # the etag that the catalog knew as clean
    stage.works()
    stage.is_right()


@pytest.mark.parametrize(
    "step",
    [
        "deleted",
        *(
            pytest.param(one, marks=pytest.mark.long)
            for one in (
                *("claimed", "upserted", "before_commit"),
                *("stored", "before_delete", "after_commit"),
            )
        ),
    ],
)
def test_a_custom_id_changed_and_killed_in_between(stage: CrashStage, step):
    stage.put("a.txt", 6)
    stage.name("a.txt", "first")
    stage.works()
    stage.is_right()
    stage.name("a.txt", "second")
    stage.dies(step, records_a_write=4)
    stage.works()
    stage.is_right()


@pytest.mark.parametrize("end", ["newer", pytest.param("gone", marks=pytest.mark.long)])
def test_a_worker_thought_dead_that_wakes_up_asks_before_it_writes(stage: CrashStage, end):
    """What is on its way to Chroma just then comes late all the same: ``test_rules_late``."""
    stage.put("stays.txt", 1)
    stage.put("a.txt", 9, "old")
    late = stage.start(step="after_embed", stop=signal.SIGSTOP, records_a_write=4)
    stage.stands_still(late)
    for row in stage.catalog.batches.live():
        stage.catalog.batches.release(row.token, died=True)  # as when its lease has ended
    if end == "newer":
        stage.put("a.txt", 2, "new")
    else:
        stage.delete("a.txt")
    stage.works()
    stage.is_right()
    os.kill(late.pid, signal.SIGCONT)
    late.join(60)
    assert late.exitcode == 0
    assert not any("old" in text for text in stage.records().values())
    stage.works()
    stage.is_right()


def test_killed_between_the_commit_of_events_and_their_acknowledgement(stage: CrashStage):
    stage.put("a.txt", 3)
    stage.put("b.txt", 2)
    stage.dies("recorded", work="intake")
    stage.works(work="intake")
    stage.is_right()
    stage.delete("b.txt")
    stage.put("a.txt", 1, "new")
    stage.dies("recorded", work="intake")
    stage.works(work="intake")
    stage.is_right()


@pytest.mark.long
def test_a_sync_by_hand_takes_up_what_died_while_it_removed(stage: CrashStage):
    stage.put("a.txt", 6)
    stage.name("a.txt", "first")
    stage.works()
    stage.unname("a.txt")
    stage.dies("before_remove")  # the key itself is done: nothing of it waits
    command = ["sync", f"s3://{stage.bucket}/", "--collection", stage.source.collection_name]
    done = subprocess.run(
        [sys.executable, "-c", "from s3sync_dagster.cli import main; main()", *command]
        + ["--endpoint-url", stage.aws.url],
        check=False,
        env=stage.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "taken over" in done.stderr
    stage.is_right()


STEPS = (
    "listed", "begun", "sidecars", "fetched", "chunked", "claimed", "before_embed", "after_embed",
    "upserted", "updated", "before_delete", "deleted", "before_commit", "stored", "after_commit",
    "claimed_removal", "before_remove", "removed",
)  # fmt: skip


USUAL = ("before_commit", "removed")
"""The steps of `make test`; all of them are for `make test-long`."""


@pytest.mark.parametrize(
    "step",
    [step if step in USUAL else pytest.param(step, marks=pytest.mark.long) for step in STEPS],
)
def test_killed_at_each_step(stage: CrashStage, step):
    for key in ("grows.txt", "shrinks.txt", "goes.txt", "same.txt"):
        stage.put(key, 6)
    stage.works()
    stage.put("grows.txt", 9, "text")
    stage.put("shrinks.txt", 2, "text")
    stage.put("new.txt", 3)
    stage.delete("goes.txt")
    stage.name("same.txt", "named")
    stage.dies(step, records_a_write=4)
    stage.works()
    stage.is_right()


@pytest.mark.long
def test_a_key_that_kills_its_worker_among_499_good_ones(stage: CrashStage):
    for n in range(499):
        stage.put(f"{n:03}.txt", 1)
    stage.aws.put(stage.bucket, "250-deadly.txt", DEADLY)
    deaths = 0
    while True:
        process = stage.start()
        process.join(300)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        deaths += 1
        assert deaths < 30
    assert stage.records() == stage.wanted()
    counts = stage.catalog.views.counts(stage.source.id)
    assert (counts.indexed, counts.failed) == (499, {"worker_died": 1})
    print(f"{deaths} deaths")


@pytest.mark.long
def test_five_hundred_slow_files_and_three_deaths(stage: CrashStage):
    for n in range(500):
        stage.put(f"{n:03}.txt", 1)
    for _ in range(3):
        stage.dies("after_commit", 1, seconds_a_file=0.2, take_seconds=3.0)
    before = len(stage.records())
    assert 0 < before < 500  # what was committed stays
    stage.works(seconds_a_file=0.2, take_seconds=3.0)
    stage.is_right()
