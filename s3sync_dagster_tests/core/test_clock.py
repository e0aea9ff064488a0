"""The clock of a process, and the one that all hosts of a catalog share."""

import time

import pytest

from s3sync_dagster.engine.clock import Clock


class Hands(Clock):
    """A clock whose hands the test moves."""

    def __init__(self):
        super().__init__()
        self.since_start, self.on_the_wall = 500.0, 1_000_000.0

    def monotonic(self):
        return self.since_start

    def wall(self):
        return self.on_the_wall


def test_a_followed_clock_goes_on_by_what_has_passed_whatever_the_wall_says():
    clock = Hands()
    assert clock.now().timestamp() == 1_000_000
    clock.follow(2_000_000)
    clock.since_start += 30
    clock.on_the_wall -= 86_400
    assert clock.now().timestamp() == 2_000_030


def test_who_was_told_the_time_long_ago_asks_again():
    clock = Hands()
    assert not clock.follows(within_seconds=60)
    clock.follow(2_000_000)
    assert clock.follows(within_seconds=60)
    clock.since_start += 59
    assert clock.follows(within_seconds=60)
    clock.since_start += 1
    assert not clock.follows(within_seconds=60)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_the_time_for_which_a_machine_has_slept_has_passed(monkeypatch):
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 86_400.0}.__getitem__)
    assert Clock().monotonic() == 86_400
