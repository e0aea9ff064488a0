"""Documents that take all of their time: their run ends soon all the same, and they are proven."""

import threading

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.engine_fixture import make_world

SECONDS = 120
TAKE_SECONDS = 300.0


@pytest.fixture
def world():
    world = make_world()
    for number in range(12):
        world.bucket.put(f"{number:02}.html", f"words {number}")
    world.listing()
    return world


def slow(world, seconds, *, ends):
    """Return an extractor that takes so long, and the moments at which it began a document."""
    began: dict[str, list[float]] = {}

    def extractor(content, *, name, **_named):
        began.setdefault(name, []).append(world.clock.monotonic())
        if not ends(name):
            world.clock.seconds += seconds
            raise LimitExceeded("Reading this takes longer than that.", reason="timeout")
        return Document(text=content.decode(), format="text")

    return extractor, began


def test_none_of_a_group_is_begun_after_the_time_of_its_run(world):
    def extractor(content, **_named):
        began.append(world.clock.monotonic())
        world.clock.seconds += 100
        return Document(text=content.decode(), format="text")

    began: list[float] = []
    ends: list[int] = []
    world.at = lambda point: ends.append(len(began)) if point == "chunked" else None
    world.run_batches(extractor=extractor, take_seconds=TAKE_SECONDS)
    assert len(world.texts()) == len(began) == 12
    for first, end in zip([0, *ends], ends, strict=False):
        assert 0 < end - first <= 4
        assert began[end - 1] - began[first] <= TAKE_SECONDS


@pytest.mark.parametrize("take_seconds", [3.0, TAKE_SECONDS])
@pytest.mark.parametrize("seconds", [60, 151, 300])
def test_each_document_that_never_ends_is_proven_and_then_left_alone(world, seconds, take_seconds):
    """However many there are: they keep neither the others waiting nor a processor for ever.

    Nor however long each takes beside the time of a batch, which is short where ``sync`` works.
    """
    never = {f"{number:02}.html" for number in range(0, 12, 2)}
    extractor, began = slow(world, seconds, ends=lambda name: name not in never)
    world.run_batches(extractor=extractor, take_seconds=take_seconds)
    assert len(world.texts()) == 6
    for name, moments in began.items():
        assert len(moments) == (3 if name in never else 1)
    world.clock.seconds += 86_400
    world.listing()
    world.run_batches(extractor=extractor, take_seconds=take_seconds)
    assert sum(map(len, began.values())) == 3 * 6 + 6


def test_one_at_a_time_is_proven_when_time_is_up_and_nobody_waits_for_it(world):
    """What was not read has gone back by then; others that took as long are tried again later."""
    for number in range(12, 30):
        world.bucket.put(f"{number:02}.html", f"words {number}")
    world.listing()
    together, lock = threading.Barrier(4), threading.Lock()
    began: list[str] = []
    held: list[list[str]] = []

    def extractor(content, *, name, **_named):
        began.append(name)
        if name >= "04.html":
            return Document(text=content.decode(), format="text")
        if not held:  # all four of them are under way before the first gives up
            together.wait(SECONDS)
        with lock:
            world.clock.seconds += TAKE_SECONDS + 1
        raise LimitExceeded("Reading this takes longer than that.", reason="timeout")

    def at(point):
        if point == "alone":
            held.append([facts.key for facts in world.catalog.work.load(batch.token)])

    world.at = at
    batch = world.catalog.batches.reserve(world.source.id, take=Take(), owner="test", run_id="run")
    lease = Lease(batch.token, catalog=world.catalog, clock=world.clock)
    parts = world.engine(extractor=extractor, threads=4, take_seconds=TAKE_SECONDS)
    sync_batch(parts, lease)
    slowest = [f"{number:02}.html" for number in range(4)]
    assert sorted(began) == sorted([*slowest, "00.html", "00.html"])
    assert held == [slowest] * 2
    assert {name for name, state in states(world).items() if state == ("failed", "timeout")} == {
        "00.html"
    }
    world.at = None
    for _ in slowest:
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(extractor=extractor, take_seconds=TAKE_SECONDS)
    assert len(world.texts()) == 26
    assert all(states(world)[name] == ("failed", "timeout") for name in slowest)
    assert [began.count(name) for name in slowest] == [3, 4, 4, 4]
