"""Whoever dies, nothing is left behind and nothing waits for ever."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.workers import open_pool
from s3sync_dagster_tests.waiting import wait_for
from s3sync_dagster_tests.workers.processes import (
    descendants_of,
    is_alive,
    read_when_written,
    wait_until_gone,
)

JOBS = "s3sync_dagster_tests.workers.jobs:"
PLENTY = WorkLimits(seconds=60)


@pytest.fixture(autouse=True)
def files_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs leave their process ids in files of the test, where no worker may write."""
    monkeypatch.setenv("S3SYNC_WORKER_SANDBOX", "off")


def temporary_folder_of(program: int) -> Path:
    """Return the folder that a program got from the worker that started it."""

    def named() -> list[bytes]:  # for a moment after its start it has none
        variables = Path(f"/proc/{program}/environ").read_bytes().split(b"\0")
        return [value for value in variables if value.startswith(b"TMPDIR=")]

    (value,) = wait_for(named)
    return Path(value.removeprefix(b"TMPDIR=").decode())


def wait_until_removed(folder: Path, *, seconds: float = 10) -> None:
    ends_at = time.monotonic() + seconds
    while folder.exists():
        assert time.monotonic() < ends_at, f"{folder} was left behind"
        time.sleep(0.02)


def test_killed_caller_takes_server_workers_and_programs_with_it(tmp_path: Path):
    pids = tmp_path / "pids"
    program = textwrap.dedent(f"""
        from s3sync_dagster.engine.ports import WorkLimits
        from s3sync_dagster.workers import open_pool

        pool = open_pool(workers=1)
        job = "{JOBS}start_a_program_and_wait"
        pool.submit(job, {str(pids)!r}, limits=WorkLimits(seconds=60)).result()
    """)
    with subprocess.Popen([sys.executable, "-c", program]) as caller:
        worker, started = map(int, read_when_written(pids).split())
        family = [*descendants_of(caller.pid), worker, started]
        assert all(is_alive(pid) for pid in family)
        folder = temporary_folder_of(started)
        caller.kill()
    wait_until_gone(family)
    wait_until_removed(folder)


def test_killed_server_takes_workers_with_it_and_the_call_is_made_again(tmp_path: Path):
    pids = tmp_path / "pids"
    with open_pool(workers=1) as pool:
        future = pool.submit(JOBS + "start_a_program_and_wait", str(pids), limits=PLENTY)
        worker, program = map(int, read_when_written(pids).split())
        assert pool._server is not None
        first = pool._server.pid
        pids.unlink()
        folder = temporary_folder_of(program)
        os.kill(first, signal.SIGKILL)
        wait_until_gone([first, worker])
        wait_until_removed(folder)
        again, _ = map(int, read_when_written(pids).split())
        assert again != worker
        assert not future.done()


def test_what_a_worker_has_started_ends_where_its_forker_is_killed(tmp_path: Path):
    pids = tmp_path / "pids"
    with open_pool(workers=1) as pool:
        pool.submit(JOBS + "start_a_program_and_wait", str(pids), limits=PLENTY)
        worker, program = map(int, read_when_written(pids).split())
        forker = psutil.Process(worker).ppid()
        pids.unlink()
        os.kill(forker, signal.SIGKILL)
        wait_until_gone([worker, program])


def test_program_left_by_a_worker_is_killed(tmp_path: Path):
    pids = tmp_path / "pids"
    with open_pool(workers=1) as pool:
        pool.submit(JOBS + "start_a_program_and_return", str(pids), limits=PLENTY).result()
        wait_until_gone(map(int, pids.read_text().split()))


def test_program_of_a_worker_that_ran_out_of_time_is_killed(tmp_path: Path):
    pids = tmp_path / "pids"
    with open_pool(workers=1) as pool:
        job = JOBS + "start_a_program_and_wait"
        with pytest.raises(LimitExceeded):
            pool.submit(job, str(pids), limits=WorkLimits(seconds=1)).result()
        wait_until_gone(map(int, pids.read_text().split()))


def test_what_forks_away_ends_with_its_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("S3SYNC_WORKER_SANDBOX")
    with open_pool(workers=1) as pool:
        left = pool.submit(JOBS + "fork_away", 0, 0, limits=PLENTY).result()
        wait_until_gone([left])
        assert pool.submit(JOBS + "add", 1, limits=PLENTY).result() == 1


def test_what_forks_away_and_leaves_the_group_ends_with_the_pool():
    with open_pool(workers=1) as pool:
        left = pool.submit(JOBS + "fork_away", 0, 0, limits=PLENTY).result()
    wait_until_gone([left])


def test_memory_of_what_forks_away_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("S3SYNC_WORKER_SANDBOX")
    limits = WorkLimits(seconds=30, memory_bytes=200 * 1024**2)
    with open_pool(workers=1) as pool:
        with pytest.raises(LimitExceeded) as caught:
            pool.submit(JOBS + "fork_away", 400 * 1024**2, 10, limits=limits).result()
        assert caught.value.reason == "out_of_memory"


def test_memory_of_what_another_thread_starts_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("S3SYNC_WORKER_SANDBOX")
    limits = WorkLimits(seconds=30, memory_bytes=200 * 1024**2)
    with open_pool(workers=1) as pool:
        left = pool.submit(JOBS + "fork_in_a_thread", 1024, 0.5, limits=limits).result()
        wait_until_gone([left])
        with pytest.raises(LimitExceeded) as caught:
            pool.submit(JOBS + "fork_in_a_thread", 400 * 1024**2, 10, limits=limits).result()
        assert caught.value.reason == "out_of_memory"


def test_threads_take_of_the_memory_of_a_call():
    limits = WorkLimits(seconds=30, memory_bytes=150 * 1024**2)
    with open_pool(workers=1) as pool:
        assert pool.submit(JOBS + "start_threads", 200, limits=limits).result() == 201
        with pytest.raises(LimitExceeded) as caught:
            pool.submit(JOBS + "start_threads", 2500, limits=limits).result()
        assert caught.value.reason == "out_of_memory"


def test_what_waits_in_sockets_counts_as_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("S3SYNC_WORKER_SANDBOX")
    limits = WorkLimits(seconds=30, memory_bytes=150 * 1024**2)
    with open_pool(workers=1) as pool:
        few = pool.submit(JOBS + "hold_in_pairs", 10, 0.3, limits=limits).result()
        assert few >= 20 * 65_536
        with pytest.raises(LimitExceeded) as caught:
            pool.submit(JOBS + "hold_in_pairs", 400, 10, limits=limits).result()
        assert caught.value.reason == "out_of_memory"


def test_memory_counts_where_the_first_thread_has_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("S3SYNC_WORKER_SANDBOX")
    limits = WorkLimits(seconds=60, memory_bytes=200 * 1024**2)
    with open_pool(workers=1) as pool, pytest.raises(LimitExceeded) as caught:
        pool.submit(JOBS + "end_first_threads", 400 * 1024**2, 20, limits=limits).result()
    assert caught.value.reason == "out_of_memory"


def test_no_process_opens_more_than_is_counted_for_it():
    limits = WorkLimits(seconds=30, memory_bytes=900 * 1024**2)
    with open_pool(workers=1) as pool:
        assert 900 < pool.submit(JOBS + "open_many", 3_000, limits=limits).result() <= 1024


def test_closing_leaves_no_process(tmp_path: Path):
    pool = open_pool(workers=2)
    pool.submit(JOBS + "add", 1, limits=PLENTY).result()
    assert pool._server is not None
    family = [pool._server.pid, *descendants_of(pool._server.pid)]
    assert len(family) >= 2
    pool.close()
    wait_until_gone(family)


def test_workers_have_no_network_where_the_kernel_allows_it():
    flags = "-n" if os.geteuid() == 0 else "-rn"
    possible = subprocess.run(["unshare", flags, "true"], check=False).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as server, open_pool(workers=1) as pool:
        port = server.getsockname()[1]
        connected = pool.submit(JOBS + "can_connect", port, limits=PLENTY).result()
    assert connected is not possible
