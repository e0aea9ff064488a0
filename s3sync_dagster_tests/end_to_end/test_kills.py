"""The kill matrix on the product: each part, at several moments (long)."""

import os
import signal
import time

import psutil
import pytest

from s3sync_dagster_tests.end_to_end.stage import close_stage, open_stage, page

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory, aws_endpoint):
    opened = open_stage(tmp_path_factory.mktemp("stage") / "home", aws_endpoint)
    yield opened
    close_stage(opened)


def fill(stage, name, number=150):
    for place in range(number):
        stage.put(f"{name}/{place:03d}.md", page(f"{name} {place}"))


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def settle(stage):
    stage.wait_in_step(600)
    stage.each_is_found_by_its_own_vector()
    live = ("QUEUED", "STARTING", "STARTED", "CANCELING")
    stage.wait(lambda: not stage.dagster.runs(statuses=live), "no run looks alive that is not", 600)
    assert not sum(stage.catalog.views.counts(stage.source.id).failed.values())


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
def test_the_run_worker_again_and_again(stage, seconds):
    fill(stage, f"worker-{seconds}")
    for _ in range(2):
        stage.wait(lambda: stage.working() or stage.idle() and stage.in_step(), "work or the end")
        time.sleep(seconds)
        for row in stage.working():
            pid = int(row.owner.partition(":")[2].partition("-")[0])
            if psutil.pid_exists(pid):
                kill(pid)
        time.sleep(1.0)
    settle(stage)


def test_the_daemon_in_the_middle(stage):
    fill(stage, "daemon")
    stage.wait(stage.working, "a run works")
    kill(stage.stack._children["daemon"].pid)
    settle(stage)


def test_the_code_server_in_the_middle(stage):
    fill(stage, "code-server")
    stage.wait(stage.working, "a run works")
    server = psutil.Process(stage.stack._children["code server"].pid)
    for process in (*server.children(), server):  # the run workers are another's children
        kill(process.pid)
    settle(stage)


def test_the_process_that_run_workers_are_forked_from(stage):
    fill(stage, "forker")
    (row, *_) = stage.wait(stage.working, "a run works")
    forker = psutil.Process(stage.stack._children["runs"].pid)
    assert [str(child.pid) in row.owner for child in forker.children()].count(True) == 1
    kill(forker.pid)
    stage.wait(lambda: stage.dagster.run(row.run_id).status == "SUCCESS", "its worker goes on")
    settle(stage)


def test_chroma_in_the_middle(stage):
    fill(stage, "chroma")
    stage.wait(stage.working, "a run works")
    kill(stage.stack._chroma.pid)
    settle(stage)


def test_a_run_is_cancelled_and_its_keys_come_back(stage):
    fill(stage, "cancel")
    (row, *_) = stage.wait(stage.working, "a run works")
    stage.dagster.cancel(row.run_id)
    settle(stage)


def test_everything_at_once_twice(stage):
    for turn in range(2):
        fill(stage, f"all-{turn}")
        stage.wait(stage.working, "a run works")
        stage.kill_all()
        stage.start_again()
        settle(stage)
