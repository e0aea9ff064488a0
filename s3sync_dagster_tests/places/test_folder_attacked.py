"""Folders that are mounted, unmounted and replaced while they are listed page by page."""

from pathlib import Path

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.folder_store import FileStore
from s3sync_dagster_tests.engine_fixture import make_world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mnt" / "docs"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def world(folder):
    made = make_world()
    made.configure(place=FolderPlace(folder=str(folder)))
    made.store = FileStore(str(folder))
    yield made
    made.store.close()
    made.catalog.close()


def test_a_folder_that_is_unmounted_between_two_pages_makes_nothing_gone(world, folder):
    """As an unmount does: the path leads to the folder below the mount, which may hold anything."""
    for n in range(40):
        (folder / f"k{n:02}.md").write_text(f"text {n}")
    world.sync()
    assert len(world.keys_indexed()) == 40
    pages = []

    def on_page(listing):
        pages.append(listing)
        if len(pages) == 4:
            folder.rename(folder.with_name("mounted"))
            folder.mkdir()
            (folder / "NOT-MOUNTED").touch()

    try:
        world.listing(page_keys=9, on_page=on_page)
    except S3SyncError as error:
        assert error.reason == "folder_not_mounted"
    world.run_batches()
    assert len(world.keys_indexed()) == 40


def test_a_folder_that_is_mounted_between_two_pages_makes_nothing_gone(world, folder):
    """A listing that begins on the empty mount point goes on in the mounted folder."""
    for n in range(40):
        (folder / f"k{n:02}.md").write_text(f"text {n}")
    world.sync()
    mounted = folder.with_name("mounted")
    folder.rename(mounted)
    folder.mkdir()
    for n in range(9, 12):
        (folder / f"k{n:02}.md").write_text("beneath the mount")

    def on_page(listing):
        if mounted.exists():
            folder.rename(folder.with_name("beneath"))
            mounted.rename(folder)

    try:
        world.listing(page_keys=2, on_page=on_page)
    except S3SyncError as error:
        assert error.reason == "folder_not_mounted"
    world.run_batches()
    assert len(world.keys_indexed()) == 40
