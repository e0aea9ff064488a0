"""Documents of a batch are cut ahead of who writes them, but not without an end."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from s3sync_dagster.engine.batch import cut, read, room
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.engine_fixture import make_world, paragraph_chunker

CHUNKS, DOCUMENTS = 4, 30


def batch(threads, *, targets=1):
    """Return the parts of a batch that count what is cut, and its deeds."""
    made: list[str] = []

    def chunker(document, *, object_key, **_named):
        made.append(object_key)
        if document.text == "bad":
            raise LimitExceeded("it is", reason="too_many_chunks")
        return [f"{object_key}-{number}" for number in range(CHUNKS)]

    parts = SimpleNamespace(
        threads=threads,
        chunker=chunker,
        clock=SimpleNamespace(monotonic=lambda: 0.0),
        source=SimpleNamespace(chunking=None),
        embedder=SimpleNamespace(limits=None),
        pool=None,
        at=lambda _point: None,
    )
    deeds = [
        SimpleNamespace(
            key=str(number),
            writing=True,
            document=SimpleNamespace(text="text"),
            open_targets=(None,) * targets,
        )
        for number in range(DOCUMENTS)
    ]
    return parts, deeds, made


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("targets", [1, 2])
def test_so_many_chunks_wait_and_the_others_are_cut_in_their_turn(monkeypatch, threads, targets):
    monkeypatch.setattr(cut, "AHEAD_CHUNKS", 10)
    parts, deeds, made = batch(threads, targets=targets)
    cuts = cut.cut_batch(parts, deeds)
    assert len(cuts) == DOCUMENTS
    for one in list(cuts._ahead.values()):
        one.result()
    assert 3 <= len(made) <= 2 + threads  # the last of each thread was begun below the bound
    for _ in range(targets):
        for deed in reversed(deeds):
            assert cuts.take(deed.key).chunks[0] == f"{deed.key}-0"
    assert cuts._held == 0
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
        return list(document.text)


def lines(parts, deeds, line, size):
    parts.chunker = line
    for deed in deeds:
        deed.document = SimpleNamespace(text="\n" * size)


def test_threads_take_their_part_of_the_bound_before_they_cut(monkeypatch):
    monkeypatch.setattr(cut, "AHEAD_CHUNKS", 100)
    monkeypatch.setattr(cut, "CUT_AT_ONCE", 100)
    parts, deeds, _made = batch(8)
    lines(parts, deeds, line := _Line(), 90)
    cuts = cut.cut_batch(parts, deeds)
    assert sum(one.result() is not None for one in list(cuts._ahead.values())) == 2
    assert cuts._held == 180
    assert line.most == 90


def test_small_documents_are_cut_side_by_side(monkeypatch):
    monkeypatch.setattr(cut, "CUT_AT_ONCE", 100)
    parts, deeds, _made = batch(4)
    del deeds[28:]
    lines(parts, deeds, line := _Line(together=4), 25)  # whose barrier opens for four alone
    cuts = cut.cut_batch(parts, deeds)
    assert all(one.result() is not None for one in list(cuts._ahead.values()))
    assert line.most == 100


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("size", [30, 99, 500])
def test_whoever_writes_waits_for_no_room_that_he_alone_makes(monkeypatch, threads, size):
    monkeypatch.setattr(cut, "AHEAD_CHUNKS", 100)
    monkeypatch.setattr(cut, "CUT_AT_ONCE", 100)
    parts, deeds, _made = batch(threads, targets=2)
    lines(parts, deeds, line := _Line(), size)
    cuts = cut.cut_batch(parts, deeds)
    with ThreadPoolExecutor(1) as writer:
        for order in (deeds, list(reversed(deeds))):
            for deed in order:
                assert len(writer.submit(cuts.take, deed.key).result(timeout=60).chunks) == size
    assert cuts._held == cuts._under_way == 0
    assert line.most <= max(100, size)


def test_what_is_cancelled_while_it_waits_for_room_is_not_cut(monkeypatch):
    monkeypatch.setattr(cut, "CUT_AT_ONCE", 10)
    parts, deeds, _made = batch(8)
    lines(parts, deeds, line := _Line(together=2), 10)  # the first waits for this test
    cuts = cut.cut_batch(parts, deeds)
    while not line.documents:
        time.sleep(0.001)
    ahead = list(cuts._ahead.values())
    cuts.cancel()
    line.together.wait(timeout=60)
    assert sum(not one.cancelled() and one.result() is not None for one in ahead) == 1
    assert line.documents == 1


@pytest.mark.parametrize(("sign", "held"), [("x", 1000), ("\U0001f600", 5000)])
def test_a_batch_holds_so_much_text_and_gives_the_other_keys_back(monkeypatch, sign, held):
    """Nobody has told how large they are: a listing has not met them."""
    monkeypatch.setattr(room, "HELD_BYTES", held)
    world = make_world()
    keys = [f"{number}.txt" for number in range(5 * read.BEGUN_AT_ONCE)]
    for key in keys:
        world.bucket.put(key, sign + "x" * 99)
    world.catalog.invocations.request(world.source, keys, trigger=Trigger.API)
    cut_so_far: list[int] = []

    def chunker(document, **named):
        cut_so_far.append(len(document.text))
        return paragraph_chunker(document, **named)

    taken: list[int] = []
    world.at = lambda point: taken.append(len(cut_so_far)) if point == "chunked" else None
    world.run_batches(chunker=chunker)
    assert len(world.texts()) == len(keys)
    ends = [0, *taken]
    size = sys.getsizeof(sign + "x" * 99)
    together = [b - a for a, b in zip(ends, taken, strict=False)]
    assert max(together) == -(-held // size) < read.BEGUN_AT_ONCE
