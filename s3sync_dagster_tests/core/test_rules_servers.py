"""A source that names no server: by which objects another one is told from its own."""

import pytest

from s3sync_dagster.engine.same_server import require_same_server
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore

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
