"""Two batches of a process have one room: none is cut off from it, and no two have it twice."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.room import BatchRoom, NoRoom, Room, Share
from s3sync_dagster.engine.batch.run import BatchFailed, BatchRun
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster_tests.engine_fixture import make_world

SECONDS = 120


def test_what_one_batch_holds_the_other_has_not():
    room = Room(100)
    first, second = BatchRoom(room), BatchRoom(room)
    first.hold(95)
    with Share(second) as share:
        share.wait(5)
        share.keep(5)
    with pytest.raises(NoRoom), Share(second):
        pass
    first.close()
    with Share(second) as share:
        share.wait(90)
    assert (room.held, room.begun) == (5, 0)


def test_who_holds_nothing_waits_for_the_batch_before_and_then_one_goes_on():
    room = Room(100)
    first, second = BatchRoom(room), BatchRoom(room)
    first.hold(100)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(second.wait_for_others, seconds=SECONDS)
        assert not waiting.done()
        first.give_back(1)
        waiting.result(timeout=SECONDS)
    first.hold(1)
    second.wait_for_others(seconds=0.01)  # it does not end: one document goes on, and no more
    with Share(second) as one, Share(second) as other:
        one.wait(10)
        one.keep(10)
        with pytest.raises(NoRoom):
            other.wait(10)


def test_so_many_are_read_at_once_of_which_nobody_knows_how_large_they_will_be():
    batch = BatchRoom(Room(1000, unknown_at_once=2))
    began = [threading.Event() for _ in range(3)]
    goes_on = [threading.Event() for _ in range(3)]

    def read(number):
        with Share(batch) as share:
            share.wait(None)
            began[number].set()
            assert goes_on[number].wait(SECONDS)
            share.found(10)
            if number == 0:  # its pictures are looked at
                assert goes_on[1].wait(SECONDS)
            share.keep(10)

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(read, 0)
        assert began[0].wait(SECONDS)
        second = threads.submit(read, 1)
        assert began[1].wait(SECONDS)
        third = threads.submit(read, 2)
        assert not began[2].wait(0.05)
        goes_on[0].set()
        assert began[2].wait(SECONDS)
        for one in goes_on:
            one.set()
        for one in (first, second, third):
            one.result(timeout=SECONDS)
    assert (batch.room.held, batch.room.begun, batch.room.unknown) == (30, 0, 0)


def test_what_is_taken_for_one_of_which_nobody_knows_is_as_much_as_the_largest_so_far():
    batch = BatchRoom(Room(100, unknown_at_once=2))
    with Share(batch) as share:
        share.wait(None)
        share.keep(60)
    with Share(batch) as second, Share(batch) as third:
        second.wait(None)
        assert batch.begun == 60
        second.keep(60)
        with pytest.raises(NoRoom):
            third.wait(None)


def unfolds(size):
    """Return an extractor of small files that unfold, and how often it was at work."""
    made: list[str] = []

    def extractor(content, *, name, room, **_named):
        room.wait(None)
        made.append(name)
        return Document(text=content.decode() + " word" * (size // 5), format="text")

    return extractor, made


def batches_of(world, room, **parts):
    """Yield the source's batches one after the other, as its runs have them."""
    batches, take = world.catalog.batches, Take()
    while batch := batches.reserve(world.source.id, take=take, owner="test", run_id="run"):
        lease = Lease(batch.token, catalog=world.catalog, clock=world.clock)
        made = world.engine(room=BatchRoom(room), **parts)
        yield BatchRun(
            lease,
            world.source,
            catalog=world.catalog,
            clock=world.clock,
            patience=made.patience,
            open_parts=lambda made=made: made,
        )


@pytest.mark.parametrize("size", [100, 3000, 15_000])
def test_many_documents_and_hardly_any_room_come_to_an_end_while_the_next_batch_is_read(
    size, tmp_path
):
    """Some are larger than the room alone; each is read once, but for one of each group."""
    world = make_world(url=f"sqlite:///{tmp_path}/catalog.db")
    for number in range(40):
        world.bucket.put(f"{number}.xlsx", str(number))
    world.listing()
    extractor, made = unfolds(size)
    room = Room(10_000, unknown_at_once=1)
    runs = batches_of(world, room, extractor=extractor, threads=8)
    held: list[int] = []
    with ThreadPoolExecutor(1) as ahead:
        run = next(runs, None)
        if run is not None:
            run.extract()
        while run is not None:
            run.chunk()
            held.append(room.held)
            coming = ahead.submit(_read_next, runs)
            run.upsert()
            run = coming.result(timeout=SECONDS)
    assert len(world.texts()) == 40
    assert len(made) == 40
    one = sys.getsizeof("0" + " word" * (size // 5))
    assert max(held) < 10_000 + 2 * one + 2000
    assert (room.held, room.begun, room.unknown, room.beyond) == (0, 0, 0, None)


def _read_next(runs):
    run = next(runs, None)
    if run is not None:
        run.extract()
    return run


def _work(run):
    run.extract()
    run.chunk()
    run.upsert()


@pytest.mark.parametrize("step", ["begun", "chunked", "before_embed"])
def test_a_batch_that_ends_in_an_error_gives_all_back(step):
    world = make_world()
    for number in range(5):
        world.bucket.put(f"{number}.xlsx", str(number))
    world.listing()

    def at(point):
        if point == step:
            raise Unavailable("not now")

    world.at = at
    room = Room(10_000)
    run = next(batches_of(world, room, extractor=unfolds(100)[0]))
    with pytest.raises(BatchFailed):
        _work(run)
    assert (room.held, room.begun) == (0, 0)
