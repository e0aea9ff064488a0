"""A source that is moved, whose restored catalog has forgotten under which id a document stands."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.readers_told import hear_all
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.test_rules_disputed import HR, KEY
from s3sync_dagster_tests.core.test_rules_left_beside import is_archived, renamed_since
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on, of_key, says, world_of_sales
from s3sync_dagster_tests.core.test_rules_restore_ends import checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore

MOVES = [{"collection_name": "docs2"}, {"id_prefix": "p-"}]


def moves(world, **changes):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    move(world, **changes)
    goes_on(world)
    for _ in range(2):
        finish(world, now=False)


def closed_under_another_id(mode):
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    copy = back_up(world)
    says(world, HR, custom_id="n")
    world.run_batches()
    restore(world, copy)
    return world


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("changes", MOVES, ids=lambda changes: next(iter(changes)))
def test_what_was_closed_under_another_id_stays_closed_by_a_move(mode, changes):
    world = closed_under_another_id(mode)
    moves(world, **changes)
    assert world.catalog.moves.left_by(world.source.id) == []
    name = changes.get("collection_name", "docs")
    told = [one for one in world.metadata(name).values() if one["document_key"] == KEY]
    assert [one["team"] for one in told] == [""]


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_was_closed_under_another_id_is_known_before_another_collection_is_made(mode):
    world = closed_under_another_id(mode)
    assert hear_all(world.source, catalog=world.catalog, collections=world.collections) > 0
    stand = [one for one in of_key(world) if one.phase is not DocumentPhase.REMOVING]
    assert [one.metadata for one in stand] == [HR]


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_an_only_text_outlives_a_move(mode):
    world = renamed_since(mode)
    is_archived(world)
    goes_on(world)
    checks(world)
    moves(world, collection_name="docs2")
    assert world.texts("docs") == {"n-0": "salaries"}
    assert len(world.catalog.moves.left_by(world.source.id)) == 1
