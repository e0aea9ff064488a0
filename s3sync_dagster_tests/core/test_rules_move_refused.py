"""A move whose old collection refuses every deletion ends by a person's word."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.moving import how_far
from s3sync_dagster.model.errors import Conflict, Unavailable
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar, states
from s3sync_dagster_tests.core.test_rules_moved import everything, finish, move

ANSWER = "the server answered 500"


@pytest.fixture
def moved(world):
    """A world that is whole in its new collection, and its source before."""
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in ("a.md", "b.md"):
        world.bucket.put(key, key)
    world.sync()
    before = move(world, collection_name="docs2")
    world.sync()
    return world, before


def refusing(world):
    broken = Refusing(world, delete=refuse_with(Unavailable(ANSWER)))
    return {"collections": lambda: broken}


@pytest.mark.parametrize("now", [False, True])
def test_what_a_collection_refuses_is_told_with_the_way_out(moved, now):
    world, before = moved
    for _ in range(2):
        with pytest.raises(Unavailable, match="`s3sync source move docs --keep-records`") as told:
            finish(world, now=now, **refusing(world))
        assert ANSWER in str(told.value)
        assert "`s3sync source move docs --keep-records` leaves" in how_far(
            world.source, catalog=world.catalog
        )
        world.clock.seconds += 130
    assert finish(world, keep=True, **refusing(world)) is None
    assert how_far(world.source, catalog=world.catalog) is None
    assert world.catalog.moves.left_by(world.source.id) == []
    assert everything(world, before) == everything(world, world.source) == {"a.md", "b.md"}
    world.bucket.put("a.md", "a.md second")
    world.sync()
    assert {state for state, _ in states(world).values()} == {"indexed"}
    assert everything(world, world.source) == {"a.md second", "b.md"}


def test_nothing_is_left_where_the_source_itself_writes(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("a.md", "a.md")
    world.sync()
    before = move(world, id_prefix="p-")
    world.sync()
    with pytest.raises(Conflict, match="--now"):
        finish(world, keep=True)
    assert world.catalog.sources.deleting(before.id) is None


def test_records_that_say_who_may_read_them_are_not_left(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.configure(reader_keys=("dept",), metadata={"dept": ["hr"]})
    world.bucket.put("a.md", "a.md")
    world.sync()
    before = move(world, collection_name="docs2")
    with pytest.raises(Conflict, match="reader_keys"):
        finish(world, keep=True)
    assert world.catalog.sources.deleting(before.id) is None


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("how", ["request", "sidecar"])
def test_nothing_is_left_where_a_sidecar_or_a_request_has_the_source_write(world, how, listed):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in ("a.md", "b.md"):
        world.bucket.put(key, key)
    if how == "sidecar":
        world.bucket.put("a.meta.json", sidecar("a.md", target_collection_name="second"))
    world.sync()
    if how == "request":
        world.ask("a.md", target_collection_name="second")
        world.run_batches()
    before = move(world, collection_name="docs2")
    if listed:

        def fault(kind, key):
            if (kind, key) == ("GET", "a.md"):
                raise Unavailable("slow down", reason="throttled")

        world.fault = fault
        world.sync()
        world.fault = None
    with pytest.raises(Conflict, match=r"stand in 'second', where .* --now"):
        finish(world, keep=True)
    assert world.catalog.sources.deleting(before.id) is None
    for _ in range(3):
        finish(world, now=True)
        world.clock.seconds += 4000
        world.sync()
    assert world.catalog.moves.left_by(world.source.id) == []
    world.bucket.put("a.md", "a second")
    world.sync()
    if how == "request":
        world.ask("a.md", target_collection_name="second")
        world.run_batches()
    assert list(world.texts("second").values()) == ["a second"], states(world)


@pytest.mark.parametrize("why", ["its own collection", "reader_keys"])
def test_of_several_moves_one_that_is_refused_leaves_no_records_of_any(moved, why):
    world, first = moved
    if why == "its own collection":
        second = move(world, id_prefix="p-")
    else:
        world.configure(reader_keys=("dept",), metadata={"dept": ["hr"]})
        world.sync()
        second = move(world, collection_name="docs3")
    world.sync()
    left = world.catalog.moves.left_by(world.source.id)
    assert [one.id for one in left] == [first.id, second.id]
    with pytest.raises(Conflict):
        finish(world, keep=True)
    assert [world.catalog.sources.deleting(one.id) for one in left] == [None, None]


@pytest.mark.parametrize("how", ["sidecar", "request"])
def test_records_may_be_left_where_nobody_named_their_collection(world, how):
    """What a sidecar or a request writes then goes where the source itself does."""
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("a.md", "a.md")
    if how == "sidecar":
        world.bucket.put("a.meta.json", sidecar("a.md"))
    world.sync()
    if how == "request":
        world.ask("a.md", custom_id="y")
        world.run_batches()
    move(world, collection_name="docs2")
    world.sync()
    refusing = Refusing(world, delete=refuse_with(Unavailable("500")))
    with pytest.raises(Unavailable):
        finish(world, collections=lambda: refusing)
    world.clock.seconds += 130
    assert finish(world, keep=True, collections=lambda: refusing) is None
