"""Listings that ask ahead: what is told while a page waits is newer than that page."""

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.pages_ahead import AT_ONCE
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.core.rules import event

KEYS = [f"{n:03}.txt" for n in range(60)]
PAGE = 5


@pytest.fixture
def ahead(world):
    """The world, all of whose pages are asked for ahead, and of which all is indexed."""
    for key in KEYS:
        world.bucket.put(key, f"text of {key}")
    world.store = MemoryObjectStore(world.bucket, fault=world._fault, pages_in_turn=0)
    world.sync(page_keys=PAGE)
    assert world.keys_indexed() == set(KEYS)
    return world


def lists(world):
    return world.store.requests()["LIST"]


def once(action):
    """Return what does it after the first page, when others have been asked for."""
    left = [action]
    return lambda _listing: left.pop()() if left else None


def test_what_is_told_while_a_page_waits_outlives_it(ahead):
    changed, gone, new = KEYS[11], KEYS[12], "013-new.txt"  # of the third page

    def happen():
        asked_for = lists(ahead) - before
        assert asked_for == AT_ONCE  # the third page is among them
        there = ahead.bucket.put(changed, "the newest version")
        event(ahead, changed, told=ObjectRef(key=changed, etag=there.etag, size=there.size))
        there = ahead.bucket.put(new, "here")
        event(ahead, new, told=ObjectRef(key=new, etag=there.etag, size=there.size))
        ahead.bucket.delete(gone)
        event(ahead, gone, remove=True)
        ahead.run_batches()

    before = lists(ahead)
    progress = ahead.listing(page_keys=PAGE, on_page=once(happen))
    assert (progress.listing.state, progress.listing.gone) == (ListingState.COMPLETE, 0)
    ahead.run_batches()
    assert ahead.keys_indexed() == {*KEYS, new} - {gone}
    assert {"the newest version", "here"} <= set(ahead.texts().values())
    assert f"text of {changed}" not in ahead.texts().values()
    assert ahead.sync(page_keys=PAGE) == {}


def test_what_changed_without_a_word_while_a_page_waits_is_seen_by_the_next_listing(ahead):
    def happen():
        ahead.bucket.put(KEYS[11], "the newest version")
        ahead.bucket.delete(KEYS[12])

    ahead.listing(page_keys=PAGE, on_page=once(happen))
    ahead.sync(page_keys=PAGE)
    assert ahead.keys_indexed() == {*KEYS} - {KEYS[12]}
    assert "the newest version" in ahead.texts().values()


def test_an_unchanged_bucket_costs_one_question_a_page(ahead):
    before = lists(ahead)
    ahead.listing(page_keys=PAGE)
    assert lists(ahead) - before == len(KEYS) / PAGE


def test_a_page_that_failed_while_it_waited_ends_the_listing_as_failed(ahead):
    left = [4]

    def fail(kind, _key):
        left[0] -= kind == "LIST"
        if left[0] == 0:
            raise Unavailable("the bucket did not answer")

    ahead.fault = fail
    with pytest.raises(Unavailable):
        ahead.listing(page_keys=PAGE)
    ahead.fault = None
    latest = ahead.catalog.listings.latest(ahead.source.id)
    assert (latest.state, latest.listed) == (ListingState.FAILED, 3 * PAGE)
    assert ahead.sync(page_keys=PAGE) == {}
    assert ahead.keys_indexed() == set(KEYS)


def test_an_emptied_bucket_meets_the_guard(ahead):
    for key in KEYS:
        ahead.bucket.delete(key)
    assert ahead.listing(page_keys=PAGE).listing.state is ListingState.BLOCKED


def test_a_listing_in_many_ticks_reads_each_page(ahead):
    ahead.bucket.delete(KEYS[30])
    ahead.bucket.put("999.txt", "new")
    while not (progress := ahead.listing(page_keys=PAGE, budget_seconds=0)).done:
        pass
    assert (progress.listing.listed, progress.listing.new, progress.listing.gone) == (60, 1, 1)
