"""A sidecar asks for another collection while its object cannot be read: the text stays."""

import pytest

from s3sync_dagster.model.errors import AccessDenied
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.core.rules import sidecar, states
from s3sync_dagster_tests.core.test_rules_found_texts import settle
from s3sync_dagster_tests.engine_fixture import make_world


def asks_for_first(auto_sync):
    """Return a world in which a sidecar has asked for a.md, and its object is denied from now."""
    world = make_world(auto_sync=auto_sync)
    world.bucket.put("a.md", "one")
    world.bucket.put("a.md.meta.json", sidecar("a.md", target_collection_name="first"))
    world.sync()
    assert list(world.texts("first").values()) == ["one"]

    def fault(kind, key):
        if (kind, key) == ("GET", "a.md"):
            raise AccessDenied("not allowed")

    world.fault = fault
    return world


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
def test_a_text_stays_until_the_collection_that_is_asked_for_has_it(auto_sync, known):
    world = asks_for_first(auto_sync)
    if known:
        world.bucket.put("a.md", "two")
        settle(world)
        assert states(world)["a.md"] == ("failed", "access_denied")
    world.bucket.put("a.md.meta.json", sidecar("a.md", target_collection_name="other"))
    settle(world)
    assert list(world.texts("first").values()) == ["one"]
    world.fault = None
    world.bucket.put("a.md", "three")
    settle(world)
    assert world.texts("first") == {}
    assert list(world.texts("other").values()) == ["three"]


@pytest.mark.parametrize("auto_sync", [AutoSync.METADATA, AutoSync.DIRECT])
def test_a_text_that_nothing_asks_for_any_more_goes_though_its_object_is_denied(auto_sync):
    world = asks_for_first(auto_sync)
    world.bucket.delete("a.md.meta.json")
    settle(world)
    assert world.texts("first") == {}
