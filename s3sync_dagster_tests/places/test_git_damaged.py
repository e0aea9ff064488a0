"""Copies that lack one file, and histories that are written anew."""

import contextlib
import subprocess

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.errors import S3SyncError, Unavailable
from s3sync_dagster.places import git_repository
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.git_server import Origin, git_server
from s3sync_dagster_tests.places.test_git import copy_in, opened


@pytest.fixture
def origin(tmp_path):
    made = Origin(tmp_path / "served" / "team" / "docs")
    made.write("docs/a.md", "# Title\n\nfirst\n")
    for n in range(8):
        made.write(f"n/{n}.md", f"text {n}\n")
    made.commit()
    return made


@pytest.fixture
def server(tmp_path, origin):
    with git_server(tmp_path / "served") as running:
        yield running


@pytest.fixture
def world(server, tmp_path, origin):
    made = make_world()
    made.configure(place=GitPlace(repository="team/docs"), collection_name="docs")
    with opened(server, tmp_path / "home") as store:
        made.store = store
        yield made
    made.catalog.close()


def take_out(copy, blob):
    """Make a copy lack one file, as a disk or a restored folder does."""

    def git(*words, **options):
        subprocess.run(["git", "--git-dir", str(copy), *words], check=True, **options)

    for pack in list((copy / "objects" / "pack").glob("*.pack")):
        moved = copy / pack.name
        pack.rename(moved)
        for beside in (copy / "objects" / "pack").glob(pack.stem + ".*"):
            beside.unlink()
        with moved.open("rb") as file:
            git("unpack-objects", "-q", stdin=file)
        moved.unlink()
    (copy / "objects" / blob[:2] / blob[2:]).unlink()


@pytest.mark.parametrize("changed", [False, True])
def test_a_file_that_the_copy_lacks_is_not_one_that_is_too_large(
    world, origin, server, tmp_path, changed
):
    world.sync()
    assert "docs/a.md" in world.keys_indexed()
    blob = origin.git("rev-parse", "HEAD:docs/a.md")
    take_out(copy_in(tmp_path / "home"), blob)
    if changed:
        origin.write("n/0.md", "another text\n")
        origin.commit()
    with opened(server, tmp_path / "home") as store:  # another process
        world.store = store
        for _ in range(3):
            with contextlib.suppress(S3SyncError):
                world.sync()
            world.clock.seconds += 100_000
        assert "docs/a.md" in world.keys_indexed()


def test_files_that_are_too_large_stay_so_and_have_no_copy_made_anew(
    world, origin, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(git_repository, "MAX_BLOB_BYTES", 100_000)
    origin.write("big.txt", "x" * 150_000)
    origin.commit()
    world.sync()
    origin.git("mv", "big.txt", "moved.txt")
    origin.write("other.txt", "y" * 150_000)
    origin.write("n/0.md", "another text\n")
    origin.commit()
    assert world.sync()["n/0.md"] == "updated"
    known = world.catalog.views.object_rows(world.source.id, state="skipped")
    assert {one.object_key: one.reason for one in known} == {
        "moved.txt": "too_large", "other.txt": "too_large",
    }  # fmt: skip
    assert not list((tmp_path / "home").glob("**/anew"))
    (copy_in(tmp_path / "home") / "left-out").unlink()  # as of copies that were made before
    with opened(server, tmp_path / "home") as world.store:
        with pytest.raises(Unavailable, match="anew"):
            world.listing()
        assert world.sync() == {}
    assert list((tmp_path / "home").glob("**/anew"))


def test_history_written_anew_and_paths_that_change_their_kind(world, origin):
    world.sync()
    origin.git("checkout", "-q", "--orphan", "fresh")
    origin.git("rm", "-rfq", "n/0.md")
    origin.write("n/1.md", "rewritten\n")
    origin.commit()
    origin.git("branch", "-D", "main")
    origin.git("branch", "-m", "main")
    origin.git("reflog", "expire", "--expire=now", "--all")
    origin.git("gc", "-q", "--prune=now")
    assert world.sync() == {"n/1.md": "updated", "n/0.md": "removed"}
    origin.git("mv", "n/2.md", "n/2.tmp")
    origin.write("n/2.md/inner.md", "inner\n")
    origin.git("mv", "n/3.md", "n/3.MD")
    origin.git("rm", "-rq", "docs")
    origin.write("docs", "a file now\n")
    origin.commit()
    assert world.sync() == {
        "docs": "indexed", "n/2.md/inner.md": "indexed", "n/2.tmp": "indexed",
        "n/3.MD": "indexed", "docs/a.md": "removed", "n/2.md": "removed", "n/3.md": "removed",
    }  # fmt: skip
    before = world.keys_indexed()
    origin.git("rm", "-rq", "n", "docs")
    origin.git("commit", "-qm", "empty", "--allow-empty")
    assert world.listing().listing.state is ListingState.BLOCKED
    assert world.keys_indexed() == before


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"


@pytest.mark.parametrize("then", ["lfs", "binary", "latin", "link", "submodule", "empty"])
def test_a_file_that_became_what_is_left_alone_has_no_records_of_before(world, origin, then):
    world.sync()
    (origin.folder / "docs" / "a.md").unlink()
    if then == "link":
        (origin.folder / "docs" / "a.md").symlink_to("../n/1.md")
        origin.commit()
    elif then == "submodule":
        sha = origin.git("rev-parse", "HEAD")
        origin.git("rm", "-q", "--cached", "docs/a.md")
        origin.git("update-index", "--add", "--cacheinfo", f"160000,{sha},docs/a.md")
        origin.git("commit", "-qm", "sub")
    else:
        text = {"lfs": LFS, "binary": b"\0\1", "latin": "é".encode("latin-1"), "empty": b""}[then]
        origin.write("docs/a.md", text)
        origin.commit()
    assert world.sync() == {"docs/a.md": "removed"}
    world.clock.seconds += 1_000_000
    assert world.sync() == {}
