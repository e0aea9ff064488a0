"""Calls end with a value, an error of ours or a limit, and the next call is served."""

import signal
import threading
import time
from pathlib import Path

import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import LimitExceeded, Unavailable, UnreadableFile
from s3sync_dagster.workers import LocalPool, open_pool
from s3sync_dagster.workers import pool as pools

JOBS = "s3sync_dagster_tests.workers.jobs:"
MIB = 1024**2
PLENTY = WorkLimits(seconds=30)


@pytest.fixture(scope="module")
def pool():
    with open_pool(workers=2) as pool:
        yield pool


def call(pool: LocalPool, job: str, *args: object, limits: WorkLimits = PLENTY, **kwargs: object):
    return pool.submit(JOBS + job, *args, limits=limits, **kwargs).result(timeout=60)


def test_arguments_and_values_cross(pool: LocalPool):
    assert call(pool, "add", 1, right=2) == 3
    value = {"text": "ä" * 100_000, "bytes": bytes(range(256)), "nested": [(1, None)]}
    assert call(pool, "echo", value) == value
    document = call(pool, "a_document")
    assert document == Document(text="x", format="text", pages=(Page(start=0, label="1"),))


def test_large_arguments_and_values_cross(pool: LocalPool):
    content = b"x" * (20 * MIB)
    assert call(pool, "echo", content) == content


def test_each_call_has_a_process_of_its_own(pool: LocalPool):
    one, forker = call(pool, "parent_pids")
    other, same_forker = call(pool, "parent_pids")
    assert one != other
    assert forker == same_forker


@pytest.mark.parametrize(
    ("job", "arguments", "limits", "reason"),
    [
        ("sleep", (60,), WorkLimits(seconds=0.3), "timeout"),
        ("spin", (), WorkLimits(seconds=0.3), "timeout"),
        ("ignore_sigterm_and_sleep", (), WorkLimits(seconds=0.3), "timeout"),
        ("fill_memory", (600 * MIB,), WorkLimits(memory_bytes=150 * MIB), "out_of_memory"),
        (
            "fill_memory_in_a_program",
            (300 * MIB,),
            WorkLimits(memory_bytes=150 * MIB),
            "out_of_memory",
        ),
        ("ask_for_address_space", (1 << 40,), PLENTY, "out_of_memory"),
        ("make_text", (2 * MIB,), WorkLimits(output_bytes=MIB), "output_too_large"),
        ("die", (signal.SIGKILL,), PLENTY, "worker_crashed"),
        ("die", (signal.SIGSEGV,), PLENTY, "worker_crashed"),
        ("leave_quietly", (0,), PLENTY, "worker_crashed"),
        ("recurse", (), PLENTY, "worker_crashed"),
        ("write_endlessly", (), PLENTY, "worker_crashed"),
        ("no_such_job", (), PLENTY, "worker_crashed"),
        ("reply_with_a_trap", (), PLENTY, "worker_crashed"),
    ],
)
def test_limit_is_named_and_next_call_is_served(
    pool: LocalPool, job: str, arguments: tuple, limits: WorkLimits, reason: str
):
    started = time.monotonic()
    with pytest.raises(LimitExceeded) as caught:
        call(pool, job, *arguments, limits=limits)
    assert caught.value.reason == reason
    assert time.monotonic() - started < 15
    assert call(pool, "add", 20, right=1) == 21


def test_our_errors_cross_whole(pool: LocalPool):
    with pytest.raises(UnreadableFile, match="half a file") as caught:
        call(pool, "refuse", "half a file")
    assert caught.value.reason == "damaged"


def test_text_of_foreign_exceptions_does_not_cross(pool: LocalPool):
    with pytest.raises(LimitExceeded) as caught:
        call(pool, "fail", "hunter2")
    assert "ValueError" in caught.value.message
    assert "jobs.py" in caught.value.message
    assert "hunter2" not in repr(caught.value)


def test_what_a_job_preloads_is_there_and_no_document_library_is(pool: LocalPool):
    modules = call(pool, "loaded_modules")
    assert "colorsys" in modules
    assert not {"docling", "pandas", "dagster", "numpy"} & set(modules)


def test_credentials_stay_with_the_caller(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("S3SYNC_ENCRYPTION_KEY", "hunter3")
    with open_pool(workers=1) as fresh:
        variables = call(fresh, "environment")
    assert "PATH" in variables
    assert "hunter" not in repr(variables)


def test_temporary_files_go_with_the_call(pool: LocalPool):
    folder = Path(call(pool, "temporary_folder"))
    ends_at = time.monotonic() + 5
    while folder.exists():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_no_more_calls_at_once_than_workers():
    with open_pool(workers=2) as fresh:
        call(fresh, "add", 0)  # warm
        started = time.monotonic()
        futures = [fresh.submit(JOBS + "sleep", 0.4, limits=PLENTY) for _ in range(4)]
        assert [future.result() for future in futures] == [0.4] * 4
        assert 0.8 <= time.monotonic() - started < 5


def test_one_call_does_not_wait_for_another(pool: LocalPool):
    slow = pool.submit(JOBS + "sleep", 4.0, limits=PLENTY)
    assert call(pool, "add", 1) == 1
    assert not slow.done()
    assert slow.result() == 4.0


def test_closed_pool_ends_what_runs_and_takes_nothing_new():
    pool = open_pool(workers=1)
    call(pool, "add", 1)
    running = pool.submit(JOBS + "sleep", 60, limits=PLENTY)
    time.sleep(0.2)
    started = time.monotonic()
    pool.close()
    with pytest.raises(Unavailable) as caught:
        running.result(timeout=5)
    assert caught.value.reason == "pool_closed"
    assert time.monotonic() - started < 25
    with pytest.raises(RuntimeError):
        pool.submit(JOBS + "add", 1, limits=PLENTY)


def test_opening_and_closing_starts_nothing():
    pool = open_pool()
    assert pool.workers >= 1
    assert pool._server is None
    pool.close()


def test_large_replies_are_opened_one_after_the_other(monkeypatch: pytest.MonkeyPatch):
    """Text takes nine times its bytes meanwhile."""
    opening, most, lock = 0, 0, threading.Lock()

    def opened(kind: bytes, reply: bytes) -> object:
        nonlocal opening, most
        with lock:
            opening += 1
            most = max(most, opening)
        time.sleep(0.3)
        with lock:
            opening -= 1
        return open_reply(kind, reply)

    open_reply = pools._open_reply
    monkeypatch.setattr(pools, "_open_reply", opened)
    monkeypatch.setattr(pools, "LARGE_REPLY_BYTES", 10_000)
    with open_pool(workers=3) as pool:
        for size, at_once in ((100, True), (20_000, False)):
            most = 0
            calls = [pool.submit(JOBS + "echo", "x" * size, limits=PLENTY) for _ in range(6)]
            assert all(len(one.result(timeout=60)) == size for one in calls)
            assert (most > 1) is at_once
