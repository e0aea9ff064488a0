"""Uploads lie in one data folder: in another one they are not gone, but elsewhere."""

from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.ports.files import FolderObjectStore, IncomingFile
from s3sync_dagster_tests.core.rules import event, states


def upload(folder, key, text):
    with IncomingFile(folder) as incoming:
        incoming.write(text.encode())
        return FolderObjectStore(folder).commit(incoming, key)


def test_a_worker_with_an_empty_home_removes_no_records(world, tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for name in ("a.md", "b.md"):
        upload(here, name, f"text of {name}")
        world.ask(name)
    world.run_batches(store=FolderObjectStore(here))
    assert sorted(world.texts().values()) == ["text of a.md", "text of b.md"]
    world.ask("a.md")
    event(world, "b.md", remove=True)
    world.run_batches(store=FolderObjectStore(elsewhere))
    assert states(world)["a.md"] == ("failed", "uploads_elsewhere")
    assert sorted(world.texts().values()) == ["text of a.md", "text of b.md"]
    assert not elsewhere.exists()  # nor is it taken for a store of uploads later on
    world.clock.seconds += 4000
    world.ask("a.md", trigger=Trigger.CLI)
    world.run_batches(store=FolderObjectStore(here))
    assert states(world)["a.md"] == ("indexed", None)


def test_what_was_deleted_where_it_lay_is_gone(world, tmp_path):
    folder = tmp_path / "here"
    upload(folder, "a.md", "text")
    world.ask("a.md")
    world.run_batches(store=FolderObjectStore(folder))
    FolderObjectStore(folder).delete("a.md")
    world.ask("a.md")
    world.run_batches(store=FolderObjectStore(folder))
    assert world.texts() == {}
