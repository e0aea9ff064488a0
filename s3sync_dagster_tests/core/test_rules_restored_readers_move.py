"""Who may read stays as records alone know it where a source moves, or fills a collection more."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.model.errors import Conflict, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY, ask, seen_in
from s3sync_dagster_tests.core.test_rules_into import into
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_restore_ends import checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

DAY = 86_400
CHANGES = [
    {"bucket_name": "bucket-eu"},
    {"collection_name": "docs2"},
    {"id_prefix": "p-"},
    {"tenant": "other"},
]
pytestmark = pytest.mark.parametrize("mode", list(DeleteMode))
to_all = pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
known_or_not = pytest.mark.parametrize("known", [True, False], ids=["known", "forgotten"])
synced_or_not = pytest.mark.parametrize("synced", [True, False], ids=["synced", "at once"])


def declared(mode):
    """Return a world whose source is of code and says by paths who may read."""
    world = make_world(reader_keys=("team",), mode=mode, **BY_PATH)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("sales/old.md", "old")
    return world


def restored(mode, *, known, said=HR, custom_id=None):
    """Return a world whose catalog is of before an owner's word, or before the object."""
    world = declared(mode)
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    backup = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    if said is not None:
        world.ask(KEY, metadata=said, custom_id=custom_id, vouched=True)
        world.run_batches()
        assert (sees_it(world, "sales"), sees_it(world, "hr")) == (False, True)
    restore(world, backup)
    return world


def settle(world, turns=3):
    for _ in range(turns):
        world.clock.seconds += DAY
        world.sync(approve_deletes=True)
        world.catalog.documents.enqueue_unclean(world.source.id)  # as the dispatcher does
        world.run_batches()


def moves_closed(world):
    """End a move and let days go by; nobody with groups reads it at any time."""
    for _ in range(3):
        world.sync()
        assert not sees_it(world, "sales")
        world.clock.seconds += DAY
        finish(world)
        assert not sees_it(world, "sales")
    assert world.catalog.moves.left_by(world.source.id) == []


def sees_it(world, group, key=KEY):
    """Return whether a group finds a document where its source has it now."""
    return seen_in(one_alone(world, key), group)


def one_alone(world, key):
    """Return a world that shows the records of one object alone."""
    told = world.metadata(world.source.collection_name)
    return type("", (), {
        "source": world.source,
        "catalog": world.catalog,
        "metadata": lambda _self, _name: {
            name: one for name, one in told.items() if one["document_key"] == key
        },
    })()  # fmt: skip


def an_owner_is_heard(world):
    ask(world, HR, owner=True)
    assert (sees_it(world, "sales"), sees_it(world, "hr")) == (False, True)
    ask(world, {}, owner=True)
    assert (sees_it(world, "sales"), sees_it(world, "hr")) == (True, False)


@to_all
@known_or_not
@synced_or_not
def test_what_an_owner_closed_after_the_backup_stays_closed_by_a_move(mode, changes, known, synced):
    world = restored(mode, known=known)
    if synced:
        world.sync()
        settle(world)
        assert (sees_it(world, "sales"), sees_it(world, "hr")) == (False, False)
    move(world, **changes)
    moves_closed(world)
    an_owner_is_heard(world)


@to_all
def test_a_document_with_an_id_of_its_own_that_the_backup_does_not_know_stays_closed(mode, changes):
    world = restored(mode, known=False, custom_id="mine")
    move(world, **changes)
    moves_closed(world)


@pytest.mark.parametrize("changes", CHANGES[:2], ids=lambda changes: next(iter(changes)))
@synced_or_not
@known_or_not
def test_what_was_closed_after_a_move_stays_closed_where_the_catalog_is_of_before_it(
    mode, changes, synced, known
):
    world = declared(mode)
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    backup = back_up(world)
    move(world, **changes)
    world.bucket.put(KEY, "salaries")
    world.sync()
    finish(world)
    ask(world, HR, owner=True)
    assert (sees_it(world, "sales"), sees_it(world, "hr")) == (False, True)
    restore(world, backup)
    if synced and "collection_name" not in changes:
        world.sync()
        settle(world)
    move(world, **changes)
    assert not sees_it(world, "sales")
    moves_closed(world)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "long after the restore"])
def test_what_the_settings_of_a_forgotten_move_opened_is_closed_by_those_of_now(mode, late):
    world = declared(mode)
    world.bucket.put(KEY, "salaries")
    world.sync()
    backup = back_up(world)
    change = {"collection_name": "docs2", "path_metadata": None}
    move(world, **change, metadata={"team": "sales"})
    world.sync()
    finish(world)
    assert sees_it(world, "sales")
    restore(world, backup)
    world.bucket.delete(KEY)
    for _ in range(3 if late else 0):
        settle(world, turns=1)
        checks(world)
    assert (world.catalog.sources.looked_through(world.source.id) is None) is late
    move(world, **change, metadata={"team": "hr"})
    for _ in range(3):
        assert not sees_it(world, "sales")
        world.sync()
        world.clock.seconds += DAY
        finish(world)
    assert not sees_it(world, "sales")


@known_or_not
def test_what_was_closed_before_two_moves_stays_closed(mode, known):
    world = restored(mode, known=known)
    move(world, collection_name="docs2")
    world.ask("sales/old.md")
    world.run_batches()
    move(world, collection_name="docs3")
    assert len(world.catalog.moves.left_by(world.source.id)) == 2
    moves_closed(world)


@known_or_not
@synced_or_not
def test_what_an_owner_closed_after_the_backup_is_closed_in_another_collection(mode, known, synced):
    world = restored(mode, known=known)
    if synced:
        settle(world)
    into(world)
    settle(world)
    assert not sees_it(world, "sales")
    an_owner_is_heard(world)


@pytest.mark.parametrize("changes", [*CHANGES, None], ids=str)
@synced_or_not
def test_what_a_lost_catalog_has_of_readers_goes_along(mode, changes, synced):
    world = declared(mode)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM documents"))
        tx.execute(sa.text("DELETE FROM objects"))
    recover_catalog(
        world.source, catalog=world.catalog, collections=world.collections, embedder=world.embedder
    )
    if synced:
        settle(world)
    if changes is None:
        into(world)
    else:
        move(world, **changes)
    settle(world)
    assert not sees_it(world, "sales")


@pytest.mark.parametrize("changes", [*CHANGES, None], ids=str)
@known_or_not
@synced_or_not
def test_what_nobody_restricted_stays_open(mode, changes, known, synced):
    world = restored(mode, known=known, said=None)
    if synced:
        settle(world)
    if changes is None:
        into(world)
    else:
        move(world, **changes)
    settle(world)
    for key in (KEY, "sales/old.md"):
        assert (sees_it(world, "sales", key), sees_it(world, "hr", key)) == (True, False)


@known_or_not
def test_what_a_move_says_anew_of_readers_holds_where_nobody_said_else(mode, known):
    world = restored(mode, known=known, said=None)
    move(world, collection_name="docs2", path_metadata=None, metadata={"team": "hr"})
    settle(world)
    assert (sees_it(world, "sales"), sees_it(world, "hr")) == (False, True)


@known_or_not
@pytest.mark.parametrize("call", ["get", "ids_meeting"])
def test_records_of_before_that_could_not_be_looked_at_are_waited_for(mode, known, call):
    world = restored(mode, known=known)
    move(world, collection_name="docs2")
    left = [3]

    def away(_first):
        left[0] -= 1
        if left[0] >= 0:
            raise Unavailable("away", reason="chroma_unavailable")

    flaky = Refusing(world, **{call: away})
    for _ in range(5):
        world.listing()
        world.run_batches(collections=flaky)
        assert not sees_it(world, "sales")
        world.clock.seconds += DAY
    assert left[0] < 3 or (known and call == "ids_meeting")
    assert KEY in {one["document_key"] for one in world.metadata("docs2").values()}


@known_or_not
@synced_or_not
def test_a_move_by_a_person_s_word_waits_for_what_records_say_of_readers(mode, known, synced):
    world = restored(mode, known=known)
    if synced:
        settle(world)
    move(world, bucket_name="bucket-eu")
    with pytest.raises(Conflict, match="sync -c docs` first"):
        finish(world, now=True)
    settle(world)
    assert finish(world, now=True) is None
    settle(world)
    assert not sees_it(world, "sales")


@pytest.mark.parametrize("changes", CHANGES[:2], ids=lambda changes: next(iter(changes)))
def test_a_move_where_no_catalog_was_put_back_closes_nothing_for_a_collection_of_others(
    mode, changes
):
    """It has forgotten nothing, whatever Chroma says of a collection that nobody here wrote."""
    world = declared(mode)
    world.sync()
    others = {"tenant": "default_tenant", "database": "default_database"}
    world.collections.open("others", embedder=world.embedder, **others)
    plain = world.collections.open

    def refuse(name, **options):
        if name == "others":
            raise Unavailable("Chroma answers 500", reason="chroma_error")
        return plain(name, **options)

    world.collections.open = refuse
    move(world, **changes)
    world.sync()
    assert sees_it(world, "sales", "sales/old.md")
    settle(world)
    assert sees_it(world, "sales", "sales/old.md")
