"""Records that name a source and can be no document of it: a restore ends without them."""

import pytest

from s3sync_dagster.engine import restore_end
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.test_rules_left_beside import is_over, put_beside
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on, world_of_sales
from s3sync_dagster_tests.core.test_rules_restore_ends import asked_about, checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore

NO_DOCUMENT = {
    "a probe": {"record_id": "s3sync-probe-2b0c6f1e-7c1d-4d52-9c9b-5a1f0f4be3ad"},
    "a copy": {"record_id": "salaries-copy"},
    "a place that none has": {"record_id": "n-999999"},
}


@pytest.mark.parametrize("which", NO_DOCUMENT)
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_records_of_no_document_keep_no_restore_open_and_are_told_of_once(mode, which):
    world = world_of_sales(mode)
    restore(world, back_up(world))
    put_beside(world, **NO_DOCUMENT[which])
    goes_on(world)
    told = []
    for _ in range(3):
        checks(world, log=told.append)
    assert is_over(world)
    [sentence] = told
    assert NO_DOCUMENT[which]["record_id"] in sentence
    assert "verify docs --fix" in sentence
    assert asked_about(world) == 0
    assert world.metadata()[NO_DOCUMENT[which]["record_id"]]["team"] == ""


def test_a_first_record_that_names_no_object_is_of_no_document_either():
    world = world_of_sales()
    restore(world, back_up(world))
    put_beside(world, record_id="n-0", document_key=7)
    goes_on(world)
    told = []
    checks(world, log=told.append)
    assert ["'n-0'" in one for one in told] == [True]


def test_more_records_of_no_document_than_a_look_takes_hide_no_text_behind_them(monkeypatch):
    monkeypatch.setattr(restore_end, "RECORDS_A_LOOK", 2)
    world = world_of_sales()
    restore(world, back_up(world))
    goes_on(world)
    for number in range(5):
        put_beside(world, record_id=f"a{number}-copy")
    put_beside(world, record_id="z-0")
    for _ in range(3):
        checks(world)
        goes_on(world, turns=1)
    assert "z-0" not in world.texts()
    assert is_over(world)
