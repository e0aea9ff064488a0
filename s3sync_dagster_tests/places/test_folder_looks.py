"""Folders that are slow, large, or not what they were: what the looks at them cost, and miss."""

import os
import time

from s3sync_dagster.local.watching import told_by
from s3sync_dagster.places import folder_answer
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.folder_store import FileStore


def test_many_folders_that_went_from_a_large_one_are_not_looked_for_one_by_one(folder, monkeypatch):
    """A mail store or cache with one folder for each thing: the names above are read but once."""
    (folder / "kept").mkdir()
    scans, scandir = [], os.scandir

    def counted(path):
        scans.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    store = FileStore(str(folder))
    gone = [f"d{n:03}/in/a.md" for n in range(200)]
    assert store.still_gone(gone) == gone
    assert len(scans) <= 3


def test_a_folder_whose_names_come_late_answers(folder, monkeypatch):
    """As of object stores that are mounted, whose first name comes when all are known."""
    monkeypatch.setattr(folder_answer, "ANSWER_SECONDS", 0.2)
    scandir = os.scandir

    def late(path):
        time.sleep(0.6)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", late)
    folder_answer.require_answer(str(folder))


def test_a_watch_is_no_listing_where_a_folder_left_long_ago(world, folder):
    """Of a folder that became a file its rows may still be known; the file is told of alone."""
    (folder / "notes").mkdir()
    for n in range(3):
        (folder / f"k{n}.md").write_text(f"text {n}")
    (folder / "notes" / "a.md").write_text("a")
    world.sync()
    (folder / "notes" / "a.md").unlink()
    (folder / "notes").rmdir()
    (folder / "notes").write_text("a file")
    world.sync()
    assert "notes/a.md" not in world.keys_indexed()
    assert world.catalog.views.object_rows(world.source.id, prefix="notes/", limit=1) == []


def test_a_watch_tells_of_a_folder_that_went_and_has_the_name_of_a_file_of_before(folder, tmp_path):
    """The row of the file may still be there, as where its removal waits for a person."""
    events = told_by(
        {str(folder / "notes")},
        FolderPlace(folder=str(folder)),
        str(tmp_path / "home"),
        is_known="notes".__eq__,
        was_folder="notes".__eq__,
    )
    assert events is None
