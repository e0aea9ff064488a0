"""A dry run tells what the next sync then does, and reads no object."""

import pytest

from s3sync_dagster.core.estimate import Estimate, estimate
from s3sync_dagster.engine.dry_run import SHOWN_KEYS, dry_run
from s3sync_dagster.model.source import ChunkingConfig, DeleteMode, EmbeddingConfig
from s3sync_dagster_tests.core.rules import requests, sidecar


def told(world):
    return dry_run(world.source, catalog=world.catalog, store=world.store)


def test_new_objects_would_be_read_with_their_bytes(world):
    world.bucket.put("a.txt", "x" * 2000)
    world.bucket.put("b.pdf", "y" * 20_000)
    found = told(world)
    assert (found.listed, found.indexed, found.bytes) == (2, 2, 22_000)
    assert (found.estimated_chunks, found.estimated_text_bytes) == (4 + 4, 2000 + 2000)
    assert found.estimated_tokens == 1212
    assert requests(world, "GET") == 0
    assert not found.needs_approval


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, 16),
        ({"embedding": EmbeddingConfig(kind="openai", model="m", endpoint_url="http://h")}, 8),
        ({"chunking": ChunkingConfig(max_size_bytes=4096)}, 4),
        ({"chunking": ChunkingConfig(type="lines", max_lines=5)}, 51),
    ],
)
def test_texts_to_embed_follow_the_size_of_chunks(world, changes, texts):
    source = world.source.with_changes(**changes)
    assert estimate(source, [("a.txt", 10_000), ("b.txt", -1)]).texts == texts + 1


def test_what_is_rough_is_said_with_two_digits_and_the_price_that_a_person_gave():
    found = Estimate(texts=12_345, text_bytes=9_876_543)
    told = "about 12,000 texts, 9,900,000 bytes, 3,000,000 tokens"
    assert found.told(price=None) == told
    assert found.told(price=0.02) == f"{told}, 0.06 at 0.02 a million tokens"
    assert found.times(2).tokens == 5_985_784


def test_nothing_would_be_read_of_what_is_as_it_was(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("b.txt", "BAD")
    world.sync()
    found = told(world)
    assert (found.listed, found.unchanged, found.bytes) == (2, 1, 0)
    assert found.failed == {"damaged": 1}


def test_what_changed_would_be_read_again(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    world.bucket.put("a.txt", "other text")
    found = told(world)
    assert (found.updated, found.indexed, found.bytes) == (1, 0, 10)


def test_what_was_indexed_once_stays_as_it_is_in_append_mode(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    world.configure(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "other text")
    found = told(world)
    assert found.skipped == {"changed_in_append_mode": 1}
    assert (found.updated, found.bytes, found.removed) == (0, 0, 0)


def test_the_first_of_those_that_would_be_read_are_named(world):
    for n in range(SHOWN_KEYS):
        world.bucket.put(f"a{n:03}.txt", "text")
    world.sync()
    assert told(world).keys == []
    world.bucket.put("a007.txt", "other text")
    for n in range(SHOWN_KEYS + 1):
        world.bucket.put(f"b{n:03}.txt", "text")
    found = told(world)
    assert found.keys == ["a007.txt", *(f"b{n:03}.txt" for n in range(SHOWN_KEYS - 1))]
    assert found.updated + found.indexed == SHOWN_KEYS + 2


def test_what_waits_for_its_turn_would_be_read(world):
    world.bucket.put("a.txt", "text")
    world.listing()
    found = told(world)
    assert (found.retried, found.bytes) == (1, 4)


def test_what_is_gone_would_be_removed_and_the_guard_is_asked(world):
    for n in range(20):
        world.bucket.put(f"{n}.txt", "text")
    world.sync()
    world.bucket.delete("0.txt")
    found = told(world)
    assert (found.removed, found.needs_approval) == (1, False)
    for n in range(1, 20):
        world.bucket.delete(f"{n}.txt")
    found = told(world)
    assert (found.listed, found.removed, found.needs_approval) == (0, 20, True)


def test_sidecars_are_counted_apart(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt"))
    found = told(world)
    assert (found.indexed, found.skipped) == (1, {"sidecar": 1})
