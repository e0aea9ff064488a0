"""The last look at what a source wrote."""

from functools import partial

import pytest

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.last_look import RECORDS_A_LOOK, delete_what_is_left, look_elsewhere
from s3sync_dagster.engine.verifying import places_beside
from s3sync_dagster.model.document import Record
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


def take_down_once(world, **options):
    return take_down(
        world.source,
        catalog=world.catalog,
        collections=lambda: world.collections,
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
        look_elsewhere, source, catalog=forgotten.catalog, collections=forgotten.collections
    )
    assert not look(late=lambda: True)  # what was there is gone, and looked for again
    assert forgotten.texts("asked") == {}
    assert forgotten.catalog.sources.looked_through(source.id) == ""
    assert not look(late=lambda: True)  # the time is over before the first: that one is looked at
    assert forgotten.catalog.sources.looked_through(source.id) == "asked"
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
    assert places_beside(source, [(*place, "docs")], collections=forgotten.collections) == [
        (*place, "asked"),
        (*place, "besides"),
    ]
