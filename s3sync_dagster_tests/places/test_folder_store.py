"""A folder read like a bucket: order, versions, links, and what is no evidence of a removal."""

import errno
import os
import random
import shutil
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from s3sync_dagster.core.selection import decide
from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    LimitExceeded,
    NotFound,
    ObjectChanged,
    Unavailable,
)
from s3sync_dagster.places import folder_store, folder_version
from s3sync_dagster.places.folder_store import FileStore
from s3sync_dagster_tests.contracts.object_worlds import all_refs
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="i", name="docs", bucket_name="b", collection_name="texts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    return made


@pytest.fixture
def store(folder: Path):
    with opened(folder) as made:
        yield made


@contextmanager
def opened(folder: Path, **options):
    made = FileStore(str(folder), **options)
    try:
        yield made
    finally:
        made.close()


def put(folder: Path, key: str, text: str = "text", *, seconds: float | None = None) -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if seconds is not None:
        os.utime(path, (seconds, seconds))
    return path


def keys(store, prefix="", *, limit=1000):
    return [ref.key for ref in all_refs(store, prefix, limit=limit)]


# --- listings --------------------------------------------------------------------------------


def test_a_listing_is_in_the_order_of_keys_whatever_the_page(folder, store):
    # A folder sorts as if its name ended in a slash: "a-b" < "a.d/x" < "a/y" < "a0".
    rng = random.Random(7)
    names = ["a", "a-b", "a.d", "a0", "b", "é", "~", "_", "z z", "A"]
    wanted = {"/".join(rng.choices(names[1:], k=rng.randint(1, 4))) + ".md" for _ in range(60)}
    for key in wanted:
        put(folder, key)
    expected = sorted(wanted, key=str.encode)
    for limit in (1, 2, 7, len(expected), 1000):
        assert keys(store, limit=limit) == expected


def test_a_listing_goes_on_in_another_process_and_where_the_cursor_is_gone(folder, store):
    for key in ("a/1", "a/2", "a/3", "b"):
        put(folder, key)
    page = store.list_page("", start_after=None, limit=2)
    assert [ref.key for ref in page.objects] == ["a/1", "a/2"]
    shutil.rmtree(folder / "a")
    put(folder, "a2")
    with opened(folder) as other:
        page = other.list_page("", start_after="a/2")
    assert ([ref.key for ref in page.objects], page.last) == (["a2", "b"], True)


def test_names_that_an_earlier_listing_read_are_not_taken_for_today_s(folder, store):
    for key in ("a", "c"):
        put(folder, key)
    store.list_page("", start_after=None, limit=1)  # reads the folder's names and stops
    put(folder, "b")
    assert [ref.key for ref in store.list_page("", start_after="0").objects] == ["a", "b", "c"]


def test_a_prefix_is_a_plain_beginning(folder, store):
    for key in ("doc", "docs.md", "docs/a", "docs2/a", "xdocs/a"):
        put(folder, key)
    assert keys(store, "docs") == ["docs.md", "docs/a", "docs2/a"]
    assert keys(store, "docs/") == ["docs/a"]


def test_what_is_no_file_of_the_folder_is_listed_with_its_reason_and_never_read(folder, store):
    outside = put(folder.parent, "secret.txt", "secret")
    put(folder, "real/a.md")
    (folder / "link.md").symlink_to(outside)
    (folder / "linked").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(folder)
    try:
        server.bind("sock")
    finally:
        os.chdir(here)
        server.close()
    found = {ref.key: decide(SOURCE, ref) for ref in all_refs(store)}
    reasons = {key: skip.reason if skip else None for key, skip in found.items()}
    assert reasons == {
        "link.md": "symlink",
        "linked": "symlink",
        "pipe": "special_file",
        "real/a.md": None,
        "sock": "special_file",
    }
    for key in ("link.md", "linked/secret.txt", "pipe", "sock", "../secret.txt",
                "real/../real/a.md", "/etc/passwd", "real//a.md", "./real/a.md"):  # fmt: skip
        with pytest.raises(NotFound):
            store.read(key, max_size_bytes=100)


def test_names_that_no_key_can_have_are_counted_as_skipped(folder, store):
    put(folder, "caf\\xe9.md")
    raw = os.fsencode(folder)
    for name in (b"caf\xe9.md", b"x\xff"):
        Path(os.fsdecode(raw + b"/" + name)).write_bytes(b"x")
    deep = "/".join(["d" * 200] * 6)
    here = os.open(folder, os.O_RDONLY)
    for part in deep.split("/"):  # longer than a path may be at once
        os.mkdir(part, dir_fd=here)
        following = os.open(part, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    for limit in (1, 100):
        refs = all_refs(store, limit=limit)
        assert [ref.key for ref in refs] == sorted((ref.key for ref in refs), key=str.encode)
        assert all(len(ref.key.encode()) <= 1024 for ref in refs)
        reasons = [getattr(decide(SOURCE, ref), "reason", None) for ref in refs]
        assert reasons.count("bad_name") == 3
        assert [ref.key for ref, why in zip(refs, reasons, strict=True) if why is None] == [
            "caf\\xe9.md"
        ]


def test_folders_that_are_left_out_are_not_entered(folder):
    for key in (".git/config", "a/.git/x", "home/catalog.db", "a.md"):
        put(folder, key)
    with opened(folder, skip_folders=frozenset({".git"}), private=folder / "home") as store:
        assert keys(store) == ["a.md"]
        for ask in (store.head, lambda key: store.read(key, max_size_bytes=100)):
            with pytest.raises(NotFound):
                ask("home/catalog.db")


# --- versions ---------------------------------------------------------------------------------


def test_a_version_is_the_same_for_listing_head_and_read_and_changes_with_the_file(folder, store):
    path = put(folder, "a.md", "one", seconds=1_000_000_000.25)
    before = store.head("a.md").etag.removesuffix("-new")
    (listed,) = all_refs(store)
    assert listed.etag.removesuffix("-new") == before
    assert store.read("a.md", max_size_bytes=9).ref.etag.removesuffix("-new") == before
    path.write_text("two")
    os.utime(path, (1_000_000_000.25, 1_000_000_000.25))  # as `cp -p` and tar leave it
    assert store.head("a.md").etag.removesuffix("-new") != before


def test_a_version_by_mtime_bears_inodes_that_change(folder):
    put(folder, "a.md", "one", seconds=1_000_000_000.25)
    with opened(folder, version="mtime") as store:
        before = store.head("a.md").etag
        shutil.copy2(folder / "a.md", folder / "b.md")
        (folder / "b.md").replace(folder / "a.md")
        assert store.head("a.md").etag == before
        put(folder, "a.md", "two", seconds=1_000_000_001.25)
        assert store.head("a.md").etag != before


def test_a_version_by_content_knows_bytes_alone(folder):
    path = put(folder, "a.md", "one", seconds=5)
    with opened(folder, version="content") as store:
        before = store.head("a.md").etag
        assert {ref.etag for ref in all_refs(store)} == {before}
        os.utime(path, (9, 9))
        assert store.read("a.md", max_size_bytes=9).ref.etag == before
        put(folder, "a.md", "two", seconds=9)
        assert store.head("a.md").etag != before


def test_a_version_by_content_is_that_of_the_bytes_that_were_read(folder, monkeypatch):
    """On mounts whose times lie nothing else tells that others came meanwhile."""
    path = put(folder, "a.md", "one")
    monkeypatch.setattr(folder_store, "times_of", lambda _found: ())
    whole = folder_store.os.read

    def read(file, size):
        data = whole(file, size)
        if not data:
            path.write_text("two")
        return data

    with opened(folder, version="content") as store:
        before = store.head("a.md").etag
        monkeypatch.setattr(folder_store.os, "read", read)
        body = store.read("a.md", max_size_bytes=9)
        assert (body.content, body.ref.etag) == (b"one", before)
        assert store.head("a.md").etag != before


@pytest.mark.parametrize(("fraction", "age"), [(0.5, 0.02), (0.0, 1.5)])
def test_what_was_just_written_is_looked_at_once_more(folder, monkeypatch, fraction, age):
    """Another change within the clock's step would leave the same times."""
    put(folder, "a.md", seconds=1_000_000_000 + fraction)
    with opened(folder, version="mtime") as store:
        monkeypatch.setattr(folder_version.time, "time", lambda: 1_000_000_000 + fraction + age)
        fresh = store.head("a.md").etag
        monkeypatch.setattr(folder_version.time, "time", lambda: 1_000_000_010.0)
        settled = store.head("a.md").etag
        assert fresh != settled
        monkeypatch.setattr(folder_version.time, "time", lambda: 1_000_000_020.0)
        assert store.head("a.md").etag == settled


# --- reading ----------------------------------------------------------------------------------


def test_bytes_come_whole_small_and_large(folder, store):
    put(folder, "a.md", "hello")
    body = store.read("a.md", max_size_bytes=5)
    assert (body.content, body.ref.size, body.ref.version_id) == (b"hello", 5, None)
    with pytest.raises(LimitExceeded) as caught:
        store.read("a.md", max_size_bytes=4)
    assert caught.value.reason == "too_large"
    (folder / "big.txt").write_bytes(b"x" * (9 * 1024 * 1024))
    big = store.read("big.txt", max_size_bytes=10**8)
    assert big.content.stat().st_size == 9 * 1024 * 1024
    big.content.unlink()
    assert (folder / "big.txt").exists()
    assert dict(store.requests()) == {"LIST": 0, "GET": 3, "HEAD": 0}


def test_what_is_written_while_it_is_read_is_not_taken(folder, store, monkeypatch):
    path = put(folder, "a.md", "one and more")
    whole = folder_store.os.read

    def read(file, size):
        data = whole(file, size)
        if not data:
            path.write_text("another text")
        return data

    monkeypatch.setattr(folder_store.os, "read", read)
    with pytest.raises(ObjectChanged):
        store.read("a.md", max_size_bytes=100)


def test_a_version_that_was_asked_for_has_to_be_there(folder, store):
    put(folder, "a.md")
    with pytest.raises(ObjectChanged):
        store.read("a.md", if_match="another", max_size_bytes=100)
    with pytest.raises(NotFound):
        store.head("a.md", version_id="v1")


def test_a_file_that_vanishes_during_a_listing_is_not_there(folder, store, monkeypatch):
    for key in ("a", "b", "c"):
        put(folder, key)
    look = folder_store.os.stat

    def stat(name, **options):
        if name == b"b":
            raise FileNotFoundError(errno.ENOENT, "gone")
        return look(name, **options)

    monkeypatch.setattr(folder_store.os, "stat", stat)
    assert keys(store) == ["a", "c"]


# --- what is no evidence ----------------------------------------------------------------------


def test_a_missing_folder_tells_nothing_of_its_files(folder, store):
    put(folder, "a.md")
    folder.rename(folder.with_name("away"))
    for ask in (lambda: keys(store), lambda: store.head("a.md"),
                lambda: store.read("a.md", max_size_bytes=9)):  # fmt: skip
        with pytest.raises(FixConfiguration) as caught:
            ask()
        assert caught.value.reason == "folder_missing"
        assert not isinstance(caught.value, NotFound)
        assert str(folder) in caught.value.message


def test_an_empty_folder_makes_no_file_gone(folder, store):
    with pytest.raises(FixConfiguration) as caught:
        store.head("a.md")
    assert caught.value.reason == "folder_not_mounted"
    put(folder, "b.md")
    with pytest.raises(NotFound) as gone:
        store.head("a.md")
    assert gone.value.reason == "object_gone"


def test_a_marker_tells_nothing_of_what_links_lead_to(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret").write_text("x")
    (folder / "sub").mkdir()
    (folder / "sub" / ".mounted").touch()
    (folder / "sub" / "out").symlink_to(elsewhere)
    (folder / "out").symlink_to(elsewhere)
    with opened(folder, marker="sub/.mounted") as store:
        assert store.list_page("", start_after=None).last
    said = set()
    for marker in ("out/secret", "out/nothing", "sub/out/secret", "sub/out/nothing"):
        with opened(folder, marker=marker) as store, pytest.raises(FixConfiguration) as caught:
            store.list_page("", start_after=None)
        said.add((caught.value.reason, caught.value.message.replace(marker, "it")))
    assert len(said) == 1
    private = folder / "sub"
    with (
        opened(folder, marker="sub/.mounted", private=private) as store,
        pytest.raises(FixConfiguration, match="its marker"),
    ):
        store.list_page("", start_after=None)


def test_without_its_marker_a_folder_counts_as_not_mounted(folder):
    put(folder, ".mounted")
    put(folder, "a.md")
    with opened(folder, marker=".mounted") as store:
        assert keys(store) == [".mounted", "a.md"]
        (folder / ".mounted").unlink()
        for ask in (lambda: keys(store), lambda: store.head("x.md")):
            with pytest.raises(FixConfiguration) as caught:
                ask()
            assert caught.value.reason == "folder_not_mounted"


def test_a_folder_that_is_replaced_during_its_listing_makes_nothing_gone(
    folder, store, monkeypatch
):
    """As an unmount does: the path leads to the empty folder below the mount."""
    for key in ("a", "b"):
        put(folder, key)
    scan = folder_store.os.scandir

    def scandir(where):
        found = scan(where)
        folder.rename(folder.with_name("mounted"))
        folder.mkdir()
        return found

    monkeypatch.setattr(folder_store.os, "scandir", scandir)
    with pytest.raises(Unavailable) as caught:
        keys(store)
    assert caught.value.reason == "folder_not_mounted"


@pytest.fixture
def nobodys():
    """A folder that another user can reach, and a user who is not root."""
    made = Path(tempfile.mkdtemp(prefix="s3sync-test-"))
    made.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield made
    finally:
        if root:
            os.seteuid(0)
        for path in made.rglob("*"):
            path.chmod(0o755)
        shutil.rmtree(made)


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_folder_that_may_not_be_read_ends_the_listing(nobodys, mode):
    """Its files would be taken for gone otherwise; with 0o400 their names can be read."""
    owner = os.geteuid()
    inner = nobodys / "inner"
    if owner != os.getuid():  # root made the folder: the fixture's user gets the inner one
        os.seteuid(0)
    put(nobodys, "inner/a.md")
    os.chown(inner, owner, -1)
    os.chown(inner / "a.md", owner, -1)
    inner.chmod(mode)
    os.seteuid(owner)
    with opened(nobodys) as store, pytest.raises(AccessDenied, match="inner"):
        keys(store)


def test_a_file_that_may_not_be_read_fails_alone(nobodys):
    owner = os.geteuid()
    if owner != os.getuid():
        os.seteuid(0)
    put(nobodys, "a.md").chmod(0o000)
    put(nobodys, "b.md")
    os.seteuid(owner)
    with opened(nobodys) as store, opened(nobodys, version="content") as by_content:
        assert keys(store) == keys(by_content) == ["a.md", "b.md"]
        with pytest.raises(AccessDenied, match=r"a\.md"):
            store.read("a.md", max_size_bytes=9)
        assert store.read("b.md", max_size_bytes=9).content == b"text"
