"""Objects that exchange their ids by sidecars, and ids of those that cannot come elsewhere."""

import pytest

from s3sync_dagster.model.errors import AccessDenied
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import sidecar
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.engine_fixture import make_world

REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]


def asks(world, key, custom_id, name="first"):
    told = sidecar(key, custom_id, target_collection_name=name)
    world.bucket.put(f"{key}.meta.json", told)


def everywhere(world, *names):
    return sorted(one for name in names for one in world.texts(name).values())


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("kind", ["GET", "HEAD"])
@pytest.mark.parametrize(("now", "name"), [("z", "first"), ("x", "other"), ("z", "other")])
@pytest.mark.parametrize("changes", [True, False])
def test_an_id_that_its_sidecar_gives_up_takes_no_text_along_that_cannot_be_written_anew(
    mode, kind, now, name, changes
):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(key, f"text of {key}")
        asks(world, key, custom_id)
    world.sync()

    def fault(asked, key):
        if (asked, key) == (kind, "a.md"):
            raise AccessDenied("not allowed")

    world.fault = fault
    if changes:
        world.bucket.put("a.md", "text of a.md two")
    asks(world, "a.md", now, name)
    asks(world, "b.md", "x")
    for _ in range(3):
        goes_on(world)
    left = everywhere(world, "first", "other")
    assert any(one.startswith("text of a.md") for one in left), left


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.parametrize("order", [("a.md", "b.md", "c.md"), ("b.md", "c.md", "a.md")])
def test_an_id_is_not_taken_of_an_object_that_is_refused_the_one_it_asks_for(mode, changes, order):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    a, b, c = order
    for key, custom_id in ((a, "x"), (b, "y"), (c, "z")):
        world.bucket.put(key, f"text of {key}")
        asks(world, key, custom_id)
    world.sync()
    if changes:
        world.bucket.put(a, f"text of {a} two")
    asks(world, a, "z")
    asks(world, b, "x")
    for _ in range(3):
        goes_on(world)
    left = everywhere(world, "first")
    assert {one.removesuffix(" two") for one in left} >= {f"text of {key}" for key in order}


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("unclean", [True, False])
@pytest.mark.parametrize("names", [("first", "first", "first"), ("first", "other", "docs")])
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("deny", [None, 0, 1, 2])
def test_objects_that_exchange_ids_have_them_in_the_end(mode, unclean, names, number, turn, deny):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    keys = ["a.md", "b.md", "c.md"][:number]
    places = list(zip(["x", "y", "z"], names, strict=True))[:number]
    for key, (custom_id, name) in zip(keys, places, strict=True):
        world.bucket.put(key, f"text of {key}")
        asks(world, key, custom_id, name)
    world.sync()
    denied = keys[deny % number] if deny is not None else None

    def fault(asked, key):
        if (asked, key) == ("GET", denied):
            raise AccessDenied("not allowed")

    world.fault = fault
    moved = places[turn:] + places[:turn]
    for key, (custom_id, name) in zip(keys, moved, strict=True):
        world.bucket.put(key, f"text of {key} two")
        asks(world, key, custom_id, name)

    def turns():
        for _ in range(4):
            world.clock.seconds += 7200
            world.sync()
            if unclean:
                world.catalog.documents.enqueue_unclean(world.source.id)
                world.run_batches()

    def there():
        return {
            (name, custom_id): world.texts(name).get(f"{custom_id}-0") for custom_id, name in places
        }

    turns()
    if denied:
        left = {str(one).removesuffix(" two") for one in there().values()}
        assert left == {f"text of {key}" for key in keys}
    world.fault = None
    turns()
    assert there() == {
        (name, custom_id): f"text of {key} two"
        for key, (custom_id, name) in zip(keys, moved, strict=True)
    }
