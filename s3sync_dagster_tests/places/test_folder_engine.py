"""A folder behind the engine: what is new, changed, renamed, gone; and a mount that is away."""

import shutil
from pathlib import Path

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.places.folder_store import FileStore


def fill(folder: Path, number: int) -> None:
    for n in range(number):
        (folder / f"k{n:02}.md").write_text(f"text {n}")


def test_what_changes_is_read_and_what_goes_is_removed(world, folder):
    fill(folder, 8)
    assert set(world.sync().values()) == {"indexed"}
    (folder / "k00.md").write_text("another text")
    (folder / "k01.md").rename(folder / "moved.md")
    (folder / "k02.md").unlink()
    before = world.store.requests()["GET"]
    told = world.sync()
    assert {told[key] for key in ("k01.md", "k02.md")} == {"removed"}
    assert (told["k00.md"], told["moved.md"]) == ("updated", "indexed")
    assert world.keys_indexed() == {"moved.md", *(f"k{n:02}.md" for n in (0, 3, 4, 5, 6, 7))}
    # At most those that were just written are looked at once more.
    assert world.store.requests()["GET"] - before <= 9


def test_a_folder_that_is_not_mounted_keeps_its_records(world, folder):
    fill(folder, 5)
    world.sync()
    away = folder.with_name("away")
    folder.rename(away)
    with pytest.raises(FixConfiguration, match="mounted"):
        world.sync()
    folder.mkdir()  # the empty folder below the mount
    assert world.listing().listing.state is ListingState.BLOCKED
    world.ask(*(f"k{n:02}.md" for n in range(5)))
    assert {report.state for report in world.run_batches()} == {"failed"}
    assert len(world.keys_indexed()) == 5
    shutil.rmtree(folder)
    away.rename(folder)
    world.clock.seconds += 100_000
    world.sync()
    assert len(world.keys_indexed()) == 5
    assert world.listing().listing.state is ListingState.COMPLETE


def test_a_file_that_became_a_link_loses_its_records_and_its_target_is_not_read(world, folder):
    fill(folder, 3)
    world.sync()
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    (folder / "k00.md").unlink()
    (folder / "k00.md").symlink_to(secret)
    world.sync()
    assert world.keys_indexed() == {"k01.md", "k02.md"}
    assert "secret" not in world.texts().values()


def test_a_folder_that_a_person_says_was_emptied_loses_its_records(world, folder):
    fill(folder, 5)
    (folder / "k00.md.meta.json").write_text('{"path": "k00.md", "metadata": {"a": 1}}')
    world.sync()
    for one in folder.iterdir():
        one.unlink()
    assert world.listing().listing.state is ListingState.BLOCKED
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == set()


def test_a_folder_that_is_skipped_now_leaves_once_that_is_approved(world, folder):
    (folder / "old").mkdir()
    fill(folder / "old", 5)
    world.sync()
    world.store = FileStore(str(folder), skip_folders=frozenset({"old"}))
    assert world.listing().listing.state is ListingState.BLOCKED
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == set()
