"""Control groups of workers: the kernel's own limits where a folder is given, else as without.

``S3SYNC_WORKER_CGROUP`` in the tests' environment gives a real one, which has to be above them.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.workers import folders, groups, open_pool
from s3sync_dagster.workers.environment import GROUPS
from s3sync_dagster.workers.remover import Remover
from s3sync_dagster_tests.waiting import wait_for
from s3sync_dagster_tests.workers.processes import is_alive, read_when_written, wait_until_gone

JOBS = "s3sync_dagster_tests.workers.jobs:"
COUNTED = "s3sync_dagster.workers.held:is_counted"
LIMITS = WorkLimits(seconds=60, memory_bytes=200 * 1024**2)


def test_the_kernel_ends_who_takes_too_much_where_a_group_is_given(monkeypatch, tmp_path):
    """Nobody looks meanwhile: the forker stands still. Without a group it sees it afterwards."""
    monkeypatch.setenv("S3SYNC_WORKER_SANDBOX", "off")
    with open_pool(workers=1) as pool:
        job = pool.submit(JOBS + "fill_when_told", str(tmp_path), 400 * 1024**2, limits=LIMITS)
        worker, forker = map(int, read_when_written(tmp_path / "said").split())
        os.kill(forker, signal.SIGSTOP)
        try:
            (tmp_path / "told").touch()
            if os.environ.get(GROUPS):
                wait_until_gone([worker], seconds=60)
            else:
                read_when_written(tmp_path / "filled")
                assert is_alive(worker)
        finally:
            os.kill(forker, signal.SIGCONT)
        with pytest.raises(LimitExceeded) as caught:
            job.result()
    assert caught.value.reason == "out_of_memory"
    assert (tmp_path / "filled").exists() is (GROUPS not in os.environ)


def test_a_worker_is_in_a_group_where_one_is_given_and_it_goes_with_it():
    given = os.environ.get(GROUPS)
    with open_pool(workers=1) as pool:
        assert pool.submit(COUNTED, limits=LIMITS).result() is (given is not None)
        if given is not None:
            wait_for(lambda: not [*Path(given).glob("s3sync-worker-*")])


def test_what_leaves_its_process_group_ends_with_its_worker_where_a_group_is_given(monkeypatch):
    monkeypatch.setenv("S3SYNC_WORKER_SANDBOX", "off")
    with open_pool(workers=1) as pool:
        left = pool.submit(JOBS + "fork_away", 0, 0, limits=LIMITS).result()
        if os.environ.get(GROUPS) is None:
            assert psutil.pid_exists(left)  # until the pool ends
        else:
            wait_until_gone([left])
    wait_until_gone([left])


def test_a_folder_that_is_none_is_as_without(monkeypatch, tmp_path):
    for folder in (tmp_path / "gone", Path("/proc/self")):
        monkeypatch.setenv(GROUPS, str(folder))
        with open_pool(workers=1) as pool:
            assert pool.submit(COUNTED, limits=LIMITS).result() is False
            assert pool.submit(JOBS + "add", 1, limits=LIMITS).result() == 1


def test_limits_are_written_and_the_end_is_read(monkeypatch, tmp_path):
    """Of files that are none of the kernel's."""
    monkeypatch.setenv(GROUPS, str(tmp_path))
    groups.prepare()
    group = groups.make(7)
    assert group is not None
    group.bound(123)
    group.enter()
    group.kill()
    written = {one.name: one.read_text() for one in group.path.iterdir()}
    assert written == {
        "memory.max": "123",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": str(groups.MOST_TASKS),
        "cgroup.procs": "0",
        "cgroup.kill": "1",
    }
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert not group.ran_out()
    events = group.path / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n")
    assert not group.ran_out()
    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n")
    assert group.ran_out()
    assert not group.remove()
    assert groups.make(7) is None  # there is one


def test_what_is_in_the_folder_itself_is_moved_below(monkeypatch, tmp_path):
    """Of files that are none of the kernel's, where nobody leaves."""
    monkeypatch.setenv(GROUPS, str(tmp_path))
    (tmp_path / "cgroup.procs").write_text("12\n13\n")
    groups.prepare()
    assert not (tmp_path / "s3sync-stack").exists()  # the first group of a machine
    (tmp_path / "cgroup.type").write_text("domain\n")
    groups.prepare()
    assert (tmp_path / "s3sync-stack/cgroup.procs").read_text() == "13"


def test_groups_of_dead_forkers_go_and_those_of_others_stay(monkeypatch, tmp_path):
    monkeypatch.setenv(GROUPS, str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    left = tmp_path / f"s3sync-worker-{dead.pid}-1"
    kept = [tmp_path / f"s3sync-worker-{os.getpid()}-1", tmp_path / "another"]
    for one in (left, *kept):
        one.mkdir()
    groups.prepare()
    assert [one.exists() for one in (left, *kept)] == [False, True, True]


def test_who_watches_removes_nothing_but_what_is_empty(tmp_path, monkeypatch):
    remove = folders.remove

    def note_and_remove(folder: str) -> None:
        with (tmp_path / "removers").open("a") as file:
            file.write(f"{os.getpid()} {os.nice(0)}\n")
        remove(folder)

    monkeypatch.setattr(folders, "remove", note_and_remove)
    empty, full, more = (tmp_path / name for name in ("empty", "full", "more"))
    for one in (empty, full, more):
        one.mkdir()
        (one / "name").touch()
    (empty / "name").unlink()
    remover = Remover()
    for one in (empty, full):
        remover.take(str(one))
    assert not empty.exists()
    assert remover.go_on()
    remover.take(str(more))
    wait_for(lambda: not remover.go_on())
    assert not full.exists()
    assert not more.exists()
    removers = [line.split() for line in (tmp_path / "removers").read_text().splitlines()]
    assert len({pid for pid, _ in removers} - {str(os.getpid())}) == 2
    assert {turns for _, turns in removers} == {"19"}


def test_what_is_still_to_be_removed_is_at_the_end(tmp_path):
    remover = Remover()
    for name in ("begun", "waiting"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        remover.take(str(tmp_path / name))
        if name == "begun":
            remover.go_on()
    remover.end()
    assert not [*tmp_path.iterdir()]


def test_nobody_who_has_ended_is_left_after_the_last_worker():
    with open_pool(workers=1) as pool:
        _, forker = pool.submit(JOBS + "parent_pids", limits=LIMITS).result()
        for _ in range(5):
            pool.submit(JOBS + "fork_away", 0, 0, limits=LIMITS).result()
            wait_for(lambda: not psutil.Process(forker).children(), seconds=10)
