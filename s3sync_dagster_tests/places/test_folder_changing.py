"""Folders that are mounted, unmounted and replaced while they are listed page by page."""

import contextlib
import errno
import os
import time

import pytest

from s3sync_dagster.catalog.listing_owner import KEPT_SECONDS
from s3sync_dagster.local.watching import _next_paths, _watch, told_by
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.places import folder_entries
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.folder_store import FileStore


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

    with contextlib.suppress(S3SyncError):  # folder_not_mounted
        world.listing(page_keys=9, on_page=on_page)
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

    with contextlib.suppress(S3SyncError):  # folder_not_mounted
        world.listing(page_keys=2, on_page=on_page)
    world.run_batches()
    assert len(world.keys_indexed()) == 40


@pytest.mark.parametrize("ahead", [0.5, 2.0, 30.0])
def test_a_server_whose_clock_is_ahead_hides_no_second_write_of_one_second(folder, ahead):
    """As of a mount whose times are whole seconds; file stores bear five minutes."""
    file = folder / "a.md"
    stamp = float(int(time.time() + ahead) + 1)
    found = []
    for text in ("one", "two"):
        file.write_text(text)
        os.utime(file, (stamp, stamp))
        store = FileStore(str(folder), version="mtime")
        (ref,) = store.list_page("", start_after=None).objects
        found.append(ref.etag)
        store.close()
    assert found[0] != found[1] or found[0].endswith("-new")


@pytest.mark.parametrize("instead", ["file", "link"])
def test_a_watch_tells_of_a_folder_in_whose_place_a_file_stands_now(tmp_path, folder, instead):
    inner = folder / "notes"
    inner.mkdir()
    (inner / "a.md").write_text("a")
    place = FolderPlace(folder=str(folder))
    looks = _watch(place)
    _next_paths(looks, place)
    inner.rename(tmp_path / "elsewhere")
    if instead == "file":
        inner.write_text("a file by now")
    else:
        inner.symlink_to(tmp_path / "elsewhere")
    paths: set[str] = set()
    while not paths:
        paths = _next_paths(looks, place)
    events = told_by(
        paths,
        place,
        str(tmp_path / "home"),
        is_known="notes/a.md".__eq__,
        was_folder=lambda path: path == "notes",
    )
    assert events is None or "notes/a.md" in events


@pytest.mark.parametrize("before", [False, True])
def test_a_file_that_came_between_two_pages_and_was_indexed_stays(world, folder, before):
    """The names of a folder were read at the listing's first page, and are older than the file."""
    for n in range(40):
        (folder / f"k{n:02}.md").write_text(f"text {n}")
    if before:
        (folder / "z.md").write_text("came before")
    world.sync()
    (folder / "z.md").unlink(missing_ok=True)
    pages = []

    def on_page(listing):
        pages.append(listing)
        if len(pages) == 2:
            (folder / "z.md").write_text("came meanwhile")
            world.ask("z.md")
            world.run_batches()
            assert "z.md" in world.keys_indexed()

    world.listing(page_keys=9, on_page=on_page)
    world.run_batches()
    assert "z.md" in world.keys_indexed()


def test_a_folder_that_is_named_and_cannot_be_entered_has_lost_nothing(world, folder, monkeypatch):
    """As autofs answers where the server of a mount is away: readdir names it, open says ENOENT."""
    (folder / "proj").mkdir()
    for n in range(20):
        (folder / f"k{n:02}.md").write_text(f"text {n}")
        (folder / "proj" / f"p{n:02}.md").write_text(f"project {n}")
    world.sync()
    assert len(world.keys_indexed()) == 40
    opened = folder_entries.os.open

    def away(path, *arguments, **named):
        if path == b"proj":
            raise FileNotFoundError(errno.ENOENT, "away")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(folder_entries.os, "open", away)
    with contextlib.suppress(S3SyncError):
        world.listing()
    world.run_batches()
    assert len(world.keys_indexed()) == 40


def test_a_file_that_is_replaced_while_its_folder_is_read_stays(world, folder, monkeypatch):
    """Of a name that is removed and comes again at that moment nobody has to tell a reader."""
    for name in ("a.md", "b.md", "c.md"):
        (folder / name).write_text(name)
    world.sync()
    whole, reads = os.scandir, []

    class Missing:
        def __init__(self, entries):
            self._entries = entries

        def __enter__(self):
            return (one for one in self._entries if one.name != "b.md")

        def __exit__(self, *_):
            self._entries.close()

    def scandir(path):
        reads.append(path)
        return Missing(whole(path)) if len(reads) == 1 else whole(path)

    monkeypatch.setattr(folder_entries.os, "scandir", scandir)
    world.listing()
    assert len(reads) == 2
    world.run_batches()
    assert world.keys_indexed() == {"a.md", "b.md", "c.md"}


@pytest.mark.parametrize(("before", "after"), [("Notes/A.md", "Notes/a.md"), ("X/a.md", "x/a.md")])
def test_a_name_whose_case_alone_changed_is_gone(world, folder, monkeypatch, before, after):
    """File systems that do not tell ``A`` from ``a`` find the file by its old name, too."""
    for name in (before, "b.md", "c.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    world.sync()
    (folder / before).rename(folder / "moved.md")
    (folder / before).parent.rmdir()
    (folder / after).parent.mkdir()
    (folder / "moved.md").rename(folder / after)
    state, opened = os.stat, os.open

    def spelt(path):
        old = dict(zip(before.encode().split(b"/"), after.encode().split(b"/"), strict=True))
        return old.get(path, path)

    monkeypatch.setattr(os, "stat", lambda path, **more: state(spelt(path), **more))
    monkeypatch.setattr(
        os, "open", lambda path, *more, **named: opened(spelt(path), *more, **named)
    )
    world.listing()
    world.run_batches()
    assert world.keys_indexed() == {after, "b.md", "c.md"}


@pytest.fixture
def part(world, folder, tmp_path):
    """Return what a tick does on a host, by the name of its data folder."""
    for n in range(9):
        (folder / f"k{n}.md").write_text(f"text {n}")

    def listed(home, **more):
        world.store = FileStore(str(folder))
        return world.listing(page_keys=2, budget_seconds=0, snapshots=tmp_path / home, **more)

    return listed


def test_a_listing_goes_on_in_another_process_and_not_on_another_host(world, part):
    assert not part("one").done
    assert part("one").listing.listed == 4
    assert part("another") is None
    world.clock.seconds += KEPT_SECONDS
    for _ in range(5):
        found = part("another")
    assert (found.done, found.listing.listed) == (True, 9)


def test_two_hosts_that_take_turns_come_to_an_end(world, folder, part):
    """As ticks do that land on one of two code servers, each with a data folder of its own."""
    world.sync()
    (folder / "k3.md").unlink()
    ends = [found for _ in range(10) for home in ("one", "two") if (found := part(home))]
    assert any(found.done for found in ends)
    world.run_batches()
    assert world.keys_indexed() == {f"k{n}.md" for n in range(9) if n != 3}


def test_a_person_waits_for_no_listing_that_another_host_keeps(part):
    begun = part("one").listing
    anew = part("another", fresh=True).listing
    assert (anew.id > begun.id, anew.listed) == (True, 2)
    assert part("one") is None
