"""A move in mode ``append``: a text that no object has any more stands in its records alone."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Died, Refusing, refuse_with, states, work_and_die
from s3sync_dagster_tests.core.test_rules_into import Silent
from s3sync_dagster_tests.core.test_rules_moved import everything, finish, move
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

APART = [{"collection_name": "docs2"}, {"id_prefix": "p-"}]
IN_PLACE = {"bucket_name": "bucket-eu"}
SKIPPED = ("skipped", "changed_in_append_mode")


@pytest.fixture
def earlier():
    """A world with a text that its object has no more, and one that it has."""
    world = make_world(mode=DeleteMode.APPEND)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in ("a.md", "b.md"):
        world.bucket.put(key, f"{key} first")
    world.sync()
    world.bucket.put("a.md", "a.md second")
    world.sync()
    return world


def settle(world):
    for _ in range(2):
        world.sync()
        said = finish(world)
    return said


@pytest.mark.parametrize("changes", APART, ids=lambda one: next(iter(one)))
def test_an_earlier_text_stays_beside_what_the_object_has_now(earlier, changes):
    before = move(earlier, **changes)
    said = settle(earlier)
    assert "1 documents of before (1 records) stay: 1 whose text mode `append` keeps" in said
    assert "`s3sync source move docs --now` removes them" in said
    assert everything(earlier, before, earlier.source) == {
        "a.md first", "a.md second", "b.md first",
    }  # fmt: skip
    assert finish(earlier, now=True) is None
    assert everything(earlier, before, earlier.source) == {"a.md second", "b.md first"}


def test_an_earlier_text_is_not_written_over_where_it_stands(earlier):
    before = move(earlier, **IN_PLACE)
    assert "1 whose text mode `append` keeps" in settle(earlier)
    assert everything(earlier, before) == {"a.md first", "b.md first"}
    assert states(earlier)["a.md"] == SKIPPED
    assert finish(earlier, now=True) is None
    earlier.run_batches()
    assert everything(earlier, before) == {"a.md second", "b.md first"}


@pytest.mark.parametrize("changes", [*APART, IN_PLACE], ids=lambda one: next(iter(one)))
def test_an_earlier_text_of_a_restored_catalog_stays(earlier, changes):
    restore(earlier, back_up(earlier))
    before = move(earlier, **changes)
    settle(earlier)
    assert "a.md first" in everything(earlier, before, earlier.source)


def test_an_earlier_text_stays_where_the_source_is_moved_back_to_it(earlier):
    before = move(earlier, collection_name="docs2")
    settle(earlier)
    move(earlier, collection_name="docs")
    settle(earlier)
    assert "a.md first" in everything(earlier, before)
    assert states(earlier)["a.md"] == SKIPPED


def test_what_changes_in_the_middle_of_a_move_is_an_earlier_text(earlier):
    before = move(earlier, collection_name="docs2")
    earlier.bucket.put("b.md", "b.md second")
    said = settle(earlier)
    assert "2 whose text mode `append` keeps" in said
    assert everything(earlier, before) == {"a.md first", "b.md first"}
    assert everything(earlier, earlier.source) == {"a.md second", "b.md second"}


def claims_and_dies(world):
    def at(place):
        if place == "claimed":
            raise Died

    work_and_die(world, workers=1, at=at)


def is_refused(world):
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, upsert=away)
    world.run_batches(collections=refusing)
    refusing.on = False


def has_no_model(world):
    answering, world.embedder = world.embedder, Silent(world.embedder)
    world.run_batches()
    world.embedder = answering


@pytest.mark.parametrize("begins", [claims_and_dies, is_refused, has_no_model])
def test_a_text_that_nothing_was_written_over_yet_is_an_earlier_one(earlier, begins):
    move(earlier, **IN_PLACE)
    earlier.listing()
    begins(earlier)
    earlier.bucket.put("b.md", "b.md second")
    for _ in range(3):
        earlier.clock.seconds += 7200
        earlier.sync()
        finish(earlier)
    assert sorted(earlier.texts().values()) == ["a.md first", "b.md first"]
    assert states(earlier)["b.md"] == SKIPPED


@pytest.mark.parametrize("how", ["archived", "denied"])
def test_a_move_ends_where_a_document_that_names_nobody_else_waits_for_its_bytes(how):
    world = make_world(mode=DeleteMode.APPEND)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("a.md", "a")
    world.bucket.put("b.md", "b")
    world.sync()
    move(world, bucket_name="copied")
    world.sync()
    world.catalog.documents.distrust_all(world.source.id)  # as a rebuild does
    if how == "archived":
        world.bucket.put("a.md", "a", storage_class="GLACIER")
    else:
        world.fault = denied("a.md")
    for _ in range(3):
        world.clock.seconds += 7200
        world.sync(approve_deletes=True)
        said = finish(world)
    assert said is None


def denied(name):
    def fault(kind, key):
        if (kind, key) == ("GET", name):
            raise AccessDenied("It may not be read.")

    return fault
