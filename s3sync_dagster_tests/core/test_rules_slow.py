"""Documents that take all of their time: their run ends soon all the same, and they are proven."""

import pytest

from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster_tests.engine_fixture import make_world

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


def test_each_document_that_never_ends_is_proven_and_then_left_alone(world):
    """However many there are: they keep neither the others waiting nor a processor for ever."""
    never = {f"{number:02}.html" for number in range(0, 12, 2)}
    extractor, began = slow(world, 60, ends=lambda name: name not in never)
    world.run_batches(extractor=extractor, take_seconds=TAKE_SECONDS)
    assert len(world.texts()) == 6
    for name, moments in began.items():
        assert len(moments) == (3 if name in never else 1)
    world.clock.seconds += 86_400
    world.listing()
    world.run_batches(extractor=extractor, take_seconds=TAKE_SECONDS)
    assert sum(map(len, began.values())) == 3 * 6 + 6
