"""What the guard holds back is asked for by no other way: ends of batches, deaths, restores."""

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import event, sidecar
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

KEYS = [f"{number:02}.txt" for number in range(60)]


def filled(**settings):
    world = make_world(**settings)
    put_all(world)
    world.sync()
    return world


def put_all(world):
    for key in KEYS:
        world.bucket.put(key, f"text of {key}")


def delete_all(world):
    for key in KEYS:
        world.bucket.delete(key)


def blocked(world):
    return world.listing().listing.state is ListingState.BLOCKED


def test_a_retry_of_what_a_blocked_listing_shows_leaves_no_removal_behind():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("old.txt", "stays")
    put_all(world)
    world.sync()
    delete_all(world)
    world.sync()
    world.configure(mode=DeleteMode.MIRROR)
    assert blocked(world)
    for _ in range(2):
        world.ask(*KEYS, trigger=Trigger.CLI)
        world.run_batches()
    world.catalog.documents.distrust_all(world.source.id)
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    assert len(world.texts()) == 61
    world.approve()
    world.run_batches()
    assert list(world.texts().values()) == ["stays"]


def test_after_a_restore_no_event_of_before_is_evidence():
    world = filled()
    for key in KEYS:
        world.bucket.delete(key)
        event(world, key, remove=True)
    backup = back_up(world)
    world.run_batches()
    assert world.texts() == {}
    put_all(world)
    world.sync()
    restore(world, backup)
    delete_all(world)
    assert blocked(world)
    world.run_batches()
    assert len(world.texts()) == 60


def test_a_listings_removal_lends_no_force_to_an_event_whose_batch_has_died():
    world = make_world(auto_sync=AutoSync.DIRECT)
    sidecars = [f"{key}.meta.json" for key in KEYS]
    for key, name in zip(KEYS, sidecars, strict=True):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(name, sidecar(key, custom_id=f"c-{key}"))
    for _ in range(3):
        world.sync()
    for name in sidecars:
        event(world, name, remove=True)
    batch = world.catalog.batches.reserve(world.source.id, take=Take(), owner="w", run_id="r")
    world.listing()  # sees them all
    for name in sidecars:
        world.bucket.delete(name)
    world.listing()
    world.catalog.batches.release(batch.token, died=True)
    world.configure(auto_sync=AutoSync.METADATA)
    world.run_batches()
    assert len(world.texts()) == 60
    assert blocked(world)
