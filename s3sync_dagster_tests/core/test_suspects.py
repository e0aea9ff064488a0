"""Who is suspected of a worker's death, and when a key is poison."""

import pytest

from s3sync_dagster.core.suspects import (
    BEGUN_AT_ONCE,
    Deaths,
    keeps_its_mark,
    suspects_together,
)


@pytest.mark.parametrize(
    ("begun", "alone", "after"),
    [
        (True, True, Deaths(begun=3, alone=2, silent=5)),
        (True, False, Deaths(begun=3, alone=1, silent=5)),
        (False, True, Deaths(begun=2, alone=1, silent=6)),
        (False, False, Deaths(begun=2, alone=1, silent=6)),
    ],
)
def test_a_death_counts_against_what_was_begun_and_silently_against_the_rest(begun, alone, after):
    before = Deaths(begun=2, alone=1, silent=5)
    assert before.after(begun=begun, alone=alone) == after


def test_only_the_third_death_alone_makes_a_key_poison():
    found = [Deaths(begun=100, alone=n, silent=100).poison for n in range(5)]
    assert found == [False, False, False, True, True]


def test_suspects_are_halved_after_each_death_down_to_one():
    assert [suspects_together(deaths) for deaths in range(1, 8)] == [8, 4, 2, 1, 1, 1, 1]
    assert BEGUN_AT_ONCE == 16


@pytest.mark.parametrize(
    ("deaths", "silent", "kept"),
    [(0, 0, False), (1, 0, True), (0, 1, False), (0, 2, True), (0, 3, True), (2, 5, True)],
)
def test_whose_mark_stays_until_each_key_is_settled(deaths, silent, kept):
    assert keeps_its_mark(deaths, silent) is kept
