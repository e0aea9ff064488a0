"""A dry run tells what the next sync then does, and reads no object."""

from s3sync_dagster.engine.dry_run import OTHER_BYTES_A_CHUNK, TEXT_BYTES_A_CHUNK, dry_run
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import requests, sidecar


def told(world):
    return dry_run(world.source, catalog=world.catalog, store=world.store)


def test_new_objects_would_be_read_with_their_bytes(world):
    world.bucket.put("a.txt", "x" * 2000)
    world.bucket.put("b.pdf", "y" * 20_000)
    found = told(world)
    assert (found.listed, found.indexed, found.bytes) == (2, 2, 22_000)
    assert found.estimated_chunks == -(-2000 // TEXT_BYTES_A_CHUNK) - (
        -20_000 // OTHER_BYTES_A_CHUNK
    )
    assert requests(world, "GET") == 0
    assert not found.needs_approval


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
