"""A document of very many records is embedded as a whole, never beside another large one."""

import gc

import numpy as np
import pytest

from s3sync_dagster.engine.batch import groups, room
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LimitExceeded, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.engine_fixture import make_world

PART, RECORDS = 10, 95


class Failing:
    """A model that takes so many texts at once, and may fail at one."""

    def __init__(self, embedder):
        self._embedder = embedder
        self.error = None

    def __getattr__(self, name):
        return getattr(self._embedder, name)

    def embed_documents(self, texts):
        parts = [texts[start : start + PART] for start in range(0, len(texts), PART)]
        made = []
        for part in parts:
            if self.error and any(f"text {RECORDS // 2} " in one for one in part):
                raise self.error
            made.append(self._embedder.embed_documents(part))
        return np.concatenate(made)


@pytest.fixture
def world(monkeypatch):
    # For one such document: the next has no room beside it.
    monkeypatch.setattr(room, "MOST_BYTES", 300_000)
    world = make_world()
    world.collections = MemoryCollections(write_limits=WriteLimits(max_records=PART))
    world.embedder = Failing(world.embedder)
    return world


def large(name):
    return "\n\n".join(f"text {number} of {name}" for number in range(RECORDS))


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


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("error", [Unavailable("not now"), LimitExceeded("no", reason="refused")])
def test_what_a_model_does_not_make_half_way_leaves_the_text_that_stands(world, error, mode):
    world.configure(mode=mode)
    world.bucket.put("a.txt", large("a"))
    world.sync()
    before = world.texts()
    world.bucket.put("a.txt", large("a").replace("text", "new text"))
    world.bucket.put("b.txt", "small")
    world.embedder.error = error
    states = world.sync()
    assert states["b.txt"] == "indexed"
    assert states["a.txt"] != "indexed" or mode is DeleteMode.APPEND
    stands = {name: text for name, text in world.texts().items() if text != "small"}
    # What the model refuses is the bytes' fault: these texts go, where a mode does not keep them.
    assert stands == before or (mode is DeleteMode.MIRROR and isinstance(error, LimitExceeded))
    world.embedder.error = None
    world.clock.seconds += 7 * 86_400
    world.ask("a.txt", force=True)
    world.run_batches()
    assert sum(text.startswith("new text") for text in world.texts().values()) == RECORDS
