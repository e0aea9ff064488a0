"""One process serves many calls of one caller, and none pays for what another did."""

import time
from pathlib import Path

import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded, S3SyncError
from s3sync_dagster.workers import LocalPool, open_pool
from s3sync_dagster.workers.forker import IDLE_SECONDS
from s3sync_dagster.workers.worker import CALLS
from s3sync_dagster_tests.workers.processes import wait_until_gone
from s3sync_dagster_tests.workers.test_warm_server import warm  # noqa: F401 (a fixture)

JOBS = "s3sync_dagster_tests.workers.jobs:"
PLENTY = WorkLimits(seconds=30)


@pytest.fixture
def pool():
    with open_pool(workers=1) as pool:
        yield pool


def again(pool: LocalPool, deed: str = "", limits: WorkLimits = PLENTY) -> tuple[int, list[str]]:
    return pool.submit(JOBS + "do_again", deed, limits=limits).result(timeout=60)


def test_calls_follow_each_other_in_one_process(pool: LocalPool):
    processes = [again(pool, str(number))[0] for number in range(5)]
    assert len(set(processes)) == 1
    assert again(pool)[1] == ["0", "1", "2", "3", "4"]


def test_an_error_of_ours_ends_no_process(pool: LocalPool):
    first, _ = again(pool)
    with pytest.raises(S3SyncError, match="half a file"):
        again(pool, "refuse")
    assert again(pool)[0] == first


def test_a_process_serves_so_many_calls(pool: LocalPool):
    processes = [again(pool)[0] for _ in range(CALLS + 1)]
    assert len(set(processes[:CALLS])) == 1
    assert processes[CALLS] != processes[0]


@pytest.mark.parametrize(
    "deed", ["leave a file", "leave a program", "leave a thread", "leave memory", "fail"]
)
def test_what_a_call_leaves_behind_meets_no_other(pool: LocalPool, deed: str):
    first, _ = again(pool)
    if deed == "fail":
        with pytest.raises(LimitExceeded, match="ValueError"):
            again(pool, deed)
    else:
        assert again(pool, deed)[0] == first
    second, before = again(pool)
    assert second != first
    assert before == []
    wait_until_gone([first])


@pytest.mark.parametrize("deed", ["die of others", "take memory of others"])
def test_who_dies_of_what_others_left_is_asked_again_alone(pool: LocalPool, deed: str):
    limits = WorkLimits(seconds=30, memory_bytes=150 * 1024**2)
    first, _ = again(pool, limits=limits)
    second, before = again(pool, deed, limits=limits)
    assert second != first
    assert before == []


def test_who_dies_alone_too_has_crashed(pool: LocalPool):
    again(pool)
    with pytest.raises(LimitExceeded) as caught:
        again(pool, "die")
    assert caught.value.reason == "worker_crashed"
    assert again(pool)[1] == []


def test_each_call_has_its_own_time(pool: LocalPool):
    first, _ = again(pool)
    with pytest.raises(LimitExceeded) as caught:
        again(pool, "sleep", WorkLimits(seconds=0.3))
    assert caught.value.reason == "timeout"
    assert again(pool)[0] != first


def test_processor_time_counts_from_the_call_on(pool: LocalPool):
    limits = WorkLimits(seconds=20)
    calls = [
        pool.submit(JOBS + "spend_seconds", seconds, limits=limits).result(60)
        for seconds in (1.2, 1.2, 0.0)
    ]
    assert len({process for process, *_ in calls}) == 1
    assert all(left >= 20 for _, left in calls)


def test_a_process_without_work_ends(pool: LocalPool):
    process, _ = again(pool)
    wait_until_gone([process], seconds=IDLE_SECONDS + 5)
    assert again(pool)[1] == []


def test_callers_never_share_a_process(warm: tuple[Path, int]):  # noqa: F811
    with (
        open_pool(workers=1, socket_path=warm[0]) as one,
        open_pool(workers=1, socket_path=warm[0]) as other,
    ):
        assert again(one, "mine")[0] != again(other)[0]
        assert again(other)[1] == [""]
        assert again(one)[1] == ["mine"]
        assert one._server is other._server is None


def test_many_callers_threads_are_all_answered():
    with open_pool(workers=4) as pool:
        started = time.monotonic()
        futures = [pool.submit(JOBS + "do_again", str(n), limits=PLENTY) for n in range(300)]
        seen = [future.result(60) for future in futures]
        # A caller may ask again before its worker's word "done" is heard: then one more is forked.
        # How often is the machine's affair; without reuse it would be 300.
        assert len({process for process, _ in seen}) <= 30
        assert time.monotonic() - started < 60


def test_who_says_done_before_it_is_keeps_its_limit_of_memory(pool: LocalPool):
    limits = WorkLimits(seconds=30, memory_bytes=200 * 1024**2)
    with pytest.raises(LimitExceeded):
        again(pool, "say done first", limits)
    assert again(pool)[1] == []
