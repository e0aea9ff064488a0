"""What is kept of an owner's word without records makes no work, and refuses nobody an id."""

import pytest

from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import refused
from s3sync_dagster_tests.core.test_rules_disputed import HR
from s3sync_dagster_tests.core.test_rules_owner_words import (
    HOW,
    goes_on,
    says,
    sees,
    world_of_sales,
)


def works(world, turns=20):
    """Return what many settles of an unchanged world ask for."""
    asked, before = 0, dict(world.store.requests())
    for _ in range(turns):
        world.clock.seconds += 7200
        world.listing(approve_deletes=True)
        asked += world.catalog.invocations.live_count(world.source.id)
        asked += world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
    after = dict(world.store.requests())
    return asked, {
        kind: number - before.get(kind, 0)
        for kind, number in after.items()
        if kind != "LIST" and number != before.get(kind, 0)
    }


@pytest.mark.parametrize("auto_sync", list(AutoSync))
@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("target", [None, "copies"])
@pytest.mark.parametrize("how", HOW)
def test_idle(how, target, mode, auto_sync):
    world = world_of_sales(mode, auto_sync=auto_sync)
    says(world, custom_id="x", target_collection_name=target)
    world.run_batches()
    how(world)
    goes_on(world)
    assert works(world, 4) == (0, {})


@pytest.mark.parametrize("kind", ["GET", "HEAD"])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_idle_denied_new(mode, kind):
    world = world_of_sales(mode)
    world.bucket.put("sales/new.md", "new")
    refused(world, kind=kind)
    world.ask("sales/new.md", metadata=HR, vouched=True)
    world.run_batches()
    goes_on(world)
    world.fault = None
    goes_on(world)
    assert sees(world, "hr") == {"sales/new.md"}
    assert works(world, 4) == (0, {})


@pytest.mark.parametrize("kind", ["GET", "HEAD"])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_word_on_new_denied_then_gone(mode, kind):
    world = world_of_sales(mode)
    world.bucket.put("sales/new.md", "new")
    refused(world, kind=kind)
    world.ask("sales/new.md", metadata=HR, vouched=True, custom_id="q")
    world.run_batches()
    world.bucket.delete("sales/new.md")
    world.fault = None
    goes_on(world)
    assert works(world, 4) == (0, {})
    world.bucket.put("sales/new.md", "new")
    goes_on(world)
    assert sees(world, "hr") == {"sales/new.md"}
    assert works(world, 4) == (0, {})
