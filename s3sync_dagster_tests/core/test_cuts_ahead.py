"""Documents of a batch are cut ahead of who writes them, but not without an end."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from s3sync_dagster.engine.batch import cut, read, room
from s3sync_dagster.engine.batch.room import BatchRoom, Room, memory_of_chunks
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.engine_fixture import make_world, text_extractor

CHUNKS, DOCUMENTS = 4, 30
TEXT = "text"


def chunk(text):
    return SimpleNamespace(text=text)


CUT = memory_of_chunks([chunk("00-0")] * CHUNKS)
"""Bytes of a document's chunks, about; while it is cut it takes as many here."""


def batch(threads, *, targets=1, most=100 * CUT):
    """Return the parts of a batch that count what is cut, and its deeds."""
    made: list[str] = []

    def chunker(document, *, object_key, **_named):
        made.append(object_key)
        if document.text == "bad":
            raise LimitExceeded("it is", reason="too_many_chunks")
        return [chunk(f"{object_key:>02}-{number}") for number in range(CHUNKS)]

    parts = SimpleNamespace(
        threads=threads,
        chunker=chunker,
        clock=SimpleNamespace(monotonic=lambda: 0.0),
        source=SimpleNamespace(chunking=None),
        embedder=SimpleNamespace(limits=None),
        pool=None,
        room=BatchRoom(Room(most)),
        at=lambda _point: None,
    )
    deeds = [
        SimpleNamespace(
            key=str(number),
            writing=True,
            document=SimpleNamespace(text=TEXT),
            open_targets=(None,) * targets,
        )
        for number in range(DOCUMENTS)
    ]
    return parts, deeds, made


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cut, "CUT_BYTES", CUT // len(TEXT))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("targets", [1, 2])
def test_so_many_chunks_wait_and_the_others_are_cut_in_their_turn(threads, targets):
    parts, deeds, made = batch(threads, targets=targets, most=3 * CUT)
    cuts = cut.cut_batch(parts, deeds)
    assert len(cuts) == DOCUMENTS
    for one in list(cuts._ahead.values()):
        one.result()
    assert len(made) == 3
    for _ in range(targets):
        for deed in reversed(deeds):
            assert cuts.take(deed.key).chunks[0].text == f"{deed.key:>02}-0"
    assert parts.room.held == parts.room.begun == 0
    assert set(made) == {deed.key for deed in deeds}


@pytest.mark.parametrize("threads", [1, 2])
def test_what_cannot_be_cut_says_so_whenever_it_is_asked_for(threads):
    parts, deeds, made = batch(threads)
    deeds[0].document = SimpleNamespace(text="bad")
    cuts = cut.cut_batch(parts, deeds)
    for _ in range(2):
        with pytest.raises(LimitExceeded):
            cuts.take("0")
    assert cuts.take("1").chunks
    cuts.cancel()
    assert made.count("0") == 1
    for one in list(cuts._ahead.values()):
        one.cancelled() or one.exception()
    assert parts.room.begun == 0


class _Line:
    """Cuts a chunk of each character, and counts how many are in the making at once."""

    def __init__(self, together=1):
        self.most = self.now = self.documents = 0
        self.together = threading.Barrier(together)
        self.lock = threading.Lock()

    def __call__(self, document, **_named):
        with self.lock:
            self.now += len(document.text)
            self.documents += 1
            self.most = max(self.most, self.now)
        self.together.wait(timeout=60)
        time.sleep(0.01)
        with self.lock:
            self.now -= len(document.text)
        return [chunk(one) for one in document.text]


def lines(parts, deeds, line, size):
    parts.chunker = line
    for deed in deeds:
        deed.document = SimpleNamespace(text="\n" * size)


LINE = memory_of_chunks([chunk("\n")])


@pytest.fixture
def a_chunk_each(monkeypatch):
    """What is taken for a document while it is cut is what it takes at last."""
    monkeypatch.setattr(cut, "CUT_BYTES", LINE)


@pytest.mark.usefixtures("a_chunk_each")
def test_threads_take_their_part_of_the_bound_before_they_cut():
    parts, deeds, _made = batch(8, most=100 * LINE)
    lines(parts, deeds, line := _Line(), 90)
    cuts = cut.cut_batch(parts, deeds)
    assert sum(one.result() is not None for one in list(cuts._ahead.values())) == 2
    assert parts.room.held == 180 * LINE
    assert line.most == 90


@pytest.mark.usefixtures("a_chunk_each")
def test_small_documents_are_cut_side_by_side():
    parts, deeds, _made = batch(4, most=28 * 25 * LINE)
    del deeds[28:]
    lines(parts, deeds, line := _Line(together=4), 25)  # whose barrier opens for four alone
    cuts = cut.cut_batch(parts, deeds)
    assert all(one.result() is not None for one in list(cuts._ahead.values()))
    assert line.most == 100


@pytest.mark.usefixtures("a_chunk_each")
@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("size", [30, 99, 500])
@pytest.mark.parametrize("texts", [0, 60, 200])
def test_whoever_writes_waits_for_no_room_that_he_alone_makes(threads, size, texts):
    parts, deeds, _made = batch(threads, targets=2, most=100 * LINE)
    parts.room.hold(texts * LINE)
    beside = BatchRoom(parts.room.room)
    beside.hold(20 * LINE)  # and another batch is read
    beside.begin_now(20 * LINE)
    lines(parts, deeds, line := _Line(), size)
    cuts = cut.cut_batch(parts, deeds)
    with ThreadPoolExecutor(1) as writer:
        for order in (deeds, list(reversed(deeds))):
            for deed in order:
                assert len(writer.submit(cuts.take, deed.key).result(timeout=60).chunks) == size
    assert (parts.room.held, parts.room.begun) == (texts * LINE, 0)
    assert line.most <= max(100, size)


@pytest.mark.usefixtures("a_chunk_each")
def test_what_is_cancelled_while_it_waits_for_room_is_not_cut():
    parts, deeds, _made = batch(8, most=15 * LINE)
    lines(parts, deeds, line := _Line(together=2), 10)  # the first waits for this test
    cuts = cut.cut_batch(parts, deeds)
    while not line.documents:
        time.sleep(0.001)
    ahead = list(cuts._ahead.values())
    cuts.cancel()
    parts.room.close()
    line.together.wait(timeout=60)
    assert sum(not one.cancelled() and one.result() is not None for one in ahead) == 1
    assert line.documents == 1
    assert (parts.room.held, parts.room.begun) == (0, 0)


@pytest.mark.parametrize(("sign", "held"), [("x", 1000), ("\U0001f600", 5000)])
def test_a_batch_holds_so_much_text_and_gives_the_other_keys_back(monkeypatch, sign, held):
    """Nobody has told how large they are: a listing has not met them."""
    monkeypatch.setattr(room, "MOST_BYTES", held)
    world = make_world()
    keys = [f"{number}.txt" for number in range(5 * read.BEGUN_AT_ONCE)]
    for key in keys:
        world.bucket.put(key, sign + "x" * 99)
    world.catalog.invocations.request(world.source, keys, trigger=Trigger.API)
    read_so_far: list[str] = []

    def extractor(content, *, name, **named):
        read_so_far.append(name)
        return text_extractor(content, name=name, **named)

    taken: list[int] = []
    world.at = lambda point: taken.append(len(read_so_far)) if point == "chunked" else None
    world.run_batches(extractor=extractor)
    assert len(world.texts()) == len(keys)
    assert sorted(read_so_far) == sorted(keys)
    size = sys.getsizeof(sign + "x" * 99)
    together = [b - a for a, b in zip([0, *taken], taken, strict=False)]
    assert max(together) == -(-held // size) < read.BEGUN_AT_ONCE
