"""Mode ``append``: what was indexed once stays, also after a loss, a restore or a rebuild."""

import pytest

from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.source import ChunkingConfig, DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.engine_fixture import make_world

KEPT = ["old text"]
SKIPPED = {"a.txt": ("skipped", "changed_in_append_mode")}


def filled():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "old text")
    world.sync()
    return world


def texts(world):
    return sorted(world.texts().values())


def rebuild(world):
    """Do as ``rebuild`` does."""
    world.listing(fresh=True)
    world.catalog.documents.distrust_all(world.source.id)
    settle(world)


def settle(world):
    for _ in range(2):
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        world.sync()


@pytest.mark.parametrize("listed", [True, False])
def test_a_rebuild_leaves_a_text_whose_object_has_another_one(listed):
    world = filled()
    world.bucket.put("a.txt", "new text")
    if listed:
        world.sync()
    rebuild(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)
    world.bucket.put("a.txt", "a third text")
    world.sync()
    assert texts(world) == KEPT


def test_a_rebuild_writes_what_the_object_still_has():
    world = filled()
    (name,) = world.texts()
    world.poison(name)
    rebuild(world)
    assert texts(world) == KEPT


def test_what_is_gone_stays_trusted_by_a_rebuild():
    world = filled()
    world.bucket.delete("a.txt")
    rebuild(world)
    (one,) = world.catalog.documents.of_source(world.source.id)
    assert (texts(world), one.phase.value) == (KEPT, "clean")


def test_a_lost_catalog_costs_no_text_of_before():
    lost = filled()
    lost.bucket.put("a.txt", "new text")
    lost.sync()
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket, world.collections = lost.bucket, lost.collections
    world.__post_init__()
    recover_catalog(
        world.source,
        catalog=world.catalog,
        collections=world.collections,
        embedder=world.embedder,
    )
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def test_what_verify_reads_back_is_kept_like_all_else():
    world = make_world(mode=DeleteMode.APPEND)
    backup = back_up(world)
    world.bucket.put("a.txt", "old text")
    world.sync()
    world.bucket.put("a.txt", "new text")
    world.sync()
    restore(world, backup)
    verify_collection(
        world.source,
        collection=open_collection(world),
        documents=world.catalog.documents,
        fix=True,
    )
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def test_a_restored_catalog_keeps_what_older_settings_have_written():
    world = filled()
    world.configure(chunking=ChunkingConfig(max_size_bytes=900))
    world.sync()
    backup = back_up(world)
    world.bucket.put("a.txt", "new text")
    world.sync()
    restore(world, backup)
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)
