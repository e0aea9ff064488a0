"""A folder whose changes are followed: what is told of a file, and how soon it is searchable."""

import json
import os
import signal
import subprocess
import sys
import uuid

import pytest

from s3sync_dagster.local.watching import MOST_KEYS, told_by
from s3sync_dagster.model.place import WatchedFolder
from s3sync_dagster.places.folder import NEVER_ENTERED


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "docs"
    made.mkdir()
    return made


def told(folder, *names, known=(), private="/nowhere"):
    paths = {f"{folder}/{name}" for name in names}
    found = told_by(
        paths,
        WatchedFolder(str(folder), NEVER_ENTERED),
        private,
        is_known=known.__contains__,
        was_folder=lambda path: any(key.startswith(f"{path}/") for key in known),
    )
    return None if found is None else {key: one.kind for key, one in found.items()}


def test_files_that_are_there_and_that_went_are_told(folder):
    (folder / "a.md").write_text("a")
    (folder / "link").symlink_to("/etc/passwd")
    assert told(folder, "a.md", "link", "b.md", known={"b.md"}) == {
        "a.md": "created", "link": "created", "b.md": "removed",
    }  # fmt: skip


def test_a_folder_that_is_reached_by_a_link_is_followed_as_well(folder):
    (folder / "a.md").write_text("a")
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert told(link, "a.md") == {"a.md": "created"}


def test_what_is_told_of_a_folder_is_for_a_listing(folder):
    (folder / "new").mkdir()
    assert told(folder, "new") is None
    assert told(folder, "moved-away") is None  # what was in it is told of nowhere
    assert told(folder, *(f"{n}.md" for n in range(MOST_KEYS + 1)), known=AllKnown()) is None
    (folder / "x.md").write_text("x")
    assert told(folder, "x.md", os.fsdecode(b"\xff.md")) is None


@pytest.mark.parametrize("instead", ["file", "link"])
def test_what_takes_the_place_of_a_folder_is_for_a_listing(folder, instead):
    """What was in it is told of nowhere, and it is a folder no longer."""
    if instead == "file":
        (folder / "notes").write_text("a file by now")
    else:
        (folder / "notes").symlink_to("/etc")
    assert told(folder, "notes", known={"notes/a.md"}) is None
    assert told(folder, "notes", known={"notes", "notes.md"}) == {"notes": "created"}


class AllKnown(frozenset):
    def __contains__(self, key):
        return True


def test_changes_of_the_programs_own_folder_and_of_skipped_ones_are_left_alone(folder):
    (folder / ".git").mkdir()
    (folder / ".git" / "index").write_text("x")
    (folder / "home").mkdir()
    (folder / "home" / "catalog.db").write_text("x")
    private = str(folder / "home")
    assert told(folder, ".git/index", "home/catalog.db", "home", private=private) == {}
    beside = {f"{folder}2/a.md", str(folder)}
    assert told_by(beside, WatchedFolder(str(folder)), "/x", is_known=bool, was_folder=bool) == {}


def test_a_file_is_indexed_and_removed_while_somebody_watches(folder, tmp_path, chroma_server):
    collection = f"c-{uuid.uuid4().hex[:12]}"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("S3SYNC_")}
    environment = plain | {
        "S3SYNC_HOME": str(tmp_path / "home"), "S3SYNC_CHROMA_URL": chroma_server,
    }  # fmt: skip
    run = "from s3sync_dagster.cli import main; main()"
    command = [sys.executable, "-c", run, "sync", str(folder), "-c", collection]
    (folder / "a.md").write_text("# Tides")
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            [*command, "--embedding", "hash", "--watch", "--json"],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None

        def line():
            text = process.stdout.readline()
            assert text, (tmp_path / "errors").read_text()
            return json.loads(text)

        try:
            assert line()["indexed"] == 1
            (folder / "b.md").write_text("# Moon")
            assert line() == {"key": "b.md", "state": "indexed"}
            (folder / "b.md").unlink()
            assert line() == {"key": "b.md", "state": "removed"}
            (folder / "sub").mkdir()
            (folder / "sub" / "c.md").write_text("# Sun")
            assert line()["listed"] == 2  # a folder came: that is listed
            deployed = tmp_path / "deployed"
            deployed.mkdir()
            for name in "adf":
                (deployed / f"{name}.md").write_text("# Tides")
            folder.rename(tmp_path / "old")
            deployed.rename(folder)  # another folder in its place
            while line().get("listed") != 3:
                pass
            (folder / "e.md").write_text("# Mars")
            assert line() == {"key": "e.md", "state": "indexed"}
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "errors").read_text()
