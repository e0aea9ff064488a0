"""What closes a document closes it at once and for good: an owner's word, a sidecar's."""

import pytest

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY
from s3sync_dagster_tests.core.test_rules_dropping import drop
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on, says, sees, world_of_sales
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world


@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("kind", ["GET", "HEAD", None])
@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.parametrize("first", ["docs", "first"])
def test_a_sidecar_closes_what_stays_until_the_collection_it_asks_for_has_it(
    auto_sync, mode, kind, changes, first
):
    if first == "docs" and auto_sync is AutoSync.DIRECT:
        pytest.skip("the source has it there by itself")
    world = make_world(auto_sync=auto_sync, mode=mode, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.bucket.put("pay.meta.json", sidecar(KEY, "x", target_collection_name=first))
    world.sync()
    assert sees_in(world, first, "sales") == {KEY}

    def fault(asked, key):
        if (asked, key) == (kind, KEY):
            raise AccessDenied("not allowed")

    world.fault = fault
    if changes:
        world.bucket.put(KEY, "salaries two")
    asks = sidecar(KEY, "x", target_collection_name="other", metadata=HR)
    world.bucket.put("pay.meta.json", asks)
    goes_on(world)
    assert sees_in(world, first, "sales") == set()


def sees_in(world, collection, group):
    """Return the keys that a group finds records of in a collection."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = world.metadata(collection).values()
    return {one["document_key"] for one in found if rights.allow_record(one)}


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("custom_id", [None, "mine"])
@pytest.mark.parametrize("when", ["gone", "denied"])
def test_a_word_that_waits_holds_when_its_collection_is_dropped(mode, custom_id, when):
    world = world_of_sales(mode)
    if mode is DeleteMode.MIRROR and when == "gone":
        pytest.skip("nothing there")
    if when == "gone":
        world.bucket.delete(KEY)
        goes_on(world)
        says(world, custom_id=custom_id)
        goes_on(world)
    else:
        world.bucket.put(KEY, "salaries two")

        def fault(asked, key):
            if (asked, key) == ("GET", KEY):
                raise AccessDenied("not allowed")

        world.fault = fault
        says(world, custom_id=custom_id)
        goes_on(world)
    assert KEY not in sees(world, "sales")
    drop(world, approved=True)
    world.fault = None
    world.bucket.put(KEY, "salaries three")
    goes_on(world)
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_word_closes_what_gave_way_before_and_is_not_deleted_yet(mode):
    world = world_of_sales(mode)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, delete=away)
    says(world, None, custom_id="x")
    world.run_batches(collections=refusing)
    assert KEY in sees(world, "sales")
    says(world, HR, custom_id="x")
    world.clock.seconds += 7200
    world.run_batches(collections=refusing)
    refusing.on = False
    assert KEY in sees(world, "hr")
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("custom_id", [None, "x"])
@pytest.mark.parametrize("first", [{"team": "sales"}, None], ids=["sales", "nothing"])
def test_a_request_that_waited_in_a_backup_opens_nothing_that_was_closed_since(
    mode, known, custom_id, first
):
    world = make_world(mode=mode, reader_keys=("team",), **BY_PATH)
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    world.bucket.put(KEY, "salaries")
    says(world, first, custom_id=custom_id)
    copy = back_up(world)
    world.run_batches()
    says(world, HR, custom_id=custom_id)
    world.run_batches()
    assert (sees(world, "sales"), sees(world, "hr")) == (set(), {KEY})
    restore(world, copy)
    assert sees(world, "sales") == set()
    world.run_batches()
    assert sees(world, "sales") == set()
    goes_on(world)
    assert sees(world, "sales") == set()
