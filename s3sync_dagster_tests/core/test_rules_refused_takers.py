"""Who is refused by Chroma keeps no id from others, whatever it had taken it over of."""

import pytest

from s3sync_dagster.model.errors import RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar, states
from s3sync_dagster_tests.engine_fixture import make_world

KEPT_BY = pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])


def open_collection(world):
    source = world.source
    return world.collections.open(
        source.collection_name,
        tenant=source.tenant,
        database=source.database_name,
        embedder=world.embedder,
    )


def rests(world, **changes):
    for _ in range(3):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(**changes)
        world.catalog.documents.enqueue_unclean(world.source.id)


@KEPT_BY
@pytest.mark.parametrize("together", [True, False])
def test_a_refused_one_gives_up_the_id_of_a_document_that_was_on_its_way_out(mode, together):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode)
    world.bucket.put("a.md", "text of a\n\nits end")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.sync()
    world.bucket.put("a.md.meta.json", sidecar("a.md", "y"))
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    world.clock.seconds += 7200
    world.listing()
    leaves_later = Refusing(world, delete=away)
    world.run_batches(collections=leaves_later)
    leaves_later.on = False
    open_collection(world).delete(["x-0"])  # so far the deletion had come
    text = {"y-0": "text of a", "y-1": "its end"}
    assert world.texts() == {"x-1": "its end", **text}

    def bad(records):
        return any("bad" in getattr(one, "document", "") for one in records)

    refusing = Refusing(world, upsert=refuse_with(RecordRejected("no"), bad))
    world.bucket.put("b.md", "bad text of b")
    world.bucket.put("b.md.meta.json", sidecar("b.md", "x"))
    if not together:
        rests(world, collections=refusing)
        assert states(world)["b.md"] == ("failed", "record_rejected")
    world.bucket.put("c.md", "text of c")
    world.bucket.put("c.md.meta.json", sidecar("c.md", "x"))
    rests(world, collections=refusing)
    assert world.texts() == {"x-0": "text of c", **text}
    assert states(world)["b.md"] == ("failed", "record_rejected")
