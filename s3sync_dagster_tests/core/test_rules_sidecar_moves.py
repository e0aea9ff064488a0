"""A sidecar moves its document elsewhere: what stands stays until the other is written."""

from contextlib import suppress

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import AccessDenied, Conflict, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, sidecar, states
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY
from s3sync_dagster_tests.core.test_rules_dropping import drop
from s3sync_dagster_tests.core.test_rules_move_append import IN_PLACE, claims_and_dies, is_refused
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import (
    goes_on,
    says,
)
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world


def is_denied(world):
    world.bucket.put("a.md", "changed")

    def fault(asked, key):
        if (asked, key) == ("GET", "a.md"):
            raise AccessDenied("not allowed")

    world.fault = fault


def is_changed(world):
    world.bucket.put("a.md", "changed")


def is_gone(world):
    world.bucket.delete("a.md")


def sees_in(world, collection, group):
    """Return the keys that a group finds records of in a collection."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = world.metadata(collection).values()
    return {one["document_key"] for one in found if rights.allow_record(one)}


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (DeleteMode.MIRROR, is_denied),
        (DeleteMode.APPEND, is_denied),
        (DeleteMode.KEEP_DELETED, is_denied),
        (DeleteMode.APPEND, is_changed),
        (DeleteMode.APPEND, is_gone),
        (DeleteMode.KEEP_DELETED, is_gone),
    ],
)
@pytest.mark.parametrize("begins", [claims_and_dies, is_refused])
def test_what_was_taken_over_and_not_written_anew_goes_with_no_drop_unasked(mode, what, begins):
    world = make_world(mode=mode)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in ("a.md", "b.md"):
        world.bucket.put(key, f"{key} first")
    world.sync()
    move(world, **IN_PLACE)
    world.listing()
    begins(world)
    what(world)
    for _ in range(3):
        world.clock.seconds += 7200
        world.sync()
        finish(world)
    assert sorted(world.texts().values()) == ["a.md first", "b.md first"]
    with pytest.raises(Conflict):
        drop(world)
    assert sorted(world.texts().values()) == ["a.md first", "b.md first"]


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("first", "x"), ("other", "x")),
        (("other", "y"), ("other", "x")),
        (("first", "x"), (None, "x")),
    ],
)
def test_a_text_stays_where_the_id_that_its_sidecar_asks_for_is_another_s(
    mode, changes, before, after
):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode)
    for key, (name, custom_id) in {"a.md": before, "b.md": after}.items():
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id, target_collection_name=name))
    world.sync()
    if changes:
        world.bucket.put("a.md", "text of a.md, changed")
    asks = sidecar("a.md", after[1], target_collection_name=after[0])
    world.bucket.put("a.md.meta.json", asks)
    goes_on(world)
    assert states(world)["a.md"] == ("failed", "record_ids_taken")
    left = [text for name in ("first", "other", None) for text in world.texts(name).values()]
    assert any(text.startswith("text of a.md") for text in left), left


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("sidecars_too", [True, False])
@pytest.mark.parametrize("asks", [("other", "id"), ("first", "new"), ("first", "id")])
def test_an_emptied_bucket_goes_round_no_guard_where_texts_wait_for_another_collection(
    mode, sidecars_too, asks
):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode)
    keys = [f"{n:02}.md" for n in range(60)]

    def tell(name, custom_id):
        for key in keys:
            said = sidecar(key, f"{custom_id}-{key}", target_collection_name=name)
            world.bucket.put(f"{key}.meta.json", said)

    for key in keys:
        world.bucket.put(key, f"text of {key}")
    tell("first", "id")
    world.sync()

    def fault(asked, key):
        if asked in ("GET", "HEAD") and key in keys:
            raise AccessDenied("not allowed")

    world.fault = fault
    tell(*asks)
    goes_on(world)
    assert len(world.texts("first")) == 60
    world.fault = None
    for key in keys:
        world.bucket.delete(key)
        if sidecars_too:
            world.bucket.delete(f"{key}.meta.json")
    for _ in range(2):
        world.clock.seconds += 7200
        world.sync()
    assert len(world.texts("first")) == 60


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("waits", [("x", "other"), ("y", "docs")])
def test_a_drop_takes_no_text_unasked_that_waits_for_another_document(mode, waits):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode)
    world.bucket.put("a.md", "text of a.md")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.sync()
    is_denied(world)
    asks = sidecar("a.md", waits[0], target_collection_name=waits[1])
    world.bucket.put("a.md.meta.json", asks)
    goes_on(world)
    assert list(world.texts().values()) == ["text of a.md"]
    with pytest.raises(Conflict):
        drop(world)
    assert list(world.texts().values()) == ["text of a.md"]


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("how", ["event", "listing"])
def test_a_text_that_waits_for_another_collection_outlives_orders(mode, how):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode)
    world.bucket.put("a.md", "text of a.md")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x", target_collection_name="first"))
    world.sync()
    is_denied(world)
    asks = sidecar("a.md", "x", target_collection_name="other")
    world.bucket.put("a.md.meta.json", asks)
    goes_on(world)
    if how == "event":
        event(world, "a.md")
    for order in ("force", "retry", "rebuild", "configure", "verify"):
        world.clock.seconds += 7200
        if order == "force":
            world.ask("a.md", force=True, trigger=Trigger.CLI)
        elif order == "retry":
            world.catalog.invocations.retry_failed(world.source)
        elif order == "rebuild":
            world.catalog.documents.distrust_all(world.source.id)
            world.catalog.documents.enqueue_unclean(world.source.id)
        elif order == "configure":
            world.configure(metadata={"a": "b"})
        else:
            fix(world, "first")
        world.sync()
        assert list(world.texts("first").values()) == ["text of a.md"], order
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x", target_collection_name="first"))
    goes_on(world)
    assert list(world.texts("first").values()) == ["text of a.md"], "sent back"
    world.fault = None
    world.bucket.put("a.md", "last")
    goes_on(world)
    assert (list(world.texts("first").values()), world.texts("other")) == (["last"], {})


@pytest.mark.parametrize("changes", [{"collection_name": "docs2"}, {"id_prefix": "p-"}, IN_PLACE])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_move_by_a_person_s_word_opens_nothing_that_nobody_could_look_at(changes, known, listed):
    world = make_world(reader_keys=("team",), **BY_PATH)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put("sales/b.md", "b")
    if known:
        world.bucket.put(KEY, "salaries")
    world.sync()
    copy = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    says(world)
    world.run_batches()
    restore(world, copy)
    move(world, **changes)
    if listed:
        world.listing()
        away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
        refusing = Refusing(world, get=away)
        world.run_batches(collections=refusing)
        refusing.on = False
    with suppress(Conflict):
        finish(world, now=True)
    for _ in range(3):
        world.clock.seconds += 90_000
        world.sync(approve_deletes=True)
        with suppress(Conflict):
            finish(world)
    assert KEY not in sees_in(world, world.source.collection_name, "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("auto_sync", [AutoSync.DIRECT, AutoSync.NONE])
@pytest.mark.parametrize("target", [None, "copies"])
def test_what_an_owner_closed_under_another_id_after_a_backup_stays_closed_in_any_collection(
    mode, auto_sync, target
):
    world = make_world(mode=mode, auto_sync=auto_sync, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    says(world, None, target_collection_name=target)
    world.run_batches()
    copy = back_up(world)
    says(world, HR, custom_id="y", target_collection_name=target)
    world.run_batches()
    name = target or "docs"
    assert (sees_in(world, name, "sales"), sees_in(world, name, "hr")) == (set(), {KEY})
    restore(world, copy)
    assert sees_in(world, name, "sales") == set()
    goes_on(world)
    assert sees_in(world, name, "sales") == set()


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("denied", [True, False])
def test_a_sidecar_that_was_rewritten_after_a_backup_opens_nothing_by_its_word_of_before(
    mode, denied
):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.bucket.put("z.meta.json", sidecar(KEY, "x", target_collection_name="first"))
    world.sync()
    copy = back_up(world)
    asks = sidecar(KEY, "y", target_collection_name="first", metadata=HR)
    world.bucket.put("z.meta.json", asks)
    goes_on(world)
    gone_before = sees_in(world, "first", "sales")
    assert sees_in(world, "first", "hr") == {KEY}
    restore(world, copy)

    def fault(asked, key):
        if denied and (asked, key) == ("GET", "z.meta.json"):
            raise AccessDenied("not allowed")

    world.fault = fault
    for _ in range(2):
        world.clock.seconds += 7200
        world.sync()
        assert sees_in(world, "first", "sales") == gone_before == set()


def is_damaged(world):
    world.fault = None
    world.bucket.put("a.md", "BAD")


def is_emptied(world):
    world.fault = None
    world.bucket.put("a.md", "")


def is_deleted(world):
    world.fault = None
    world.bucket.delete("a.md")


@pytest.mark.parametrize("waits", [("x", "other"), ("y", "first"), ("x", "first")])
@pytest.mark.parametrize("then", [is_damaged, is_emptied, is_deleted])
def test_a_mode_keeps_a_text_that_waits_for_another_document(waits, then):
    world = make_world(auto_sync=AutoSync.METADATA, mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "text of a.md")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x", target_collection_name="first"))
    world.sync()
    is_denied(world)
    asks = sidecar("a.md", waits[0], target_collection_name=waits[1])
    world.bucket.put("a.md.meta.json", asks)
    goes_on(world)
    then(world)
    goes_on(world)
    assert list(world.texts("first").values()) == ["text of a.md"]


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
def test_what_has_its_successor_waits_for_no_other_sidecar_s_document(mode):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode)
    world.bucket.put("c.md", "text of c.md")
    world.bucket.put("c.meta.json", sidecar("c.md", "w", target_collection_name="second"))
    world.bucket.put("a.md", "text of a.md")
    world.bucket.put("1.meta.json", sidecar("a.md", "y"))
    world.sync()
    world.bucket.put("1.meta.json", sidecar("a.md", "z"))
    world.bucket.put("2.meta.json", sidecar("a.md", "w", target_collection_name="second"))
    goes_on(world)
    assert states(world)["a.md"] == ("failed", "record_ids_taken")
    assert world.texts() == {"z-0": "text of a.md"}
    assert world.texts("second") == {"w-0": "text of c.md"}
