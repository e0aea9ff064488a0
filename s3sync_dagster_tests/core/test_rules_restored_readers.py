"""What owners said after the backup of a restored catalog is known to the records alone."""

import pytest

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster_tests.core.rules import Refusing
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY, ask, seen
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

DAY = 86_400


def made_later(metadata):
    """Return a world whose catalog is of before an object, of which an owner has said who reads."""
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.sync()
    backup = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    if metadata is not None:
        ask(world, metadata, owner=True)
    restore(world, backup)
    return world


def test_a_document_that_the_backup_does_not_know_stays_closed_where_an_owner_closed_it():
    world = made_later(HR)
    for _ in range(3):
        world.sync()
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
        world.clock.seconds += DAY
    world.bucket.put(KEY, "salaries two")
    world.sync()
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
    ask(world, HR, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)


def test_an_owner_who_asks_for_what_the_backup_does_not_know_is_heard():
    world = made_later(HR)
    ask(world, {}, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (1, 0)


@pytest.mark.parametrize("metadata", [None, {"lang": "de"}])
def test_a_document_that_the_backup_does_not_know_is_open_where_its_records_say_the_same(metadata):
    world = made_later(metadata)
    world.sync()
    assert (seen(world, "sales"), seen(world, "hr")) == (1, 0)


def test_the_records_of_another_object_that_had_the_id_say_nothing_of_readers():
    world = make_world(reader_keys=("team",), bedrock_sidecars=True, **BY_PATH)
    world.bucket.put("hr/b.md", "salaries")
    world.bucket.put(KEY, "prices")
    world.sync()
    backup = back_up(world)
    world.ask("hr/b.md", custom_id="x", vouched=True)
    world.run_batches()
    restore(world, backup)
    world.ask(KEY, custom_id="x")  # a member
    world.sync()
    told = [one for one in world.metadata().values() if one["document_key"] == KEY]
    assert [(one["custom_id"], one["team"]) for one in told] == [("x", "sales")]


@pytest.mark.parametrize("looks", [1, 2, 7])
def test_records_that_could_not_be_looked_at_are_not_written_over(looks):
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    backup = back_up(world)
    ask(world, HR, owner=True)
    restore(world, backup)
    left = [looks]

    def away(_first):
        left[0] -= 1
        if left[0] >= 0:
            raise Unavailable("away", reason="chroma_unavailable")

    flaky = Refusing(world, get=away)
    for _ in range(looks + 2):
        world.listing()
        world.run_batches(collections=flaky)
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
        world.clock.seconds += DAY
    assert left[0] < 0
    [record] = world.metadata().values()
    assert record["team"] != "sales"
    ask(world, HR, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)
