"""What a sidecar closed after the backup of a catalog stays closed until it was read again."""

import pytest

from s3sync_dagster.core.sidecar import MAX_SIDECAR_BYTES
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Died, sidecar, states
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY
from s3sync_dagster_tests.core.test_rules_owner_words import sees
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

SIDECAR = f"{KEY}.meta.json"


def steps_that_open(world, killed):
    """Return at which steps of the next batches the object is read by those of before."""
    opened = []

    def look(step):
        opened.extend([step] if KEY in sees(world, "sales") else [])
        if killed and step == "begun":
            raise Died

    if killed:
        with pytest.raises(Died):
            world.run_batches(at=look)
    else:
        world.run_batches(at=look)
    return opened


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("killed", [False, True])
def test_what_could_not_be_written_as_its_sidecar_says_is_open_at_no_step(mode, killed):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.bucket.put(SIDECAR, sidecar(KEY, "x"))
    world.sync()
    copy = back_up(world)
    if mode is not DeleteMode.APPEND:
        world.bucket.put(KEY, "salaries", storage_class="GLACIER")
    world.bucket.put(SIDECAR, sidecar(KEY, "x", metadata=HR))
    world.clock.seconds += 7200
    world.sync()
    assert KEY not in sees(world, "sales")
    restore(world, copy)
    world.clock.seconds += 7200
    world.listing()
    assert steps_that_open(world, killed) == []
    assert KEY not in sees(world, "sales")


def is_new(world):
    world.bucket.put("a.meta.json", sidecar(KEY, "x", metadata=HR))


def names_it_since(world):
    world.bucket.put("z.meta.json", sidecar(KEY, "x", metadata=HR))
    world.bucket.delete(SIDECAR)


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("closes", [is_new, names_it_since])
@pytest.mark.parametrize("killed", [False, True])
def test_what_a_sidecar_closed_that_the_copy_has_not_or_of_another_is_open_at_no_step(
    mode, closes, killed
):
    """The object is archived, so that the closing stood in the catalog alone."""
    world = make_world(mode=mode, auto_sync=AutoSync.DIRECT, reader_keys=("team",), **BY_PATH)
    other = "sales/o.md"
    world.bucket.put(KEY, "salaries")
    world.bucket.put(other, "o")
    world.bucket.put("z.meta.json", sidecar(other, "o"))
    world.bucket.put(SIDECAR, sidecar(KEY, "x"))
    world.sync()
    copy = back_up(world)
    world.bucket.put(KEY, "salaries", storage_class="GLACIER")
    closes(world)
    for _ in range(2):
        world.clock.seconds += 7200
        world.sync()
    assert KEY not in sees(world, "sales")
    restore(world, copy)
    world.clock.seconds += 7200
    world.listing()
    assert steps_that_open(world, killed) == []
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_its_sidecar_leaves_as_it_was_is_open_again(mode):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.bucket.put(SIDECAR, sidecar(KEY, "x"))
    world.sync()
    copy = back_up(world)
    world.bucket.put(SIDECAR, sidecar(KEY, "x") + "\n")
    restore(world, copy)
    world.clock.seconds += 7200
    world.sync()
    assert sees(world, "sales") == {KEY}


def test_one_that_is_too_large_to_be_read_leaves_what_it_said_before(world):
    world.bucket.put(KEY, "salaries")
    world.bucket.put(SIDECAR, sidecar(KEY, "x"))
    world.sync()
    world.bucket.put(SIDECAR, sidecar(KEY, "y").ljust(MAX_SIDECAR_BYTES + 1))
    world.sync()
    assert states(world) == {KEY: ("indexed", None), SIDECAR: ("skipped", "too_large")}
    assert world.texts() == {"x-0": "salaries"}
    world.bucket.put(SIDECAR, sidecar(KEY, "y").ljust(MAX_SIDECAR_BYTES))
    world.sync()
    assert world.texts() == {"y-0": "salaries"}
