"""Records of a restored catalog's documents: whose they are is known, whichever name they bear."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.rules import Refusing, refuse_with
from s3sync_dagster_tests.core.test_rules_moved import move
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import s3_source

SECOND = "00000000-0000-4000-8000-000000000002"


def keeping(**options):
    world = make_world(mode=DeleteMode.KEEP_DELETED, **options)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    return world


def delete(world, source=None, *, turns=9):
    source = source or world.source
    world.catalog.sources.mark_deleting(source.id, keep_records=False)
    for _ in range(turns):
        if world.catalog.sources.deleting(source.id) is not None:
            take_down(
                source,
                catalog=world.catalog,
                collections=lambda: world.collections,
                clock=world.clock,
                drop_partitions=lambda _: True,
                log=lambda _: None,
            )
    assert world.catalog.sources.deleting(source.id) is None


def test_what_a_moved_source_took_over_and_never_wrote_goes_with_it():
    world = keeping()
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    move(world, bucket_name="bucket-eu")
    world.listing()
    away = refuse_with(Unavailable("It does not answer.", reason="chroma_unavailable"))
    world.run_batches(collections=Refusing(world, upsert=away))
    restore(world, back_up(world))
    delete(world)
    assert world.texts() == {}


@pytest.mark.parametrize("goes", ["deletion", "mirror"])
def test_what_a_lost_id_wrote_and_was_read_back_goes_with_its_document(goes):
    lost = keeping()
    lost.bucket.put("a.md", "one\n\ntwo")
    lost.bucket.put("b.md", "other")
    lost.sync()
    lost.bucket.delete("a.md")
    lost.sync()
    world = keeping(id=SECOND)
    world.bucket, world.collections = lost.bucket, lost.collections
    world.__post_init__()
    recover_catalog(
        world.source,
        catalog=world.catalog,
        collections=world.collections,
        embedder=world.embedder,
    )
    world.sync()
    restore(world, back_up(world))
    if goes == "deletion":
        delete(world)
        assert world.texts() == {}
        return
    world.configure(mode=DeleteMode.MIRROR)
    for _ in range(3):
        world.sync()
        world.clock.seconds += 90_000
    assert set(world.texts().values()) == {"other"}


def beside(world):
    """Return the world of a second source in the same collection that takes ids over."""
    second = s3_source(
        id=SECOND, name="second", bucket_name="bucket2", collection_name="docs", adopt=True
    )
    world.catalog.sources.add(second)
    other = type(world)(
        source=second,
        bucket=world.bucket,
        catalog=world.catalog,
        collections=world.collections,
        clock=world.clock,
    )
    other.bucket = MemoryBucket()
    other.store = MemoryObjectStore(other.bucket)
    other.bucket.put("a.md", "of the second")
    return other


@pytest.mark.parametrize("first", [True, False])
def test_what_a_neighbour_took_over_since_goes_with_the_neighbour_alone(first):
    world = make_world()
    world.bucket.put("a.md", "of the first")
    world.sync()
    other = beside(world)
    copy = back_up(world)
    other.sync()
    restore(world, copy)
    delete(world, world.source if first else other.source)
    assert set(world.texts().values()) == {"of the second"}
    delete(world, other.source if first else world.source)
    assert world.texts() == {}


def test_what_a_document_has_beyond_a_first_record_that_is_gone_goes_with_it():
    world = make_world()
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    copy = back_up(world)
    world.bucket.put("a.md", "\n\n".join(f"part {n}" for n in range(9)))
    world.sync()
    first = next(name for name in world.texts() if name.endswith("-0"))
    world.collections.open(
        "docs", tenant="default_tenant", database="default_database", embedder=None, create=False
    ).delete([first])
    restore(world, copy)
    world.bucket.delete("a.md")
    world.bucket.put("b.md", "other")
    world.sync()
    world.approve()
    world.sync()
    assert set(world.texts().values()) == {"other"}
