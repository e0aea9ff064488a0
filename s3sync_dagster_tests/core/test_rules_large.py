"""A document of very many records is written part by part, and never beside another large one."""

import gc

import pytest

from s3sync_dagster.engine.batch import groups, write
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LimitExceeded, Unavailable
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.engine_fixture import make_world

PART, RECORDS = 10, 95


class Counting:
    """A model that counts what it is given at once, and may fail at a text."""

    def __init__(self, embedder):
        self._embedder = embedder
        self.sizes: list[int] = []
        self.error = None

    def __getattr__(self, name):
        return getattr(self._embedder, name)

    def embed_documents(self, texts):
        self.sizes.append(len(texts))
        if self.error and any(f"text {RECORDS // 2} " in one for one in texts):
            raise self.error
        return self._embedder.embed_documents(texts)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(write, "LARGE_RECORDS", 50)
    world = make_world()
    world.collections = MemoryCollections(write_limits=WriteLimits(max_records=PART))
    world.embedder = Counting(world.embedder)
    return world


def large(name):
    return "\n\n".join(f"text {number} of {name}" for number in range(RECORDS))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_large_document_is_embedded_part_by_part(world, threads):
    for name in ("a", "b", "c"):
        world.bucket.put(f"{name}.txt", large(name))
    world.listing()
    assert {one.state for one in world.run_batches(threads=threads)} == {"indexed"}
    assert len(world.texts()) == 3 * RECORDS
    assert max(world.embedder.sizes) == PART
    assert sum(world.embedder.sizes) == 3 * RECORDS


@pytest.mark.parametrize("threads", [1, 4])
def test_the_next_large_document_is_made_when_the_last_one_is_written(world, monkeypatch, threads):
    alive: list[int] = []
    build = groups.build_records

    def counted(*args, **named):
        records = build(*args, **named)
        gc.collect()
        alive.append(sum(type(one) is Record for one in gc.get_objects()))
        return records

    monkeypatch.setattr(groups, "build_records", counted)
    for number in range(5):
        world.bucket.put(f"{number}.txt", large(str(number)))
    world.listing()
    gc.collect()
    before = sum(type(one) is Record for one in gc.get_objects())
    assert {one.state for one in world.run_batches(threads=threads)} == {"indexed"}
    assert len(alive) == 5
    assert max(alive) - before <= RECORDS


@pytest.mark.parametrize("error", [Unavailable("not now"), LimitExceeded("no", reason="refused")])
def test_what_fails_half_way_is_no_whole_document(world, error):
    world.bucket.put("a.txt", large("a"))
    world.bucket.put("b.txt", "small")
    world.embedder.error = error
    states = world.sync()
    assert states["b.txt"] == "indexed"
    assert states["a.txt"] != "indexed"
    world.embedder.error = None
    world.clock.seconds += 7 * 86_400
    world.ask("a.txt", force=True)
    assert [one.state for one in world.run_batches()] == ["indexed"]
    assert len(world.texts()) == RECORDS + 1
