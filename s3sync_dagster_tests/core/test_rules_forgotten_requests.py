"""Texts that only requests, or batches of after a backup, have made: they outlive the restore."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.model.errors import Conflict, RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.core.test_rules_dropping import drop
from s3sync_dagster_tests.core.test_rules_found_texts import KEEPS, settle
from s3sync_dagster_tests.core.test_rules_move_append import claims_and_dies
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world

KEY = "a.md"


def test_what_was_asked_for_in_a_collection_that_the_backup_knows_stays():
    world = make_world()
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "two")
    world.sync()
    world.ask("b.md", target_collection_name="asked")
    world.run_batches()
    copy = back_up(world)
    world.ask("a.md", target_collection_name="asked")
    world.run_batches()
    restore(world, copy)
    settle(world)
    found = fix(world, "asked")
    assert (found.stray, found.held_back) == ([], ["a.md"])
    assert sorted(world.texts("asked").values()) == ["one", "two"]


def test_what_was_asked_for_of_a_source_that_takes_nothing_by_itself_stays():
    world = make_world(auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "two")
    world.sync()
    world.ask("b.md")
    world.ask("a.md", target_collection_name="asked")
    world.run_batches()
    copy = back_up(world)
    world.ask("a.md")
    world.run_batches()
    restore(world, copy)
    settle(world)
    found = fix(world)
    assert (found.stray, found.held_back) == ([], ["a.md"])
    assert sorted(world.texts().values()) == ["one", "two"]


def test_what_a_known_sidecar_asks_for_is_read_back_as_the_sidecars():
    world = make_world(auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "two")
    world.bucket.put("z.meta.json", sidecar("a.md", "y"))
    world.sync()
    with world.catalog.database.write() as tx:
        tx.execute(documents.delete())
    world.bucket.put("z.meta.json", sidecar("b.md", "w"))
    recover_catalog(
        world.source, catalog=world.catalog, collections=world.collections, embedder=None
    )
    for _ in range(2):
        world.sync()
    assert list(world.texts().values()) == ["two"]


@pytest.mark.parametrize("mode", KEEPS)
def test_a_text_that_a_deleted_source_kept_outlives_a_refused_takeover(mode):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "one")
    world.sync()
    port = open_collection(world)
    port.update_metadata(
        list(world.texts()),
        [{**one, "s3sync_source": "forgotten"} for one in world.metadata().values()],
    )
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM documents"))
        tx.execute(sa.text("DELETE FROM objects"))
    world.configure(adopt=True)
    world.bucket.put("a.md", "two")
    bad = refuse_with(
        RecordRejected("Chroma refused a record"),
        lambda records: any("two" in one.document for one in records),
    )
    world.listing()
    world.run_batches(collections=Refusing(world, upsert=bad))
    assert list(world.texts().values()) == ["one"]
    world.bucket.delete("a.md")
    settle(world)
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("failing", [1, 2, 3, 99])
def test_a_text_whose_beginning_alone_the_backup_knows_outlives_a_flaky_chroma(failing):
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "one")
    world.listing()
    claims_and_dies(world)
    copy = back_up(world)
    settle(world)
    assert list(world.texts().values()) == ["one"]
    world.bucket.delete("a.md")
    restore(world, copy)
    world.clock.seconds += 7200
    world.listing()
    world.catalog.documents.enqueue_unclean(world.source.id)
    left = [failing]

    def away(_first):
        left[0] -= 1
        if left[0] == 0:
            raise Unavailable("away", reason="chroma_unavailable")

    world.run_batches(collections=Refusing(world, get=away))
    for _ in range(3):
        settle(world, 1)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("known", [True, False])
def test_a_drop_takes_no_text_that_nothing_writes_again(known):
    world = make_world(auto_sync=AutoSync.METADATA)
    if known:
        world.bucket.put("a.md", "one")
    world.sync()
    backup = back_up(world)
    world.bucket.put("a.md", "one")
    world.ask("a.md")
    world.sync()
    restore(world, backup)
    try:
        drop(world)
    except Conflict:
        pass
    settle(world)
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("mode", KEEPS)
def test_a_text_whose_removal_the_backup_knows_before_it_was_ever_whole_outlives_the_restore(mode):
    world = make_world(mode=mode)
    world.bucket.put("a.md", "one")
    world.listing()
    claims_and_dies(world)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE documents SET phase = 'removing'"))
    copy = back_up(world)
    settle(world)
    assert list(world.texts().values()) == ["one"]
    world.bucket.put("a.md", "two") if mode is DeleteMode.APPEND else world.bucket.delete("a.md")
    restore(world, copy)
    settle(world)
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("before", [None, "x"], ids=["by its key", "by its sidecar"])
@pytest.mark.parametrize("also", [[], [f"{KEY}.meta.json"]], ids=["alone", "with its sidecar"])
def test_what_an_object_had_under_an_id_of_after_the_backup_goes_with_it(before, also):
    world = make_world()
    world.bucket.put(KEY, "one\n\ntwo")
    world.bucket.put("b.md", "other")
    if before is not None:
        world.bucket.put(f"{KEY}.meta.json", sidecar(KEY, before))
    settle(world, 2)
    copy = back_up(world)
    world.bucket.put(f"{KEY}.meta.json", sidecar(KEY, "y"))
    settle(world, 2)
    assert {"y-0", "y-1"} <= set(world.texts())
    restore(world, copy)
    for key in (KEY, *also):
        world.bucket.delete(key)
    settle(world)
    assert list(world.texts().values()) == ["other"]


def test_what_another_object_has_got_since_stays_where_the_one_before_goes():
    world = make_world()
    world.bucket.put(KEY, "one")
    world.bucket.put("b.md", "other")
    settle(world, 2)
    copy = back_up(world)
    world.bucket.put("s.meta.json", sidecar(KEY, "y"))
    settle(world, 2)
    restore(world, copy)
    world.bucket.delete(KEY)
    world.bucket.put("s.meta.json", sidecar("b.md", "y"))
    settle(world)
    assert world.texts() == {"y-0": "other"}


def test_who_gets_an_id_while_what_was_forgotten_under_it_goes_has_its_records_in_the_end():
    world = make_world()
    world.bucket.put(KEY, "one")
    world.bucket.put("b.md", "other")
    settle(world, 2)
    copy = back_up(world)
    world.bucket.put("s.meta.json", sidecar(KEY, "y"))
    settle(world, 2)
    restore(world, copy)
    world.bucket.delete("s.meta.json")
    world.bucket.delete(KEY)
    meanwhile = []

    def another_batch(step):
        if step == "before_remove" and not meanwhile:
            world.bucket.put("t.meta.json", sidecar("b.md", "y"))
            world.listing()
            meanwhile.extend(world.run_batches(at=lambda _step: None))

    world.listing()
    world.run_batches(at=another_batch)
    assert "b.md" in {report.key for report in meanwhile}
    settle(world)
    assert world.texts() == {"y-0": "other"}
