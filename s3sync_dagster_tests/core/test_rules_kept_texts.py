"""What append mode alone has of a text stays until it is known that nothing of it is left."""

import pytest

from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.engine.rolling_check import DAY_SECONDS
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import ChunkingConfig, DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.core.test_rolling_check import look
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.engine_fixture import make_world

LATER_ID = "00000000-0000-4000-8000-000000000002"


def texts(world):
    return sorted(world.texts().values())


def look_for_days(world, days=4):
    """Return what each look of some days found; what it asks for is done."""
    found = []
    for _ in range(days):
        world.clock.seconds += DAY_SECONDS
        found.append(look(world))
        world.run_batches()
    return found


@pytest.fixture
def read_back():
    """A world whose catalog was lost: a text that its object has no more bears an id of before."""
    lost = make_world(mode=DeleteMode.APPEND)
    for text in ("one\n\ntwo", "three\n\nfour"):
        lost.bucket.put("a.md", text)
        lost.sync()
    world = make_world(id=LATER_ID, mode=DeleteMode.APPEND)
    world.bucket, world.collections = lost.bucket, lost.collections
    world.__post_init__()
    recover_catalog(
        world.source, catalog=world.catalog, collections=world.collections, embedder=world.embedder
    )
    world.bucket.put("b.md", "new")
    world.sync()
    return world


@pytest.mark.parametrize("restored", [False, True])
def test_the_rolling_check_leaves_a_text_that_bears_the_id_of_a_lost_source(read_back, restored):
    if restored:
        restore(read_back, back_up(read_back))
    look_for_days(read_back)
    read_back.sync()
    assert texts(read_back) == ["new", "one", "two"]


def test_a_text_of_a_lost_source_of_which_nothing_is_left_is_that_of_now(read_back):
    kept = [name for name, text in read_back.texts().items() if text in ("one", "two")]
    open_collection(read_back).delete(kept)
    look_for_days(read_back)
    assert texts(read_back) == ["four", "new", "three"]


def test_a_text_of_which_nothing_is_left_is_found_once():
    world = make_world(mode=DeleteMode.APPEND)
    for key, text in (("a.md", "one\n\ntwo"), ("b.md", "b")):
        world.bucket.put(key, text)
    world.sync()
    world.bucket.delete("a.md")
    world.sync(approve_deletes=True)
    open_collection(world).delete([name for name, text in world.texts().items() if text != "b"])
    assert look_for_days(world, 6)[2:] == [0] * 4


@pytest.fixture
def unknown():
    """A world whose catalog was put back: it does not know a text that its object has no more."""
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    for text in ("one\n\ntwo", "three\n\nfour"):
        world.bucket.put("new.md", text)
        world.sync()
    restore(world, copy)
    return world


def test_a_text_that_a_restored_catalog_does_not_know_is_not_written_over(unknown):
    for _ in range(2):
        unknown.clock.seconds += DAY_SECONDS
        unknown.sync()
        look_for_days(unknown)
    assert texts(unknown) == ["old", "one", "two"]
    assert states(unknown)["new.md"] == ("skipped", "changed_in_append_mode")


def test_what_is_left_of_a_text_that_a_restored_catalog_does_not_know_is_written_over(unknown):
    open_collection(unknown).delete(
        [name for name, text in unknown.texts().items() if text == "two"]
    )
    unknown.sync()
    assert texts(unknown) == ["four", "old", "three"]


def test_who_asks_for_a_key_writes_over_a_text_that_a_restored_catalog_does_not_know(unknown):
    unknown.catalog.invocations.request(unknown.source, ["new.md"], trigger=Trigger.API)
    unknown.run_batches()
    assert texts(unknown) == ["four", "old", "three"]


@pytest.mark.parametrize("context", [False, True])
def test_a_spoilt_text_of_a_restored_catalog_is_not_trusted_by_its_metadata(context):
    world = make_world(mode=DeleteMode.APPEND)
    for text in ("one\n\ntwo", "newer"):
        world.bucket.put("a.md", text)
        world.sync()
    world.poison(next(name for name, text in world.texts().items() if text == "two"))
    look_for_days(world)
    if context:
        world.configure(chunking=ChunkingConfig(context=True))
        world.sync()
    restore(world, back_up(world))
    world.bucket.put("a.md", "newest")
    world.sync()
    look_for_days(world)
    world.sync()
    (one,) = world.catalog.documents.of_source(world.source.id)
    assert (one.phase.value, texts(world)) == ("writing", ["one", "poisoned"])
