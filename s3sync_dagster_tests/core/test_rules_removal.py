"""Removal needs evidence: what a listing, a HEAD or a sidecar alone tells of many is held back."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.tables import documents, invocations, objects
from s3sync_dagster.core.guard import FEW_DOCUMENTS
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import BatchRun
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import AccessDenied, LimitExceeded, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.rules import (
    Died,
    Refusing,
    event,
    refuse_with,
    sidecar,
    states,
    work_on,
)
from s3sync_dagster_tests.engine_fixture import make_world

DAY = 86_400


def leaving(world):
    return world.catalog.views.counts(world.source.id).leaving


class TestRemovals:
    @pytest.fixture
    def emptied(self, world):
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.sync()
        for n in range(60):
            world.bucket.delete(f"{n:02}.txt")
        return world

    def test_what_a_blocked_listing_missed_is_removed_by_no_request(self, emptied):
        world = emptied
        assert world.listing().listing.state == "blocked"
        world.ask(*[f"{n:02}.txt" for n in range(60)], force=True, trigger=Trigger.CLI)
        world.run_batches()
        assert len(world.texts()) == 60
        assert set(states(world).values()) == {("skipped", "removal_blocked")}
        world.approve()
        world.run_batches()
        assert world.texts() == {}

    def test_what_a_blocked_listing_missed_is_not_removed_by_a_rebuild(self, emptied):
        world = emptied
        world.catalog.documents.distrust_all(world.source.id)
        world.listing()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert len(world.texts()) == 60

    def test_many_that_a_head_alone_misses_are_held_back_without_any_listing(self, emptied):
        world = emptied
        world.ask(*[f"{n:02}.txt" for n in range(60)])
        world.run_batches()
        assert len(world.texts()) == 60

    def test_a_few_that_a_head_alone_misses_go(self, emptied):
        world = emptied
        world.ask("00.txt", "01.txt")
        world.run_batches()
        assert len(world.texts()) == 58

    @pytest.mark.parametrize("known", [True, False])
    def test_most_of_what_a_batch_asks_for_are_most_of_what_has_records(self, emptied, known):
        world = emptied
        there = [f"{n}.txt" if known else f"new {n}.txt" for n in range(40, 55)]
        for key in there:
            world.bucket.put(key, "text")
        world.ask(*[f"{n:02}.txt" for n in range(FEW_DOCUMENTS)], *there)
        world.run_batches()
        gone = {f"{n:02}.txt" for n in range(FEW_DOCUMENTS)} - world.keys_indexed()
        assert len(gone) == (FEW_DOCUMENTS if known else 0)

    def test_an_event_and_a_head_are_evidence_also_after_a_blocked_listing(self, emptied):
        world = emptied
        world.listing()
        event(world, "07.txt", remove=True)
        world.run_batches()
        assert len(world.texts()) == 59

    def test_an_object_that_is_there_again_is_indexed_again(self, emptied):
        world = emptied
        world.listing()
        world.ask("07.txt")
        world.run_batches()
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"back {n}")
        world.sync()
        assert set(states(world).values()) == {("indexed", None)}
        assert set(world.texts().values()) == {f"back {n}" for n in range(60)}


class TestSidecarsThatVanish:
    @pytest.fixture
    def described(self, world):
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
            world.bucket.put(f"{n:02}.meta.json", sidecar(f"{n:02}.txt", f"id-{n}"))
        world.configure(auto_sync=AutoSync.METADATA)
        world.sync()
        assert len(world.texts()) == 60
        return world

    def remove(self, world, *, texts):
        for n in range(60):
            world.bucket.delete(f"{n:02}.meta.json")
            if texts:
                world.bucket.delete(f"{n:02}.txt")

    @pytest.mark.parametrize("texts", [True, False])
    def test_the_guard_counts_documents_whose_sidecar_goes(self, described, texts):
        self.remove(described, texts=texts)
        assert described.listing().listing.state == "blocked"
        described.run_batches()
        assert len(described.texts()) == 60

    @pytest.mark.parametrize("listed", [True, False])
    def test_nobodys_request_takes_their_records(self, described, listed):
        self.remove(described, texts=True)
        if listed:
            described.listing()
        names = [f"{n:02}" for n in range(60)]
        described.ask(*[f"{name}.meta.json" for name in names], *[f"{name}.txt" for name in names])
        described.run_batches()
        assert len(described.texts()) == 60

    def test_one_that_goes_takes_its_documents_along(self, described):
        described.bucket.delete("07.meta.json")
        described.sync()
        assert len(described.texts()) == 59


def test_old_news_of_a_create_is_no_evidence_of_a_removal(world):
    for n in range(60):
        world.bucket.put(f"{n:02}.txt", f"text {n}")
    world.sync()
    for n in range(60):
        event(world, f"{n:02}.txt", sequencer="0F")
    world.run_batches()
    for n in range(60):
        world.bucket.delete(f"{n:02}.txt")
    world.listing()
    for n in range(60):
        event(world, f"{n:02}.txt", sequencer="0A")
    world.run_batches()
    assert len(world.texts()) == 60


@pytest.mark.parametrize("error", [AccessDenied("no"), LimitExceeded("413"), Unavailable("away")])
def test_a_removal_that_fails_waits_for_its_time_and_succeeds_in_the_end(world, error):
    for name in ("a.txt", "b.txt"):
        world.bucket.put(name, "text")
    world.sync()
    world.bucket.delete("a.txt")
    tries = []

    def fail(ids):
        tries.append(ids)
        raise error

    world.listing()
    stubborn = Refusing(world, delete=fail)
    patience = Patience(tries=1, final=True)
    for _ in range(5):
        world.run_batches(collections=stubborn, patience=patience)
        world.catalog.documents.enqueue_unclean(world.source.id)
    assert len(tries) == 1
    assert sum(leaving(world).values()) == 1
    stubborn.on = False
    world.clock.seconds += DAY
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.listing()
    world.run_batches(collections=stubborn)
    assert len(world.texts()) == 1
    assert leaving(world) == {}


def test_what_waits_for_its_removal_is_counted_with_its_reason(world):
    for name in ("a.txt", "b.txt"):
        world.bucket.put(name, "text")
    world.sync()
    world.bucket.delete("a.txt")
    world.listing()
    away = Refusing(world, delete=refuse_with(AccessDenied("no", reason="access_denied")))
    world.run_batches(collections=away, patience=Patience(tries=1, final=True))
    assert leaving(world) == {"access_denied": 1}
    assert world.catalog.views.counts(world.source.id).objects == 1


class TestManyRemovals:
    @pytest.fixture
    def half_gone(self, world):
        for n in range(24):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.sync()
        for n in range(12):
            world.bucket.delete(f"{n:02}.txt")
        return world

    def test_an_events_removals_that_failed_once_are_not_held_back_the_next_time(self, half_gone):
        world = half_gone
        away = Refusing(world, delete=refuse_with(AccessDenied("no")))
        for n in range(12):
            event(world, f"{n:02}.txt", remove=True)
        world.run_batches(collections=away)
        assert len(world.texts()) == 24
        away.on = False
        world.clock.seconds += DAY
        assert world.catalog.documents.enqueue_unclean(world.source.id) == 12
        world.run_batches(collections=away)
        assert len(world.texts()) == 12
        assert world.catalog.documents.enqueue_unclean(world.source.id) == 0

    def test_what_is_held_back_is_not_asked_for_again_and_again(self, world):
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.bucket.put("07.meta.json", sidecar("07.txt", "one"))
        world.sync()
        for n in range(60):
            world.bucket.delete(f"{n:02}.txt")
        assert world.listing().listing.state == "blocked"
        world.bucket.put("07.meta.json", sidecar("07.txt", "two"))
        world.listing()
        world.run_batches()
        for _ in range(3):
            assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
        assert len(world.texts()) == 60

    @pytest.mark.parametrize("number", [60, 600])
    def test_an_emptied_bucket_loses_nothing_to_heads_however_the_batches_are_cut(
        self, world, number
    ):
        names = [f"{n:03}.txt" for n in range(number)]
        for name in names:
            world.bucket.put(name, f"text {name}")
        world.sync()
        for name in names:
            world.bucket.delete(name)
        world.ask(*names)
        world.run_batches()
        assert len(world.texts()) == number

    def test_sidecars_that_heads_alone_miss_meet_the_guard_however_the_batches_are_cut(self, world):
        world.configure(auto_sync=AutoSync.METADATA)
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
            world.bucket.put(f"{n:02}.meta.json", sidecar(f"{n:02}.txt", f"id-{n}"))
        world.sync()
        for n in range(60):
            world.bucket.delete(f"{n:02}.meta.json")
        for n in range(60):
            world.ask(f"{n:02}.meta.json")
            world.run_batches()
        assert world.catalog.documents.removed_by_heads(world.source.id) == 50
        assert len(world.texts()) == 10

    @pytest.mark.parametrize(
        ("documents", "gone", "state"),
        [(3, 1, "complete"), (10, 5, "complete"), (10, 10, "blocked")],
    )
    def test_documents_that_go_with_their_sidecars_count_once(self, world, documents, gone, state):
        world.configure(auto_sync=AutoSync.METADATA)
        for n in range(documents):
            world.bucket.put(f"{n}.txt", f"text {n}")
            world.bucket.put(f"{n}.meta.json", sidecar(f"{n}.txt", f"id-{n}"))
        world.sync()
        for n in range(gone):
            world.bucket.delete(f"{n}.txt")
            world.bucket.delete(f"{n}.meta.json")
        listing = world.listing().listing
        assert (listing.state, listing.gone) == (state, gone)

    def test_documents_of_another_collection_go_with_their_sidecar_alone(self, world):
        for n in range(60):
            world.bucket.put(f"{n}.txt", f"text {n}")
            target = {"target_collection_name": "other"}
            world.bucket.put(f"{n}.meta.json", sidecar(f"{n}.txt", f"id-{n}", **target))
        world.sync()
        there = len(world.texts("other"))
        assert there == 60
        for n in range(60):
            world.bucket.delete(f"{n}.meta.json")
        assert world.listing().listing.state == "blocked"
        world.run_batches()
        assert len(world.texts("other")) == 60


class TestManySmallBatches:
    """What HEADs alone tell is one number over the batches of a day."""

    @pytest.fixture
    def emptied(self, world):
        for n in range(400):
            world.bucket.put(f"{n:03}.txt", f"text {n}")
        world.sync()
        for n in range(400):
            world.bucket.delete(f"{n:03}.txt")
        return world

    def ask_in_nines(self, world, start, stop):
        for n in range(start, stop, 9):
            world.ask(*[f"{m:03}.txt" for m in range(n, min(n + 9, stop))])
            world.run_batches()

    def test_they_meet_the_guard_together(self, emptied):
        self.ask_in_nines(emptied, 0, 360)
        assert 400 - len(emptied.texts()) <= 80  # a fifth of 400

    def test_a_day_later_they_are_counted_anew(self, emptied):
        self.ask_in_nines(emptied, 0, 180)
        left = len(emptied.texts())
        emptied.clock.seconds += DAY + 1
        self.ask_in_nines(emptied, 180, 189)
        assert len(emptied.texts()) == left - 9

    def test_a_complete_listing_ends_the_count(self, emptied):
        self.ask_in_nines(emptied, 0, 180)
        for n in range(400):
            emptied.bucket.put(f"{n:03}.txt", f"text {n}")
        emptied.sync()
        assert len(emptied.texts()) == 400
        emptied.bucket.delete("000.txt")
        emptied.ask("000.txt")
        emptied.run_batches()
        assert len(emptied.texts()) == 399

    def test_a_worker_that_dies_after_the_removal_has_counted_it(self, emptied):
        names = [f"{n:03}.txt" for n in range(9)]
        emptied.ask(*names)
        plain = emptied.catalog.documents.commit

        def commit(*arguments, **named):
            lost = plain(*arguments, **named)
            if named.get("removed"):
                raise Died
            return lost

        emptied.catalog.documents.commit = commit
        with pytest.raises(Died):
            emptied.run_batches()
        emptied.catalog.documents.commit = plain
        assert emptied.catalog.documents.removed_by_heads(emptied.source.id) == 9

    def test_what_dies_after_its_claim_is_counted_once(self, emptied):
        def die(step):
            if step == "before_remove":
                raise Died

        emptied.ask(*[f"{n:03}.txt" for n in range(9)])
        with pytest.raises(Died):
            emptied.run_batches(at=die)
        (row,) = emptied.catalog.batches.live()
        emptied.catalog.batches.release(row.token, died=True)
        emptied.run_batches()
        assert len(emptied.texts()) == 391
        assert emptied.catalog.documents.removed_by_heads(emptied.source.id) == 9


def test_batches_side_by_side_meet_the_guard_together(catalog_url):
    """Each has read its keys before the other has removed anything."""
    world = make_world(url=catalog_url)
    names = [f"{n:03}.txt" for n in range(400)]
    for name in names:
        world.bucket.put(name, "text")
    world.sync()
    runs = []
    for half in (names[:200], names[200:]):
        for name in half[:70]:
            world.bucket.delete(name)
        world.ask(*half)
        batch = world.catalog.batches.reserve(
            world.source.id, take=Take(max_keys=200), owner="w", run_id="r"
        )
        runs.append(
            BatchRun(
                Lease(batch.token, catalog=world.catalog, clock=world.clock),
                world.source,
                catalog=world.catalog,
                clock=world.clock,
                patience=Patience(tries=1),
                open_parts=world.engine,
            )
        )
    for run in runs:
        run.extract()
    for run in runs:
        run.chunk()
        run.upsert()
    assert len(world.texts()) == 330
    assert world.catalog.views.counts(world.source.id).skipped == {"removal_blocked": 70}
    assert world.catalog.documents.count(world.source.id) == 330
    world.catalog.close()


def test_sidecars_that_batches_side_by_side_miss_meet_the_guard_together(catalog_url):
    """The second batch comes whole between the first one's look and its count."""
    world = make_world(url=catalog_url, auto_sync=AutoSync.METADATA)
    for n in range(140):
        world.bucket.put(f"{n:03}.txt", "text")
        world.bucket.put(f"{n:03}.meta.json", sidecar(f"{n:03}.txt", f"id-{n}"))
    world.sync()
    batches = []
    for start in (0, 70):  # half of each batch's sidecars are missing
        for n in range(start, start + 35):
            world.bucket.delete(f"{n:03}.meta.json")
        world.ask(*[f"{n:03}.meta.json" for n in range(start, start + 70)])
        take = Take(max_keys=200)
        reserve = world.catalog.batches.reserve
        batches.append(reserve(world.source.id, take=take, owner="w", run_id="r"))
    plain = world.catalog.documents.count_told_by_heads

    def count(*arguments, **named):
        world.catalog.documents.count_told_by_heads = plain
        work_on(world, batches[1])
        return plain(*arguments, **named)

    world.catalog.documents.count_told_by_heads = count
    work_on(world, batches[0])
    world.run_batches()
    assert world.catalog.documents.removed_by_heads(world.source.id) == 35
    assert len(world.texts()) == 105
    world.catalog.close()


def test_a_sidecar_that_was_missing_while_removals_were_blocked_is_read_when_it_is_back(world):
    for name in "ab":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", "mine"))
    world.ask("a.txt.meta.json", trigger=Trigger.CLI)  # it is known, and waits
    world.listing()
    there, world.store = world.store, MemoryObjectStore(MemoryBucket())
    assert world.listing().listing.state is ListingState.BLOCKED
    world.run_batches()
    assert states(world)["a.txt.meta.json"] == ("skipped", "removal_blocked")
    world.store = there
    world.sync()
    assert "mine-0" in world.texts()
    assert states(world)["a.txt.meta.json"] == ("skipped", "sidecar")


def test_what_was_written_of_an_object_that_is_gone_goes_too_where_its_key_failed(world):
    """The listing has found it gone before there was anything to remove."""
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", "taken", target_collection_name="other"))
    other = world.collections.open(
        "other", tenant="default_tenant", database="default_database", embedder=world.embedder
    )
    stranger = Record(id="taken-0", document="theirs", embedding_text="theirs", metadata={"by": 1})
    other.upsert([stranger], world.embedder.embed_documents(["theirs"]))
    world.bucket.put("b.txt", "stays")
    world.listing()

    read = []

    def goes(step):
        read.append(step)
        if step == "fetched" and read.count(step) == 2:  # the sidecar first, then what it names
            world.bucket.delete("a.txt")
            world.listing()

    world.run_batches(at=goes)
    assert states(world)["a.txt.meta.json"] == ("skipped", "sidecar")
    assert set(world.texts().values()) == {"stays"}


def test_a_removal_that_was_held_back_half_done_ends_when_a_listing_sees_its_object(world):
    """Selection leaves the object out by then, so nothing else asks for it."""
    world.bucket.put("new.txt", "new")
    world.bucket.put("old.txt", "old")
    world.sync()
    world.configure(document_limit=1)
    world.listing()
    with world.catalog.database.write() as tx:  # as a batch leaves it that could not end it
        tx.execute(invocations.delete())
        tx.execute(
            documents.update().values(phase="removing").where(documents.c.object_key == "old.txt")
        )
        held = {"outcome": "skipped", "reason": "removal_blocked"}
        tx.execute(objects.update().values(**held).where(objects.c.object_key == "old.txt"))
    world.sync()
    assert set(world.texts().values()) == {"new"}


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
def test_a_sidecar_that_is_gone_and_could_not_be_looked_for_is_asked_for_by_each_listing(
    world, mode
):
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.bucket.put("x.meta.json", sidecar("a.txt", "mine", target_collection_name="other"))
    world.sync()
    world.configure(mode=mode)
    world.bucket.delete("x.meta.json")

    def denied(kind, key):
        if (kind, key) == ("GET", "x.meta.json"):
            raise AccessDenied("not allowed")

    world.fault = denied
    world.sync()
    world.fault = None
    world.clock.seconds += DAY
    assert world.catalog.work.claims_of(world.source.id, ["a.txt"])["a.txt"] != []
    world.sync()
    assert world.catalog.work.claims_of(world.source.id, ["a.txt"]) == {}
    assert mode is not DeleteMode.MIRROR or "mine-0" not in world.texts("other")


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_where_a_mode_keeps_what_is_gone_nothing_waits_for_an_approval(mode):
    world = make_world(mode=mode)
    keys = [f"{n:02}.txt" for n in range(60)]
    for key in keys:
        world.bucket.put(key, f"text of {key}")
    world.sync()
    for key in keys:
        world.bucket.delete(key)
    world.ask(*keys, trigger=Trigger.CLI)
    assert {one.reason for one in world.run_batches()} == {"object_gone"}
    assert len(world.texts()) == 60
    world.configure(mode=DeleteMode.MIRROR)
    assert world.listing().listing.state is ListingState.BLOCKED


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
@pytest.mark.parametrize("bytes_now", ["BAD", ""])
def test_what_a_mode_kept_of_bytes_that_give_no_text_goes_with_the_mode(mode, bytes_now):
    world = make_world()
    world.bucket.put("a.txt", "text of a")
    world.bucket.put("b.txt", "text of b")
    world.sync()
    world.configure(mode=mode)
    world.bucket.put("a.txt", bytes_now)
    world.sync()
    assert set(world.texts().values()) == {"text of a", "text of b"}
    world.configure(mode=DeleteMode.MIRROR)
    world.sync()
    assert set(world.texts().values()) == {"text of b"}
    world.sync()
    assert world.reports == []
