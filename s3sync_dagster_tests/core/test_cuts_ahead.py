"""Documents of a batch are cut ahead of who writes them, but not without an end."""

from types import SimpleNamespace

import pytest

from s3sync_dagster.engine.batch import cut, read
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.engine_fixture import make_world, paragraph_chunker

CHUNKS, DOCUMENTS = 4, 30


def batch(threads, *, targets=1):
    """Return the parts of a batch that count what is cut, and its deeds."""
    made: list[str] = []

    def chunker(document, *, object_key, **_named):
        made.append(object_key)
        if document == "bad":
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
            key=str(number), writing=True, document="text", open_targets=(None,) * targets
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
    deeds[0].document = "bad"
    cuts = cut.cut_batch(parts, deeds)
    for _ in range(2):
        with pytest.raises(LimitExceeded):
            cuts.take("0")
    assert cuts.take("1").chunks
    cuts.cancel()
    assert made.count("0") == 1


def test_a_batch_holds_so_much_text_and_gives_the_other_keys_back(monkeypatch):
    """Nobody has told how large they are: a listing has not met them."""
    monkeypatch.setattr(read, "HELD_CHARACTERS", 1000)
    world = make_world()
    keys = [f"{number}.txt" for number in range(5 * read.BEGUN_AT_ONCE)]
    for key in keys:
        world.bucket.put(key, "x" * 100)
    world.catalog.invocations.request(world.source, keys, trigger=Trigger.API)
    held: list[int] = []

    def chunker(document, **named):
        held.append(len(document.text))
        return paragraph_chunker(document, **named)

    taken: list[int] = []
    world.at = lambda point: taken.append(len(held)) if point == "chunked" else None
    world.run_batches(chunker=chunker)
    assert len(world.texts()) == len(keys)
    ends = [0, *taken]
    assert max(b - a for a, b in zip(ends, taken, strict=False)) == read.BEGUN_AT_ONCE
