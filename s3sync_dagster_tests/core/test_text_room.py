"""The text of a batch's documents has a room: who finds none goes back, and each has its turn."""

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch import room as rooms
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.room import BatchRoom, NoRoom, Share
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.engine_fixture import make_world


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(rooms, "MOST_BYTES", 100)


def test_what_is_read_stays_and_what_is_not_kept_is_given_back():
    room = BatchRoom()
    with Share(room) as share:
        share.wait(90)
        share.keep(20)
    with Share(room) as share:
        share.take(80)
    assert (room.held, room.begun) == (20, 0)


def test_what_was_held_for_a_while_is_given_back_before_its_document_is_known():
    room = BatchRoom()
    with Share(room) as share:
        share.wait(None)
        share.take(30)
        share.take(50)
        share.give_back(50)
        share.found(10)  # in place of what was guessed, and of nothing else
        assert (room.begun, room.room.unknown) == (40, 0)
        share.keep(35)
    assert (room.held, room.begun) == (35, 0)


def test_no_more_is_begun_once_enough_is_held():
    room = BatchRoom()
    with Share(room) as share:
        share.keep(100)
    with pytest.raises(NoRoom), Share(room):
        pass


def test_what_turns_out_too_large_beside_enough_is_let_go_of():
    room = BatchRoom()
    with Share(room) as first, Share(room) as second:
        first.keep(100)
        with pytest.raises(NoRoom):
            second.keep(1)
    assert (room.held, room.begun) == (100, 0)


def test_one_at_a_time_goes_beyond_the_bound():
    room = BatchRoom()
    with Share(room) as small, Share(room) as large, Share(room) as other:
        small.take(10)
        large.take(95)
        with pytest.raises(NoRoom):
            other.take(95)
        with pytest.raises(NoRoom):
            small.take(1)
        large.take(500)
        large.keep(600)
    assert (room.held, room.begun, room.room.beyond) == (600, 0, None)


def test_who_has_nothing_yet_waits_for_what_the_others_have_begun():
    room = BatchRoom()
    took = threading.Event()

    def read():
        with Share(room) as share:
            share.wait(70)
            took.set()
            share.keep(1)

    with ThreadPoolExecutor(1) as threads:
        with Share(room) as first, Share(room) as beyond:
            first.take(60)
            beyond.take(70)
            reading = threads.submit(read)
            assert not took.wait(0.05)
        reading.result(timeout=60)
    assert room.held == 1


def test_who_waits_is_told_when_enough_is_held():
    room = BatchRoom()

    def read():
        with Share(room) as share:
            share.wait(70)

    with ThreadPoolExecutor(1) as threads, Share(room) as first:
        first.take(160)
        reading = threads.submit(read)
        first.keep(100)
        with pytest.raises(NoRoom):
            reading.result(timeout=60)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_read_side_by_side_the_sum_is_bounded_and_all_are_read_in_the_end(seed):
    """Each document takes its memory step by step, as a mail does, or at once."""
    chance = random.Random(seed)
    left = [
        (number, [chance.choice((1, 5, 30, 120)) for _ in range(chance.randint(1, 4))])
        for number in range(60)
    ]
    largest = max(sum(steps) for _, steps in left)
    seen: list[int] = []
    while left:
        room = BatchRoom()

        def read(document, room=room):
            _, steps = document
            try:
                with Share(room) as share:
                    share.wait(steps[0])
                    for step in steps[1:]:
                        share.take(step)
                    with room.changed:
                        seen.append(room.held + room.begun)
                    share.keep(sum(steps))
            except NoRoom:
                return document
            return None

        with ThreadPoolExecutor(8) as threads:
            rest = [one for one in threads.map(read, left) if one is not None]
        assert len(rest) < len(left)
        assert room.begun == 0
        left = rest
    assert max(seen) < 100 + 2 * largest


def test_small_objects_that_unfold_go_back_and_each_is_read_once(monkeypatch):
    """A bucket says how large they are, and nothing of what they unfold to."""
    monkeypatch.setattr(rooms, "MOST_BYTES", 10_000)
    world = make_world()
    keys = [f"{number}.xlsx" for number in range(40)]
    for key in keys:
        world.bucket.put(key, key.encode())
    world.catalog.invocations.request(world.source, keys, trigger=Trigger.API)
    held: list[list[int]] = []

    def unfolds(content, *, room, **_named):
        text = content.decode() + " word" * 1000
        room.take(sys.getsizeof(text))
        held[-1].append(sys.getsizeof(text))
        return Document(text=text, format="text")

    world.at = lambda point: held.append([]) if point == "begun" else None
    world.run_batches(extractor=unfolds)
    assert len(world.texts()) == len(keys)
    assert max(map(sum, held)) < 10_000 + max(map(max, held))
    assert sum(map(len, held)) == len(keys)


def test_who_went_back_is_begun_before_who_came_later(monkeypatch):
    """Also where what came later sorts before it, and fills the room each time."""
    monkeypatch.setattr(rooms, "MOST_BYTES", 10_000)
    world = make_world()
    read: list[str] = []

    def unfolds(content, *, name, **_named):
        read.append(name)
        return Document(text=content.decode() + " word" * 1000, format="text")

    came = [[f"{folder}/{number}.xlsx" for number in range(4)] for folder in (3, 2, 1)]
    came[0].append("z.xlsx")
    for keys in came:
        for key in keys:
            world.bucket.put(key, key.encode())
        world.listing()
        if keys is came[1]:
            world.ask("z.xlsx")
        batch = world.catalog.batches.reserve(
            world.source.id, take=Take(), owner="test", run_id="run"
        )
        assert batch is not None
        sync_batch(
            world.engine(extractor=unfolds),
            Lease(batch.token, catalog=world.catalog, clock=world.clock),
        )
    world.run_batches(extractor=unfolds)
    kept = [key for key in dict.fromkeys(read) if key != "z.xlsx"]
    assert kept == [key for keys in came for key in keys if key != "z.xlsx"]
    assert read.index("z.xlsx") < read.index("3/3.xlsx")
    assert len(world.texts()) == 13


@pytest.mark.parametrize("beside", ["labels", "warnings"])
def test_what_stands_beside_a_text_counts_as_well(monkeypatch, beside):
    monkeypatch.setattr(rooms, "MOST_BYTES", 10_000)
    world = make_world()
    keys = [f"{number}.xlsx" for number in range(40)]
    for key in keys:
        world.bucket.put(key, key.encode())
    world.catalog.invocations.request(world.source, keys, trigger=Trigger.API)
    kept: list[int] = []
    keep = Share.keep
    monkeypatch.setattr(Share, "keep", lambda share, size: (kept.append(size), keep(share, size)))

    def named_at_length(content, **_named):
        said = content.decode() + "x" * 5000
        if beside == "warnings":
            return Document(text="few words", format="text", warnings=(said,))
        return Document(text="few words", format="text", pages=(Page(start=0, label=said),))

    world.run_batches(extractor=named_at_length)
    assert len(world.texts()) == len(keys)
    assert min(kept) > 5000
