"""What stands under an id that a restored catalog has as another object's, who had it before."""

import pytest

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import (
    FixConfiguration,
    InvalidSetting,
    LimitExceeded,
    RecordRejected,
    Unavailable,
)
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Died, Refusing, refuse_with
from s3sync_dagster_tests.core.test_rules_disputed import HR, KEY
from s3sync_dagster_tests.core.test_rules_left_beside import (
    REPLACES,
    is_denied,
    is_over,
    put_beside,
)
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on, says, world_of_sales
from s3sync_dagster_tests.core.test_rules_restore_ends import checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore

OTHER = "sales/b.md"
PARTS = 5
REFUSALS = [
    RecordRejected("no"),  # before it is sent
    LimitExceeded("HTTP 413"),
    InvalidSetting("HTTP 422", reason="chroma_refused"),
    FixConfiguration("a quota of Cloud", reason="quota_exceeded"),
]


def opened(world, group="sales"):
    """Return the records that a group reads, by id."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    return {name: one for name, one in world.metadata().items() if rights.allow_record(one)}


def ask(world, key, custom_id):
    world.ask(key, custom_id=custom_id, vouched=True)
    world.run_batches()


def handed_on(mode):
    """Return a world where ``KEY`` got the id of the other, and a copy of its catalog before."""
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    world.bucket.put(KEY, "\n\n".join(f"salary {number}" for number in range(PARTS)))
    ask(world, OTHER, "a")
    world.clock.seconds += 7200
    world.sync()
    copy = back_up(world)
    ask(world, OTHER, "o")
    ask(world, KEY, "a")
    assert sum(name.startswith("a-") for name in world.texts()) == PARTS
    return world, copy


def first_is_taken_away(world):
    open_collection(world).delete(["a-0"])


def dies_between_two_deletions(world):
    """Move the text on once more, and die when two of its records are gone."""
    port = open_collection(world)

    def half(ids):
        away.on = False
        port.delete(list(ids)[:2])
        raise Died

    away = Refusing(world, delete=half)
    world.ask(KEY, custom_id="z", vouched=True)
    with pytest.raises(Died):
        world.run_batches(collections=away)


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("before", [first_is_taken_away, dies_between_two_deletions])
def test_a_text_whose_first_record_is_gone_is_closed_and_cleared_with_its_id(mode, before):
    world, copy = handed_on(mode)
    before(world)
    restore(world, copy)
    says(world, HR)
    world.clock.seconds += 7200
    world.listing()
    rule = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    away = Refusing(world, upsert=rule, delete=rule)
    world.run_batches(collections=away)
    away.on = False
    left = {name: one for name, one in world.metadata().items() if name.startswith("a-")}
    assert "a-4" in left
    assert {one["team"] for one in left.values()} == {""}
    for _ in range(3):
        goes_on(world)
        checks(world)
    assert is_over(world)
    assert {name: text for name, text in world.texts().items() if name.startswith("a-")} == {
        "a-0": "b"
    }
    assert set(opened(world)) == {"a-0"}


def test_append_mode_writes_nothing_over_a_text_behind_which_another_s_is_left():
    world = world_of_sales(DeleteMode.APPEND, auto_sync=AutoSync.DIRECT)
    ask(world, OTHER, "a")
    restore(world, back_up(world))
    goes_on(world)
    put_beside(world, record_id="a-1", s3sync_etag="0", s3sync_chunk_count=2)
    world.bucket.put(OTHER, "b two")
    checks(world)
    assert "a-1" not in opened(world)
    goes_on(world)
    assert world.texts()["a-0"] == "b"


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("error", REFUSALS)
def test_a_copy_that_chroma_refuses_leaves_none_beside_it_open(mode, error):
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    ask(world, KEY, "a")
    copy = back_up(world)
    ask(world, KEY, "n")
    ask(world, OTHER, "a")
    put_beside(world, "copy", record_id="by hand")
    restore(world, copy)
    is_denied(world)
    refusing = Refusing(world, update_metadata=refuse_with(error, lambda ids: "by hand" in ids))
    world.clock.seconds += 7200
    world.listing()
    world.run_batches(collections=refusing)
    checks(world, refusing)
    assert world.metadata()["a-0"]["document_key"] == OTHER
    told = world.metadata()
    assert (told["a-0"]["team"], told["by hand"]["team"]) == ("", "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("error", REFUSALS[1:])
def test_where_every_update_is_refused_a_copy_is_closed_once_it_is_not(mode, error):
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    copy = back_up(world)
    put_beside(world, "copy", record_id="by hand")
    restore(world, copy)
    refusing = Refusing(world, update_metadata=refuse_with(error))
    world.clock.seconds += 7200
    world.listing()
    world.run_batches(collections=refusing)
    checks(world, refusing)
    assert not is_over(world)
    refusing.on = False
    goes_on(world)
    checks(world)
    assert world.metadata()["by hand"].get("team", "") == ""
    assert is_over(world)


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("closes", ["request", "gone"])
def test_a_text_under_an_id_that_the_catalog_has_as_another_object_s_is_closed(mode, closes):
    """Or goes with its own object, where that is gone in mode mirror."""
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    world.ask(KEY, custom_id="a", vouched=True)
    world.run_batches()
    copy = back_up(world)
    for key, custom_id in ((KEY, "n"), (OTHER, "a")):
        world.ask(key, custom_id=custom_id, vouched=True)
        world.run_batches()
    assert world.texts()["a-0"] == "b"
    restore(world, copy)
    is_denied(world)
    for _ in range(3):
        goes_on(world)
        checks(world)
    if closes == "request":
        world.ask(OTHER, metadata=HR, vouched=True)
        world.run_batches()
    elif mode is DeleteMode.MIRROR:
        world.bucket.delete(OTHER)
    for _ in range(3):
        goes_on(world)
        checks(world)
    told = world.metadata()
    if (closes, mode) == ("gone", DeleteMode.MIRROR):
        assert "a-0" not in told
    else:
        assert told["a-0"]["document_key"] == OTHER
    assert "a-0" not in opened(world)
    assert is_over(world)
