"""What an owner said after a backup of who may read: nothing that follows a restore opens it."""

from contextlib import suppress

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.engine.rolling_check import check_some
from s3sync_dagster.model.errors import AccessDenied, Conflict
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY, ask, seen_in
from s3sync_dagster_tests.core.test_rules_dropping import drop
from s3sync_dagster_tests.core.test_rules_found_texts import settle
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world


def made_later(metadata, *, mode=DeleteMode.MIRROR, known=False):
    world = make_world(reader_keys=("team",), mode=mode, **BY_PATH)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    backup = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    if metadata is not None:
        ask(world, metadata, owner=True)
    restore(world, backup)
    return world


def moves(world, **changes):
    """Move; what has met no object yet becomes by itself what is declared."""
    try:
        move(world, **changes)
    except Conflict:
        world.source = world.catalog.sources.find("docs")


CHANGES = [
    {"collection_name": "docs2"},
    {"bucket_name": "bucket-eu"},
    {"id_prefix": "p-"},
    {"tenant": "other"},
]
to_all = pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))


def ends(world, **options):
    with suppress(Conflict):
        finish(world, **options)


@to_all
@pytest.mark.parametrize("how", ["now", "keep", "none"])
def test_a_move_of_a_source_whose_documents_are_all_forgotten(changes, how):
    world = made_later(HR)
    moves(world, **changes)
    ends(world, **({} if how == "none" else {how: True}))
    settle(world)
    assert not seen_in(world, "sales")


@to_all
@pytest.mark.parametrize("how", ["now", "keep", "none"])
def test_a_move_of_a_source_of_which_all_but_the_forgotten_was_compared(changes, how):
    world = make_world(reader_keys=("team",), **BY_PATH)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("sales/old.md", "old")
    world.sync()
    backup = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    restore(world, backup)

    def fault(kind, key):
        if (kind, key) == ("GET", KEY):
            raise AccessDenied("not allowed")

    world.fault = fault
    settle(world)
    assert states(world)[KEY][0] == "failed"
    moves(world, **changes)
    ends(world, **({} if how == "none" else {how: True}))
    world.fault = None
    settle(world)
    told = [one for one in world.metadata().values() if one["document_key"] == KEY]
    assert [one["team"] for one in told] != ["sales"]


def test_settings_that_close_after_a_restore_close_forgotten_documents():
    world = made_later(None)
    world.configure(path_metadata=None, metadata={"team": "hr"})
    assert sees(world, "sales") == 0


def test_settings_that_close_after_a_restore_close_what_is_left_of_a_gone_object():
    world = made_later(None)
    world.bucket.delete(KEY)
    world.configure(path_metadata=None, metadata={"team": "hr"})
    settle(world)
    assert sees(world, "sales") == 0


def sees(world, group):
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    return len([one for one in world.metadata().values() if rights.allow_record(one)])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_an_owner_closed_under_an_id_of_its_own_after_the_backup_stays_closed(mode, known):
    world = make_world(reader_keys=("team",), mode=mode, **BY_PATH)
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    backup = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    world.ask(KEY, metadata=HR, custom_id="mine", vouched=True)
    world.run_batches()
    assert (sees(world, "sales"), sees(world, "hr")) == (0, 1)
    restore(world, backup)
    for _ in range(3):
        settle(world, 1)
        assert sees(world, "sales") == 0
    fix(world)
    settle(world)
    assert sees(world, "sales") == 0


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_an_owner_closed_stays_closed_beside_a_member_s_id(mode):
    world = make_world(reader_keys=("team",), mode=mode, **BY_PATH)
    world.sync()
    backup = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    world.ask(KEY, metadata=HR, vouched=True)
    world.run_batches()
    restore(world, backup)
    world.ask(KEY, custom_id="members")
    world.run_batches()
    assert sees(world, "sales") == 0


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("known", [True, False])
def test_a_drop_after_a_restore_opens_nothing_that_an_owner_closed(mode, known):
    world = made_later(HR, mode=mode, known=known)
    try:
        drop(world)
    except Conflict:
        return
    settle(world)
    assert sees(world, "sales") == 0


def test_a_source_that_was_closed_for_what_was_forgotten_opens_once_all_is_known():
    world = made_later(None)
    settle(world)
    world.configure(path_metadata=None, metadata={"team": "hr"})
    settle(world)
    assert (sees(world, "hr"), sees(world, "sales")) == (0, 0)
    check_some(
        world.source,
        catalog=world.catalog,
        collections=lambda: world.collections,
        clock=world.clock,
        records_per_day=1000,
        log=print,
    )
    assert (sees(world, "hr"), sees(world, "sales")) == (1, 0)


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_who_adopts_records_opens_none_that_name_other_readers(mode):
    world = make_world(reader_keys=("team",), mode=mode, **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.bucket.put("sales/b.md", "b")
    world.sync()
    port = open_collection(world)
    stored = world.metadata()
    lost = {name: {**one, "s3sync_source": "lost"} for name, one in stored.items()}
    for one in lost.values():
        one["team"] = "hr" if one["document_key"] == KEY else None
    port.update_metadata(list(lost), list(lost.values()))
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM documents"))
        tx.execute(sa.text("DELETE FROM objects"))
    world.configure(adopt=True)
    settle(world)
    assert {one["s3sync_source"] for one in world.metadata().values()} == {world.source.id}
    assert sees(world, "sales") == 1
