"""A document that gives way to one under another id stays until that is whole."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.rows import IN_LIST
from s3sync_dagster.catalog.settlement import forget_removed
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.model.errors import RecordRejected
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, refused, sidecar
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_texts_left import (
    BEGINS,
    KEEPS,
    claims_and_dies,
    from_code,
    settle,
)
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world

EDITS = {
    "another id": sidecar("a.md", "y"),
    "another collection": sidecar("a.md", "x", target_collection_name="third"),
    "another object": sidecar("b.md", "x"),
    "nothing there": sidecar("none.md", "x"),
}


def all_texts(world):
    names = [name for _, _, name in world.collections._collections]
    return {text for name in names for text in world.texts(name).values()}


@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("asks", ["sidecar", "request"])
@pytest.mark.parametrize("mode", KEEPS)
@pytest.mark.parametrize("told", ["listing", "event"])
def test_what_gives_way_stays_where_its_successor_is_not_whole(mode, asks, begins, told):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "one")
    world.sync()
    if asks == "sidecar":
        world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
        world.listing()
    else:
        world.ask("a.md", custom_id="x")
    begins(world)
    world.bucket.delete("a.md")
    if asks == "sidecar":
        world.bucket.delete("a.md.meta.json")
    if told == "event":
        event(world, "a.md", remove=True)
        world.run_batches()
    settle(world)
    assert all_texts(world) == {"one"}


def test_what_gives_way_stays_where_chroma_refuses_its_successor():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "one")
    world.sync()
    world.ask("a.md", custom_id="x")
    no = refuse_with(RecordRejected("no"), lambda some: any(one.document == "one" for one in some))
    world.run_batches(collections=Refusing(world, upsert=no))
    world.bucket.delete("a.md")
    settle(world)
    event(world, "a.md", remove=True)
    settle(world)
    assert all_texts(world) == {"one"}


@pytest.mark.parametrize("mode", KEEPS)
@pytest.mark.parametrize("then", ["restored", "moved", "verified"])
def test_what_gives_way_outlives_what_people_do(mode, then):
    world = from_code(make_world(mode=mode))
    world.bucket.put("old.md", "old")
    world.bucket.put("a.md", "one")
    world.sync()
    world.ask("a.md", custom_id="x")
    claims_and_dies(world)
    copy = back_up(world)
    world.bucket.delete("a.md")
    if then == "restored":
        restore(world, copy)
        settle(world)
    elif then == "moved":
        move(world, collection_name="docs2")
        for _ in range(4):
            settle(world, 1)
            finish(world)
    else:
        fix(world)
    assert "one" in world.texts("docs").values()


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("then", ["archived", "denied"])
def test_what_gives_way_stays_while_its_object_cannot_be_read(mode, begins, then):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "one")
    world.sync()
    world.ask("a.md", custom_id="x")
    begins(world)
    if then == "archived":
        world.bucket.put("a.md", "one", storage_class="GLACIER")
    else:
        refused(world)
    settle(world)
    assert all_texts(world) == {"one"}


@pytest.mark.parametrize("mode", KEEPS)
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
@pytest.mark.parametrize("left", ["gone", "damaged", "archived"])
def test_the_last_text_stays_whatever_its_sidecar_says(mode, edit, auto_sync, left):
    world = make_world(mode=mode, auto_sync=auto_sync)
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "b")
    world.bucket.put("1.meta.json", sidecar("a.md", "x"))
    settle(world)
    assert world.texts()["x-0"] == "one"
    if left == "gone":
        world.bucket.delete("a.md")
    elif left == "damaged":
        world.bucket.put("a.md", "BAD")
    else:
        world.bucket.put("a.md", "one more", storage_class="GLACIER")
    settle(world)
    world.bucket.put("1.meta.json", EDITS[edit])
    settle(world)
    assert "one" in all_texts(world)


@pytest.mark.parametrize("edit", ["another id", "another collection"])
@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
def test_mirror_waits_with_an_edited_sidecar_for_an_object_that_is_archived(edit, auto_sync):
    world = make_world(mode=DeleteMode.MIRROR, auto_sync=auto_sync)
    world.bucket.put("a.md", "one")
    world.bucket.put("1.meta.json", sidecar("a.md", "x"))
    settle(world)
    world.bucket.put("a.md", "one", storage_class="GLACIER")
    settle(world)
    world.bucket.put("1.meta.json", EDITS[edit])
    settle(world)
    assert all_texts(world) == {"one"}
    world.bucket.put("a.md", "two")
    settle(world, 5)
    assert all_texts(world) == {"two"}


def test_a_request_for_a_copy_does_not_write_over_a_kept_text():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "one")
    world.sync()
    world.bucket.put("a.md", "two")
    world.sync()
    world.ask("a.md", target_collection_name="asked")
    world.run_batches()
    assert list(world.texts("asked").values()) == ["two"]
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("begins", BEGINS)
@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
@pytest.mark.parametrize("edit", ["another object", "nothing there", "gone"])
def test_what_gave_way_stands_again_where_nobody_asks_for_its_successor(
    mode, begins, auto_sync, edit
):
    world = make_world(mode=mode, auto_sync=auto_sync)
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "b")
    world.ask("a.md")
    settle(world)
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.listing()
    begins(world)
    world.bucket.put("a.md", "two")
    if edit == "gone":
        world.bucket.delete("a.md.meta.json")
    else:
        world.bucket.put("a.md.meta.json", EDITS[edit])
    world.listing()
    settle(world)
    of_a = world.catalog.documents.of_key(world.source.id, "a.md")
    assert [one.phase for one in of_a] == ["clean"]
    assert ("one" if mode is DeleteMode.APPEND else "two") in all_texts(world)


@pytest.mark.parametrize("begun_first", [True, False])
def test_what_goes_with_its_successor_is_forgotten_however_many_go(begun_first):
    world = make_world(mode=DeleteMode.MIRROR)
    world.bucket.put("a.md", "one")
    world.sync()
    world.ask("a.md", custom_id="x")
    claims_and_dies(world)
    whole = documents.c.etag.is_not(None)
    with world.catalog.database.write() as tx:
        tx.execute(documents.update().values(phase="removing", batch_token="t"))
        if not begun_first:
            lift = {"id": documents.c.id + 2 * IN_LIST}
            tx.execute(documents.update().where(documents.c.etag.is_(None)).values(**lift))
        else:
            tx.execute(documents.update().where(whole).values(id=documents.c.id + 2 * IN_LIST))
        ids = set(tx.execute(sa.select(documents.c.id)).scalars())
        assert len(ids) == 2
        forget_removed(tx, "t", ids | set(range(10_000)))
        assert tx.execute(sa.select(documents.c.phase)).scalars().all() == []
