"""What is kept and cannot be written is looked at once, and rests: open where that is known."""

import json

import pytest

from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.test_rules_closing import by_path, readers
from s3sync_dagster_tests.engine_fixture import make_world


def damaged():
    return by_path("damaged")


def lapsed(**fields):
    """Return a world with a document whose sidecar is gone, and that its mode keeps."""
    world = make_world(
        path_metadata="(?P<team>[^/]+)/",
        reader_keys=("team",),
        mode=DeleteMode.KEEP_DELETED,
        auto_sync=AutoSync.METADATA,
    )
    world.bucket.put("sales/a.md", "secret")
    asks = {"version": "chroma-v1", "id": "x", "path": "sales/a.md", **fields}
    world.bucket.put("sales/a.meta.json", json.dumps(asks))
    world.sync()
    world.bucket.delete("sales/a.meta.json")
    world.sync(approve_deletes=True)
    return world


def other_readers(world):
    world.configure(metadata={"team": "hr"}, path_metadata="(?P<other>[^/]+)/")


def other_settings(world):
    world.configure(metadata={"x": "y"})


def another_key(world):
    world.configure(reader_keys=("team", "dept"))


def _unvouched(metadata, keys):
    def change(world):
        values = {"metadata": metadata, "withheld": json.dumps(keys)}
        with world.catalog.database.write() as tx:
            tx.execute(documents.update().values(**values))

    return change


said_by_a_member = _unvouched({"team": "hr"}, [])
said_under_other_keys = _unvouched({"lang": "de"}, ["dept"])


@pytest.mark.parametrize("how", [damaged, lapsed])
@pytest.mark.parametrize(
    ("change", "open_to"),
    [
        (other_readers, []),
        (other_settings, ["sales"]),
        (another_key, ["sales"]),
        (said_by_a_member, []),
        (said_under_other_keys, ["sales"]),
    ],
)
def test_what_is_kept_is_looked_at_once_and_rests(how, change, open_to):
    world = how()
    change(world)
    world.sync()
    for _ in range(3):
        world.clock.seconds += 300
        assert readers(world) == open_to
        assert world.sync() == {}


@pytest.mark.parametrize("change", [other_readers, said_by_a_member])
def test_what_rests_is_written_as_soon_as_it_can_be(change):
    world = damaged()
    change(world)
    world.sync()
    assert readers(world) == []
    world.configure(metadata={}, path_metadata="(?P<team>[^/]+)/")
    world.bucket.put("sales/a.md", "secret two")
    world.ask("sales/a.md", vouched=True)
    world.sync()
    assert readers(world) == ["sales"]


def test_a_document_of_another_collection_whose_sidecar_is_gone_rests_too():
    world = lapsed(target_collection_name="docs2")
    world.configure(auto_sync=AutoSync.DIRECT)
    other_readers(world)
    assert world.sync() == {"sales/a.md": "indexed"}
    for _ in range(3):
        world.clock.seconds += 300
        assert world.sync() == {}
