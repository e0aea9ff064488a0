"""Listings that a delivery asked for: they come, whoever lists the source just then."""

import threading
from types import SimpleNamespace

import pytest

from s3sync_dagster.api.backfills import PER_TENANT, THREADS, Backfills
from s3sync_dagster.engine.listing_turns import ListingParts
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.waiting import wait_for


class Api:
    """A process with a source that nothing else lists; its LIST waits for ``answer``."""

    def __init__(self, world):
        self.world, self.source = world, world.source
        self.asked, self.answer = threading.Semaphore(0), threading.Semaphore(0)
        listing = ListingParts(
            catalog=world.catalog,
            clock=world.clock,
            owners=self,
            store_for=lambda _: MemoryObjectStore(world.bucket, fault=self._wait),
            collections=lambda: world.collections,
        )
        parts = SimpleNamespace(listing=listing, catalog=world.catalog)
        self.backfills = Backfills(parts, listed=lambda _: None)

    def _wait(self, *_):
        self.asked.release()
        assert self.answer.acquire(timeout=120)

    def me(self):
        return "api"

    def is_dead(self, _owner):
        return False

    def is_asked(self):
        return self.world.catalog.sources.listing_asked(self.source.id)

    def states(self):
        found = self.world.catalog.history.listings(self.source.id, limit=10)
        return [one.state.value for one in found]


@pytest.fixture
def process(tmp_path):
    world = make_world(url=f"sqlite:///{tmp_path}/catalog.db", list_interval_seconds=0)
    world.bucket.put("a.md", "text")
    made = Api(world)
    yield made
    made.answer.release(100)
    made.backfills.stop()
    world.catalog.close()


def test_a_tenant_whose_places_are_slow_keeps_nobody_elses_waiting(process):
    catalog, slow = process.world.catalog, []
    for number in range(THREADS + 1):
        source = process.source.with_changes(
            id=f"slow-{number}", name=f"slow_{number}", tenant="slow", collection_name=f"c-{number}"
        )
        slow.append(catalog.sources.add(source))
    for source in slow:
        process.backfills.start(source)
    for _ in range(PER_TENANT):
        assert process.asked.acquire(timeout=120)
    process.backfills.start(process.source)
    assert process.asked.acquire(timeout=120), "although the slow ones have not ended"
    with pytest.raises(Conflict, match="is being listed now"):
        process.backfills.start(slow[0])
    with pytest.raises(Conflict, match="waits for its turn"):
        process.backfills.start(slow[-1])


def test_a_tenant_that_was_not_served_is_next_however_many_wait(process):
    catalog = process.world.catalog
    for number in range(THREADS // PER_TENANT):
        for other in range(PER_TENANT + 1):
            name = f"slow_{number}_{other}"
            process.backfills.start(
                catalog.sources.add(
                    process.source.with_changes(
                        id=name, name=name, tenant=f"slow-{number}", collection_name=f"c-{name}"
                    )
                )
            )
    for _ in range(THREADS):
        assert process.asked.acquire(timeout=120)
    process.backfills.start(process.source)
    assert process.states() == []
    process.answer.release()
    wait_for(process.states)


def test_a_turn_that_waited_is_of_the_source_as_it_is_then(process):
    catalog = process.world.catalog
    for number in range(PER_TENANT):
        source = process.source.with_changes(
            id=f"slow-{number}", name=f"slow_{number}", collection_name=f"c-{number}"
        )
        process.backfills.start(catalog.sources.add(source))
    for _ in range(PER_TENANT):
        assert process.asked.acquire(timeout=120)
    process.backfills.start(process.source)
    catalog.sources.update(process.source.with_changes(include_globs=("*.txt",)))
    process.answer.release(PER_TENANT + 1)
    wait_for(lambda: process.states() == ["complete"])
    (listing,) = catalog.history.listings(process.source.id, limit=10)
    assert (listing.listed, listing.selected) == (1, 0)


def test_who_asks_while_it_is_listed_has_it_listed_again(process):
    process.backfills.start_or_follow(process.source)
    assert process.asked.acquire(timeout=120)
    process.backfills.start_or_follow(process.source)
    process.answer.release(2)
    wait_for(lambda: not process.is_asked())
    assert process.states() == ["complete", "complete"]


def test_who_asks_while_another_process_lists_it_is_remembered(process):
    other = process.world.catalog.listings.begin(process.source.id, owner="other")
    process.backfills.start_or_follow(process.source)
    process.world.catalog.listings.end(other, owner="other")
    assert process.is_asked()


def test_what_a_process_does_not_list_before_it_stops_is_remembered(process):
    process.backfills.start_or_follow(process.source)
    assert process.asked.acquire(timeout=120)
    process.backfills.start_or_follow(process.source)
    stopping = threading.Thread(target=process.backfills.stop)
    stopping.start()
    wait_for(process.backfills._stopping.is_set)
    process.answer.release()
    stopping.join(120)
    assert process.states() == ["complete"]
    assert process.is_asked()


def test_who_changes_a_source_while_it_is_listed_has_it_listed_as_it_is_now(process):
    process.backfills.start_or_follow(process.source)
    assert process.asked.acquire(timeout=120)
    process.world.bucket.put("b.txt", "text")
    changed = process.source.with_changes(include_globs=("*.txt",))
    process.world.catalog.sources.update(changed)
    process.answer.release(2)
    wait_for(lambda: process.states() == ["complete", "complete"])
    newest, first = process.world.catalog.history.listings(process.source.id, limit=10)
    assert (first.listed, first.selected) == (2, 2)
    assert (newest.listed, newest.selected) == (2, 1)


def test_a_source_that_is_paused_while_it_is_listed_rests_then(process):
    process.backfills.start_or_follow(process.source)
    assert process.asked.acquire(timeout=120)
    process.world.catalog.sources.set_paused(process.source.id, paused=True)
    process.answer.release(2)
    wait_for(lambda: process.states() == ["complete"])
    wait_for(lambda: process.source.id not in process.backfills._running)
    assert process.states() == ["complete"]
    assert process.is_asked()
