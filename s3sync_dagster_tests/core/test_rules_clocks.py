"""One clock that was wrong for a while: nothing is lost by it, and nothing waits for it."""

import pytest

from s3sync_dagster.core.patience import LEASE_SECONDS, RESERVATION_SECONDS, Patience
from s3sync_dagster.engine.dispatching import ask_again, dispatch, reap
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.core.rules import event, hold, requests, states, work_on

DAY = 86_400


class Launched:
    """Runs that are asked for and never seen."""

    def __init__(self):
        self.orders = []

    def add_partitions(self, source, names, *, shard):
        return True

    def launch(self, order):
        self.orders.append(order.token)
        return True


def unseen(*_):
    return "unknown"


def cannot_tell(_owner):
    return None


@pytest.fixture
def later(world):
    """Do something under a clock that is a day ahead, then put it right."""

    def call(action, by=DAY):
        world.clock.skew += by
        answer = action()
        world.clock.skew -= by
        return answer

    return call


def reaped(world):
    return [
        one.why
        for one in reap(world.catalog, clock=world.clock, is_dead=cannot_tell, run_state=unseen)
    ]


def nobody(source, error):
    raise AssertionError(f"{source.name} was refused: {error}")


def asked_again(world, runs):
    return ask_again(
        world.catalog,
        runs,
        {world.source.id: world.source},
        clock=world.clock,
        run_state=unseen,
        refused=nobody,
    )


def test_a_reservation_of_a_clock_ahead_is_given_back_at_once(world, later):
    event(world, "a.txt")
    runs, here = Launched(), {world.source.id: world.source}
    later(lambda: dispatch(world.catalog, runs, here, refused=nobody, share=lambda _: None))
    (row,) = world.catalog.batches.live()
    assert row.lease_until > world.clock.seconds + RESERVATION_SECONDS
    assert reaped(world) == ["its reservation ended"]
    assert world.catalog.batches.pending_sources() == [world.source.id]


def test_a_run_that_was_asked_for_under_a_clock_ahead_is_asked_for_again(world, later):
    event(world, "a.txt")
    runs, here = Launched(), {world.source.id: world.source}
    later(lambda: dispatch(world.catalog, runs, here, refused=nobody, share=lambda _: None))
    assert asked_again(world, runs) == 1
    assert asked_again(world, runs) == 0


def test_a_lease_of_a_clock_ahead_counts_as_ended(world, later):
    event(world, "a.txt")
    later(lambda: hold(world, "a.txt"))
    (row,) = world.catalog.batches.live()
    assert row.lease_until > world.clock.seconds + LEASE_SECONDS
    assert reaped(world) == ["its lease ended"]


def test_clocks_that_differ_a_little_end_no_lease(world, later):
    event(world, "a.txt")
    later(lambda: hold(world, "a.txt"), by=20)
    assert reaped(world) == []


def test_a_key_that_waits_for_a_time_of_a_clock_ahead_is_due(world, later):
    world.bucket.put("a.txt", "one")
    event(world, "a.txt")
    world.fault = lambda kind, key: (_ for _ in ()).throw(Unavailable("away"))
    later(lambda: world.run_batches(patience=Patience(tries=1)))
    world.fault = None
    assert world.catalog.batches.pending_sources() == [world.source.id]
    world.run_batches()
    assert states(world) == {"a.txt": ("indexed", None)}


def test_a_half_written_document_that_failed_under_a_clock_ahead_is_mended(world, later):
    world.bucket.put("a.txt", "one")
    world.sync()
    world.bucket.put("a.txt", "two")
    event(world, "a.txt")
    world.catalog.documents.distrust_all(world.source.id)
    world.fault = lambda kind, key: (_ for _ in ()).throw(Unavailable("away"))
    later(lambda: world.run_batches(patience=Patience(tries=1, final=True)))
    world.fault = None
    assert states(world)["a.txt"][0] == "failed"
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 1


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_what_is_told_during_a_batch_is_news_whatever_the_clock_says(world, jump):
    world.bucket.put("a.txt", "one")
    event(world, "a.txt")
    batch = hold(world, "a.txt")

    def meanwhile(step):
        if step == "chunked" and world.bucket.objects()["a.txt"] == b"one":
            world.clock.skew = jump
            told_again(world, "a.txt", "two")

    work_on(world, batch, at=meanwhile)
    world.run_batches()
    assert list(world.texts().values()) == ["two"]


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_an_object_that_is_told_while_it_is_found_gone_is_looked_at_again(world, jump):
    world.bucket.put("a.txt", "one")
    world.sync()
    world.bucket.delete("a.txt")
    event(world, "a.txt", remove=True)
    batch = hold(world, "a.txt")

    def meanwhile(step):
        if step == "claimed_removal" and not world.bucket.objects():
            world.clock.skew = jump
            told_again(world, "a.txt", "two")

    work_on(world, batch, at=meanwhile)
    world.run_batches()
    assert states(world)["a.txt"] == ("indexed", None)
    assert list(world.texts().values()) == ["two"]


def told_again(world, key, content):
    """Change an object and store what a HEAD tells of it, as one without work of its own does."""
    world.bucket.put(key, content)
    world.catalog.work.record_objects(world.source.id, [(world.store.head(key), None)])


def test_the_last_request_for_a_key_wins_whatever_the_clock_says(world):
    world.bucket.put("a.txt", "one")
    for custom_id in ("first", "second"):
        world.catalog.invocations.request(
            world.source, ["a.txt"], trigger=Trigger.API, custom_id=custom_id
        )
        world.clock.skew -= DAY
    latest = world.catalog.invocations.latest_by_keys(world.source.id, ["a.txt"])
    assert latest["a.txt"].custom_id == "second"
    world.run_batches()
    assert list(world.texts()) == ["second-0"]
    assert requests(world, "GET") == 1


def test_old_rows_are_pruned_by_their_order_not_by_their_times(world):
    world.bucket.put("a.txt", "one")
    event(world, "a.txt")
    world.run_batches()
    world.clock.skew -= 40 * DAY
    event(world, "a.txt")
    world.run_batches()
    (latest,) = world.catalog.invocations.latest_by_keys(world.source.id, ["a.txt"]).values()
    world.clock.skew += 80 * DAY
    assert world.catalog.invocations.prune(older_than_seconds=30 * DAY) == 1
    left = world.catalog.invocations.rows(source_id=world.source.id)
    assert [one.id for one in left] == [latest.id]


def test_an_edit_under_a_clock_that_was_put_back_is_seen(world):
    other = world.source.with_changes(id="other", name="other", collection_name="other")
    world.catalog.sources.add(other)
    before = world.catalog.sources.version()
    world.clock.skew -= DAY
    world.catalog.sources.update(other.with_changes(metadata={"a": "b"}))
    assert world.catalog.sources.version() != before


def test_removals_that_a_clock_far_ahead_has_counted_count_no_longer_than_a_day(world, later):
    for n in range(200):
        world.bucket.put(f"{n:03}.md", "text")
    world.sync()
    keys = [f"{n:03}.md" for n in range(5)]
    for key in keys:
        world.bucket.delete(key)
    world.ask(*keys)
    later(world.run_batches, by=365 * DAY)
    assert len(world.texts()) == 195
    world.clock.seconds += 2 * DAY
    assert world.catalog.documents.removed_by_heads(world.source.id) == 0
