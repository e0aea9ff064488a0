"""A request that waited at the time of a backup may have been done after it: nothing is undone."""

import pytest

from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.core.test_rules_found_texts import settle
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

REQUESTS = [
    {"trigger": Trigger.API},
    {"trigger": Trigger.CLI},
    {"trigger": Trigger.CLI, "force": True},
    {"trigger": Trigger.API, "custom_id": "x"},
]


def waiting(request, *, first=None):
    """Return a world with a request for a.md that nobody has worked on, and a copy of then."""
    world = make_world(mode=DeleteMode.APPEND)
    if first is not None:
        world.bucket.put("a.md", first)
        world.sync()
    world.bucket.put("a.md", "two")
    world.ask("a.md", **request)
    return world, back_up(world)


@pytest.mark.parametrize("first", [None, "one"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_what_was_done_after_the_backup_is_not_done_again_over_its_text(request_, first):
    world, copy = waiting(request_, first=first)
    world.run_batches()
    assert list(world.texts().values()) == ["two"]
    world.bucket.put("a.md", "three")
    restore(world, copy)
    settle(world)
    assert list(world.texts().values()) == ["two"]
    assert states(world)["a.md"][1] == "changed_in_append_mode"


@pytest.mark.parametrize("first", [None, "one"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_what_nobody_has_done_is_done_after_the_restore(request_, first):
    world, copy = waiting(request_, first=first)
    restore(world, copy)
    settle(world)
    assert list(world.texts().values()) == ["two"]
    assert states(world)["a.md"][0] == "indexed"


@pytest.mark.parametrize("request_", REQUESTS)
def test_who_asks_again_after_the_restore_is_obeyed(request_):
    world, copy = waiting(request_)
    world.run_batches()
    world.bucket.put("a.md", "three")
    restore(world, copy)
    world.ask("a.md", **request_)
    settle(world)
    assert list(world.texts().values()) == ["three"]
