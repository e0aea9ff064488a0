"""Whoever edits the mode of a source stops what works by the mode of before."""

import contextlib

import pytest

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.errors import LeaseLost, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.core.test_rules_chroma_put_back import verify
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
    if mode is DeleteMode.APPEND and step != "claimed_removal":  # when all was written
        assert f"{EDITED} one" in texts
    else:
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


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_verify_tells_of_what_had_gone_before_the_edit(mode):
    world = edited_at("removed", mode, by_a_person)
    assert not {f"{key} one" for key in GONE} & set(world.texts().values())
    found = verify(world, fix=False)
    assert (sorted(found.missing), found.sound) == (GONE, False)


def test_who_is_ended_writes_nothing_beside_who_has_the_keys_now():
    world = declared(KEYS)
    world.bucket.put(EDITED, "second")
    world.listing()
    written = []

    def at(step):
        if step == "after_embed" and not written:
            world.at = None
            world.source = world.source.with_changes(mode=DeleteMode.KEEP_DELETED)
            world.catalog.sources.update(world.source)
            world.bucket.put(EDITED, "third")
            world.listing()
            world.run_batches()
        if written or step == "after_embed":
            written.append(step)

    world.at = at
    with pytest.raises(LeaseLost):
        world.run_batches()
    assert "upserted" not in written
    assert "third" in world.texts().values()


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_what_its_sidecar_has_taken_away_does_not_stand_again(mode):
    world = declared(KEYS)
    named = f"{EDITED}.meta.json"
    world.bucket.put(named, sidecar(EDITED, "x", target_collection_name="public"))
    goes_on(world)
    world.bucket.put(named, sidecar(EDITED, "y", target_collection_name="closed"))
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    world.listing()
    world.run_batches(collections=Refusing(world, delete=away))
    world.bucket.delete(EDITED)
    world.listing(approve_deletes=True)
    world.configure(mode=mode)
    phases = {
        one.collection_name: one.phase
        for one in world.catalog.documents.of_key(world.source.id, EDITED)
    }
    assert phases["public"] is DocumentPhase.REMOVING
    assert phases["closed"] is DocumentPhase.CLEAN
