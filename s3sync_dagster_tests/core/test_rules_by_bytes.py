"""Records of older bytes than an object has: which go at once, and which a listing has to end."""

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.core.rules import event, states

KEYS = [f"{n:02}.txt" for n in range(12)]


def ask(world):
    world.ask(*KEYS, force=True, trigger=Trigger.CLI)


def rebuild(world):
    world.catalog.documents.distrust_all(world.source.id)
    world.listing()
    world.catalog.documents.enqueue_unclean(world.source.id)


def tell(world):
    for key in KEYS:
        event(world, key, told=world.store.head(key))


@pytest.fixture
def indexed(world):
    for key in KEYS:
        world.bucket.put(key, f"text of {key}")
    world.sync()
    return world


@pytest.mark.parametrize("door", [ask, rebuild, tell])
def test_objects_that_a_blocked_listing_shows_as_emptied_keep_their_records(indexed, door):
    for key in KEYS:
        indexed.bucket.put(key, "")
    assert indexed.listing().listing.state is ListingState.BLOCKED
    door(indexed)
    indexed.run_batches()
    assert len(indexed.texts()) == len(KEYS)
    assert set(states(indexed).values()) == {("skipped", "empty_object")}
    indexed.listing()
    indexed.approve()
    indexed.run_batches()
    assert indexed.texts() == {}


def test_one_that_no_blocked_listing_shows_loses_its_text_at_once(world):
    keys = [f"{n:02}.txt" for n in range(52)]
    for key in keys:
        world.bucket.put(key, f"text of {key}")
    world.sync()
    for key in keys[1:]:
        world.bucket.delete(key)
    assert world.listing().listing.state is ListingState.BLOCKED
    told = world.bucket.put(keys[0], "")
    event(world, keys[0], told=told)
    world.run_batches()
    assert world.keys_indexed() == set(keys[1:])


@pytest.mark.parametrize("door", [ask, rebuild, tell])
def test_a_limit_that_was_set_by_mistake_takes_nothing_unless_a_listing_may(indexed, door):
    indexed.configure(max_size_bytes=3)
    for key in KEYS:
        indexed.bucket.put(key, f"another text of {key}")
    door(indexed)
    indexed.run_batches()
    assert len(indexed.texts()) == len(KEYS)
    assert indexed.listing().listing.state is ListingState.BLOCKED
    indexed.configure(max_size_bytes=1000)
    indexed.sync()
    assert set(indexed.texts().values()) == {f"another text of {key}" for key in KEYS}


def test_what_is_too_large_goes_with_the_next_listing_where_that_is_little(indexed):
    indexed.configure(max_size_bytes=100)
    indexed.bucket.put(KEYS[0], "x" * 101)
    indexed.sync()
    assert indexed.keys_indexed() == set(KEYS[1:])
