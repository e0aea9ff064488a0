"""How many documents a listing may remove without a person's word."""

import pytest

from s3sync_dagster.core.guard import needs_approval


@pytest.mark.parametrize(
    ("leaving", "total", "waits"),
    [
        (0, 0, False),  # an empty source stays empty
        (0, 1000, False),
        (1, 1, True),  # all of them, however few
        (1, 2, False),
        (49, 50, False),
        (50, 50, True),
        (50, 51, False),  # 50 may always go
        (51, 52, True),
        (51, 254, True),  # a fifth of 254 is 50.8
        (51, 255, False),
        (200, 1000, False),
        (201, 1000, True),
        (1000, 1000, True),
    ],
)
def test_removals_wait_beyond_fifty_and_a_fifth_and_when_nothing_would_be_left(
    leaving, total, waits
):
    assert needs_approval(leaving, total=total) is waits
