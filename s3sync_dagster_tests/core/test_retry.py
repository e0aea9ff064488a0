"""Retries: which, how often, how long apart."""

import pytest

from s3sync_dagster.engine.retry import call_with_retries
from s3sync_dagster.model.errors import InvalidSetting, Throttled, Unavailable
from s3sync_dagster_tests.conftest_catalog import HandClock


class Scripted:
    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.seconds = []

    def __call__(self, seconds):
        self.seconds.append(seconds)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def run(work, clock, **changes):
    return call_with_retries(
        work, **({"clock": clock, "timeout_seconds": 60, "tries": 4} | changes)
    )


def test_what_passes_is_called_again_and_told_what_time_is_left(clock: HandClock):
    work = Scripted(Unavailable("x"), Throttled("x", retry_after_seconds=5), "done")
    assert run(work, clock) == "done"
    first, second, third = work.seconds
    assert first == 60
    assert 59.75 <= second <= 59.875
    assert third == second - 5


def test_the_last_error_is_raised_after_all_tries(clock):
    work = Scripted(*[Unavailable(f"{n}") for n in range(9)])
    with pytest.raises(Unavailable, match="3"):
        run(work, clock)
    assert len(work.seconds) == 4


def test_what_does_not_pass_is_raised_at_once(clock):
    work = Scripted(InvalidSetting("no"), "never")
    with pytest.raises(InvalidSetting):
        run(work, clock)
    assert len(work.seconds) == 1


def test_a_reason_may_have_fewer_tries_of_its_own(clock):
    work = Scripted(
        Unavailable("a", reason="rare"),
        Unavailable("b"),
        Unavailable("c", reason="rare"),
        "never",
    )
    with pytest.raises(Unavailable, match="c"):
        run(work, clock, tries_by_reason={"rare": 2})


def test_no_pause_reaches_beyond_the_deadline(clock):
    work = Scripted(*[Unavailable(f"{n}", retry_after_seconds=4) for n in range(9)])
    before = clock.seconds
    with pytest.raises(Unavailable, match="2"):
        run(work, clock, timeout_seconds=10, tries=9)
    assert clock.seconds - before == 8
