"""What closes a document closes it at once and for good: an owner's word, a sidecar's."""

import pytest

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY
from s3sync_dagster_tests.core.test_rules_dropping import drop
from s3sync_dagster_tests.core.test_rules_move_append import claims_and_dies
from s3sync_dagster_tests.core.test_rules_owner_words import (
    forgotten,
    goes_on,
    of_key,
    says,
    sees,
    world_of_sales,
)
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

MODES = list(DeleteMode)
REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]


def is_refused(world, kind="GET"):
    def fault(asked, key):
        if (asked, key) == (kind, KEY):
            raise AccessDenied("not allowed")

    world.fault = fault


def sees_in(world, collection, group):
    """Return the keys that a group finds records of in a collection."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = world.metadata(collection).values()
    return {one["document_key"] for one in found if rights.allow_record(one)}


# --- a sidecar that asks for another collection -------------------------------------------------


def asks(world, collection, *, name="pay.meta.json", custom_id="x", **told):
    asked = sidecar(KEY, custom_id, target_collection_name=collection, **told)
    world.bucket.put(name, asked)


def world_of_sidecar(mode, auto_sync=AutoSync.METADATA, first="first"):
    world = make_world(auto_sync=auto_sync, mode=mode, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    asks(world, first)
    world.sync()
    assert sees_in(world, first, "sales") == {KEY}
    return world


@pytest.mark.parametrize(
    ("first", "auto_sync"),
    [
        ("docs", AutoSync.METADATA),  # with ``direct`` the source has it there by itself
        ("first", AutoSync.METADATA),
        ("first", AutoSync.DIRECT),
    ],
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["GET", "HEAD", None])
@pytest.mark.parametrize("changes", [True, False])
def test_a_sidecar_closes_what_stays_until_the_collection_it_asks_for_has_it(
    auto_sync, mode, kind, changes, first
):
    world = world_of_sidecar(mode, auto_sync, first)
    is_refused(world, kind)
    if changes:
        world.bucket.put(KEY, "salaries two")
    asks(world, "other", metadata=HR)
    goes_on(world)
    assert sees_in(world, first, "sales") == set()


@pytest.mark.parametrize("mode", MODES)
def test_a_sidecar_closes_what_it_had_where_another_has_what_it_asks_for(mode):
    world = world_of_sidecar(mode)
    asks(world, "other", name="a.meta.json", custom_id="y")
    world.sync()
    is_refused(world)
    world.bucket.put(KEY, "salaries two")
    asks(world, "other", metadata=HR)
    goes_on(world)
    assert sees_in(world, "first", "sales") == set()


@pytest.mark.parametrize("mode", MODES)
def test_a_sidecar_that_names_the_same_readers_elsewhere_closes_nothing(mode):
    world = world_of_sidecar(mode)
    is_refused(world)
    asks(world, "other", metadata={"team": "sales", "title": "t"})
    goes_on(world)
    assert sees_in(world, "first", "sales") == {KEY}
    world.fault = None
    goes_on(world)
    assert sees_in(world, "other", "sales") == {KEY}


@pytest.mark.parametrize("last", ["first", "other", "third"])
@pytest.mark.parametrize("mode", MODES)
def test_what_a_sidecar_closed_in_going_elsewhere_is_opened_by_its_next_word(mode, last):
    world = world_of_sidecar(mode)
    is_refused(world)
    world.bucket.put(KEY, "salaries two")
    asks(world, "other", metadata=HR)
    goes_on(world)
    asks(world, last)
    goes_on(world)
    world.fault = None
    goes_on(world)
    assert sees_in(world, last, "sales") == {KEY}


@pytest.mark.parametrize("mode", REPLACES)
def test_what_goes_for_a_collection_that_has_it_is_closed_until_it_can_be_deleted(mode):
    world = world_of_sidecar(mode)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, delete=away)
    asks(world, "other", metadata=HR)
    world.listing()
    for _ in range(2):
        world.clock.seconds += 7200
        world.run_batches(collections=refusing)
    refusing.on = False
    assert set(world.texts("first")) == {"x-0"}
    assert sees_in(world, "first", "sales") == set()
    goes_on(world)
    assert sees_in(world, "first", "hr") == set()
    assert sees_in(world, "other", "hr") == {KEY}


def test_an_owner_s_word_on_what_append_mode_keeps_of_a_sidecar_that_went_elsewhere_opens_it():
    world = world_of_sidecar(DeleteMode.APPEND)
    asks(world, "other", metadata=HR)
    goes_on(world)
    assert sees_in(world, "other", "hr") == set()  # readers are kept from all of an object
    says(world, target_collection_name="first", custom_id="x")
    goes_on(world)
    assert sees_in(world, "first", "hr") == sees_in(world, "other", "hr") == {KEY}
    assert sees_in(world, "first", "sales") == sees_in(world, "other", "sales") == set()


# --- a collection that is dropped ---------------------------------------------------------------


def waits(world, when, metadata=HR, custom_id=None):
    """Have an owner say something that cannot be written now."""
    if when == "gone":
        world.bucket.delete(KEY)
        goes_on(world)
    else:
        world.bucket.put(KEY, "salaries two")
        is_refused(world)
    says(world, metadata, custom_id=custom_id)
    goes_on(world)


WAITS = [(one, "denied") for one in MODES] + [
    (DeleteMode.APPEND, "gone"),
    (DeleteMode.KEEP_DELETED, "gone"),
]


@pytest.mark.parametrize(("mode", "when"), WAITS)
@pytest.mark.parametrize("custom_id", [None, "mine"])
def test_a_word_that_waits_holds_when_its_collection_is_dropped(mode, custom_id, when):
    world = world_of_sales(mode)
    waits(world, when, custom_id=custom_id)
    assert KEY not in sees(world, "sales")
    drop(world, approved=True)
    world.fault = None
    world.bucket.put(KEY, "salaries three")
    goes_on(world)
    assert KEY not in sees(world, "sales")
    assert KEY in sees(world, "hr")


@pytest.mark.parametrize(("mode", "when"), WAITS)
@pytest.mark.parametrize("metadata", [{}, {"team": "ops"}])
def test_a_word_that_opens_is_not_lost_with_its_collection(mode, when, metadata):
    world = world_of_sales(mode)
    says(world)
    goes_on(world)
    waits(world, when, metadata)
    drop(world, approved=True)
    world.fault = None
    world.bucket.put(KEY, "salaries three")
    goes_on(world)
    assert KEY in sees(world, metadata.get("team", "sales"))
    assert KEY not in sees(world, "hr")


def test_what_nobody_knows_who_said_stays_closed_when_its_collection_is_dropped():
    world = forgotten()
    world.bucket.put(KEY, "salaries")
    copy = back_up(world)
    says(world)
    world.run_batches()
    restore(world, copy)
    is_refused(world)
    goes_on(world)
    assert sees(world, "sales") == set()
    drop(world, approved=True)
    world.fault = None
    goes_on(world)
    assert len(world.texts()) == 1
    assert sees(world, "sales") == set()
    says(world, {})
    goes_on(world)
    assert sees(world, "sales") == {KEY}


@pytest.mark.parametrize("mode", MODES)
def test_of_a_document_of_which_nobody_said_anything_no_row_outlives_its_collection(mode):
    world = world_of_sales(mode)
    is_refused(world)
    world.bucket.put(KEY, "salaries two")
    goes_on(world)
    drop(world, approved=True)
    assert of_key(world) == []


# --- what gave way before -----------------------------------------------------------------------


def gives_way(mode):
    """Return a world whose document gave way to another, and is not deleted yet."""
    world = world_of_sales(mode)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, delete=away)
    says(world, None, custom_id="x")
    world.run_batches(collections=refusing)
    assert KEY in sees(world, "sales")
    return world, refusing


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("custom_id", ["x", "y"])
def test_a_word_closes_what_gave_way_before_and_is_not_deleted_yet(mode, custom_id):
    world, refusing = gives_way(mode)
    says(world, HR, custom_id=custom_id)
    world.clock.seconds += 7200
    world.run_batches(collections=refusing)
    refusing.on = False
    assert len([one for one in world.metadata().values() if one["document_key"] == KEY]) > 1
    assert KEY not in sees(world, "sales")
    goes_on(world)
    assert KEY not in sees(world, "sales")
    assert KEY in sees(world, "hr")


@pytest.mark.parametrize("mode", MODES)
def test_a_word_closes_what_gave_way_before_also_where_the_worker_dies_over_it(mode):
    world, refusing = gives_way(mode)
    refusing.on = False
    says(world, HR, custom_id="x")
    claims_and_dies(world)
    assert KEY not in sees(world, "sales")
    goes_on(world)
    assert KEY not in sees(world, "sales")
    assert KEY in sees(world, "hr")


@pytest.mark.parametrize("mode", MODES)
def test_what_gave_way_before_to_what_says_the_same_is_not_closed(mode):
    world, refusing = gives_way(mode)
    says(world, {"title": "t"}, custom_id="x")
    world.clock.seconds += 7200
    world.run_batches(collections=refusing)
    refusing.on = False
    assert KEY in sees(world, "sales")


# --- a request that waited in a backup ----------------------------------------------------------


def backed_up(mode, known, asked, **wish):
    """Return a world with a request that nobody has done, and a copy of then."""
    world = make_world(mode=mode, reader_keys=("team",), **BY_PATH)
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    world.bucket.put(KEY, "salaries")
    says(world, asked, **wish)
    return world, back_up(world)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("custom_id", "later"), [(None, None), ("x", "x"), (None, "y"), ("x", None), ("x", "y")]
)
@pytest.mark.parametrize("asked", [{"team": "sales"}, None], ids=["sales", "nothing"])
def test_a_request_that_waited_in_a_backup_opens_nothing_that_was_closed_since(
    mode, known, custom_id, later, asked
):
    world, copy = backed_up(mode, known, asked, custom_id=custom_id)
    world.run_batches()
    says(world, HR, custom_id=later)
    world.run_batches()
    assert (sees(world, "sales"), sees(world, "hr")) == (set(), {KEY})
    restore(world, copy)
    assert sees(world, "sales") == set()
    world.run_batches()
    assert sees(world, "sales") == set()
    goes_on(world)
    assert sees(world, "sales") == set()
    says(world, {"team": "sales"}, custom_id=later)
    goes_on(world)
    assert sees(world, "sales") == {KEY}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_who_asks_after_the_restore_is_heard_beside_what_waited(mode, known, first):
    world, copy = backed_up(mode, known, {"team": "sales"})
    world.run_batches()
    says(world, HR)
    world.run_batches()
    restore(world, copy)
    if not first:
        world.run_batches()
    says(world, {"team": "ops"})
    goes_on(world)
    assert [sees(world, one) for one in ("sales", "hr", "ops")] == [set(), set(), {KEY}]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("asked", [{"team": "ops"}, {"team": "sales"}, {"title": "t"}])
def test_a_request_that_waited_in_a_backup_is_done_where_nobody_said_else_since(
    mode, known, done, asked
):
    world, copy = backed_up(mode, known, asked, custom_id="x")
    if done:
        world.run_batches()
    restore(world, copy)
    goes_on(world)
    reader = asked.get("team", "sales")
    for group in ("sales", "ops", "hr"):
        assert sees(world, group) == ({KEY} if group == reader else set())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("denied", [True, False])
@pytest.mark.parametrize("later", ["x", "y"])
def test_a_copy_that_waited_in_a_backup_opens_nothing_that_was_closed_since(
    mode, known, denied, later
):
    wish = {"target_collection_name": "copy", "custom_id": "x"}
    world, copy = backed_up(mode, known, {"team": "sales"}, **wish)
    world.run_batches()
    wish["custom_id"] = later
    says(world, HR, **wish)
    world.run_batches()
    assert sees_in(world, "copy", "sales") == set()
    restore(world, copy)
    if denied:
        is_refused(world)
        goes_on(world)
        assert sees_in(world, "copy", "sales") == set()
        world.fault = None
    goes_on(world)
    assert sees_in(world, "copy", "sales") == set()
    says(world, {"team": "ops"}, **wish)
    goes_on(world)
    assert sees_in(world, "copy", "ops") == {KEY}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", ["GET", "HEAD"])
@pytest.mark.parametrize("asked", [{"team": "sales"}, None], ids=["sales", "nothing"])
def test_a_request_that_waited_and_cannot_be_done_after_the_restore_opens_nothing_later(
    mode, known, kind, asked
):
    world, copy = backed_up(mode, known, asked)
    world.run_batches()
    says(world, HR)
    world.run_batches()
    restore(world, copy)
    world.bucket.put(KEY, "salaries two")
    is_refused(world, kind)
    goes_on(world)
    assert sees(world, "sales") == set()
    world.fault = None
    goes_on(world)
    assert sees(world, "sales") == set()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
@pytest.mark.parametrize(
    ("wish", "later"),
    [
        ({}, {}),
        ({"custom_id": "x"}, {"custom_id": "x"}),
        ({"custom_id": "x"}, {"custom_id": "y"}),
        ({"custom_id": "x", "target_collection_name": "copy"},) * 2,
        (
            {"custom_id": "x", "target_collection_name": "copy"},
            {"custom_id": "y", "target_collection_name": "copy"},
        ),
    ],
)
def test_a_word_that_was_kept_in_a_backup_opens_nothing_that_was_closed_since(
    mode, auto_sync, wish, later
):
    world = make_world(mode=mode, reader_keys=("team",), auto_sync=auto_sync, **BY_PATH)
    world.sync()
    world.bucket.put(KEY, "salaries")
    is_refused(world)
    says(world, {"team": "sales"}, **wish)
    goes_on(world)
    copy = back_up(world)
    world.fault = None
    goes_on(world)
    says(world, HR, **later)
    goes_on(world)
    name = wish.get("target_collection_name", "docs")
    assert (sees_in(world, name, "sales"), sees_in(world, name, "hr")) == (set(), {KEY})
    restore(world, copy)
    for _ in range(2):
        goes_on(world)
        assert sees_in(world, name, "sales") == set()
    says(world, {"team": "ops"}, **later)
    goes_on(world)
    assert sees_in(world, name, "ops") == {KEY}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wish", [{}, {"custom_id": "x", "target_collection_name": "copy"}])
def test_a_word_that_was_kept_in_a_backup_is_written_where_nobody_said_else_since(mode, wish):
    world = make_world(mode=mode, reader_keys=("team",), auto_sync=AutoSync.METADATA, **BY_PATH)
    world.sync()
    world.bucket.put(KEY, "salaries")
    is_refused(world)
    says(world, {"team": "ops"}, **wish)
    goes_on(world)
    copy = back_up(world)
    restore(world, copy)
    goes_on(world)
    world.fault = None
    goes_on(world)
    assert sees_in(world, wish.get("target_collection_name", "docs"), "ops") == {KEY}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("custom_id", [None, "x"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("dies", [True, False])
def test_a_word_that_was_being_written_in_a_backup_opens_nothing_that_was_closed_since(
    mode, custom_id, known, dies
):
    world, _ = backed_up(mode, known, {"team": "sales"}, custom_id=custom_id)
    if dies:
        claims_and_dies(world)
    else:
        away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
        refusing = Refusing(world, upsert=away)
        world.run_batches(collections=refusing)
        refusing.on = False
    copy = back_up(world)
    goes_on(world)
    says(world, HR, custom_id=custom_id)
    goes_on(world)
    assert (sees(world, "sales"), sees(world, "hr")) == (set(), {KEY})
    restore(world, copy)
    for _ in range(2):
        goes_on(world)
        assert sees(world, "sales") == set()
    says(world, {"team": "ops"}, custom_id=custom_id)
    goes_on(world)
    assert sees(world, "ops") == {KEY}
