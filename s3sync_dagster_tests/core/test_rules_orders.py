"""Orders of people travel with the work: whoever takes it obeys, also a daemon beside them."""

from collections import Counter

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.core.rules import event, hold, refused, sidecar, work_on
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

NUMBER = 20


@pytest.fixture
def edited(world):
    """A source whose metadata were edited: its documents are outdated and served."""
    for n in range(NUMBER):
        world.bucket.put(f"{n:02}.md", f"one {n}\n\ntwo {n}")
    world.sync()
    world.configure(metadata={"team": "blue"})
    return world


def results(world):
    return Counter(one.state for one in world.run_batches())


def teams(world):
    return {one.get("team") for one in world.metadata().values()}


def test_a_daemon_that_takes_the_keys_reindexes_them(edited):
    edited.listing(reindex=True)
    assert edited.catalog.invocations.live_count(edited.source.id) == NUMBER
    assert edited.source.on_config_change == "keep"
    assert results(edited) == {"updated": NUMBER}
    assert teams(edited) == {"blue"}
    assert edited.sync() == {}


def test_without_the_order_they_stay_as_they_are(edited):
    assert edited.sync() == {}
    event(edited, "03.md")
    assert results(edited) == {"unchanged": 1}
    assert teams(edited) == {None}


def test_what_waits_already_takes_the_order_over(edited):
    event(edited, "03.md")
    edited.listing(reindex=True)
    assert edited.catalog.invocations.live_count(edited.source.id) == NUMBER
    assert results(edited) == {"updated": NUMBER}
    assert teams(edited) == {"blue"}


def test_what_is_worked_on_is_asked_for_again(edited):
    event(edited, "03.md")
    batch = hold(edited, "03.md")
    edited.listing(reindex=True)
    work_on(edited, batch)  # it began before the order
    assert teams(edited) == {None}
    assert results(edited) == {"updated": NUMBER}
    assert teams(edited) == {"blue"}


def test_an_order_outlives_the_worker_that_had_it(edited):
    edited.listing(reindex=True)
    batch = edited.catalog.batches.reserve(
        edited.source.id, take=Take(max_keys=NUMBER), owner="w", run_id="r"
    )
    event(edited, "03.md")  # another wish of the same key waits beside it
    edited.catalog.batches.release(batch.token, died=True)
    while edited.run_batches():
        pass
    assert teams(edited) == {"blue"}


def test_a_listing_later_on_does_not_take_the_order_back(edited):
    edited.listing(reindex=True)
    edited.listing()
    event(edited, "03.md")
    assert results(edited) == {"updated": NUMBER}
    assert teams(edited) == {"blue"}


def test_a_rebuild_counts_for_what_is_being_written_as_well(world):
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    name = next(name for name in world.texts() if name.endswith("-1"))
    world.poison(name)
    world.bucket.put("a.md", "ONE\n\ntwo")

    def at(step):
        if step == "before_commit":  # its plan has left record 1 alone
            world.at = None
            world.catalog.documents.distrust_all(world.source.id)

    world.at = at
    world.sync()
    assert sorted(world.texts().values()) == ["ONE", "two"]


def test_a_retry_reads_what_failed_by_its_bytes_whoever_does_it(world):
    world.bucket.put("a.md", "BAD")
    assert world.sync() == {"a.md": "failed"}
    read = world.store.requests()["GET"]
    event(world, "a.md")
    world.run_batches()
    assert world.store.requests()["GET"] == read  # the same bytes would fail again
    assert world.catalog.invocations.retry_failed(world.source) == 1
    assert results(world) == {"failed": 1}
    assert world.store.requests()["GET"] == read + 1


def test_an_order_that_failed_is_carried_out_by_the_next_try(edited):
    edited.listing(reindex=True)
    fault = refused(edited)
    assert results(edited) == {"failed": NUMBER}
    fault.clear()
    edited.clock.seconds += 7200
    edited.listing()
    assert results(edited) == {"updated": NUMBER}
    assert teams(edited) == {"blue"}


def asked_in_vain(world, **targets):
    world.bucket.put("a.txt", "text")
    fault = refused(world)
    for name, collection in targets.items():
        world.ask("a.txt", custom_id=name, target_collection_name=collection)
        world.run_batches()
    return fault


def test_a_retry_asks_for_what_a_request_named_also_after_listings_have_tried(world):
    fault = asked_in_vain(world, x=None)
    for _ in range(2):
        world.clock.seconds += 7200
        world.sync()
    fault.clear()
    assert world.catalog.invocations.retry_failed(world.source) == 1
    world.run_batches()
    assert world.texts() == {"x-0": "text"}


def test_a_retry_asks_for_all_that_failed_and_for_nothing_that_was_done(world):
    fault = asked_in_vain(world, x="one", w="two", y="two")
    fault.clear()
    world.catalog.invocations.retry_failed(world.source)
    world.run_batches()
    assert (set(world.texts("one")), set(world.texts("two"))) == ({"x-0"}, {"y-0"})
    world.ask("a.txt", custom_id="z", target_collection_name="one")
    world.run_batches()
    world.bucket.put("a.txt", "another text")
    fault.append(True)
    world.sync()
    fault.clear()
    assert world.catalog.invocations.retry_failed(world.source) == 1
    world.run_batches()
    assert world.texts("one") == {"z-0": "another text"}


@pytest.mark.parametrize("auto_sync", [AutoSync.NONE, AutoSync.METADATA])
@pytest.mark.parametrize("times", [1, 2])
def test_a_retry_of_a_retry_asks_for_nothing_of_its_own(auto_sync, times):
    world = make_world(auto_sync=auto_sync)
    asked_in_vain(world, x="two").clear()
    for _ in range(times):
        assert world.catalog.invocations.retry_failed(world.source) == 1
    world.run_batches()
    assert (world.texts(), world.texts("two")) == ({}, {"x-0": "text"})


@pytest.mark.parametrize("trigger", [Trigger.CLI, Trigger.UI])
def test_a_retry_of_what_a_sidecar_puts_elsewhere_writes_it_there_alone(trigger):
    world = make_world(auto_sync=AutoSync.METADATA)
    world.bucket.put("a.txt", "text")
    world.bucket.put("b.meta.json", sidecar("a.txt", target_collection_name="two"))
    world.sync()
    world.bucket.put("a.txt", "another text")
    fault = refused(world)
    world.sync()
    fault.clear()
    assert world.catalog.invocations.retry_failed(world.source, trigger=trigger) == 1
    world.run_batches()
    assert (world.texts(), world.texts("two")) == ({}, {"x-0": "another text"})


@pytest.mark.parametrize("auto_sync", [AutoSync.NONE, AutoSync.METADATA])
def test_a_retry_of_what_a_retry_is_at_asks_for_nothing(auto_sync):
    world = make_world(auto_sync=auto_sync)
    asked_in_vain(world, x="two").clear()
    world.catalog.invocations.retry_failed(world.source)
    batch = hold(world, "a.txt")
    assert world.catalog.invocations.retry_failed(world.source) == 1
    work_on(world, batch)
    assert world.run_batches() == []
    assert (world.texts(), world.texts("two")) == ({}, {"x-0": "text"})


@pytest.mark.parametrize("listed", [False, True])
def test_a_retry_beside_a_request_that_was_asked_again_makes_nothing_of_its_own(listed):
    world = make_world(auto_sync=AutoSync.METADATA if listed else AutoSync.NONE)
    fault = asked_in_vain(world, x="two")
    for _ in range(listed):
        world.listing()
    world.ask("a.txt", custom_id="x", target_collection_name="two")
    assert world.catalog.invocations.retry_failed(world.source, trigger=Trigger.UI) == 1
    fault.clear()
    world.run_batches()
    assert (world.texts(), world.texts("two")) == ({}, {"x-0": "text"})


def distrusted(world):
    world.catalog.documents.distrust_all(world.source.id)


def restored(world):
    restore(world, back_up(world))


@pytest.mark.parametrize("trust_ends", [distrusted, restored])
@pytest.mark.parametrize("auto_sync", [AutoSync.NONE, AutoSync.METADATA])
def test_what_a_request_put_elsewhere_is_mended_there_alone(auto_sync, trust_ends):
    world = make_world(auto_sync=auto_sync)
    world.bucket.put("a.txt", "text")
    world.ask("a.txt", custom_id="x", target_collection_name="two")
    world.run_batches()
    trust_ends(world)
    world.catalog.documents.enqueue_unclean(world.source.id)
    assert [one.key for one in world.run_batches()] == ["a.txt"]
    assert (world.texts(), world.texts("two")) == ({}, {"x-0": "text"})


@pytest.mark.parametrize("dies", [False, True])
def test_what_a_listing_asks_for_is_done_where_something_is_mended_as_well(dies):
    world = make_world(auto_sync=AutoSync.NONE)
    world.bucket.put("a.txt", "text")
    world.ask("a.txt", custom_id="x", target_collection_name="two")
    world.run_batches()
    world.bucket.put("a.txt", "another text")
    world.listing()
    batch = hold(world, "a.txt") if dies else None
    world.catalog.documents.distrust_all(world.source.id)
    world.catalog.invocations.request_automatic(world.source.id, ["a.txt"], trigger=Trigger.RETRY)
    if batch is not None:
        world.catalog.batches.release(batch.token, died=True)
    world.run_batches()
    assert [*world.texts().values()] == ["another text"]
    assert world.texts("two") == {"x-0": "another text"}


def test_a_retry_that_waits_is_not_asked_for_again(world):
    for number in range(3):
        world.bucket.put(f"{number}.md", "BAD")
    world.sync()
    asked_in_vain(world, x="one")
    for _ in range(3):
        assert world.catalog.invocations.retry_failed(world.source) == 4
    assert world.catalog.invocations.live_count(world.source.id) == 4
    world.run_batches()
    assert world.catalog.invocations.retry_failed(world.source) == 4
    assert world.catalog.invocations.live_count(world.source.id) == 4
