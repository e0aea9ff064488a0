"""Documents that a mode kept when their sidecars went, and what another mode makes of that."""

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import event, sidecar

KEYS = [f"{n:02}.txt" for n in range(12)]
SIDECARS = [f"{key}.meta.json" for key in KEYS]


def told_by_sidecars(world, *, second=False, **settings):
    """Index what sidecars name; ``second``: in another collection than the source's own."""
    world.configure(**settings)
    fields = {"target_collection_name": "second"} if second else {}
    for number, key in enumerate(KEYS):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(SIDECARS[number], sidecar(key, f"c{number}", **fields))
    for _ in range(2):
        world.sync()
    return world


def lose_sidecars(world):
    for key in SIDECARS:
        world.bucket.delete(key)


def retry(world):
    world.ask(*KEYS, force=True, trigger=Trigger.CLI)


def rebuild(world):
    world.catalog.documents.distrust_all(world.source.id)
    world.listing()
    world.catalog.documents.enqueue_unclean(world.source.id)


def reindex(world):
    world.listing(reindex=True)


def tell(world):
    for key in KEYS:
        event(world, key, told=world.store.head(key))


@pytest.fixture
def kept(world):
    told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=DeleteMode.KEEP_DELETED)
    lose_sidecars(world)
    for _ in range(2):
        assert world.listing().listing.state is ListingState.COMPLETE
        world.run_batches()
    assert len(world.texts()) == len(KEYS)
    world.configure(mode=DeleteMode.MIRROR)
    return world


class TestKept:
    def test_the_guard_stops_the_first_listing_that_would_end_them(self, kept):
        assert kept.listing().listing.state is ListingState.BLOCKED
        assert kept.listing().listing.gone == len(KEYS)
        kept.run_batches()
        assert len(kept.texts()) == len(KEYS)

    @pytest.mark.parametrize("door", [retry, rebuild, reindex, tell])
    @pytest.mark.parametrize("listed", [False, True])
    def test_no_other_door_ends_them(self, kept, door, listed):
        if listed:
            kept.listing()
        door(kept)
        kept.run_batches()
        assert set(kept.texts().values()) == {f"text of {key}" for key in KEYS}

    def test_they_go_once_that_is_approved(self, kept):
        kept.listing()
        kept.approve()
        kept.run_batches()
        assert kept.texts() == {}
        assert kept.listing().listing.state is ListingState.COMPLETE

    def test_a_few_go_with_the_next_listing(self, kept):
        for number, key in enumerate(KEYS[:-1]):
            kept.bucket.put(SIDECARS[number], sidecar(key, f"c{number}"))
        kept.sync()  # nobody has read them before
        assert kept.listing().listing.state is ListingState.COMPLETE
        kept.run_batches()
        assert kept.keys_indexed() == set(KEYS[:-1])

    def test_one_that_was_distrusted_is_written_whole(self, kept):
        rebuild(kept)
        kept.run_batches()
        found = kept.catalog.documents.of_source(kept.source.id)
        assert {one.phase for one in found} == {"clean"}
        assert kept.catalog.documents.enqueue_unclean(kept.source.id) == 0

    def test_a_sidecar_that_returns_has_its_document_again(self, kept):
        for number, key in enumerate(KEYS):
            kept.bucket.put(SIDECARS[number], sidecar(key, f"c{number}"))
        kept.sync()
        assert kept.listing().listing.state is ListingState.COMPLETE
        kept.run_batches()
        assert kept.keys_indexed() == set(KEYS)
        lose_sidecars(kept)
        assert kept.listing().listing.state is ListingState.BLOCKED


def test_what_somebody_asks_for_as_it_stands_is_theirs_from_then_on(world):
    told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=DeleteMode.KEEP_DELETED)
    lose_sidecars(world)
    world.sync()
    for number, key in enumerate(KEYS[:3]):
        world.ask(key, custom_id=f"c{number}")
    world.run_batches()
    world.configure(mode=DeleteMode.MIRROR)
    assert world.listing(approve_deletes=True).listing.gone == len(KEYS) - 3
    world.run_batches()
    assert world.keys_indexed() == set(KEYS[:3])


def test_what_append_mode_kept_is_judged_as_well(world):
    told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=DeleteMode.APPEND)
    lose_sidecars(world)
    world.sync()
    world.configure(mode=DeleteMode.MIRROR)
    rebuild(world)
    world.run_batches()
    assert len(world.texts()) == len(KEYS)
    assert world.catalog.listings.latest(world.source.id).state is ListingState.BLOCKED


def test_what_stands_in_another_collection_is_judged_beside_the_source_s_own(world):
    told_by_sidecars(world, second=True, mode=DeleteMode.KEEP_DELETED)
    lose_sidecars(world)
    world.sync()
    world.configure(mode=DeleteMode.MIRROR)
    retry(world)
    world.run_batches()
    assert (len(world.texts()), len(world.texts("second"))) == (len(KEYS), len(KEYS))
    world.listing()  # half of all documents are more than a few, and not more than 50
    world.run_batches()
    assert (len(world.texts()), len(world.texts("second"))) == (len(KEYS), 0)


class TestSettingsOfAListing:
    """What it has told under others counts for nothing."""

    def test_a_mode_that_keeps_judges_nothing(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=DeleteMode.KEEP_DELETED)
        lose_sidecars(world)
        assert world.listing().listing.state is ListingState.COMPLETE
        world.configure(mode=DeleteMode.MIRROR)
        world.run_batches()
        assert len(world.texts()) == len(KEYS)
        assert world.listing().listing.state is ListingState.BLOCKED

    def test_nor_one_whose_batch_is_at_work_when_the_mode_changes(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=DeleteMode.KEEP_DELETED)
        lose_sidecars(world)
        world.listing()
        changed = []

        def meanwhile(step):
            if step == "fetched" and not changed:
                changed.append(step)
                world.configure(mode=DeleteMode.MIRROR)

        world.run_batches(at=meanwhile)
        world.run_batches()
        assert changed
        assert len(world.texts()) == len(KEYS)
        assert world.listing().listing.state is ListingState.BLOCKED

    def test_nor_one_that_takes_objects_by_itself(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        lose_sidecars(world)
        assert world.listing().listing.state is ListingState.BLOCKED
        world.configure(auto_sync=AutoSync.DIRECT)
        assert world.listing().listing.state is ListingState.COMPLETE
        world.configure(auto_sync=AutoSync.METADATA)
        world.run_batches()
        assert len(world.texts()) == len(KEYS)
        assert world.listing().listing.state is ListingState.BLOCKED
        world.approve()
        for _ in range(2):
            world.run_batches()
        assert world.texts() == {}

    def test_one_that_goes_on_begins_anew(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=DeleteMode.KEEP_DELETED)
        lose_sidecars(world)
        world.listing(budget_seconds=0, page_keys=3)
        world.configure(mode=DeleteMode.MIRROR)
        assert world.catalog.listings.latest(world.source.id).state is ListingState.FAILED
        assert world.listing().listing.state is ListingState.BLOCKED

    def test_an_approval_does_not_outlive_them(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        lose_sidecars(world)
        world.listing()
        world.configure(auto_sync=AutoSync.DIRECT)
        assert world.approve() is None
