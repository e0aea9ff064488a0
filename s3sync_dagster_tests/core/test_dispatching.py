"""One dispatcher for all who start runs: what it hands on, what rests, what is taken back."""

import threading
from dataclasses import replace

import pytest

from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.reservation import MAX_KEYS
from s3sync_dagster.core.suspects import BEGUN_AT_ONCE
from s3sync_dagster.engine.dispatching import (
    BATCHES_AT_ONCE,
    SILENT_SECONDS,
    UNSEEN_SECONDS,
    ask_again,
    dispatch,
    reap,
    tell_partitions,
)
from s3sync_dagster.engine.leasing import Leasing
from s3sync_dagster.engine.working_off import FIRST_KEYS, FRUITLESS_RUNS, work_off
from s3sync_dagster.model.errors import NotFound, Unavailable
from s3sync_dagster.model.invocation import Result, Trigger
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.engine_fixture import make_world


class AskedRuns:
    """Takes every batch; ``answer`` says what becomes of the next ones."""

    def __init__(self, answer=True):
        self.answer, self.orders, self.partitions, self.refused = answer, [], [], []

    broken = None
    """Id of a source whose partitions nobody takes."""

    def add_partitions(self, source, names, *, shard):
        if source.id == self.broken:
            raise ValueError("a definition that is none")
        self.partitions.append((source.name, list(names)))
        return True

    def launch(self, order):
        if isinstance(self.answer, Exception):
            raise self.answer
        self.orders.append(order)
        return self.answer


@pytest.fixture
def asked():
    return AskedRuns()


def hand_on(world, runs, **options):
    sources = {world.source.id: world.source}
    told = {"refused": lambda _source, error: runs.refused.append(error)}
    return dispatch(world.catalog, runs, sources, **told, share=lambda _: None, **options)


def test_pending_keys_become_a_batch_with_its_partitions_told_before(world, asked):
    for name in ("a.txt", "b.txt"):
        world.bucket.put(name, "text")
    world.listing()
    assert hand_on(world, asked) == 1
    (order,) = asked.orders
    assert (list(order.keys), order.source) == (["a.txt", "b.txt"], world.source)
    assert asked.partitions == [(world.source.name, ["a.txt", "b.txt"])]
    (row,) = world.catalog.batches.live()
    assert (row.state, row.token, row.yielded_at is None) == ("reserved", order.token, False)
    assert hand_on(world, asked) == 0


@pytest.mark.parametrize("by_hand", [False, True])
def test_of_a_paused_source_only_what_was_asked_for_is_served(world, asked, by_hand):
    for name in ("auto.txt", "asked.txt"):
        world.bucket.put(name, "text")
    world.listing()
    world.catalog.sources.set_paused(world.source.id, paused=True)
    world.ask("asked.txt", trigger=Trigger.CLI if by_hand else Trigger.API)
    assert hand_on(world, asked) == 1
    assert [list(order.keys) for order in asked.orders] == [["asked.txt"]]
    assert hand_on(world, asked) == 0
    world.catalog.sources.set_paused(world.source.id, paused=False)
    assert hand_on(world, asked) == 1
    assert list(asked.orders[-1].keys) == ["auto.txt"]


def test_a_persons_own_sync_works_on_a_paused_source_and_waits_for_no_back_off(world):
    world.bucket.put("a.txt", "text")
    world.listing()
    world.catalog.sources.set_paused(world.source.id, paused=True)
    done = []

    def work(order, run_id):
        done.append((list(order.keys), run_id))
        world.catalog.documents.commit(order.token, world.source)
        world.catalog.invocations.retry_failed(world.source)
        world.catalog.batches.finish(order.token)
        with world.catalog.database.write() as tx:
            tx.exec_driver_sql("UPDATE invocations SET status = 'cancelled', finished_at = 1")

    work_off(
        world.catalog, world.source, clock=world.clock, owner="me", is_dead=lambda _: False,
        work=work, note=print,
    )  # fmt: skip
    assert [keys for keys, _ in done] == [["a.txt"]]


def test_each_batch_of_a_sync_goes_by_the_source_as_it_is_by_then(world):
    for name in ("a.txt", "b.txt"):
        world.bucket.put(name, "text")
    world.listing()
    modes = []

    def work(order, _run_id):
        modes.append(order.source.mode)
        world.catalog.sources.update(order.source.with_changes(mode=DeleteMode.KEEP_DELETED))
        cancel(world, order)
        if len(modes) == 1:
            world.ask("b.txt")

    work_off(
        world.catalog, world.source, clock=world.clock, owner="me", is_dead=lambda _: False,
        work=work, note=print,
    )  # fmt: skip
    assert modes == [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]


def test_work_on_a_source_that_is_being_deleted_comes_to_an_end(world):
    world.ask("a.txt")
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    began = world.clock.seconds
    work_off(
        world.catalog, world.source, clock=world.clock, owner="me", is_dead=lambda _: False,
        work=lambda _order, _run: None, note=print,
    )  # fmt: skip
    assert world.clock.seconds == began


def test_a_source_that_is_being_deleted_gets_no_batch(world, asked):
    world.ask("a.txt")
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    assert hand_on(world, asked) == 0


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (False, []),
        (NotFound("no job yet", reason="job_not_found"), ["job_not_found"]),
        (KeyError("ours"), ["unexpected_error"]),
        (Unavailable("nobody"), None),
    ],
)
def test_a_batch_whose_run_cannot_be_asked_for_is_pending_again_at_once(world, answer, reasons):
    world.ask("a.txt")
    runs = AskedRuns(answer)
    if reasons is None:  # it is nothing that the source can do about
        with pytest.raises(Unavailable):
            hand_on(world, runs)
    else:
        assert hand_on(world, runs) == 0
    assert [error.reason for error in runs.refused] == (reasons or [])
    assert world.catalog.batches.live() == []
    (row,) = world.catalog.invocations.rows()
    assert (row.status, [row.reason] if row.reason else []) == ("pending", reasons or [])


def test_a_launch_whose_answer_was_lost_keeps_the_run_that_has_begun(world):
    world.ask("a.txt")

    class Begun(AskedRuns):
        def launch(self, order):
            world.catalog.batches.start(order.token, owner="w", run_id="r")
            raise Unavailable("the answer was lost")

    with pytest.raises(Unavailable):
        hand_on(world, Begun())
    (row,) = world.catalog.batches.live()
    assert (row.state, row.run_id) == ("running", "r")


def test_runs_that_end_before_they_begin_are_not_repeated_for_ever(world):
    world.ask("a.txt")
    orders = []
    with pytest.raises(Unavailable) as caught:
        work_off(
            world.catalog, world.source, clock=world.clock, owner="me", is_dead=lambda _: False,
            work=lambda order, _run_id: orders.append(order), note=print,
        )  # fmt: skip
    assert (len(orders), caught.value.reason) == (FRUITLESS_RUNS, "runs_do_not_begin")
    assert [row.status for row in world.catalog.invocations.rows()] == ["pending"]


def test_a_sync_that_met_an_error_holds_nothing_while_its_process_lives_on(world):
    """As where a folder is watched: nobody would take the batch from a process that is alive."""
    world.bucket.put("a.txt", "text")
    world.listing()
    told = AskedRuns()
    told.broken = world.source.id
    with pytest.raises(ValueError, match="a definition"):
        work_off(
            world.catalog, world.source, clock=world.clock, owner="me", is_dead=lambda _: False,
            work=lambda order, _run: tell_partitions(world.catalog, told, order.source, order.keys),
            note=print,
        )  # fmt: skip
    assert world.catalog.batches.live() == []
    assert [row.status for row in world.catalog.invocations.rows()] == ["pending"]


def cancel(world, order):
    """End a batch with all its keys."""
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql(
            "UPDATE invocations SET status = 'cancelled', finished_at = 1, batch_token = NULL "
            f"WHERE batch_token = '{order.token}'"
        )
    world.catalog.batches.finish(order.token)


@pytest.fixture
def filed(tmp_path):
    """A world whose catalog two threads may use at a time."""
    made = make_world(url=f"sqlite:///{tmp_path / 'catalog.db'}")
    yield made
    made.catalog.close()


def work_off_ahead(world, work, read):
    work_off(
        world.catalog, world.source, clock=world.clock, owner="me", is_dead=lambda _: False,
        work=work, note=print, read_ahead=read,
    )  # fmt: skip


def put_and_list(world, number):
    for n in range(number):
        world.bucket.put(f"{n:04}.txt", "text")
    world.listing()


def test_the_next_batch_is_read_while_one_is_worked_on(filed):
    put_and_list(filed, FIRST_KEYS + MAX_KEYS + BEGUN_AT_ONCE)
    read, done = [], []
    came = threading.Event()

    def read_ahead(order, run_id):
        read.append((order.token, run_id))
        came.set()

    def work(order, run_id):
        if not done:
            assert came.wait(20)  # before this one has ended
        done.append((order.token, run_id, len(order.keys)))
        cancel(filed, order)

    work_off_ahead(filed, work, read_ahead)
    assert [size for *_, size in done] == [FIRST_KEYS, MAX_KEYS, BEGUN_AT_ONCE]
    # Not the first, and not the last: a batch as small as those of suspects is read by its run.
    assert read == [done[1][:2]]


def test_what_was_taken_ahead_is_given_back_when_the_work_ends(filed):
    put_and_list(filed, FIRST_KEYS + MAX_KEYS)
    came = threading.Event()

    def work(order, _run_id):
        assert came.wait(20)
        cancel(filed, order)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_off_ahead(filed, work, lambda _order, _run_id: came.set())
    assert filed.catalog.batches.live() == []
    assert filed.catalog.invocations.live_count(filed.source.id) == MAX_KEYS


def test_what_ends_the_reading_ahead_ends_the_sync(filed):
    put_and_list(filed, FIRST_KEYS + MAX_KEYS)

    def read_ahead(_order, _run_id):
        raise NotFound("no bucket")

    with pytest.raises(NotFound, match="no bucket"):
        work_off_ahead(filed, lambda order, _: cancel(filed, order), read_ahead)
    assert filed.catalog.batches.live() == []


def test_sources_take_turns_and_others_are_left_alone(world, asked):
    other = world.source.with_changes(id="other", name="other", collection_name="other-texts")
    world.catalog.sources.add(other)
    world.ask("a.txt")
    world.catalog.invocations.request(other, ["b.txt"], trigger=Trigger.API)
    assert hand_on(world, asked, only={"other"}) == 0
    assert hand_on(world, asked) == 1
    assert [order.source.id for order in asked.orders] == [world.source.id]
    assert BATCHES_AT_ONCE > 1


def test_a_reservation_that_nobody_saw_is_asked_for_again_with_its_own_token(world, asked):
    world.bucket.put("a.txt", "text")
    world.listing()
    hand_on(world, asked)
    sources = {world.source.id: world.source}

    def again(state):
        return ask_again(
            world.catalog, asked, sources, clock=world.clock, run_state=lambda *_: state,
            refused=lambda source, error: asked.refused.append((source.id, error.reason)),
        )  # fmt: skip

    assert again("unknown") == 0
    world.clock.seconds += UNSEEN_SECONDS
    assert again("queued") == 0
    assert again("unknown") == 1
    first, second = asked.orders
    assert (first.token, list(first.keys)) == (second.token, list(second.keys))
    # Where it is refused now, those behind are asked for all the same.
    other = world.source.with_changes(id="other", name="other", collection_name="other-texts")
    world.catalog.sources.add(other)
    world.catalog.invocations.request(other, ["b.txt"], trigger=Trigger.API)
    sources[other.id] = other
    world.clock.seconds += 1
    token = world.catalog.batches.reserve(other.id, take=_take()).token
    world.clock.seconds += UNSEEN_SECONDS
    asked.broken = world.source.id
    world.catalog.partitions.dropped(world.source.id, first.keys)
    assert again("unknown") == 1
    assert asked.orders[-1].token == token
    assert asked.refused == [(world.source.id, "unexpected_error")]
    assert [row.source_id for row in world.catalog.batches.live()] == [other.id]


@pytest.mark.parametrize(
    ("state", "dead", "lease", "why"),
    [
        ("ended", None, 0, "its run ended before it started"),
        ("overdue", None, 0, "its run never began"),
        ("queued", None, 0, None),
        ("queued", None, 700, None),
        ("working", None, 700, None),
        ("unknown", None, 599, None),
        ("unknown", None, 601, "its reservation ended"),
    ],
)
def test_which_reservations_are_dead(world, asked, state, dead, lease, why):
    world.ask("a.txt")
    hand_on(world, asked)
    world.clock.seconds += lease
    found = reap(
        world.catalog, clock=world.clock, is_dead=lambda _: dead, run_state=lambda *_: state
    )
    assert [one.why for one in found] == ([why] if why else [])
    if state in ("queued", "working"):
        (row,) = world.catalog.batches.live()
        assert row.lease_until > world.clock.seconds


@pytest.mark.parametrize(
    ("state", "dead", "later", "why"),
    [
        ("unknown", True, 0, "its process ended before it was done"),
        ("unknown", False, 9999, None),
        ("working", None, 0, None),
        ("ended", None, 0, "its run ended"),
        ("ended", False, 0, None),
        ("unknown", None, 119, None),
        ("unknown", None, 121, "its lease ended"),
    ],
)
def test_which_running_batches_are_dead(world, asked, state, dead, later, why):
    world.ask("a.txt")
    hand_on(world, asked)
    world.catalog.batches.start(asked.orders[0].token, owner="w", run_id="r")
    world.clock.seconds += later
    found = reap(
        world.catalog, clock=world.clock, is_dead=lambda _: dead, run_state=lambda *_: state
    )
    assert [one.why for one in found] == ([why] if why else [])
    assert len(world.catalog.batches.live()) == (0 if why else 1)


@pytest.mark.parametrize(
    ("dead", "left", "later", "why"),
    [
        (None, True, SILENT_SECONDS, "its process on another host is gone"),
        (None, True, SILENT_SECONDS - 1, None),  # its lease was renewed: it lives
        (None, False, 119, None),
        (False, True, 119, None),  # this host sees it alive
    ],
)
def test_who_was_seen_to_leave_and_is_silent_is_dead(world, asked, dead, left, later, why):
    world.ask("a.txt")
    hand_on(world, asked)
    world.catalog.batches.start(asked.orders[0].token, owner="w", run_id="r")
    world.clock.seconds += later
    found = reap(
        world.catalog, clock=world.clock, is_dead=lambda _: dead, run_state=lambda *_: "working",
        has_left=lambda owner: left and owner == "w",
    )  # fmt: skip
    assert [one.why for one in found] == ([why] if why else [])


class TestLeasing:
    @pytest.fixture
    def leasing(self, world):
        return Leasing(
            catalog=world.catalog, clock=world.clock, owner="me", run_id="run-1", log=print
        )

    def test_a_reserved_batch_is_started_once_and_by_its_own_run_again(self, world, asked, leasing):
        world.ask("a.txt")
        hand_on(world, asked)
        token = asked.orders[0].token
        assert leasing.reserved(token).keys == ["a.txt"]
        assert leasing.reserved(token).keys == ["a.txt"]

    def test_a_batch_that_another_run_works_on_is_left_to_it(self, world, asked, leasing):
        world.ask("a.txt")
        hand_on(world, asked)
        token = asked.orders[0].token
        world.catalog.batches.start(token, owner="x", run_id="run-2")
        assert leasing.reserved(token).lease is None

    def test_a_batch_that_ended_is_asked_for_anew_by_a_person(self, world, asked, leasing):
        world.ask("a.txt")
        hand_on(world, asked)
        token = asked.orders[0].token
        world.catalog.batches.start(token, owner="x", run_id="run-2")
        world.catalog.batches.finish(token)
        by_hand = replace(leasing, executed_again=True)
        assert by_hand.reserved(token) is None
        assert by_hand.reserved("never-there") is None

    def test_a_late_run_leaves_a_batch_that_another_process_ended(self, world, asked, leasing):
        world.ask("a.txt")
        hand_on(world, asked)
        token = asked.orders[0].token
        world.catalog.batches.start(token, owner="x", run_id="of-sync")
        world.catalog.batches.finish(token)
        assert leasing.reserved(token).lease is None
        assert leasing.reserved("never-there").lease is None
        assert [row.trigger for row in world.catalog.invocations.rows()] == [Trigger.API]

    def test_a_batch_that_was_given_back_is_nobodys(self, world, asked, leasing):
        world.ask("a.txt")
        hand_on(world, asked)
        token = asked.orders[0].token
        world.catalog.batches.release(token, died=False)
        assert leasing.reserved(token).lease is None

    def test_a_person_gets_what_no_other_batch_holds(self, world, asked, leasing):
        world.ask("held.txt")
        hand_on(world, asked)
        leased = leasing.asked(world.source, ["held.txt", "free.txt", "free.txt"], force=True)
        assert list(leased.keys) == ["free.txt"]
        (aside,) = leased.asides
        assert (aside.key, aside.result, aside.reason) == (
            "held.txt", Result.LEFT_TO_RUN, "held"
        )  # fmt: skip
        asked_for = [row for row in world.catalog.invocations.rows() if row.trigger is Trigger.UI]
        assert all(row.force for row in asked_for)

    def test_nothing_asked_is_nothing_leased(self, world, leasing):
        assert leasing.asked(world.source, [], force=False).lease is None

    def test_partitions_nobody_knows_are_told(self, world, leasing):
        shortened = partition_key("\x01" * 1000)
        keys, asides = leasing.of_partitions(world.source, ["a.txt", shortened])
        assert keys == ["a.txt"]
        assert [(one.key, one.result, one.reason) for one in asides] == [
            (shortened, Result.FAILED, "partition_unknown")
        ]


def test_a_batch_that_cannot_go_on_counts_its_attempts_and_rests_in_the_end(world):
    """One policy for keys and for whole batches: what fails at its start is not tried for ever."""
    from s3sync_dagster.engine.batch.lease import Lease
    from s3sync_dagster.engine.batch.run import BatchFailed, BatchRun

    world.bucket.put("a.txt", "text")
    world.listing()
    patience = world.engine().patience

    def broken():
        raise Unavailable("the model's disk is away")

    for _ in range(patience.attempts + 2):
        batch = world.catalog.batches.reserve(world.source.id, take=_take(), owner="w", run_id="r")
        if batch is None:
            break
        run = BatchRun(
            Lease(batch.token, catalog=world.catalog, clock=world.clock),
            world.source,
            catalog=world.catalog,
            clock=world.clock,
            patience=patience,
            open_parts=broken,
        )
        with pytest.raises(BatchFailed) as caught:
            run.extract()
        assert [one.key for one in caught.value.outcomes] == ["a.txt"]
        assert world.catalog.batches.live() == []
        world.clock.seconds += 4000
    assert states(world)["a.txt"] == ("failed", "unavailable")
    [row] = world.catalog.invocations.rows()
    assert row.attempts == patience.attempts


def _take():
    from s3sync_dagster.core.reservation import Take

    return Take()


def test_a_tenant_has_so_many_batches_at_once_and_each_of_its_sources_its_turn(world, asked):
    names = {f"greedy_{number}": "greedy" for number in range(4)} | {"patient": "patient"}
    sources = {}
    for name, tenant in names.items():
        one = replace(world.source, id=name, name=name, tenant=tenant)
        sources[name] = world.catalog.sources.add(one.with_changes(collection_name=name))
        keys = [f"{number}.txt" for number in range(2 * MAX_KEYS)]
        world.catalog.invocations.request_automatic(name, keys, trigger=Trigger.EVENT)
    share = {"greedy": 2, "patient": None}.get
    told = {"refused": lambda _source, error: asked.refused.append(error), "share": share}
    served = []
    for _turn in range(4):
        world.clock.sleep(1)
        dispatch(world.catalog, asked, sources, **told)
        served.append([order.source.name for order in asked.orders])
        asked.orders.clear()
        for row in world.catalog.batches.live():
            if row.source_id != "patient":
                world.catalog.batches.start(row.token, owner="me", run_id="r")
                world.catalog.batches.finish(row.token)
    first, *later = served
    assert sorted(first) == ["greedy_0", "greedy_1", "patient", "patient"]
    assert later == [["greedy_2", "greedy_3"], ["greedy_0", "greedy_1"], ["greedy_2", "greedy_3"]]
    assert asked.refused == []


@pytest.mark.parametrize("runs", [1, 3])
def test_a_source_has_as_many_batches_at_once_as_it_may_and_one_more_for_people(world, asked, runs):
    keys = [f"{number}.txt" for number in range((runs + 1) * MAX_KEYS)]
    world.catalog.invocations.request_automatic(world.source.id, keys, trigger=Trigger.LISTING)
    hand_on(world, asked, runs_of_source=runs)
    assert len(asked.orders) == runs
    world.ask("urgent.txt")
    hand_on(world, asked, runs_of_source=runs)
    [beyond] = asked.orders[runs:]
    assert "urgent.txt" in beyond.keys
