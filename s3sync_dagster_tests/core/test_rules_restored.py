"""A restored catalog is older than the buckets and the collections, and knows that it is."""

import pytest

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.hybrid import Searcher
from s3sync_dagster.engine.readable import Readable
from s3sync_dagster.model.document import Record
from s3sync_dagster_tests.core.test_rules_moved import _of, finish, move
from s3sync_dagster_tests.simulation.people import _dump, _load
from s3sync_dagster_tests.sources import changed

HR = {"reader_keys": ("dept",), "metadata": {"dept": ["hr"]}}


def back_up(world):
    return world.source, _dump(world.catalog)


def restore(world, backup):
    world.source, dump = backup
    _load(world.catalog, dump)
    begin_anew(world.catalog.database)


def open_collection(world):
    return world.collections.open(
        "docs", tenant=world.source.tenant, database="default_database", embedder=world.embedder
    )


def seen_by_sales(world, *, limit=20):
    """Return the texts that a reader finds who is of no group of the source's."""
    reader = Reader(frozenset({"sales"}))
    rights = rights_of(world.catalog, reader, tenant=world.source.tenant)
    guarded = Readable(open_collection(world), rights)
    found = Searcher(guarded, world.embedder, rights=rights).search(
        "text", ranking="dense", limit=limit, where=None
    )
    scanned = {name for page in guarded.scan() for name in (one.id for one in page)}
    assert {hit.id for hit in found} <= scanned
    if limit == 20:
        assert len(found) == len(scanned)
    return sorted(hit.document for hit in found)


def another(world, number, **fields):
    """Return a world of a further source that writes into the same collection."""
    source = changed(
        world.source, id=f"0000000{number}-0000-4000-8000-000000000009", name=f"other_{number}",
        bucket_name=f"bucket-{number}", **fields,
    )  # fmt: skip
    world.catalog.sources.add(source)
    made = _of(world, source)
    made.bucket.put(f"{number}.md", f"text of {number}")
    made.sync()
    return made


@pytest.fixture
def foreign(world):
    """Of a program that knows nothing of us."""
    record = Record(id="f", document="foreign", embedding_text="foreign", metadata={"team": "hr"})
    open_collection(world).upsert([record], world.embedder.embed_documents(["foreign"]))
    return world


def test_a_source_that_the_restored_catalog_does_not_know_is_read_by_owners_alone(foreign):
    world = foreign
    world.bucket.put("a.md", "text a")
    world.sync()
    backup = back_up(world)
    for number in (1, 2, 3):
        another(world, number, **HR)
    assert seen_by_sales(world) == ["foreign", "text a"]
    restore(world, backup)
    world.sync()
    assert seen_by_sales(world) == ["foreign", "text a"]
    assert len(seen_by_sales(world, limit=2)) == 2  # others do not take their places


def test_the_records_of_a_restricted_source_that_was_moved_after_the_backup_stay_closed(world):
    world.configure(**HR)
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET origin = 'python'")
    world.bucket.put("a.md", "text a")
    world.sync()
    backup = back_up(world)
    move(world, bucket_name="bucket-eu")
    world.sync()
    finish(world)
    assert seen_by_sales(world) == []
    restore(world, backup)
    assert seen_by_sales(world) == []


def test_records_that_a_deleted_source_left_go_on_being_read(world):
    world.bucket.put("a.md", "text a")
    world.sync()
    other = another(world, 1)
    before = seen_by_sales(world)
    world.catalog.sources.mark_deleting(other.source.id, keep_records=True)
    take_down(
        other.source, catalog=world.catalog, collections=lambda: world.collections,
        clock=world.clock, log=lambda _: None, drop_partitions=lambda _until: True,
    )  # fmt: skip
    assert world.catalog.sources.ids() == {world.source.id}
    world.clock.seconds += 30 * 86_400
    third = another(world, 3)
    world.catalog.documents.drop_source(third.source.id)  # old ends are forgotten then
    assert set(before) <= set(world.texts().values())
    assert [text for text in seen_by_sales(world) if text != "text of 3"] == before
