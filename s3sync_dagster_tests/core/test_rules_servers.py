"""A source that names no server: by which objects another one is told from its own."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.same_server import require_same_server
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.test_rules_moved import move
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed

KEYS = ("a.md", "b.md", "c.md")


def bucket_of(text):
    bucket = MemoryBucket()
    for key in KEYS:
        bucket.put(key, f"{text} {key}")
    return bucket


def ask(world, server, bucket):
    require_same_server(
        world.source,
        server,
        declared=False,
        servers=world.catalog.servers,
        head=MemoryObjectStore(bucket).head,
    )


def indexed(world):
    """Index a bucket of a server, and return it."""
    there = world.bucket = bucket_of("own")
    world.store = MemoryObjectStore(there)
    ask(world, "http://own", there)
    world.sync()
    return there


def refuse_other(world):
    with pytest.raises(Conflict) as refused:
        ask(world, "http://other", bucket_of("other"))
    assert refused.value.reason == "other_server"


def test_another_server_is_not_taken_for_that_of_an_emptied_bucket_which_the_guard_holds(world):
    there = world.bucket = bucket_of("own")
    world.store = MemoryObjectStore(there)
    ask(world, "http://own", there)
    world.sync()
    world.store = MemoryObjectStore(MemoryBucket())
    world.listing()
    assert world.catalog.listings.blocked(world.source.id) is not None
    with pytest.raises(Conflict) as refused:
        ask(world, "http://other", bucket_of("other"))
    assert refused.value.reason == "other_server"
    assert world.catalog.servers.names(world.source.id) == ["http://own"]
    ask(world, "http://own-by-another-name", there)
    assert world.catalog.servers.names(world.source.id)[0] == "http://own-by-another-name"


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_another_server_is_not_taken_for_that_of_an_emptied_bucket_whose_records_are_kept(mode):
    world = make_world(mode=mode)
    indexed(world)
    world.store = MemoryObjectStore(MemoryBucket())
    world.sync()
    refuse_other(world)


def declared(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    return indexed(world)


def test_a_moved_source_stays_at_the_server_that_the_one_before_was_indexed_from(world):
    there = declared(world)
    move(world, collection_name="docs2")
    refuse_other(world)
    again = changed(world.source, id="of the code", id_prefix="p-")
    world.source = world.catalog.sources.register(again)  # it has met no object
    refuse_other(world)
    ask(world, "http://own", there)
    ask(world, "http://own-by-another-name", there)
    assert world.catalog.servers.names(world.source.id)[0] == "http://own-by-another-name"


def test_a_source_that_is_moved_to_another_bucket_may_have_it_at_another_server(world):
    declared(world)
    move(world, bucket_name="bucket-eu")
    assert world.catalog.servers.names(world.source.id) == []
    ask(world, "http://other", bucket_of("other"))
    assert world.catalog.servers.names(world.source.id) == ["http://other"]


def test_a_server_is_known_by_the_objects_of_now_where_append_mode_keeps_texts_of_before():
    world = make_world(mode=DeleteMode.APPEND)
    there = indexed(world)
    ask(world, "http://alias", there)
    for key in KEYS:
        there.put(key, f"newer {key}")
    world.sync()
    ask(world, "http://own", there)
    ask(world, "http://third", there)
    refuse_other(world)
