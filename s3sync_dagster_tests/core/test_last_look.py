"""The last look at what a source wrote."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.last_look import (
    RECORDS_A_LOOK,
    delete_what_is_left,
    look_elsewhere,
    read_back_forgotten,
)
from s3sync_dagster.engine.own_records import ids_to_delete
from s3sync_dagster.engine.verifying import places_beside
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import InvalidSetting, Unavailable
from s3sync_dagster_tests.simulation.people import dump_catalog, load_catalog
from s3sync_dagster_tests.sources import s3_source


def test_what_others_hold_does_not_hide_what_nobody_does(world):
    world.bucket.put("a.md", "one")
    world.sync()
    heir = s3_source(
        id="00000000-0000-4000-8000-000000000002",
        name="heir",
        bucket_name="other",
        collection_name="docs",
    )
    world.catalog.sources.add(heir)
    (first,) = world.metadata()
    held = first.rpartition("-")[0]
    with world.catalog.database.write() as tx:
        many = {"high_water": RECORDS_A_LOOK, "chunks": RECORDS_A_LOOK}
        tx.execute(documents.update().values(source_id=heir.id, **many))
    collection = world.collections.open(
        "docs", tenant=heir.tenant, database=heir.database_name, embedder=world.embedder
    )
    names = [*(f"{held}-{place}" for place in range(1, RECORDS_A_LOOK)), f"{'0' * 64}-0"]
    for start in range(0, len(names), 1000):
        part = names[start : start + 1000]
        theirs = {"s3sync_source": world.source.id, "document_key": "a.md"}
        records = [
            Record(id=name, document="x", embedding_text="x", metadata=theirs) for name in part
        ]
        collection.upsert(records, world.embedder.embed_documents(["x"] * len(part)))
    assert (
        delete_what_is_left(world.source, catalog=world.catalog, collections=world.collections) == 1
    )
    assert len(world.metadata()) == RECORDS_A_LOOK


def test_of_a_document_of_a_restored_catalog_more_may_have_been_written_since(world):
    world.bucket.put("a.md", "\n\n".join(f"part {number}" for number in range(5)))
    world.sync()
    heir = s3_source(
        id="00000000-0000-4000-8000-000000000002",
        name="heir",
        bucket_name="other",
        collection_name="docs",
    )
    world.catalog.sources.add(heir)
    written = world.texts()
    assert len(written) > 1
    begun = {"phase": "writing", "etag": None, "chunks": 0, "high_water": 1, "source_id": heir.id}
    with world.catalog.database.write() as tx:
        tx.execute(documents.update().values(**begun))
    begin_anew(world.catalog.database)
    assert not delete_what_is_left(
        world.source, catalog=world.catalog, collections=world.collections
    )
    assert world.texts() == written


@pytest.fixture
def forgotten(world):
    """A world whose catalog has forgotten that the source wrote to two collections."""
    world.bucket.put("a.md", "one")
    world.sync()
    copy = dump_catalog(world.catalog)
    for name in ("asked", "besides"):
        world.ask("a.md", target_collection_name=name, custom_id=name)
    world.run_batches()
    others = world.collections.open(
        "others", tenant="default_tenant", database="default_database", embedder=world.embedder
    )
    theirs = Record(id="x-0", document="x", embedding_text="x", metadata={"s3sync_source": "y"})
    others.upsert([theirs], world.embedder.embed_documents(["x"]))
    load_catalog(world.catalog, copy)
    begin_anew(world.catalog.database)
    assert len(world.texts("asked")) == len(world.texts("besides")) == 1
    return world


def take_down_once(world, *, collections=None, **options):
    return take_down(
        world.source,
        catalog=world.catalog,
        collections=collections or (lambda: world.collections),
        clock=world.clock,
        drop_partitions=lambda _until: True,
        log=lambda _: None,
        **options,
    )


def test_a_deletion_finds_what_a_restored_catalog_has_forgotten(forgotten):
    forgotten.catalog.sources.mark_deleting(forgotten.source.id, keep_records=False)
    calls = 0
    while forgotten.catalog.sources.deleting(forgotten.source.id) is not None:
        take_down_once(forgotten)
        calls += 1
        assert calls < 10
    for name in ("docs", "asked", "besides"):
        assert forgotten.texts(name) == {}
    assert list(forgotten.texts("others")) == ["x-0"]


def test_a_copy_that_somebody_made_stays_where_no_catalog_was_put_back(world):
    world.bucket.put("a.md", "one")
    world.sync()
    place = {"tenant": "default_tenant", "database": "default_database"}
    copy = world.collections.open("copy", embedder=world.embedder, **place)
    ((name, metadata),) = world.metadata().items()
    record = Record(id=name, document="one", embedding_text="one", metadata=metadata)
    copy.upsert([record], world.embedder.embed_documents(["one"]))
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    take_down_once(world)
    assert world.catalog.sources.deleting(world.source.id) is None
    assert (world.texts(), world.texts("copy")) == ({}, {name: "one"})


def test_a_deletion_that_is_late_goes_on_behind_the_collection_that_it_looked_at(forgotten):
    source = forgotten.source
    look = partial(
        look_elsewhere,
        source,
        catalog=forgotten.catalog,
        collections=forgotten.collections,
        log=lambda _: None,
    )
    assert not look(late=lambda: True)  # what was there is gone, and looked for again
    assert forgotten.texts("asked") == {}
    assert forgotten.catalog.sources.looked_through(source.id) == ["asked", "besides", "docs"]
    assert not look(late=lambda: True)  # the time is over before the first: that one is looked at
    assert forgotten.catalog.sources.looked_through(source.id) == ["besides", "docs"]
    assert len(forgotten.texts("besides")) == 1
    while not look(late=lambda: False):
        pass
    assert forgotten.texts("besides") == {}


def test_records_that_are_to_stay_stay_where_nobody_knows_of_them(forgotten):
    forgotten.catalog.sources.mark_deleting(forgotten.source.id, keep_records=True)
    take_down_once(forgotten)
    assert forgotten.catalog.sources.deleting(forgotten.source.id) is None
    assert len(forgotten.texts("asked")) == 1


def test_verify_looks_where_a_restored_catalog_does_not_know_of_records(forgotten):
    source = forgotten.source
    place = (source.tenant, source.database_name)
    unread = []
    assert places_beside(
        source, [(*place, "docs")], collections=forgotten.collections, unread=unread
    ) == [(*place, "asked"), (*place, "besides")]
    assert unread == []


class Refuses:
    """Collections of which Chroma answers for all but one, or for none."""

    def __init__(self, collections, name=None):
        self._collections, self._name = collections, name

    def open(self, name, **options):
        if self._name in (None, name):
            raise InvalidSetting("HTTP 500 for this one", reason="chroma_error")
        return self._collections.open(name, **options)

    def list_collections(self, **options):
        if self._name is None:
            raise Unavailable("it does not answer", reason="chroma_unreachable")
        return self._collections.list_collections(**options)


@pytest.mark.parametrize("name", ["another", "others"])  # before what was forgotten, and behind
def test_a_collection_for_which_chroma_refuses_to_answer_hides_no_other(forgotten, name):
    source, place = forgotten.source, {"tenant": "default_tenant", "database": "default_database"}
    forgotten.collections.open(name, embedder=forgotten.embedder, **place)
    refuses = Refuses(forgotten.collections, name)
    unread, known = [], (source.tenant, source.database_name)
    found = places_beside(source, [(*known, "docs")], collections=refuses, unread=unread)
    assert [name for _, _, name in found] == ["asked", "besides"]
    assert [one.message for one in unread] == [
        f"The collection {name!r} could not be looked at: HTTP 500 for this one"
    ]


@pytest.mark.parametrize("name", ["another", "others"])
def test_a_deletion_takes_all_else_and_waits_for_what_could_not_be_looked_at(forgotten, name):
    source, place = forgotten.source, {"tenant": "default_tenant", "database": "default_database"}
    forgotten.collections.open(name, embedder=forgotten.embedder, **place)
    forgotten.catalog.sources.mark_deleting(source.id, keep_records=False)
    refuses = Refuses(forgotten.collections, name)

    def go_on():
        for _ in range(10):
            take_down_once(forgotten, collections=lambda: refuses)

    with pytest.raises(Unavailable, match=f"{name}.*HTTP 500.*--keep-records") as waits:
        go_on()
    assert waits.value.reason == "collection_unanswered"
    assert all(forgotten.texts(one) == {} for one in ("docs", "asked", "besides"))
    assert forgotten.catalog.sources.deleting(source.id) == "records"
    forgotten.catalog.sources.mark_deleting(source.id, keep_records=True)  # a person's word
    take_down_once(forgotten, collections=lambda: refuses)
    assert forgotten.catalog.sources.deleting(source.id) is None


def test_a_collection_that_takes_all_the_time_to_be_refused_keeps_no_other_waiting(forgotten):
    source, place = forgotten.source, {"tenant": "default_tenant", "database": "default_database"}
    forgotten.collections.open("another", embedder=forgotten.embedder, **place)
    refuses = Refuses(forgotten.collections, "another")
    for _ in range(6):
        with suppress(Unavailable):
            look_elsewhere(
                source,
                catalog=forgotten.catalog,
                collections=refuses,
                late=lambda: True,
                log=lambda _: None,
            )
    assert all(forgotten.texts(one) == {} for one in ("asked", "besides"))
    with pytest.raises(Unavailable, match="another"):
        look_elsewhere(
            source,
            catalog=forgotten.catalog,
            collections=refuses,
            late=lambda: True,
            log=lambda _: None,
        )


def test_of_a_moved_source_no_command_is_named_that_does_not_know_it(forgotten):
    place = {"tenant": "default_tenant", "database": "default_database"}
    forgotten.collections.open("others", embedder=forgotten.embedder, **place)
    with forgotten.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'moved'"))
    forgotten.catalog.sources.mark_deleting(forgotten.source.id, keep_records=False)
    refuses = Refuses(forgotten.collections, "others")

    def go_on():
        for _ in range(10):
            take_down_once(forgotten, collections=lambda: refuses)

    with pytest.raises(Unavailable) as waits:
        go_on()
    assert "Have Chroma answer, or delete the collection." in waits.value.message


def test_a_chroma_that_does_not_answer_at_all_is_no_collections_trouble(forgotten):
    class Silent(Refuses):
        def list_collections(self, **options):
            asked.append(1)
            if len(asked) > 1:
                return super().list_collections(**options)
            return forgotten.collections.list_collections(**options)

    asked, unread = [], []
    with pytest.raises(Unavailable, match="it does not answer"):
        places_beside(
            forgotten.source, [], collections=Silent(forgotten.collections), unread=unread
        )
    assert unread == []


def test_the_end_of_a_move_reads_back_what_can_be_and_waits_for_the_rest(forgotten):
    refuses = Refuses(forgotten.collections, "others")
    read_back = partial(
        read_back_forgotten,
        forgotten.source,
        catalog=forgotten.catalog,
        collections=refuses,
        log=lambda _: None,
    )
    assert read_back() == 2
    with pytest.raises(Unavailable, match="others"):
        read_back()


def test_a_count_that_somebody_made_up_has_a_deletion_ask_for_what_is_there_alone(world):
    world.bucket.put("a.md", "\n\n".join(f"part {n}" for n in range(5)))
    world.sync()
    (document,) = world.catalog.documents.of_source(world.source.id)
    collection = world.collections.open(
        "docs", tenant="default_tenant", database="default_database", embedder=world.embedder
    )
    first = f"{document.document_id}-0"
    told = {**world.metadata()[first], "s3sync_chunk_count": 10**6}
    collection.update_metadata([first], [told])
    asked, plain = [], collection.get
    collection.get = lambda ids, **options: asked.extend(ids) or plain(ids, **options)
    fewer = replace(document, count=2, high_water=2)  # as a restored catalog has it
    assert sorted(ids_to_delete(collection, [fewer], catalog=world.catalog, look=True)) == sorted(
        world.texts()
    )
    assert len(asked) < 5000
