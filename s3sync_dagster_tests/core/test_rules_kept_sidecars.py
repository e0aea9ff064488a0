"""Documents that a mode kept when their sidecars went, and what another mode makes of that."""

import pytest

from s3sync_dagster.core.state import DocumentPhase, ListingState
from s3sync_dagster.model.errors import LeaseLost, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, sidecar, states

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


class TestBesideDocumentsThatStay:
    """A listing has counted the documents that a mode kept, and no others of their keys."""

    @pytest.fixture
    def beside(self, world):
        told_by_sidecars(world, second=True, mode=DeleteMode.KEEP_DELETED)
        lose_sidecars(world)
        world.sync()
        assert len(world.texts("second")) == len(KEYS)
        return world

    def ends_those_alone(self, world):
        world.run_batches()
        assert (len(world.texts()), len(world.texts("second"))) == (len(KEYS), 0)

    def test_of_archived_objects(self, beside):
        for key in KEYS:
            beside.bucket.put(key, f"text of {key}", storage_class="GLACIER")
        beside.sync()
        beside.configure(mode=DeleteMode.MIRROR)
        assert beside.listing().listing.gone == len(KEYS)
        self.ends_those_alone(beside)
        assert set(states(beside).values()) == {("skipped", "archived")}

    @pytest.mark.parametrize("mistake", [{"exclude_globs": ("**",)}, {"max_size_bytes": 1}])
    def test_of_objects_that_an_edit_leaves_out_before_the_work(self, beside, mistake):
        beside.configure(mode=DeleteMode.MIRROR)
        assert beside.listing().listing.gone == len(KEYS)
        beside.configure(**mistake)
        self.ends_those_alone(beside)

    def test_also_where_a_blocked_listing_has_left_the_objects_out_meanwhile(self, beside):
        beside.configure(mode=DeleteMode.MIRROR)
        beside.listing()
        beside.configure(exclude_globs=("**",))
        assert beside.listing().listing.state is ListingState.BLOCKED
        beside.run_batches()
        assert len(beside.texts()) == len(KEYS)

    def test_of_objects_that_an_edit_makes_sidecars_before_the_work(self, world):
        key = "a.txt.metadata.json"
        world.configure(mode=DeleteMode.KEEP_DELETED)
        world.bucket.put(key, '{"metadataAttributes": {"team": "red"}}')
        world.bucket.put(f"{key}.meta.json", sidecar(key, target_collection_name="second"))
        for _ in range(2):
            world.sync()
        world.bucket.delete(f"{key}.meta.json")
        world.sync()
        world.configure(mode=DeleteMode.MIRROR)
        assert world.listing().listing.gone == 1
        world.configure(bedrock_sidecars=True)
        world.run_batches()
        assert (len(world.texts()), len(world.texts("second"))) == (1, 0)

    def test_nor_what_the_source_makes_itself_once_it_can_read_the_object(self, world):
        world.configure(mode=DeleteMode.KEEP_DELETED)
        world.bucket.put("a.txt", "text")
        world.bucket.put("1.meta.json", sidecar("a.txt", "c"))
        world.bucket.put("2.meta.json", sidecar("a.txt", target_collection_name="second"))
        for _ in range(2):
            world.sync()
        for key in ("1.meta.json", "2.meta.json"):
            world.bucket.delete(key)
        world.bucket.put("a.txt", "text", storage_class="GLACIER")
        world.sync()
        world.configure(mode=DeleteMode.MIRROR)
        assert world.listing().listing.gone == 1
        world.run_batches()
        assert (len(world.texts()), len(world.texts("second"))) == (1, 0)

    def test_a_mode_that_keeps_again_before_the_work_keeps_them(self, beside):
        beside.configure(mode=DeleteMode.MIRROR)
        beside.listing()
        beside.configure(mode=DeleteMode.KEEP_DELETED, exclude_globs=("**",))
        beside.run_batches()
        assert (len(beside.texts()), len(beside.texts("second"))) == (len(KEYS), len(KEYS))

    def test_what_a_listing_leaves_out_takes_what_was_kept_along(self, beside):
        beside.configure(mode=DeleteMode.MIRROR, exclude_globs=("**",))
        assert beside.listing(approve_deletes=True).listing.gone == 2 * len(KEYS)
        beside.run_batches()
        assert (beside.texts(), beside.texts("second")) == ({}, {})


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

        with pytest.raises(LeaseLost):  # it goes by the mode of before
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


class TestAstray:
    """Sidecars that were rewritten and name objects that nobody knows."""

    def rewrite(self, world, number=12, *, names="no/{key}"):
        for n, key in enumerate(KEYS[:number]):
            world.bucket.put(SIDECARS[n], sidecar(names.format(key=key), f"c{n}"))
        world.sync()

    def test_many_wait_for_a_listing_and_its_approval(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        self.rewrite(world)
        assert len(world.texts()) == len(KEYS)
        assert world.listing().listing.state is ListingState.BLOCKED
        assert world.approve().gone == len(KEYS)
        world.run_batches()
        assert world.texts() == {}

    def test_they_are_as_before_when_the_sidecars_are(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        before = world.metadata()
        self.rewrite(world)
        self.rewrite(world, names="{key}")
        world.run_batches()
        assert world.metadata() == before
        assert world.listing().listing.state is ListingState.COMPLETE

    def test_few_go_at_once(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        self.rewrite(world, 9)
        assert len(world.texts()) == len(KEYS) - 9

    def test_one_after_the_other_they_are_many(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        for n in range(len(KEYS)):
            world.bucket.put(SIDECARS[n], sidecar(f"no/{KEYS[n]}", f"c{n}"))
            event(world, SIDECARS[n], told=world.store.head(SIDECARS[n]))
            world.run_batches()
        assert len(world.texts()) == 1, "the last one, with which all would be gone"

    def test_what_moves_with_its_sidecar_goes_on_at_once(self, world):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        for key in KEYS:
            world.bucket.put(f"at/{key}", f"text of {key}")
        world.sync()
        self.rewrite(world, names="at/{key}")
        world.run_batches()
        assert world.keys_indexed() == {f"at/{key}" for key in KEYS}

    @pytest.mark.parametrize("left", [False, True])
    def test_they_move_once_what_they_name_is_there(self, world, left):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        self.rewrite(world, names="at/{key}")
        assert world.keys_indexed() == set(KEYS)
        for key in KEYS:
            world.bucket.put(f"at/{key}", f"text of {key}")
            event(world, f"at/{key}", told=world.store.head(f"at/{key}"))
        world.run_batches()
        if not left:
            for key in KEYS:
                world.bucket.delete(key)
                event(world, key, remove=True)
            world.run_batches()
        assert world.keys_indexed() == {f"at/{key}" for key in KEYS}
        assert {states(world)[f"at/{key}"] for key in KEYS} == {("indexed", None)}
        if left:
            assert {states(world)[key] for key in KEYS} == {("skipped", "no_sidecar")}

    @pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
    def test_what_a_mode_keeps_gives_no_id_away(self, world, mode):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA, mode=mode)
        lose_sidecars(world)
        world.sync()
        self.rewrite(world, names="at/{key}")
        for key in KEYS:
            world.bucket.put(f"at/{key}", f"newer text of {key}")
        world.sync()
        assert set(world.texts().values()) == {f"text of {key}" for key in KEYS}

    @pytest.mark.parametrize(
        ("known", "ids"), [(False, "c{n}"), (True, "c{n}"), (True, "c{other}")]
    )
    def test_what_cannot_be_written_in_their_place_does_not_leave_by_mistake(
        self, world, known, ids
    ):
        told_by_sidecars(world, auto_sync=AutoSync.METADATA)
        texts = world.texts()
        for key in KEYS if known else ():
            world.bucket.put(f"at/{key}", f"text of {key}")
        world.sync()
        for n, key in enumerate(KEYS):
            name = ids.format(n=n, other=len(KEYS) - 1 - n)
            world.bucket.put(SIDECARS[n], sidecar(f"at/{key}", name))
        busy = refuse_with(Unavailable("busy"))
        refusing = Refusing(world, upsert=busy, update_metadata=busy)
        world.listing()
        world.run_batches(collections=refusing)
        for key in KEYS:
            world.bucket.put(f"at/{key}", f"text of {key}")
        world.listing()
        world.run_batches(collections=refusing)
        refusing.on = False
        rows = world.catalog.documents.of_source(world.source.id)
        assert {row.phase for row in rows} == {DocumentPhase.WRITING}
        world.configure(exclude_globs=("*", "**"))
        world.clock.seconds += 7200
        world.sync()
        assert world.texts() == texts
