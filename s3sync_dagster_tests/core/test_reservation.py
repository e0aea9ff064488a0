"""Which of the due work a batch takes, and whether a source gets a batch at all."""

import pytest

from s3sync_dagster.core.reservation import Due, Take, keys_of_batch, may_reserve, next_due


def due(key, *, priority=0, deaths=0, size=1):
    return Due(object_key=key, priority=priority, deaths=deaths, size=size)


@pytest.mark.parametrize(
    ("live", "priority", "granted"),
    [
        ([], 2, True),
        ([2], 2, True),
        ([0], 2, True),
        ([2, 2], 2, False),
        ([2, 2], 1, True),  # an event, beside two listings
        ([2, 2], 0, True),
        ([2, 1], 1, False),  # one of the two is no listing's
        ([1, 2], 0, False),
        ([0, 0], 0, False),
        ([2, 2, 2], 0, False),
        ([2, 2, 1], 0, False),
    ],
)
def test_one_batch_beyond_the_full_number_is_for_people_and_events(live, priority, granted):
    assert may_reserve(live, priority, max_live=2) is granted


HEALTHY = [due("a"), due("b")]
SUSPECTS = [due("x", deaths=1), due("y", deaths=1), due("z", deaths=2)]


@pytest.mark.parametrize(
    ("healthy", "suspects", "busy", "keys"),
    [
        ([], [], False, []),
        ([], [], True, []),
        (HEALTHY, [], False, ["a", "b"]),
        (HEALTHY, [], True, ["a", "b"]),
        (HEALTHY, SUSPECTS, False, ["a", "b"]),
        (HEALTHY, SUSPECTS, True, ["x", "y"]),  # beside a live batch they need not wait
        ([], SUSPECTS, False, ["x", "y"]),
        ([], SUSPECTS, True, ["x", "y"]),
        ([], SUSPECTS[2:], False, ["z"]),
    ],
)
def test_suspects_are_served_apart_from_others_and_from_worse_ones(healthy, suspects, busy, keys):
    assert [one.object_key for one in next_due(healthy, suspects, busy=busy)] == keys


def keys(found, **bounds):
    return keys_of_batch(found, Take(**bounds))


def test_nothing_due_is_no_key():
    assert keys([]) == []


def test_a_key_counts_once_in_the_order_of_what_is_due():
    found = [due("b"), due("a"), due("b", size=10**12), due("c")]
    assert keys(found, max_keys=2) == ["b", "a"]
    assert keys(found, max_keys=3) == ["b", "a", "c"]


def test_a_batch_holds_at_most_so_many_bytes_but_at_least_one_key():
    found = [due("a", size=60), due("b", size=40), due("c", size=1)]
    assert keys(found, max_bytes=100) == ["a", "b"]
    assert keys(found, max_bytes=101) == ["a", "b", "c"]
    assert keys(found, max_bytes=99) == ["a"]
    assert keys(found, max_bytes=59) == ["a"]


def test_a_size_that_is_not_known_takes_nothing_from_the_others():
    found = [due("a", size=-1), due("b", size=10), due("c", size=-1), due("d", size=1)]
    assert keys(found, max_bytes=10) == ["a", "b", "c"]


def test_suspects_go_a_few_at_a_time():
    once = [due(f"{n:02}", deaths=1) for n in range(20)]
    assert keys(once) == [f"{n:02}" for n in range(8)]
    assert keys([due(f"{n}", deaths=3) for n in range(5)]) == ["0", "1"]
    assert keys([due(f"{n}", deaths=4) for n in range(5)]) == ["0"]
    assert len(keys([due(f"{n}") for n in range(600)])) == 500
