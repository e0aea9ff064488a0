"""``rebuild --drop``: a collection goes only where nothing is lost with it unasked."""

import pytest

from s3sync_dagster.engine.deleting import DOCUMENTS_A_PAGE, take_down
from s3sync_dagster.engine.dropping import drop_collection
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import AccessDenied, Conflict, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import event
from s3sync_dagster_tests.core.test_rules_moved import _of
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed


def filled(number=5, **source_fields):
    world = make_world(**source_fields)
    for n in range(number):
        world.bucket.put(f"{n:02}.txt", f"text {n}")
    world.sync()
    return world


def drop(world, *, approved=False):
    """Do as ``rebuild --drop`` does; returns how many documents went for good."""
    listing = world.listing(fresh=True, approve_deletes=approved).listing
    lost = drop_collection(
        world.source,
        listing,
        catalog=world.catalog,
        collections=world.collections,
        approved=approved,
    )
    world.catalog.documents.distrust_all(world.source.id)
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    return lost


def test_what_the_bucket_has_is_written_again_and_what_may_go_goes():
    world = filled(8)
    before = world.collections.open("docs", **place(world), embedder=None).id
    world.bucket.delete("07.txt")
    assert drop(world) == 0
    assert world.collections.open("docs", **place(world), embedder=None).id != before
    assert sorted(world.texts().values()) == [f"text {n}" for n in range(7)]


def place(world):
    return {"tenant": world.source.tenant, "database": world.source.database_name}


def test_a_bucket_that_lost_all_goes_round_no_guard_by_a_drop():
    world = filled()
    for n in range(5):
        world.bucket.delete(f"{n:02}.txt")
    with pytest.raises(Conflict, match="5 documents of docs lost their objects.*--approve"):
        drop(world)
    assert len(world.texts()) == 5
    assert drop(world, approved=True) == 0
    assert world.texts() == {}


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_what_a_mode_keeps_does_not_go_with_its_collection_unasked(mode):
    world = filled(mode=mode)
    world.bucket.delete("03.txt")
    world.sync()
    with pytest.raises(Conflict, match=r"1 documents of docs \('03.txt'\) are kept"):
        drop(world)
    assert len(world.texts()) == 5
    assert drop(world, approved=True) == 1
    assert sorted(world.keys_indexed()) == ["00.txt", "01.txt", "02.txt", "04.txt"]
    assert drop(world) == 0, "what is gone is not counted again"


def test_in_append_mode_a_text_that_changed_since_is_kept():
    world = filled(mode=DeleteMode.APPEND)
    world.bucket.put("01.txt", "another one")
    world.sync()
    with pytest.raises(Conflict, match=r"1 documents of docs \('01.txt'\)"):
        drop(world)
    assert "text 1" in world.texts().values()


def test_an_archived_object_keeps_its_records_against_a_drop():
    world = filled()
    world.bucket.put("02.txt", "text 2", storage_class="GLACIER")
    world.sync()
    with pytest.raises(Conflict, match=r"1 documents of docs \('02.txt'\)"):
        drop(world)
    assert len(world.texts()) == 5


def test_an_object_that_may_not_be_read_keeps_its_records_against_a_drop():
    world = filled()
    world.bucket.put("02.txt", "text that is refused")

    def refused(kind, key):
        if kind == "GET" and key == "02.txt":
            raise AccessDenied("not allowed")

    world.fault = refused
    world.sync()
    with pytest.raises(Conflict, match=r"1 documents of docs \('02.txt'\)"):
        drop(world)
    assert "text 2" in world.texts().values()


def test_a_request_is_remembered_where_its_document_goes_with_the_collection():
    world = filled(mode=DeleteMode.KEEP_DELETED)
    world.ask("02.txt", custom_id="invoice-7", metadata={"team": "red"})
    world.run_batches()
    world.bucket.delete("02.txt")
    world.sync()
    assert drop(world, approved=True) == 1
    world.bucket.put("02.txt", "text 2 again")
    world.sync()
    assert world.metadata()["invoice-7-0"]["team"] == "red"


def test_records_that_only_the_collection_knows_are_kept_by_a_mode_that_keeps():
    world = filled(mode=DeleteMode.KEEP_DELETED)
    (one,) = world.catalog.documents.of_key(world.source.id, "04.txt")
    world.catalog.documents.forget([one.id])  # as a catalog that was restored
    world.bucket.delete("04.txt")
    with pytest.raises(Conflict, match="1 documents of docs are in the collection alone"):
        drop(world)
    assert len(world.texts()) == 5


def test_records_of_a_source_that_was_deleted_and_kept_them_are_not_dropped():
    world = filled(path_prefix="")
    kept = world.source
    world.catalog.sources.mark_deleting(kept.id, keep_records=True)
    take_down(
        kept,
        catalog=world.catalog,
        collections=lambda: world.collections,
        clock=world.clock,
        drop_partitions=lambda _until: True,
        log=lambda _line: None,
    )
    other = changed(kept, id="00000000-0000-4000-8000-000000000002", name="b", id_prefix="b-")
    world.catalog.sources.add(other)
    beside = _of(world, other)
    beside.sync()
    for approved in (False, True):
        with pytest.raises(Conflict, match=f"5 of the source {kept.id}, which was deleted"):
            drop(beside, approved=approved)
    assert len(beside.texts()) == 10


def test_records_by_hand_are_not_dropped():
    world = filled()
    port = world.collections.open("docs", **place(world), embedder=world.embedder)
    note = Record(id="note", document="x", embedding_text="x", metadata={"by": "hand"})
    port.upsert([note], world.embedder.embed_documents(["x"]))
    with pytest.raises(Conflict, match="1 of nobody known.*reindex docs --into"):
        drop(world)
    assert len(world.texts()) == 6


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.MIRROR])
def test_an_event_that_waits_hides_nothing_that_would_be_lost(mode):
    world = filled(mode=mode)
    if mode is DeleteMode.MIRROR:
        world.bucket.put("02.txt", "text 2", storage_class="GLACIER")
        world.sync()
    else:
        world.bucket.delete("02.txt")
    event(world, "02.txt", remove=True)
    with pytest.raises(Conflict, match=r"1 documents of docs \('02.txt'\)"):
        drop(world)
    assert len(world.texts()) == 5


def test_a_restored_catalog_lets_nothing_go_that_it_does_not_know():
    world = filled(1)
    backup = back_up(world)
    for n in range(1, 5):
        world.bucket.put(f"{n:02}.txt", f"text {n}")
    world.sync()
    restore(world, backup)
    world.bucket.delete("04.txt")
    with pytest.raises(Conflict, match="1 documents of docs are in the collection alone"):
        drop(world)
    assert len(world.texts()) == 5
    assert drop(world, approved=True) == 1
    assert sorted(world.texts().values()) == [f"text {n}" for n in range(4)]


@pytest.mark.parametrize("takes", [0, 30])  # less than the time of a call, and more
def test_a_collection_that_refuses_keeps_no_record_of_another(monkeypatch, takes):
    world = make_world()
    keys = [f"{n:03}.txt" for n in range(DOCUMENTS_A_PAGE + 5)]
    for key in keys:
        world.bucket.put(key, f"text of {key}")
    world.ask(*keys, target_collection_name="broken")
    world.run_batches()
    world.bucket.put("zz.txt", "the newest")
    world.sync()
    assert "the newest" in world.texts().values()
    broken = world.collections.open("broken", **place(world), embedder=None)

    def refuse(*_arguments, **_options):
        world.clock.seconds += takes
        raise Unavailable("the collection answers nothing but 500")

    monkeypatch.setattr(type(broken), "delete", _of_one(broken.id, type(broken).delete, refuse))
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    for _ in range(3):
        with pytest.raises(Unavailable):
            take_all_down(world)
    assert world.texts() == {}
    assert len(world.texts("broken")) == len(keys)
    monkeypatch.undo()
    assert take_all_down(world).endswith("is deleted")
    assert world.texts("broken") == {}


def test_a_chroma_that_is_away_is_not_waited_for_once_a_collection():
    world = make_world()
    world.bucket.put("a.txt", "text")
    names = [f"asked{number}" for number in range(9)]
    for name in names:
        world.ask("a.txt", target_collection_name=name)
        world.run_batches()
    waited = []

    class Away:
        def _wait(self, *_arguments, **_options):
            waited.append(1)
            raise Unavailable("no answer within 30 s")

        open = list_collections = _wait

    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    with pytest.raises(Unavailable):
        take_all_down(world, Away())
    assert len(waited) == 2  # the first collection, and whether it is that alone
    assert take_all_down(world).endswith("is deleted")


def take_all_down(world, collections=None):
    return take_down(
        world.source,
        catalog=world.catalog,
        collections=lambda: collections or world.collections,
        clock=world.clock,
        drop_partitions=lambda _until: True,
        log=lambda _line: None,
    )


def _of_one(collection_id, real, instead):
    def called(self, *arguments, **options):
        return (instead if self.id == collection_id else real)(self, *arguments, **options)

    return called
