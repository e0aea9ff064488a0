"""Rate and time left, from looks at known moments."""

import pytest

from s3sync_dagster.cli.pace import Pace


def test_the_rate_is_that_of_the_last_seconds_and_the_rest_is_told_from_all():
    pace = Pace(100.0)
    pace.look(101.0, chunks=0, done=0.0, total=50)
    assert (pace.rate, pace.left_seconds) == (None, None)
    pace.look(110.0, chunks=100, done=10.0, total=50)
    assert pace.rate == pytest.approx(10)
    pace.look(120.0, chunks=110, done=20.0, total=50)
    assert pace.left_seconds == pytest.approx(30)
    pace.look(130.0, chunks=120, done=25.0, total=50)
    assert pace.rate == pytest.approx(1), "the first hundred are long ago"
    assert pace.left_seconds == pytest.approx(20 * 25 / 15)


def test_the_time_until_the_first_object_is_not_counted_on_the_others():
    """A model that loads for half a minute made the first estimate ten times too long."""
    pace = Pace(0.0)
    told = list[float]()
    for second in range(30, 131):  # one object a second of 100, after half a minute of nothing
        pace.look(float(second), chunks=second - 29, done=min(second - 29, 100.0), total=100)
        if pace.left_seconds is not None:
            told.append(second + pace.left_seconds)
    assert told[0] == pytest.approx(129)
    assert max(told) - min(told) < 2, "steady from the first one on"


def test_nobody_can_tell_the_end_from_a_few_seconds_or_a_few_objects():
    pace = Pace(0.0)
    pace.look(1.0, chunks=5, done=1.0, total=50)
    pace.look(3.0, chunks=50, done=20.0, total=50)
    assert pace.left_seconds is None
    pace = Pace(0.0)
    pace.look(1.0, chunks=1, done=0.2, total=5000)
    pace.look(20.0, chunks=9, done=9.0, total=5000)
    assert pace.left_seconds is None
    pace.look(30.0, chunks=19, done=12.0, total=5000)
    assert pace.left_seconds is not None


def test_a_small_bucket_of_large_objects_is_told_from_parts_of_them():
    pace = Pace(0.0)
    pace.look(2.0, chunks=1, done=0.1, total=4)
    pace.look(12.0, chunks=6, done=0.6, total=4)
    assert pace.left_seconds == pytest.approx(68)


def test_more_objects_than_were_announced_do_not_take_negative_time():
    pace = Pace(0.0)
    pace.look(1.0, chunks=1, done=1.0, total=6)
    pace.look(10.0, chunks=5, done=7.0, total=6)
    assert pace.left_seconds == 0
