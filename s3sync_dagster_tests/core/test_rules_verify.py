"""What ``verify --fix`` deletes: what is over on evidence, and never the one text of an object."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.asked_strays import asking
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import sidecar, states
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.engine_fixture import make_world


def fix(world, name=None):
    collection = world.collections.open(
        name or world.source.collection_name,
        tenant=world.source.tenant,
        database=world.source.database_name,
        embedder=world.embedder,
    )
    documents = asking(world.catalog.documents, world.source, lambda: world.store)
    return verify_collection(world.source, collection=collection, documents=documents, fix=True)


def refuse_reads(world, key, error):
    def fault(kind, asked):
        if (kind, asked) == ("GET", key):
            raise error

    world.fault = fault


def forgotten(world, *keys, text="new"):
    """Restore a catalog that knows nothing of these objects, whose records are there."""
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    for key in keys:
        world.bucket.put(key, text)
    world.sync()
    restore(world, copy)


@pytest.mark.parametrize("why", ["archived", "forbidden", "waits"])
def test_a_forgotten_record_stays_while_its_object_is_there_and_not_indexed(world, why):
    forgotten(world, "new.md")
    if why == "archived":
        world.bucket.put("new.md", "new", storage_class="GLACIER")
    elif why == "forbidden":
        refuse_reads(world, "new.md", AccessDenied("not allowed"))
    if why == "waits":
        world.listing()
    else:
        world.sync()
    found = fix(world)
    assert (found.held_back, found.unsettled, found.unlisted) == (["new.md"], True, False)
    assert (found.stray, found.sound) == ([], False)
    assert sorted(world.texts().values()) == ["new", "old"]
    world.fault = None
    world.bucket.put("new.md", "new")
    world.clock.seconds += 4000
    world.sync()
    assert fix(world).sound
    assert sorted(world.texts().values()) == ["new", "old"]


@pytest.mark.parametrize("why", ["gone", "left out", "by bytes", "another id"])
def test_a_forgotten_record_goes_on_the_evidence_that_takes_any(world, why):
    forgotten(world, "new.md")
    if why == "gone":
        world.bucket.delete("new.md")
    elif why == "left out":
        world.configure(exclude_globs=("new.*",))
    elif why == "by bytes":
        world.bucket.put("new.md", "BAD")
    else:
        world.bucket.put("new.meta.json", sidecar("new.md"))
    world.sync()
    assert "new" in world.texts().values()
    found = fix(world)
    assert (len(found.stray), found.held_back) == (1, [])
    kept = {"x-0": "new"} if why == "another id" else {}
    assert {name: text for name, text in world.texts().items() if text != "old"} == kept


def test_a_forgotten_record_stays_where_a_listing_had_no_room_for_what_it_saw(world):
    forgotten(world, "new.md")
    world.bucket.delete("new.md")  # as if it were there: the catalog has no row of it
    world.sync()
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE listings SET left_out = 1"))
    assert fix(world).held_back == ["new.md"]
    world.sync()
    found = fix(world)
    assert (len(found.stray), found.held_back) == (1, [])


def test_an_approval_is_none_for_what_a_restored_catalog_forgot(world):
    for number in range(8):
        world.bucket.put(f"old{number}.md", f"old {number}")
    forgotten(world, "new.md")
    world.bucket.put("new.md", "new", storage_class="GLACIER")
    for number in range(8):
        world.bucket.delete(f"old{number}.md")
    world.bucket.delete("old.md")
    world.listing()
    assert fix(world).held_back == ["new.md"]
    world.approve()
    world.run_batches()
    world.sync()
    found = fix(world)
    assert (found.held_back, found.stray) == (["new.md"], [])
    assert list(world.texts().values()) == ["new"]


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
def test_append_keeps_a_text_of_before_that_stands_under_another_id_of_its_key(mode):
    world = make_world(mode=mode)
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    world.bucket.put("new.md", "first")
    world.bucket.put("new.meta.json", sidecar("new.md"))
    world.sync()
    assert world.texts()["x-0"] == "first"
    restore(world, copy)
    world.bucket.put("new.md", "second")
    refuse_reads(world, "new.meta.json", Unavailable("slow down", reason="throttled"))
    world.sync()
    assert sorted(world.texts().values()) == ["first", "old", "second"]
    found = fix(world)
    if mode is DeleteMode.KEEP_DELETED:  # it is of a write before
        assert (found.stray, found.beside) == (["x-0"], [])
        assert sorted(world.texts().values()) == ["old", "second"]
        return
    assert (found.stray, found.recovered, found.beside) == ([], [], ["new.md"])
    assert found.sound
    for _ in range(2):
        world.fault = None
        world.clock.seconds += 4000
        world.sync()
        assert fix(world).stray == []
    assert sorted(world.texts().values()) == ["first", "old", "second"], states(world)


def test_append_deletes_the_same_text_under_another_id_of_its_key():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    world.bucket.put("new.md", "one")
    world.bucket.put("new.meta.json", sidecar("new.md"))
    world.sync()
    restore(world, copy)
    refuse_reads(world, "new.meta.json", Unavailable("slow down", reason="throttled"))
    world.sync()
    assert sorted(world.texts().values()) == ["old", "one", "one"]
    assert fix(world).stray == ["x-0"]
    assert sorted(world.texts().values()) == ["old", "one"]


@pytest.mark.parametrize("lost", ["one of two", "all"])
def test_append_asks_by_id_whether_anything_of_a_text_is_left(lost, monkeypatch):
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    world.bucket.put("a.md", "newer")
    world.sync()
    collection = open_collection(world)
    collection.delete(
        [name for name, text in world.texts().items() if lost == "all" or text == "two"]
    )
    plain = type(collection).scan

    def shifted(self, **options):  # deletions of others, so that it meets nothing
        return ([] for _ in plain(self, **options))

    with monkeypatch.context() as patch:
        patch.setattr(type(collection), "scan", shifted)
        found = fix(world)
    assert found.missing == ["a.md"]
    world.sync()
    assert list(world.texts().values()) == (["newer"] if lost == "all" else ["one"])
