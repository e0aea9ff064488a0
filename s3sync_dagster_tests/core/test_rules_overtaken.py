"""A removal that waits is evidence only while nothing newer was told of its object."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.core.rules import Refusing, event, hold, refuse_with, states
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_told import list_with

KEYS = [f"{n:02}.txt" for n in range(12)]
"""More than HEADs alone take away."""
HELD_BACK = {("skipped", "removal_blocked")}


@pytest.fixture
def indexed(world):
    for key in KEYS:
        world.bucket.put(key, f"text of {key}")
    world.sync()
    return world


def tell_removed(world, *, place=1):
    for key in KEYS:
        event(world, key, remove=True, sequencer=f"{place:04}")


def replace_all(world, *, lost=()):
    """Delete and put each object; what is told waits. Of the lost ones the put is not told."""
    for key in KEYS:
        world.bucket.delete(key)
        event(world, key, remove=True, sequencer="0001")
        told = world.bucket.put(key, f"text of {key}")
        if key not in lost:
            event(world, key, told=told, sequencer="0002")


def empty(world):
    """Put another bucket in the place of this one, without a word."""
    for key in KEYS:
        world.bucket.delete(key)


def test_an_event_that_says_the_object_is_there_ends_the_force_of_its_removal(indexed):
    replace_all(indexed)
    empty(indexed)
    indexed.run_batches()
    assert len(indexed.texts()) == len(KEYS)
    assert set(states(indexed).values()) == HELD_BACK


def test_a_page_that_sees_the_object_ends_the_force_of_its_removal(indexed):
    replace_all(indexed, lost=KEYS)
    assert indexed.listing().listing.state is ListingState.COMPLETE
    empty(indexed)
    assert indexed.listing().listing.state is ListingState.BLOCKED
    indexed.run_batches()
    assert len(indexed.texts()) == len(KEYS)


def test_a_head_that_finds_the_object_ends_the_force_of_its_removal(indexed):
    tell_removed(indexed)
    away = Unavailable("away", reason="s3_unavailable")

    def refuse(kind, _key):
        if kind == "GET":
            raise away

    for key in KEYS:  # by HEAD it is another version, whose bytes nobody can read now
        indexed.bucket.put(key, f"new text of {key}")
    indexed.fault = refuse
    indexed.run_batches()
    indexed.fault = None
    empty(indexed)
    indexed.clock.seconds += 90_000
    indexed.catalog.work.ask_again_where_answered(indexed.source.id)
    indexed.run_batches()
    assert len(indexed.texts()) == len(KEYS)


def test_what_is_handed_back_has_no_more_force_than_what_was_told_meanwhile(indexed):
    tell_removed(indexed)
    batch = hold(indexed, KEYS[0])
    for key in KEYS:
        event(indexed, key, told=indexed.store.head(key), sequencer="0002")
    empty(indexed)
    indexed.catalog.batches.release(batch.token, died=False)
    indexed.run_batches()
    assert len(indexed.texts()) == len(KEYS)


def test_what_is_told_to_be_removed_once_more_goes_without_a_listing(indexed):
    replace_all(indexed)
    empty(indexed)
    tell_removed(indexed, place=3)
    indexed.run_batches()
    assert indexed.texts() == {}
    assert states(indexed) == {}


def test_a_page_that_was_asked_for_before_a_removal_takes_nothing_of_its_force(indexed):
    def removed():
        empty(indexed)
        tell_removed(indexed)

    list_with(indexed, removed)
    indexed.run_batches()
    assert indexed.texts() == {}


def test_old_news_take_nothing_of_the_force_of_a_removal(indexed):
    told = {key: indexed.store.head(key) for key in KEYS}
    empty(indexed)
    tell_removed(indexed, place=2)
    for key in KEYS:
        event(indexed, key, told=told[key], sequencer="0001")
    indexed.run_batches()
    assert indexed.texts() == {}


def test_a_few_that_are_gone_in_the_end_go_by_their_heads(indexed):
    few, rest = KEYS[:3], KEYS[3:]
    replace_all(indexed)
    for key in few:
        indexed.bucket.delete(key)
    indexed.run_batches()
    assert indexed.keys_indexed() == set(rest)


def test_what_is_gone_in_the_end_goes_by_a_listing_that_is_approved(indexed):
    replace_all(indexed)
    empty(indexed)
    indexed.run_batches()
    assert indexed.listing().listing.state is ListingState.BLOCKED
    indexed.approve()
    indexed.run_batches()
    assert indexed.texts() == {}


def test_nobody_leaves_a_moved_source_by_the_word_of_an_old_removal(indexed):
    with indexed.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    move(indexed, bucket_name="another-bucket")
    replace_all(indexed)
    indexed.listing()
    empty(indexed)
    indexed.listing()
    indexed.run_batches()
    for _ in range(3):
        finish(indexed)
    assert len(indexed.texts()) == len(KEYS)


def test_a_removal_that_came_true_once_is_no_word_on_what_came_after_it(indexed):
    """Of the source in whose place this one stands: its documents have no successor."""
    with indexed.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    move(indexed, bucket_name="another-bucket")
    empty(indexed)
    tell_removed(indexed)
    indexed.run_batches()  # true of the new place
    indexed.catalog.sources.set_paused(indexed.source.id, paused=True)
    for key in KEYS:
        event(indexed, key, told=indexed.bucket.put(key, "here again"), sequencer="0002")
    empty(indexed)
    indexed.listing()
    indexed.catalog.sources.set_paused(indexed.source.id, paused=False)
    for _ in range(3):
        indexed.run_batches()
        finish(indexed)
    assert len(indexed.texts()) == len(KEYS)


class TestListingsRemovals:
    """Those that wait while their objects return."""

    @pytest.fixture
    def waiting(self, indexed):
        """All are approved to go, and Chroma takes nothing away."""
        empty(indexed)
        assert indexed.listing().listing.state is ListingState.BLOCKED
        indexed.approve()
        self.away = Refusing(
            indexed, delete=refuse_with(Unavailable("away", reason="chroma_unavailable"))
        )
        indexed.run_batches(collections=self.away)
        return indexed

    def answers_again(self, world):
        self.away.on = False
        world.clock.seconds += 90_000
        world.run_batches()

    def test_they_are_no_removal_of_what_is_left_out_later(self, waiting):
        for key in KEYS:
            waiting.bucket.put(key, f"text of {key}")
        waiting.listing()
        waiting.configure(exclude_globs=("*.txt",))
        assert waiting.listing().listing.state is ListingState.BLOCKED
        self.answers_again(waiting)
        assert len(waiting.texts()) == len(KEYS)
        waiting.approve()
        waiting.run_batches()
        assert waiting.texts() == {}

    def test_nor_where_events_tell_that_they_are_back(self, waiting):
        for key in KEYS:
            event(waiting, key, told=waiting.bucket.put(key, f"text of {key}"))
        waiting.configure(exclude_globs=("*.txt",))
        assert waiting.listing().listing.state is ListingState.BLOCKED
        self.answers_again(waiting)
        assert len(waiting.texts()) == len(KEYS)

    def test_what_is_back_is_whole_again(self, waiting):
        for key in KEYS:
            waiting.bucket.put(key, f"text of {key}")
        waiting.listing()
        self.answers_again(waiting)
        assert waiting.keys_indexed() == set(KEYS)
        assert set(states(waiting).values()) == {("indexed", None)}

    def test_what_is_back_and_left_out_from_then_on_waits_for_a_person(self, waiting):
        waiting.configure(exclude_globs=("*.txt",))
        for key in KEYS:
            waiting.bucket.put(key, f"text of {key}")
        assert waiting.listing().listing.state is ListingState.BLOCKED
        self.answers_again(waiting)
        assert len(waiting.texts()) == len(KEYS)

    def test_nor_of_what_was_left_out_before_and_is_selected_for_a_while(self, indexed):
        indexed.configure(exclude_globs=("*.txt",))
        indexed.listing()
        indexed.approve()
        self.away = Refusing(
            indexed, delete=refuse_with(Unavailable("away", reason="chroma_unavailable"))
        )
        indexed.run_batches(collections=self.away)
        indexed.configure(exclude_globs=())
        indexed.listing()
        indexed.configure(exclude_globs=("*.txt",))
        assert indexed.listing().listing.state is ListingState.BLOCKED
        self.answers_again(indexed)
        assert len(indexed.texts()) == len(KEYS)

    def test_nor_where_a_request_finds_that_they_are_back_and_left_out(self, waiting):
        waiting.configure(exclude_globs=("*.txt",))
        for key in KEYS:
            waiting.bucket.put(key, f"text of {key}")
        waiting.ask(*KEYS, trigger=Trigger.CLI)
        self.answers_again(waiting)
        assert len(waiting.texts()) == len(KEYS)

    def test_a_deselection_that_waits_keeps_its_force_while_it_stands(self, indexed):
        indexed.configure(exclude_globs=("*.txt",))
        assert indexed.listing().listing.state is ListingState.BLOCKED
        indexed.approve()
        indexed.listing()  # it sees them all, as they are known
        indexed.run_batches()
        assert indexed.texts() == {}

    def test_a_deselection_that_was_taken_back_is_judged_anew(self, indexed):
        indexed.configure(exclude_globs=("*.txt",))
        indexed.listing()
        indexed.approve()
        indexed.configure(exclude_globs=())
        indexed.listing()
        indexed.configure(exclude_globs=("*.txt",))
        assert indexed.listing().listing.state is ListingState.BLOCKED
        indexed.run_batches()
        assert len(indexed.texts()) == len(KEYS)
