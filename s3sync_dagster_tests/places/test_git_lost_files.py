"""Copies that lost files which the next commit moves, and notes of what was left out."""

import contextlib
import errno
from pathlib import Path

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.places import git_repository
from s3sync_dagster_tests.places.test_git import copy_in, opened
from s3sync_dagster_tests.places.test_git_damaged import origin, server, take_out, world

__all__ = ["origin", "server", "world"]


@pytest.mark.parametrize("how", ["moved", "copied", "tree", "reverted"])
def test_a_file_that_was_lost_and_is_elsewhere_in_the_next_commit_is_not_too_large(
    world, origin, server, tmp_path, how
):
    if how == "reverted":
        origin.write("docs/a.md", "between\n")
        origin.commit()
        world.sync()
        origin.write("docs/a.md", "# Title\n\nfirst\n")
        origin.commit()
    world.sync()
    blob = origin.git("rev-parse", "HEAD:docs" if how == "tree" else "HEAD:docs/a.md")
    take_out(copy_in(tmp_path / "home"), blob)
    if how == "copied":
        origin.write("e/b.md", "# Title\n\nfirst\n")
    elif how == "reverted":
        origin.write("docs/a.md", "between\n")
        origin.commit()
        with opened(server, tmp_path / "home") as world.store, contextlib.suppress(S3SyncError):
            world.sync()
        origin.write("docs/a.md", "# Title\n\nfirst\n")
    else:
        origin.git("mv", "docs", "moved")
    origin.commit()
    with opened(server, tmp_path / "home") as store:
        world.store = store
        for _ in range(3):
            with contextlib.suppress(S3SyncError):
                world.sync()
            world.clock.seconds += 100_000
        wanted = "moved/a.md" if how in ("moved", "tree") else "docs/a.md"
        assert wanted in world.keys_indexed()
        known = world.catalog.views.object_rows(world.source.id, state="skipped")
        assert {one.object_key: one.reason for one in known} == {}


def test_a_disk_that_is_full_while_the_note_is_written(
    world, origin, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(git_repository, "MAX_BLOB_BYTES", 100_000)
    world.sync()
    origin.write("big.txt", "x" * 150_000)
    origin.write("n/0.md", "another text\n")
    origin.commit()
    write_text = Path.write_text

    def full(self, *arguments, **named):
        if self.name == "tmp_left_out":
            self.touch()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):  # place_failed, where places are opened
                world.sync()
    world.clock.seconds += 100_000
    with opened(server, tmp_path / "home") as store:
        world.store = store
        assert world.sync()["n/0.md"] == "updated"
        assert "docs/a.md" in world.keys_indexed()
        known = world.catalog.views.object_rows(world.source.id, state="skipped")
        assert {one.object_key: one.reason for one in known} == {"big.txt": "too_large"}
