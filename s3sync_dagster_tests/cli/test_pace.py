"""Rate and time left, from looks at known moments."""

import pytest

from s3sync_dagster.cli.pace import Pace


def test_the_rate_is_that_of_the_last_seconds_and_the_rest_is_told_from_all():
    pace = Pace(100.0)
    pace.look(101.0, chunks=0, done=0.0, total=50)
    assert (pace.rate, pace.left_seconds) == (None, None)
    pace.look(110.0, chunks=100, done=10.0, total=50)
    assert pace.rate == pytest.approx(10)
    assert pace.left_seconds == pytest.approx(40)
    pace.look(120.0, chunks=110, done=20.0, total=50)
    pace.look(130.0, chunks=120, done=25.0, total=50)
    assert pace.rate == pytest.approx(1), "the first hundred are long ago"
    assert pace.left_seconds == pytest.approx(30)


def test_nobody_can_tell_the_end_in_the_first_moments():
    pace = Pace(0.0)
    pace.look(1.0, chunks=5, done=1.0, total=50)
    assert pace.left_seconds is None


def test_more_objects_than_were_announced_do_not_take_negative_time():
    pace = Pace(0.0)
    pace.look(10.0, chunks=5, done=7.0, total=6)
    assert pace.left_seconds == 0
