"""An endpoint that answers 429 is asked little more than it takes, and not in its pauses."""

import pytest

from s3sync_dagster.embedding.pace import Pace
from s3sync_dagster.engine.retry import FIRST_PAUSE_SECONDS
from s3sync_dagster_tests.conftest_catalog import HandClock

NEVER = float("inf")
REQUEST_SECONDS = 0.1


class Bucket:
    """So many requests a second, and a few that stand ready."""

    def __init__(self, clock, *, rate, burst, tells=False):
        self.clock, self.rate, self.burst, self.tells = clock, rate, burst, tells
        self.left, self.looked = float(burst), clock.seconds

    def refuses(self):
        """None where it takes the request, else the pause that it names."""
        gained = (self.clock.seconds - self.looked) * self.rate
        self.left, self.looked = min(self.burst, self.left + gained), self.clock.seconds
        if self.left >= 1:
            self.left -= 1
            return None
        return max(1, round((1 - self.left) / self.rate)) if self.tells else 0


class Window:
    """So many requests in each minute of the clock."""

    def __init__(self, clock, *, requests):
        self.clock, self.requests, self.minute, self.used = clock, requests, 0, 0

    def refuses(self):
        if self.minute != (minute := self.clock.seconds // 60):
            self.minute, self.used = minute, 0
        self.used += 1
        return None if self.used <= self.requests else 0


def ask(pace, clock, limit, number):
    """Return how many were refused until so many were taken, and the longest that one waited."""
    refused, longest = 0, 0.0
    for _ in range(number):
        began = clock.seconds
        while True:
            started = pace.wait(until=NEVER)
            asked = limit.refuses()
            if asked is None:
                break
            refused += 1
            pace.refused(started, asked_seconds=asked)
        clock.seconds += REQUEST_SECONDS
        pace.taken()
        longest = max(longest, clock.seconds - began)
    return refused, longest


def test_without_a_refusal_nobody_waits(clock: HandClock):
    pace, began = Pace(clock), clock.seconds
    for _ in range(1000):
        assert pace.wait(until=began) == began
        pace.taken()
    assert clock.seconds == began


@pytest.mark.parametrize("idle", [1, 60, 3600])
@pytest.mark.parametrize("before", [1, 3])
def test_time_in_which_nobody_asked_is_no_evidence(clock: HandClock, idle, before):
    pace = Pace(clock)
    for _ in range(before):
        clock.seconds += idle
        pace.wait(until=NEVER)
        pace.taken()
    pace.refused(pace.wait(until=NEVER), asked_seconds=0)
    began = clock.seconds
    pace.wait(until=NEVER)
    assert clock.seconds - began <= max(1.1 * idle if idle < 5 else 0, FIRST_PAUSE_SECONDS)


def test_what_was_measured_is_forgotten_when_nobody_asks_any_more(clock: HandClock):
    pace = Pace(clock)
    ask(pace, clock, Bucket(clock, rate=0.5, burst=1), 20)
    clock.seconds += 60
    for _ in range(3):
        began = clock.seconds
        pace.wait(until=began)
        pace.taken()
    assert clock.seconds == began


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize(("rate", "burst"), [(2, 2), (0.5, 2), (5, 5)])
def test_the_rate_of_an_endpoint_is_found(clock: HandClock, rate, burst, tells):
    began = clock.seconds
    limit = Bucket(clock, rate=rate, burst=burst, tells=tells)
    refused, _ = ask(Pace(clock), clock, limit, 200)
    assert refused <= 40, "a sixth of all requests"
    assert clock.seconds - began <= 1.5 * 200 / rate


def test_a_minute_that_is_used_up_is_waited_for(clock: HandClock):
    began = clock.seconds
    refused, longest = ask(Pace(clock), clock, Window(clock, requests=60), 300)
    assert refused <= 100
    assert longest <= 60 + 15, "the longest pause between two looks"
    assert clock.seconds - began <= 60 * 7


def test_the_pace_grows_again_where_a_limit_is_lifted(clock: HandClock):
    pace = Pace(clock)
    ask(pace, clock, Bucket(clock, rate=0.5, burst=1), 20)
    ask(pace, clock, Bucket(clock, rate=1000, burst=1000), 300)
    began = clock.seconds
    ask(pace, clock, Bucket(clock, rate=1000, burst=1000), 10)
    assert clock.seconds - began < 10 * REQUEST_SECONDS + 1


def test_a_pause_holds_for_all(clock: HandClock):
    pace, began = Pace(clock), clock.seconds
    pace.refused(pace.wait(until=NEVER), asked_seconds=9)
    assert pace.wait(until=began + 8) is None
    assert clock.seconds == began, "who cannot wait so long is told at once"
    assert pace.wait(until=NEVER) >= began + 9


def test_a_pause_holds_for_who_waits_for_a_turn_already():
    class Meanwhile(HandClock):
        """Another request is refused while the first one who sleeps does."""

        def sleep(self, seconds):
            self.seconds += seconds / 2
            other, self.other = self.other, None
            if other is not None:
                pace.refused(other, asked_seconds=30)
            self.seconds += seconds / 2

        other = None

    clock = Meanwhile()
    pace = Pace(clock)
    pace.refused(pace.wait(until=NEVER), asked_seconds=2)
    began = clock.other = clock.seconds
    assert pace.wait(until=NEVER) >= began + 31


def test_requests_that_were_under_way_together_are_one_refusal(clock: HandClock):
    pace = Pace(clock)
    together = [pace.wait(until=NEVER) for _ in range(4)]
    clock.seconds += 0.1
    for started in together:
        pace.refused(started, asked_seconds=0)
    began = clock.seconds
    assert pace.wait(until=NEVER) - began == pytest.approx(FIRST_PAUSE_SECONDS)
    pace.refused(clock.seconds, asked_seconds=0)
    began = clock.seconds
    assert pace.wait(until=NEVER) - began == pytest.approx(2 * FIRST_PAUSE_SECONDS)
