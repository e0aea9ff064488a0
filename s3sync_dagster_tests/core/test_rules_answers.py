"""An outage costs about its own length, not the hour of its longest back-off."""

from s3sync_dagster.catalog import answers
from s3sync_dagster.core.patience import SCOUT_SECONDS, Patience, scout_seconds
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster_tests.core.rules import (
    Died,
    Refusing,
    event,
    refuse_with,
    states,
    work_and_die,
)


def silent(world, *keys):
    """Let the bucket be silent about these keys, or about all."""

    def refuse(kind, key):
        if kind != "LIST" and (not keys or key in keys):
            raise Unavailable("away", reason="s3_unreachable")

    world.fault = refuse


def tick(world):
    """Do what the dispatch sensor does of it; returns how many keys were asked for."""
    return world.catalog.work.ask_again_where_answered(world.source.id)


def fail_for_an_hour(world, *keys):
    for key in keys:
        world.bucket.put(key, f"text of {key}")
    world.listing()
    world.run_batches(patience=Patience(tries=1, attempts=1))


def write_another(world, key="new", **changes):
    """Let one more object come and be written."""
    world.bucket.put(key, "text")
    event(world, key)
    world.run_batches(**changes)


def test_one_key_that_is_written_makes_due_all_that_an_outage_has_failed(world):
    silent(world)
    fail_for_an_hour(world, "a", "b", "c")
    world.fault = None
    assert world.catalog.work.untidy_sources() == {world.source.id}
    assert tick(world) == 0  # not known yet
    write_another(world)
    assert tick(world) == 3
    world.run_batches()
    assert {state for state, _ in states(world).values()} == {"indexed"}
    assert tick(world) == 0
    assert world.catalog.work.untidy_sources() == set()


def test_keys_between_two_attempts_come_at_once_too(world):
    silent(world)
    world.bucket.put("a", "a")
    world.listing()
    world.run_batches(patience=Patience(tries=1, attempts=5, backoff_seconds=3000))
    world.fault = None
    write_another(world)
    assert tick(world) == 1
    world.run_batches()
    assert states(world)["a"] == ("indexed", None)


def test_where_nothing_else_is_to_do_a_single_key_finds_out(world):
    silent(world)
    fail_for_an_hour(world, "a", "b", "c")
    assert tick(world) == 0
    world.clock.seconds += SCOUT_SECONDS
    assert tick(world) == 1
    assert tick(world) == 0
    world.run_batches(patience=Patience(tries=1, attempts=1))  # in vain
    world.fault = None
    assert tick(world) == 0
    world.clock.seconds += SCOUT_SECONDS
    assert tick(world) == 1
    world.run_batches()
    assert tick(world) == 2
    world.run_batches()
    assert {state for state, _ in states(world).values()} == {"indexed"}


def test_the_time_of_a_clock_ahead_keeps_no_scout_back(world):
    silent(world)
    world.clock.skew = 86_400
    fail_for_an_hour(world, "a")
    world.clock.skew = 0
    assert tick(world) == 1


def test_an_outage_of_a_day_is_looked_at_once_an_hour():
    assert [scout_seconds(one) for one in (0, 16, 480, 4800, 86_400)] == [60, 60, 60, 600, 3600]


def test_a_key_that_fails_alone_is_not_tried_with_each_batch_of_others(world):
    silent(world, "bad")
    fail_for_an_hour(world, "bad")
    for number in range(5):
        write_another(world, f"good {number}", patience=Patience(tries=1, attempts=1))
        assert tick(world) == (1 if number == 0 else 0)


def test_more_keys_than_one_pass_are_not_tried_without_end(world, monkeypatch):
    """Their own service may still be silent while another one's answer made them due."""
    monkeypatch.setattr(answers, "KEYS_AT_ONCE", 3)
    bad = [f"bad {number}" for number in range(8)]
    silent(world, *bad)
    fail_for_an_hour(world, *bad)
    asked = []
    for number in range(4):
        write_another(world, f"good {number}", patience=Patience(tries=1, attempts=1))
        asked.append(tick(world))
    assert asked == [3, 0, 0, 0]


def test_a_deleted_source_is_not_scouted(world):
    silent(world)
    fail_for_an_hour(world, "a")
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    world.clock.seconds += SCOUT_SECONDS
    assert tick(world) == 0


def test_workers_that_died_use_up_no_attempt(world):
    world.bucket.put("a", "a")
    world.listing()
    deaths = iter([True, True, False])

    def die(kind, key):
        if next(deaths, False):
            raise Died
        raise Unavailable("away")

    world.fault = die
    patience = Patience(tries=1, attempts=2)
    work_and_die(world, workers=3, patience=patience)
    [row] = world.catalog.invocations.rows()
    assert (row.attempts, row.status) == (1, "pending")
    world.clock.seconds += 4000
    world.run_batches(patience=patience)
    [row] = world.catalog.invocations.rows()
    assert (row.attempts, row.status) == (2, "failed")


def take_some_while_chroma_is_away(world, number):
    """Ask for the removal of so many documents; return what refuses it until it is off."""
    for n in range(number):
        world.bucket.delete(f"{n}.md")
    world.listing()
    refusing = Refusing(world, delete=refuse_with(Unavailable("away", reason="chroma_unavailable")))
    waits = Patience(tries=1, attempts=9, backoff_seconds=3000)
    world.run_batches(collections=refusing, patience=waits)
    refusing.on = False


def test_where_nothing_but_removals_waits_one_that_is_done_makes_the_others_due(world):
    for n in range(30):
        world.bucket.put(f"{n}.md", f"text {n}")
    world.sync()
    take_some_while_chroma_is_away(world, 9)
    world.clock.seconds += SCOUT_SECONDS
    assert tick(world) == 1
    assert [report.state for report in world.run_batches()] == ["removed"]
    assert tick(world) == 8
    assert len(world.run_batches()) == 8
    assert tick(world) == 0


def test_a_removal_says_nothing_of_the_bucket_that_other_keys_wait_for(world):
    for n in range(30):
        world.bucket.put(f"{n}.md", f"text {n}")
    world.sync()
    silent(world)
    fail_for_an_hour(world, "a", "b")
    world.bucket.delete("0.md")
    world.listing()
    assert [report.state for report in world.run_batches()] == ["removed"]
    assert tick(world) == 0
