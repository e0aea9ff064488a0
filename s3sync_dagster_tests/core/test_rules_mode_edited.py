"""Whoever edits the mode of a source stops what works by the mode of before."""

import contextlib

import pytest

from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored_owners import declared

KEYS = [f"k{number}.md" for number in range(10)]
GONE, EDITED = KEYS[:2], KEYS[5]
STEPS = ("begun", "fetched", "claimed", "before_embed", "claimed_removal")
"""At which a batch has changed nothing of what the new mode keeps."""


def edited_at(step, mode, edit):
    """Return a world of which the mode was edited while a batch was at work."""
    world = declared(KEYS)
    for key in GONE:
        world.bucket.delete(key)
    world.bucket.put(EDITED, "newer")
    world.listing()
    done = []

    def at(now):
        if now == step and not done:
            done.append(now)
            edit(world, world.source.with_changes(mode=mode))

    world.at = at
    with contextlib.suppress(LeaseLost):
        world.run_batches()
    assert done
    world.at = None
    world.source = world.source.with_changes(mode=mode)
    goes_on(world)
    return world


def by_a_person(world, changed):
    world.catalog.sources.update(changed)


def by_code(world, changed):
    world.catalog.sources.register(changed, origin="python")


@pytest.mark.parametrize("edit", [by_a_person, by_code])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_what_the_new_mode_keeps_stays(step, mode, edit):
    world = edited_at(step, mode, edit)
    texts = {text for text in world.texts().values()}
    assert {f"{key} {part}" for key in GONE for part in ("one", "two")} <= texts
    if mode is DeleteMode.APPEND and step in ("begun", "fetched"):
        assert f"{EDITED} one" in texts
    else:  # what is claimed counts as begun: nobody knows what was written of it
        assert "newer" in texts
    assert not world.catalog.batches.live()
    assert world.catalog.invocations.live_count(world.source.id) == 0


def test_an_edit_of_anything_else_ends_no_batch():
    world = declared(KEYS)
    world.bucket.put(EDITED, "newer")
    world.listing()
    done = []

    def at(now):
        if now == "fetched" and not done:
            done.append(now)
            world.catalog.sources.update(world.source.with_changes(document_limit=1000))

    world.at = at
    world.run_batches()
    assert done
    assert "newer" in world.texts().values()
