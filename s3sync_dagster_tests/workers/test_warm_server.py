"""A server that outlives its callers, reached by a socket in the file system."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.workers import open_pool, warm_server_command
from s3sync_dagster_tests.workers.processes import descendants_of, wait_until_gone

JOBS = "s3sync_dagster_tests.workers.jobs:"
PLENTY = WorkLimits(seconds=30)


def wait_for_socket(path: Path) -> None:
    ends_at = time.monotonic() + 20
    while True:
        with socket.socket(socket.AF_UNIX) as link:
            try:
                link.connect(str(path))
            except OSError:
                assert time.monotonic() < ends_at
                time.sleep(0.02)
                continue
            return


@pytest.fixture
def warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, int]]:
    monkeypatch.setenv("S3SYNC_WORKER_SANDBOX", "off")  # jobs leave files in folders of the test
    path = tmp_path / "workers.sock"
    with subprocess.Popen(warm_server_command(path)) as server:
        wait_for_socket(path)
        yield path, server.pid
        server.terminate()
        assert server.wait(timeout=10) == 0
    assert not path.exists()


def test_callers_share_the_warm_workers(warm: tuple[Path, int]):
    path, server = warm
    forkers = []
    for _ in range(2):
        with open_pool(workers=1, socket_path=path) as pool:
            forkers.append(pool.submit(JOBS + "parent_pids", limits=PLENTY).result()[1])
            assert pool._server is None
    assert forkers[0] == forkers[1]
    assert forkers[0] in descendants_of(server)


def test_call_of_a_caller_that_hangs_up_is_killed(warm: tuple[Path, int], tmp_path: Path):
    path, _ = warm
    program = textwrap.dedent(f"""
        import os, threading, time
        from pathlib import Path
        from s3sync_dagster.engine.ports import WorkLimits
        from s3sync_dagster.workers import open_pool

        pool = open_pool(workers=1, socket_path=Path({str(path)!r}))
        job = "{JOBS}start_a_program_and_wait"
        pool.submit(job, {str(tmp_path / "pids")!r}, limits=WorkLimits(seconds=60))
        while not Path({str(tmp_path / "pids")!r}).exists():
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(os.getpid(), 9)
    """)
    subprocess.run([sys.executable, "-c", program], check=False)
    wait_until_gone(map(int, (tmp_path / "pids").read_text().split()))
    with open_pool(workers=1, socket_path=path) as pool:
        assert pool.submit(JOBS + "add", 1, limits=PLENTY).result() == 1


def test_socket_is_for_its_owner_only(warm: tuple[Path, int]):
    assert warm[0].stat().st_mode & 0o077 == 0


def test_without_a_warm_server_the_pool_starts_its_own(tmp_path: Path):
    with open_pool(workers=1, socket_path=tmp_path / "nobody.sock") as pool:
        assert pool.submit(JOBS + "add", 1, limits=PLENTY).result() == 1
        assert pool._server is not None


def test_warm_server_that_died_is_replaced_by_an_own_one(warm: tuple[Path, int]):
    path, server = warm
    with open_pool(workers=1, socket_path=path) as pool:
        assert pool.submit(JOBS + "add", 1, limits=PLENTY).result() == 1
        family = descendants_of(server)
        os.kill(server, signal.SIGTERM)
        wait_until_gone(family)
        assert pool.submit(JOBS + "add", 2, limits=PLENTY).result() == 2
        assert pool._server is not None


def test_warm_server_of_another_version_is_left_alone(
    warm: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("s3sync_dagster.workers.wire.STAMP", "another")
    # The server of the pool's own is started from the same files: the pool gives up in words.
    with open_pool(workers=1, socket_path=warm[0]) as pool:
        future = pool.submit(JOBS + "add", 1, limits=PLENTY)
        error = future.exception(timeout=30)
    assert error is not None
    assert getattr(error, "reason", "") == "worker_server_died"


def test_server_ends_with_its_parent(tmp_path: Path):
    path = tmp_path / "workers.sock"
    program = textwrap.dedent(f"""
        import subprocess, time
        from pathlib import Path
        from s3sync_dagster.workers import warm_server_command

        print(subprocess.Popen(warm_server_command(Path({str(path)!r}))).pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        wait_for_socket(path)
        parent.kill()
    wait_until_gone([server])
