"""Listings: what each ends, what came first, and how much one transaction takes."""

from collections import Counter

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.listing_owner import LEASE_SECONDS
from s3sync_dagster.core.page import is_held
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.listing import WINDOW_KEYS
from s3sync_dagster.engine.listing_turns import ListingParts, list_when_due, list_whole
from s3sync_dagster.engine.store_ports import ListPage
from s3sync_dagster.model.errors import FixConfiguration, NotFound, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import event, hold, states

DAY = 86_400


def fill(world, number):
    for n in range(number):
        world.bucket.put(f"k{n:03}.md", f"text {n}")


class Store:
    """The world's bucket with another answer to LIST."""

    ordered = True

    def __init__(self, answer):
        self._answer = answer

    def list_page(self, prefix, *, start_after, limit=1000):
        return self._answer(prefix, start_after, limit)


# --- approvals -----------------------------------------------------------------------------------


def test_an_approval_ends_only_what_its_own_listing_missed(world):
    fill(world, 200)
    world.sync()
    for n in range(60):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    there = world.store.list_page("k19", start_after=None)
    answers = iter([ListPage(objects=there.objects, last=False)])

    def sick(_prefix, _after, _limit):
        """Answer as if all were gone but the last ten, then break off."""
        for answer in answers:
            return answer
        raise Unavailable("the endpoint is sick")

    real, world.store = world.store, Store(sick)
    with pytest.raises(Unavailable):
        world.listing()
    world.store = real
    assert world.catalog.listings.latest(world.source.id).state is ListingState.FAILED
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())
    assert len(world.bucket.objects()) == 140


def test_what_several_listings_missed_one_after_the_other_is_the_older_s_to_end(world):
    fill(world, 10)
    world.sync()
    for n in range(10):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    world.listing(budget_seconds=0, page_keys=1)  # the next one misses all of them as well
    assert world.approve().state is ListingState.APPROVED
    world.run_batches()
    assert world.keys_indexed() == set()


def test_what_a_later_listing_left_out_is_not_the_approved_one_s_to_end(world):
    fill(world, 100)
    world.sync()
    for n in range(60):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    world.configure(exclude_globs=("*.md",))
    world.listing(budget_seconds=0, page_keys=20)  # has left out the first twenty of those there
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())


def test_what_events_tell_to_be_left_out_later_is_not_the_approved_one_s_to_end(world):
    fill(world, 100)
    world.sync()
    for n in range(60):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    world.configure(exclude_globs=("*.md",))
    for key in list(world.bucket.objects()):
        event(world, key, told=world.bucket.put(key, "written while left out"), skip="excluded")
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())


# --- order without clocks ------------------------------------------------------------------------


def test_a_clock_that_ran_ahead_once_loses_nothing(world):
    begun = world.clock.seconds
    world.clock.seconds = begun + DAY
    fill(world, 5)
    world.sync()
    assert world.catalog.sources.due_for_listing(world.source.id, interval_seconds=300)
    world.clock.seconds = begun + 60
    world.bucket.put("k000.md", "changed")
    world.bucket.delete("k001.md")
    world.bucket.put("new.md", "new")
    progress = world.listing()
    counts = (progress.listing.new, progress.listing.changed, progress.listing.gone)
    assert counts == (1, 1, 1)
    world.run_batches()
    assert sorted(world.texts().values()) == ["changed", "new", "text 2", "text 3", "text 4"]
    assert world.listing().listing.changed == 0
    assert world.catalog.views.counts(world.source.id).indexed == 5
    assert world.catalog.sources.due_for_listing(world.source.id, interval_seconds=300)
    assert not world.catalog.sources.due_for_listing(world.source.id, interval_seconds=300)


def test_a_listing_that_a_clock_ran_ahead_of_is_taken_up_by_the_next_process(world):
    fill(world, 5)
    begun = world.clock.seconds
    world.clock.seconds = begun + DAY
    listing = world.catalog.listings.begin(world.source.id, owner="ahead")
    world.clock.seconds = begun
    assert world.catalog.listings.begin(world.source.id, owner="right").id == listing.id
    assert world.catalog.listings.begin(world.source.id, owner="third") is None
    world.clock.seconds += LEASE_SECONDS + 1
    assert world.catalog.listings.begin(world.source.id, owner="third").id == listing.id


def test_a_failed_key_whose_time_a_clock_ran_ahead_of_is_tried_again_by_the_next_listing(world):
    def refuse(kind, key):
        if kind == "GET":
            raise Unavailable("not now")

    begun = world.clock.seconds
    world.clock.seconds = begun + 30 * DAY
    world.bucket.put("a.md", "text")
    world.fault = refuse
    world.listing()
    for _ in range(8):
        world.run_batches()
        world.clock.seconds += 7200
    assert states(world)["a.md"][0] == "failed"
    world.fault = None
    world.clock.seconds = begun + 60
    assert world.sync() == {"a.md": "indexed"}


def test_news_between_two_pages_is_newer_than_the_first_and_older_than_the_second(world):
    fill(world, 4)
    world.sync()
    world.listing(budget_seconds=0, page_keys=2)
    first = world.bucket.put("k000.md", "changed behind the listing")
    event(world, "k000.md", told=first)
    event(world, "k003.md", told=world.bucket.put("k003.md", "told"))
    last = world.bucket.put("k003.md", "and changed again, of which nobody tells")
    assert world.listing(page_keys=2).done
    assert world.catalog.work.object(world.source.id, "k000.md").etag == first.etag
    assert world.catalog.work.object(world.source.id, "k003.md").etag == last.etag


# --- the page's commit ---------------------------------------------------------------------------


def test_a_waiting_key_that_is_looked_at_before_the_page_s_commit_is_asked_for_by_the_page(world):
    world.bucket.put("k.md", "A")
    world.sync()
    world.ask("k.md", trigger=Trigger.RETRY)
    world.bucket.put("k.md", "B")
    listings = world.catalog.listings
    window = listings.window

    def slow(*arguments, **options):
        """A batch looks at the key, as it was known, between the comparison and the commit."""
        found = window(*arguments, **options)
        listings.window = window
        world.run_batches()
        return found

    listings.window = slow
    world.listing()
    world.run_batches()
    assert list(world.texts().values()) == ["B"]


def test_a_key_that_waits_for_its_time_is_not_hurried_by_a_listing(world):
    def refuse(kind, _key):
        if kind == "GET":
            raise Unavailable("not now")

    world.fault = refuse
    world.bucket.put("k.md", "A")
    world.sync()
    (before,) = world.catalog.invocations.rows(source_id=world.source.id)
    assert before.next_attempt_at > world.clock.now()
    world.bucket.put("k.md", "B")
    world.listing()
    (after,) = world.catalog.invocations.rows(source_id=world.source.id)
    assert after.next_attempt_at == before.next_attempt_at


@pytest.mark.parametrize(
    ("status", "differs", "held"),
    [
        (None, False, False),
        (None, True, False),
        ("pending", False, True),
        ("pending", True, True),
        ("processing", False, True),
        ("processing", True, False),
    ],
)
def test_who_waits_will_see_a_change_and_who_works_may_have_read_before_it(status, differs, held):
    assert is_held(status, differs=differs) is held


@pytest.mark.parametrize("changed", [False, True])
def test_a_key_under_work_is_asked_for_again_only_where_its_object_is_another(world, changed):
    world.bucket.put("k.md", "A")
    world.listing()
    hold(world, "k.md")
    if changed:
        world.bucket.put("k.md", "B")
    world.listing()
    rows = world.catalog.invocations.rows(source_id=world.source.id)
    assert Counter(row.status for row in rows) == Counter(
        ["processing", "pending"] if changed else ["processing"]
    )


# --- stretches that vanish -----------------------------------------------------------------------


def vanish(world, number):
    """Let the catalog know so many indexed objects, of which the bucket has none."""
    with world.catalog.database.write() as tx:
        tx.execute(
            sa.text(
                "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < :last) "
                "INSERT INTO objects (source_id, object_key, partition_key, etag, size, seen_at, "
                "outcome, outcome_etag, fingerprint) SELECT :source, "
                "printf('gone/of/some/depth/object-number-%08d.md', i), "
                "printf('gone/of/some/depth/object-number-%08d.md', i), :etag, 100, 1, "
                "'indexed', :etag, :etag FROM c"
            ),
            {"last": number - 1, "source": world.source.id, "etag": "e" * 32},
        )
        tx.execute(
            sa.text(
                "INSERT INTO documents (source_id, object_key, tenant, database_name, "
                "collection_name, document_id, metadata, owner, phase, etag, fingerprint, chunks, "
                "high_water, digests, metadata_keys) SELECT source_id, object_key, 't', 'd', "
                "'docs', object_key, '{}', 'source', 'clean', etag, fingerprint, 1, 1, "
                "zeroblob(16), '[]' FROM objects"
            )
        )


class Rows:
    """A catalog's listings; counts the keys of each window and of each commit."""

    def __init__(self, listings):
        self._listings = listings
        self.most = Counter()

    def __getattr__(self, name):
        return getattr(self._listings, name)

    def window(self, *arguments, **options):
        found = self._listings.window(*arguments, **options)
        self.most["window"] = max(self.most["window"], len(found.objects))
        return found

    def commit_page(self, listing, page, **options):
        self.most["missing"] = max(self.most["missing"], len(page.missing))
        return self._listings.commit_page(listing, page, **options)


def test_a_stretch_that_vanished_is_compared_and_ended_in_parts(world):
    number = 2 * WINDOW_KEYS + 500
    vanish(world, number)
    for name in ("a.md", "h.md", "z.md"):
        world.bucket.put(name, "text")
    world.catalog.listings = rows = Rows(world.catalog.listings)
    progress = world.listing(approve_deletes=True)
    assert progress.done
    assert (progress.listing.listed, progress.listing.gone) == (3, number)
    assert rows.most["window"] == WINDOW_KEYS
    assert rows.most["missing"] <= WINDOW_KEYS
    counts = world.catalog.views.counts(world.source.id)
    assert counts.objects == 3
    assert world.catalog.invocations.live_count(world.source.id) == number + 3


def test_a_stretch_that_vanished_is_stopped_by_the_guard_and_approved_in_parts(world):
    number = 2500
    vanish(world, number)
    progress = world.listing()
    assert progress.listing.state is ListingState.BLOCKED
    assert progress.listing.gone == number
    assert world.catalog.invocations.live_count(world.source.id) == 0
    approved = world.approve()
    assert (approved.state, approved.gone) == (ListingState.APPROVED, number)
    assert world.catalog.invocations.live_count(world.source.id) == number


def test_what_is_on_its_way_out_already_does_not_let_all_the_others_go(world):
    fill(world, 3)
    world.sync()
    world.bucket.delete("k000.md")
    assert world.listing().listing.state is ListingState.COMPLETE
    for key in ("k001.md", "k002.md"):
        world.bucket.delete(key)
    progress = world.listing()
    assert (progress.listing.state, progress.listing.gone) == (ListingState.BLOCKED, 2)
    world.run_batches()
    assert world.keys_indexed() == {"k001.md", "k002.md"}


def test_what_departs_goes_on_over_ticks_and_is_counted_once(world):
    vanish(world, 2500)
    world.bucket.put("a.md", "text")
    progress = world.listing(approve_deletes=True, budget_seconds=0)
    ticks = 1
    while not progress.done:
        assert progress.listing.state is ListingState.RUNNING
        progress = world.listing(approve_deletes=True, budget_seconds=0)
        ticks += 1
    assert progress.listing.gone == 2500
    assert progress.listing.listed == 1
    assert ticks > 3


def test_a_mode_that_keeps_records_marks_what_is_gone_and_asks_for_nothing(world):
    vanish(world, 2500)
    world.configure(mode=DeleteMode.KEEP_DELETED)
    assert world.listing().listing.gone == 0
    assert world.catalog.views.counts(world.source.id).objects == 0
    assert world.catalog.invocations.live_count(world.source.id) == 0


# --- whose turn it is ----------------------------------------------------------------------------


class Alive:
    """Owners, of which some are dead."""

    def __init__(self, *dead, me="me"):
        self._dead, self._me = dead, me

    def me(self):
        return self._me

    def is_dead(self, owner):
        return owner in self._dead


def parts(world, owners, store_for=None):
    return ListingParts(
        catalog=world.catalog,
        clock=world.clock,
        owners=owners,
        store_for=store_for or (lambda _: world.store),
        collections=lambda: world.collections,
    )


def test_a_whole_listing_waits_for_a_live_one_and_says_so_once(world):
    fill(world, 3)
    other = world.catalog.listings.begin(world.source.id, owner="other")
    waits = []
    began = world.clock.seconds
    listing = list_whole(
        parts(world, Alive()), world.source, on_wait=lambda: waits.append(world.clock.seconds)
    )
    assert len(waits) == 1
    assert world.clock.seconds - began >= LEASE_SECONDS
    assert listing.id != other.id
    assert (listing.state, listing.listed) == (ListingState.COMPLETE, 3)


@pytest.mark.parametrize("dropped", [False, True])
def test_a_whole_listing_of_a_source_that_is_deleted_meanwhile_waits_for_nothing(world, dropped):
    fill(world, 3)
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    if dropped:
        world.catalog.documents.drop_source(world.source.id)
    with pytest.raises(NotFound, match="'docs' is deleted"):
        list_whole(parts(world, Alive()), world.source)


def test_a_whole_listing_ends_that_of_a_dead_process_at_once(world):
    fill(world, 3)
    other = world.catalog.listings.begin(world.source.id, owner="dead")
    began = world.clock.seconds
    listing = list_whole(parts(world, Alive("dead")), world.source)
    assert world.clock.seconds == began
    assert listing.id != other.id


def test_a_place_that_cannot_be_opened_is_a_listing_that_failed(world):
    def nothing_opens(_):
        raise FixConfiguration("The credential 7 is gone.")

    world.configure(list_interval_seconds=60)
    said = list_when_due(parts(world, Alive(), nothing_opens), world.source, log=print)
    assert said == "could not list: The credential 7 is gone."
    latest = world.catalog.listings.latest(world.source.id)
    assert (latest.state, latest.error) == (ListingState.FAILED, "The credential 7 is gone.")


def test_a_tick_goes_on_where_a_dead_process_stopped(world):
    fill(world, 4)
    world.configure(list_interval_seconds=60)
    world.catalog.sources.due_for_listing(world.source.id, interval_seconds=60)
    listing = world.catalog.listings.begin(world.source.id, owner="dead")
    said = list_when_due(parts(world, Alive("dead")), world.source, log=print, page_keys=2)
    assert said.startswith("listed 4 objects")
    assert world.catalog.listings.latest(world.source.id).id == listing.id


def test_a_listing_that_was_asked_for_comes_after_what_runs_and_after_one_that_failed(world):
    fill(world, 3)
    world.configure(list_interval_seconds=0)

    def tick():
        return list_when_due(parts(world, Alive()), world.source, log=lambda _: None)

    assert tick() == "not due: it is not listed by itself"
    other = world.catalog.listings.begin(world.source.id, owner="other")
    world.catalog.sources.ask_for_listing(world.source.id)
    assert tick() == "another process lists it"
    world.catalog.listings.end(other, owner="other")

    def away(*_):
        raise Unavailable("the endpoint is away")

    real, world.store = world.store, Store(away)
    assert tick().startswith("could not list")
    world.store = real
    assert tick().endswith("failed and is tried again")
    world.clock.seconds += 301
    assert tick().startswith("listed 3 objects")
    assert tick() == "not due: it is not listed by itself"


def test_a_listing_that_was_asked_for_stands_for_that_of_the_interval(world):
    fill(world, 1)
    world.configure(list_interval_seconds=600)
    world.catalog.sources.ask_for_listing(world.source.id)
    world.listing()
    said = list_when_due(parts(world, Alive()), world.source, log=print)
    assert said == "not due: listed every 600 s"


@pytest.mark.parametrize(("lower", "state"), [(30, "blocked"), (90, "complete")])
@pytest.mark.parametrize("then", [None, 100])
def test_what_a_limit_left_out_stays_once_the_limit_is_another(world, lower, state, then):
    fill(world, 100)
    world.sync()
    world.configure(document_limit=lower)
    assert world.listing().listing.state == state
    world.configure(document_limit=then)
    assert world.approve() is None
    world.run_batches()
    assert len(world.texts()) == 100
    assert world.listing().listing.state is ListingState.COMPLETE
    world.run_batches()
    assert set(states(world).values()) == {("indexed", None)}
