"""Ids that requests shifted among objects after a backup, in a mode that keeps texts."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.model.errors import AccessDenied
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Died, states, work_and_die
from s3sync_dagster_tests.core.test_rules_moved import move, owners
from s3sync_dagster_tests.core.test_rules_restored import another, back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

NUMBER = 4
KEYS = [f"{n}.md" for n in range(NUMBER)]
RINGS = pytest.mark.parametrize("ring", [True, False])


def ask(world, places):
    for key, place in zip(KEYS, places, strict=True):
        world.ask(key, custom_id=f"id-{place}")
    world.clock.seconds += 7200
    world.sync()


def shifted(*, ring):
    """Return a world put back to before each object got the id of the next."""
    world = make_world(auto_sync=AutoSync.NONE, mode=DeleteMode.KEEP_DELETED)
    for key in KEYS:
        world.bucket.put(key, f"text of {key}")
    ask(world, range(NUMBER))
    copy = back_up(world)
    ask(world, [1, 2, 3, 0] if ring else [1, 2, 3, 4])
    assert world.texts()["id-1-0"] == "text of 0.md"
    restore(world, copy)
    return world


def rests(world, *, passes=3, **changes):
    for _ in range(passes):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(**changes)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches(**changes)


def is_as_the_catalog_has_it(world):
    there = world.texts()
    return all(there[f"id-{n}-0"] == f"text of {key}" for n, key in enumerate(KEYS))


@RINGS
def test_each_comes_to_the_id_that_the_catalog_has_and_no_text_is_ever_away(ring):
    world = shifted(ring=ring)

    def look(_step):
        assert set(world.texts().values()) == {f"text of {key}" for key in KEYS}

    rests(world, passes=1, at=look)
    look("at rest")
    assert is_as_the_catalog_has_it(world)
    assert set(states(world).values()) == {("indexed", None)}


@RINGS
@pytest.mark.parametrize("step", [1, 4, 7, 11, 15])
def test_a_death_on_the_way_costs_no_text_of_an_object_that_goes(ring, step):
    world, steps = shifted(ring=ring), []
    world.listing()

    def die(at):
        steps.append(at)
        if len(steps) == step:
            raise Died

    work_and_die(world, workers=1, at=die)
    world.bucket.delete("3.md")
    rests(world)
    assert set(world.texts().values()) == {f"text of {key}" for key in KEYS}


@RINGS
@pytest.mark.parametrize("how", ["denied", "gone", "damaged"])
def test_no_text_is_written_over_whose_object_cannot_be_had_again(ring, how):
    world = shifted(ring=ring)
    if how == "gone":
        world.bucket.delete("0.md")
    elif how == "damaged":
        world.bucket.put("0.md", "BAD")
    else:

        def fault(_kind, asked):
            if asked == "0.md":
                raise AccessDenied("not allowed")

        world.fault = fault
    rests(world)
    assert set(world.texts().values()) == {f"text of {key}" for key in KEYS}
    assert world.texts()["id-1-0"] == "text of 0.md"
    assert states(world)["1.md"] == ("failed", "record_ids_taken")
    if how == "denied":
        world.fault = None
        rests(world)
        assert is_as_the_catalog_has_it(world)


@pytest.mark.parametrize("moves", [False, True])
def test_what_another_source_took_over_since_goes_back_to_who_has_the_document(world, moves):
    """Or to who stands in the place of who has it: a copy of the middle of a move."""
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("a.md", "one")
    world.sync()
    if moves:
        move(world, bucket_name="bucket-eu")
    copy = back_up(world)
    other = another(world, 2, adopt=True)
    assert owners(world, world.source) == {other.source.id}
    world.bucket.delete("2.md")
    restore(world, copy)
    world.bucket.put("a.md", "two")
    rests(world)
    assert states(world) == {"a.md": ("indexed", None)}
    assert "two" in world.texts().values()
    assert owners(world, world.source) == {world.source.id, other.source.id}
