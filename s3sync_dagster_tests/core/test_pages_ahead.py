"""Pages that are asked for ahead: the same keys as one by one, and hardly more questions."""

import random

import pytest

from s3sync_dagster.engine.pages import open_pages
from s3sync_dagster.engine.pages_ahead import AT_ONCE, open_ahead
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore

PAGE = 10


def marks_of(known):
    """Return what the catalog tells of these keys (``ListingsPort.marks``)."""
    known = sorted(known)

    def marks(after, *, every, limit):
        behind = [key for key in known if after is None or key > after]
        return [behind[n - 1] for n in range(every, every * limit + 1, every) if n < len(behind)]

    return marks


def walk(pages, limit=PAGE):
    """Go through all pages; returns their keys and how often the listing went on."""
    after, keys, number = None, [], 0
    while True:
        asked = pages.next(after, limit=limit, number=number)
        assert asked.number <= number
        keys += [ref.key for ref in asked.page.objects]
        if asked.page.last:
            pages.discard()
            return keys
        after, number = keys[-1], number + 1


def bucket_of(keys):
    bucket = MemoryBucket()
    for key in keys:
        bucket.put(key, "text")
    return bucket


def listed(there, known, *, in_turn=0):
    """Return the keys listed ahead, and the LISTs that it took."""
    store = MemoryObjectStore(bucket_of(there), pages_in_turn=in_turn)
    keys = walk(open_ahead(store, "", marks=marks_of(known)))
    return keys, store.requests()["LIST"]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 99, 100, 101, 500])
@pytest.mark.parametrize("in_turn", [0, 3])
def test_a_bucket_in_which_nothing_changed_costs_no_question_more(count, in_turn):
    keys = [f"k{n:04}" for n in range(count)]
    found, asked = listed(keys, keys, in_turn=in_turn)
    assert found == keys
    assert asked == -(-count // PAGE)


def test_a_bucket_of_which_nothing_is_known_costs_no_question_more():
    keys = [f"k{n:04}" for n in range(500)]
    assert listed(keys, []) == (keys, 50)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_new_or_gone_the_keys_are_those_of_the_bucket(seed):
    chance = random.Random(seed)
    all_keys = [f"k{n:04}" for n in range(chance.randrange(1, 400))]
    known = [key for key in all_keys if chance.random() < chance.choice([0.1, 0.9, 1])]
    there = [key for key in all_keys if chance.random() < chance.choice([0.1, 0.9, 1])]
    one_by_one = MemoryObjectStore(bucket_of(there))
    expected = walk(open_pages(one_by_one, ""))
    found, _asked = listed(there, known, in_turn=chance.randrange(4))
    assert found == expected == there


def test_a_bucket_that_grows_everywhere_costs_a_tenth_more_and_not_twice_as_much():
    keys = [f"k{n:06}" for n in range(20_000)]
    chance = random.Random(1)
    known = [key for key in keys if chance.random() < 0.999]
    store = MemoryObjectStore(bucket_of(keys), pages_in_turn=0)
    assert walk(open_ahead(store, "", marks=marks_of(known)), limit=500) == keys
    assert store.requests()["LIST"] <= 46


def test_a_folder_of_new_keys_costs_hardly_more():
    old = [f"a{n:05}" for n in range(3_000)] + [f"c{n:05}" for n in range(3_000)]
    new = [f"b{n:05}" for n in range(3_000)]
    found, asked = listed(old + new, old)
    assert found == sorted(old + new)
    assert asked <= 900 * 1.02


def test_pages_are_as_old_as_their_question():
    keys = [f"k{n:04}" for n in range(200)]
    store = MemoryObjectStore(bucket_of(keys), pages_in_turn=0)
    pages = open_ahead(store, "", marks=marks_of(keys))
    after, numbers = None, []
    for number in range(20):
        asked = pages.next(after, limit=PAGE, number=number)
        numbers.append(asked.number)
        after = asked.page.objects[-1].key
    assert numbers == sorted(numbers)
    assert all(number - asked < AT_ONCE for number, asked in enumerate(numbers))
    assert numbers[0] == numbers[AT_ONCE // 2] == 0
