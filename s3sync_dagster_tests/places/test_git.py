"""Repositories over real HTTP: what is listed, read, skipped, fetched; and who gets in."""

import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.core.selection import decide
from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    InvalidSetting,
    LimitExceeded,
    NotFound,
    ObjectChanged,
    S3SyncError,
    Unavailable,
    UnsupportedFile,
)
from s3sync_dagster.model.source import Source
from s3sync_dagster.places import git_program, git_repository, git_store, names_room
from s3sync_dagster.places.git import GIT_MAX_BYTES, GIT_PROTOCOLS, GitPlace
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster.ports.places import Surroundings, open_store
from s3sync_dagster_tests.contracts.object_worlds import all_refs
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.git_server import Origin, git_server

ENVIRONMENT = {
    GIT_PROTOCOLS: "http https",
    "PATH": os.environ["PATH"],
    "TOKEN": "s3cret",
}


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "served" / "team" / "docs")
    made.write("docs/a.md", "# Title\n\nfirst\n")
    made.write("b.py", "x = 1\n")
    made.commit()
    return made


@pytest.fixture
def server(tmp_path: Path, origin: Origin):
    with git_server(tmp_path / "served") as running:
        yield running


@contextmanager
def opened(server, home: Path, *, guard=None, environment=None, credential=None, **place):
    values = {**ENVIRONMENT, **(environment or {})}
    source = Source(
        id="i", name="docs", collection_name="texts",
        place=GitPlace(**({"repository": f"{server.url}/team/docs"} if server else {}) | place),
    )  # fmt: skip
    store = open_store(
        source,
        Surroundings(
            home=home,
            resolve_env=values.get,
            resolve_credential=lambda _: credential,
            uploads=lambda: open_catalog("sqlite://").uploads,
            guard_for=lambda _source, _url: guard,
        ),
    )
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(server, tmp_path: Path):
    with opened(server, tmp_path / "home") as made:
        yield made


def disk(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*.pack"))


# --- what is there ----------------------------------------------------------------------------


def test_a_file_comes_with_its_blob_and_the_commit(origin, store):
    commit = origin.git("rev-parse", "HEAD")
    blob = origin.git("rev-parse", "HEAD:docs/a.md")
    assert [ref.key for ref in all_refs(store)] == ["b.py", "docs/a.md"]
    (listed,) = store.list_page("docs/", start_after=None).objects
    assert (listed.etag, listed.size, listed.version_id) == (blob, 15, None)
    head = store.head("docs/a.md")
    body = store.read("docs/a.md", max_size_bytes=15)
    assert (head.etag, head.version_id) == (body.ref.etag, body.ref.version_id) == (blob, commit)
    assert body.content == b"# Title\n\nfirst\n"
    with pytest.raises(ObjectChanged):
        store.read("docs/a.md", if_match="another", max_size_bytes=15)
    with pytest.raises(LimitExceeded):
        store.read("docs/a.md", max_size_bytes=14)
    for key in ("docs", "docs/", "nothing", "../docs/a.md", "docs//a.md", ":/docs/a.md", "a\nb"):
        with pytest.raises(NotFound) as gone:
            store.read(key, max_size_bytes=15)
        assert gone.value.reason == "object_gone"


def test_a_listing_is_in_the_order_of_keys_whatever_the_page(origin, store):
    rng = random.Random(3)
    names = ["a", "a-b", "a.d", "a0", "é", "~", "z z", "A", "new\nline", "-x", "q\"'"]
    keys = {"/".join(rng.choices(names[1:], k=rng.randint(1, 3))) + ".md" for _ in range(40)}
    for key in keys:
        origin.write(key, key)
    origin.commit()
    expected = sorted({*keys, "b.py", "docs/a.md"}, key=str.encode)
    for limit in (1, 7, 1000):
        assert [ref.key for ref in all_refs(store, limit=limit)] == expected
    for key in keys:
        assert store.read(key, max_size_bytes=100).content == key.encode()


def test_the_names_of_an_open_repository_hold_room(origin, server, tmp_path, monkeypatch):
    room = names_room.NamesRoom(wait_seconds=0)
    monkeypatch.setattr(git_store, "OF_PROCESS", room)
    monkeypatch.setattr(names_room, "SMALL_BYTES", 0)
    for number in range(20):
        origin.write(f"{number}.md", "# One")
    origin.commit()
    with opened(server, tmp_path / "a") as first:
        all_refs(first)
        held = room.taken
        assert held > 20 * 220
        origin.write("0.md", "# Two")
        origin.commit()
        all_refs(first)
        assert room.taken == held  # of the commit before nothing is held
        room._most = held
        with opened(server, tmp_path / "b") as second:
            with first._lock, pytest.raises(Unavailable, match="no room"):
                all_refs(second)  # while the first is read
            assert room.taken == held
            assert all_refs(second) == all_refs(first) == all_refs(second)  # in turns
            assert room.taken == held
    assert room.taken == 0


def test_what_is_no_text_is_skipped_with_a_reason(origin, server, tmp_path, monkeypatch):
    monkeypatch.setattr(git_repository, "MAX_BLOB_BYTES", 100_000)
    origin.write("big.txt", os.urandom(300_000).hex())
    origin.write("binary.dat", b"a\0b")
    origin.write("latin.txt", "caf\xe9".encode("latin-1"))
    origin.write("model.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (origin.folder / "link.md").symlink_to("/etc/hostname")
    Path(os.fsdecode(os.fsencode(origin.folder) + b"/bad\xff.md")).write_text("x")
    origin.git("add", "-A")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    origin.git("commit", "-q", "-m", "more")
    with opened(server, tmp_path / "home") as store:
        source = Source(id="i", name="n", collection_name="c", place=GitPlace(repository="o/r"))
        found = {ref.key: decide(source, ref) for ref in all_refs(store)}
        assert {key: skip.reason for key, skip in found.items() if skip} == {
            "bad\\xff.md": "bad_name",
            "big.txt": "too_large",
            "link.md": "symlink",
            "sub": "submodule",
        }
        for key, reason in (("binary.dat", "binary"), ("latin.txt", "other_encoding"),
                            ("model.txt", "lfs_pointer")):  # fmt: skip
            with pytest.raises(UnsupportedFile) as caught:
                store.read(key, max_size_bytes=1000)
            assert caught.value.reason == reason
            assert store.read("b.py", max_size_bytes=9).content == b"x = 1\n"
        with pytest.raises(LimitExceeded):  # it is there, and was never fetched
            store.read("big.txt", max_size_bytes=10**9)
        with pytest.raises(NotFound):
            store.read("link.md", max_size_bytes=100)
        assert disk(tmp_path / "home") < 50_000
    with opened(server, tmp_path / "home", text_only=False) as store:
        assert store.read("binary.dat", max_size_bytes=9).content == b"a\0b"


@contextmanager
def files_up_to(most: int):
    """The disk takes no more of a file: a write beyond fails as on a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_read_that_the_disk_ended_leaves_nothing_for_the_next_file(origin, store):
    origin.write("big.txt", "a line of the large file\n" * 600_000)
    origin.commit()
    all_refs(store)
    with files_up_to(2**20), pytest.raises(OSError, match="too large"):
        store.read("big.txt", max_size_bytes=10**8)
    assert store.read("b.py", max_size_bytes=100).content == b"x = 1\n"
    assert store.read("docs/a.md", max_size_bytes=100).content == b"# Title\n\nfirst\n"


def test_an_answer_about_another_file_is_not_read(origin, store):
    blob = store.head("docs/a.md").etag
    reader, _ = store._open_reader()
    reader.stdin.write(f"contents {store.head('b.py').etag}".encode() + b"\0")  # and nobody reads
    with pytest.raises(Unavailable) as caught:
        store.read("docs/a.md", max_size_bytes=100)
    assert caught.value.reason == "git_failed"
    read = store.read("docs/a.md", max_size_bytes=100)
    assert (read.ref.etag, read.content) == (blob, b"# Title\n\nfirst\n")


def test_branch_tag_and_commit_are_followed_as_they_are_named(origin, server, tmp_path):
    first = origin.git("rev-parse", "HEAD")
    origin.git("tag", "-a", "v1", "-m", "one")
    origin.git("checkout", "-q", "-b", "work/one")
    origin.write("c.md", "c")
    second = origin.commit()
    origin.git("checkout", "-q", "main")
    for ref, commit in ((None, first), ("main", first), ("work/one", second), ("v1", first),
                        (second, second)):  # fmt: skip
        with opened(server, tmp_path / "home", ref=ref) as store:
            all_refs(store)
            assert store.head("b.py").version_id == commit
    origin.git("tag", "main", second)  # a branch goes before a tag of its name
    with opened(server, tmp_path / "other", ref="main") as store:
        all_refs(store)
        assert store.head("b.py").version_id == first


def test_a_commit_is_followed_however_its_id_is_written(origin, server, tmp_path):
    first = origin.git("rev-parse", "HEAD")
    origin.write("c.md", "c")
    origin.commit()
    place = GitPlace(repository="o/r", ref=first.upper())
    assert place.followed() == ("sha", first)
    with opened(server, tmp_path / "home", ref=first.upper()) as store:
        assert len(all_refs(store)) == 2
        assert store.head("b.py").version_id == first


@pytest.mark.parametrize("way", ["tag", "id"])
def test_a_ref_that_names_a_file_is_told_and_fetched_once(origin, server, tmp_path, way):
    blob = origin.git("rev-parse", "HEAD:b.py")
    origin.git("tag", "-a", "-m", "a key", "file", blob)
    with opened(server, tmp_path / "home", ref="file" if way == "tag" else blob) as store:
        fetched = []
        for _ in range(3):
            store.renew()
            server.seen.clear()
            with pytest.raises(FixConfiguration, match="file") as caught:
                all_refs(store)
            assert caught.value.reason == "git_ref_not_found"
            fetched.append(server.uploads())
    assert fetched[0] > fetched[1] == fetched[2]


def test_a_commit_that_the_server_does_not_have_is_told_before_a_source_is_made(
    origin, server, tmp_path
):
    unknown = "1234567890" * 4
    for whole in ("", "0" * 24):
        with opened(server, tmp_path / f"home{whole}", ref=unknown + whole) as store:
            for act in (store.look, lambda: store.list_page("", start_after=None)):
                with pytest.raises(FixConfiguration) as caught:
                    act()
                assert caught.value.reason == "git_ref_not_found"
    there = origin.git("rev-parse", "HEAD")
    with opened(server, tmp_path / "there", ref=there) as store:
        store.look()
        assert disk(tmp_path / "there") < 100_000
        assert [ref.key for ref in all_refs(store)] == ["b.py", "docs/a.md"]


def test_a_repository_of_sha_256_is_read_and_may_take_the_place_of_another(
    origin, server, tmp_path, monkeypatch
):
    home = tmp_path / "home"
    with opened(server, home) as store:
        first = all_refs(store)
    shutil.rmtree(origin.folder)
    other = Origin(origin.folder, object_format="sha256")
    other.write("b.py", "x = 2\n")
    commit = other.commit()
    assert len(commit) == 64
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()  # git needs a folder that is there, and no matter which
    with opened(server, home) as store:
        store.look()
        [ref] = all_refs(store)
        assert ref.etag != first[0].etag
        assert store.read("b.py", max_size_bytes=100).content == b"x = 2\n"
        other.write("c.py", "y = 1\n")
        other.commit()
        assert [ref.key for ref in all_refs(store)] == ["b.py", "c.py"]
    for ref in (commit, "main"):
        with opened(server, tmp_path / f"new{len(ref)}", ref=ref) as store:
            store.look()
            assert all_refs(store)[0].key == "b.py"


def test_a_head_that_names_no_branch_names_the_way_out(origin, server, tmp_path):
    origin.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with opened(server, tmp_path / "home") as store:
        with pytest.raises(FixConfiguration, match="as ref") as caught:
            all_refs(store)
        assert caught.value.reason == "git_ref_not_found"


def test_names_that_are_shown_alike_are_one_key(origin, store):
    folder = os.fsencode(origin.folder)
    for name in (b"\xff\\xfe", b"\\xff\xfe", b"\\xff\\xfe"):
        Path(os.fsdecode(folder + b"/" + name)).write_text("x")
    long = "/".join(["d" * 200] * 6)
    for end in ("a", "b"):
        origin.write(f"{long}/{end}/__init__.py", "")
    origin.commit()
    refs = all_refs(store)
    keys = [ref.key for ref in refs]
    assert len(keys) == len(set(keys)) == 5
    assert sum(key.startswith(long[:900]) for key in keys) == 2
    assert store.read("\\xff\\xfe", max_size_bytes=9).content == b"x"  # the file of that name


def test_a_listing_goes_on_with_the_commit_that_it_began_with(origin, server, store):
    for number in range(6):
        origin.write(f"n/{number}.md", "x")
    origin.commit()
    page = store.list_page("", start_after=None, limit=4)
    assert [ref.key for ref in page.objects] == ["b.py", "docs/a.md", "n/0.md", "n/1.md"]
    origin.git("mv", "n/5.md", "a-renamed.md")  # behind the listing: it would see neither
    origin.commit()
    server.seen.clear()
    rest = store.list_page("", start_after="n/1.md")
    assert [ref.key for ref in rest.objects] == ["n/2.md", "n/3.md", "n/4.md", "n/5.md"]
    assert server.seen == []


# --- what is fetched --------------------------------------------------------------------------


def test_a_new_commit_is_fetched_by_what_differs(origin, server, store, tmp_path):
    for number in range(40):
        origin.write(f"many/{number}.bin.txt", os.urandom(2000).hex())
    origin.commit()
    before = {ref.key: ref.etag for ref in all_refs(store)}
    whole = disk(tmp_path / "home")
    server.seen.clear()
    assert {ref.key: ref.etag for ref in all_refs(store)} == before
    assert server.uploads() == 1  # the question which commit it is
    origin.write("many/7.bin.txt", os.urandom(2000).hex())
    origin.git("mv", "b.py", "moved.py")
    commit = origin.commit()
    after = {ref.key: ref.etag for ref in all_refs(store)}
    assert {key for key in after if before.get(key) != after[key]} == {"many/7.bin.txt", "moved.py"}
    assert before["b.py"] == after["moved.py"]
    assert disk(tmp_path / "home") - whole < whole / 10
    assert store.read("moved.py", max_size_bytes=99).ref.version_id == commit
    assert not list((tmp_path / "home").rglob("FETCH_HEAD"))


def test_a_copy_is_made_anew_when_many_fetches_left_theirs(origin, server, tmp_path, monkeypatch):
    monkeypatch.setattr(git_repository, "MAX_PACKS", 3)
    with opened(server, tmp_path / "home") as store:
        for number in range(9):
            origin.write("b.py", os.urandom(20_000).hex())
            origin.commit()
            all_refs(store)
            packs = len(list((tmp_path / "home").rglob("*.pack")))
            assert packs <= 3, number
            assert len(store.read("b.py", max_size_bytes=10**6).content) == 40_000
    assert disk(tmp_path / "home") < 4 * 25_000


def copy_in(home: Path) -> Path:
    (found,) = home.glob("**/repository.git")
    return found


def test_what_a_killed_fetch_left_stops_no_later_one(origin, store, tmp_path):
    all_refs(store)
    copy = copy_in(tmp_path / "home")
    pack = next((copy / "objects" / "pack").glob("*.pack"))
    left = [copy / "shallow.lock", copy / "config.lock", copy / "refs/s3sync/x.lock",
            pack.parent / "tmp_pack_a1b2c3", copy / "objects" / "tmp_obj_xyz"]  # fmt: skip
    for one in left:
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_bytes(b"\0" * 1000)
    beside = copy.with_name("next.git")
    (beside / "objects").mkdir(parents=True)
    origin.write("docs/b.md", "new\n")
    commit = origin.commit()
    assert [ref.key for ref in all_refs(store)] == ["b.py", "docs/a.md", "docs/b.md"]
    assert store.head("docs/b.md").version_id == commit
    assert not [one for one in (*left, beside) if one.exists()]


def test_what_killed_fetches_left_does_not_count_as_the_repositorys_size(origin, server, tmp_path):
    with opened(server, tmp_path / "home", environment={GIT_MAX_BYTES: str(2**20)}) as store:
        all_refs(store)
        copy = copy_in(tmp_path / "home")
        for number in range(4):
            (copy / "objects" / "pack" / f"tmp_pack_{number}").write_bytes(b"\0" * 2**19)
        origin.write("docs/b.md", "new\n")
        origin.commit()
        assert len(all_refs(store)) == 3


def test_a_fetch_that_is_killed_with_its_process_is_made_good(origin, server, tmp_path):
    for number in range(30):
        origin.write(f"large/{number}.md", random.Random(number).randbytes(20_000).hex())
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from s3sync_dagster_tests.places.test_git import all_refs, opened\n"
        f"home = Path({str(tmp_path / 'home')!r})\n"
        f"with opened(SimpleNamespace(url={server.url!r}), home) as store:\n"
        "    all_refs(store)\n"
    )
    for number in range(4):
        origin.write("docs/a.md", f"version {number}\n")
        commit = origin.commit()
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        while server.uploads() < 2 and child.poll() is None:
            time.sleep(0.001)
        time.sleep(0.004 * number)  # while git is somewhere in its fetch, which outlives us
        child.kill()
        child.wait()
        server.seen.clear()
        with opened(server, tmp_path / "home") as store:
            assert len(all_refs(store)) == 32
            assert store.read("docs/a.md", max_size_bytes=1000).content == (
                f"version {number}\n".encode()
            )
            assert store.head("docs/a.md").version_id == commit


def _lacks_an_object(copy: Path) -> None:
    for path in (copy / "objects").rglob("*"):
        if path.is_file():
            path.unlink()


def _bytes_of_a_pack_are_others(copy: Path) -> None:
    for pack in (copy / "objects" / "pack").glob("*.pack"):
        content = bytearray(pack.read_bytes())
        content[20:-20] = bytes(len(content) - 40)
        pack.chmod(0o600)
        pack.write_bytes(content)


def _has_no_head(copy: Path) -> None:
    (copy / "HEAD").write_bytes(b"")


def _has_a_broken_config(copy: Path) -> None:
    (copy / "config").write_bytes(b"[core\0")


def _was_being_exchanged(copy: Path) -> None:
    copy.rename(copy.with_name("before.git"))


def _was_being_made(copy: Path) -> None:
    shutil.rmtree(copy)
    (copy / "objects").mkdir(parents=True)


@pytest.mark.parametrize(
    "damage",
    [_lacks_an_object, _bytes_of_a_pack_are_others, _has_no_head, _has_a_broken_config,
     _was_being_exchanged, _was_being_made],
)  # fmt: skip
@pytest.mark.parametrize("changed", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_damaged_copy_is_made_good_by_the_next_listing(origin, server, tmp_path, damage, changed):
    with opened(server, tmp_path / "home") as store:
        all_refs(store)
        commit = store.head("docs/a.md").version_id
    damage(copy_in(tmp_path / "home"))
    if changed:
        origin.write("docs/a.md", "changed\n")
        commit = origin.commit()
    with opened(server, tmp_path / "home") as store:
        for _ in range(2):  # what only reading shows is made good by the one after it
            try:
                refs = all_refs(store)
                read = store.read("docs/a.md", max_size_bytes=1000)
                break
            except Unavailable:
                store.renew()
        assert [ref.key for ref in refs] == ["b.py", "docs/a.md"]
        assert read.content == (b"changed\n" if changed else b"# Title\n\nfirst\n")
        assert read.ref.version_id == commit


def damage_file(copy: Path, blob: str) -> None:
    """Overwrite one file's bytes in the pack that has it."""
    (index,) = (copy / "objects" / "pack").glob("*.idx")
    told = subprocess.run(
        ["git", "verify-pack", "-v", index], capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line.split() for line in told.splitlines() if line.startswith(blob)]
    size, offset = int(line[3]), int(line[4])
    pack = index.with_suffix(".pack")
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(offset + 2)
        file.write(bytes(size - 2))


def test_a_file_that_a_copy_lacks_is_read_from_one_made_anew_once(server, origin, store, tmp_path):
    blob = {ref.key: ref.etag for ref in all_refs(store)}["docs/a.md"]
    damage_file(copy_in(tmp_path / "home"), blob)
    server.seen.clear()
    with pytest.raises(Unavailable) as caught:
        store.read("docs/a.md", max_size_bytes=1000)
    assert (caught.value.reason, server.uploads()) == ("git_failed", 0)
    assert store.read("docs/a.md", max_size_bytes=1000).content == b"# Title\n\nfirst\n"
    fetched = server.uploads()
    assert fetched
    damage_file(copy_in(tmp_path / "home"), blob)  # the disk is bad
    store.close()
    for _ in range(3):
        with pytest.raises(Unavailable):
            store.read("docs/a.md", max_size_bytes=1000)
        assert store.read("b.py", max_size_bytes=1000).content == b"x = 1\n"
    assert server.uploads() == fetched + 3  # each asks for the commit, and fetches nothing


def test_a_repository_that_is_too_large_is_given_up(origin, server, tmp_path):
    origin.write("big.txt", os.urandom(2_000_000).hex())
    origin.commit()
    with opened(server, tmp_path / "home", environment={GIT_MAX_BYTES: "1048576"}) as store:
        with pytest.raises(FixConfiguration) as caught:
            all_refs(store)
        assert caught.value.reason == "repository_too_large"


def test_a_tree_that_unfolds_without_end_is_given_up(origin, server, tmp_path, monkeypatch):
    """A few objects that name each other a million times over."""
    monkeypatch.setattr(git_program, "MAX_ANSWER_BYTES", 10 * 1024 * 1024)
    blob = origin.git("hash-object", "-w", "--stdin", text="x")
    tree = origin.git("mktree", text="".join(f"100644 blob {blob}\tf{n}\n" for n in range(10)))
    for _ in range(9):
        tree = origin.git("mktree", text="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)))
    commit = origin.git("commit-tree", tree, "-m", "bomb")
    origin.git("update-ref", "refs/heads/main", commit)
    with opened(server, tmp_path / "home") as store:
        with pytest.raises(FixConfiguration) as caught:
            all_refs(store)
        assert caught.value.reason == "repository_too_large"


def test_a_look_fetches_nothing(origin, server, store, tmp_path):
    store.look()
    assert server.uploads() == 1
    assert disk(tmp_path / "home") == 0
    origin.git("branch", "-m", "main", "other")
    with opened(server, tmp_path / "gone", ref="main") as other:
        with pytest.raises(FixConfiguration) as caught:
            other.look()
        assert caught.value.reason == "git_ref_not_found"


def test_a_process_that_only_reads_asks_the_server_once(store, server, tmp_path):
    all_refs(store)
    server.seen.clear()
    with opened(server, tmp_path / "home") as worker:
        for _ in range(3):
            assert worker.read("b.py", max_size_bytes=9).content == b"x = 1\n"
    assert server.uploads() == 1


# --- what is no evidence ----------------------------------------------------------------------


def test_what_the_server_refuses_is_no_listing(origin, server, tmp_path):
    cases = {
        "git_ref_not_found": {"ref": "gone"},
        "repository_not_found": {"repository": f"{server.url}/team/none"},
        "git_failed": {"repository": "http://127.0.0.1:9/team/docs"},
    }
    for reason, place in cases.items():
        with opened(server, tmp_path / reason, **place) as store:
            for ask in (lambda: store.list_page("", start_after=None), lambda: store.head("b.py")):
                with pytest.raises(S3SyncError) as caught:
                    ask()
                assert caught.value.reason == reason
                assert not isinstance(caught.value, NotFound)
    server.redirect = "http://127.0.0.1:9"
    with opened(server, tmp_path / "moved") as store:
        with pytest.raises(FixConfiguration) as caught:
            all_refs(store)
        assert caught.value.reason == "repository_moved"


def test_a_branch_that_was_deleted_keeps_its_records_readable(origin, server, tmp_path):
    origin.git("checkout", "-q", "-b", "work")
    origin.commit()
    with opened(server, tmp_path / "home", ref="work") as store:
        all_refs(store)
        origin.git("checkout", "-q", "main")
        origin.git("branch", "-q", "-D", "work")
        with pytest.raises(FixConfiguration):
            all_refs(store)
        assert store.head("b.py").size == 6


# --- who gets in ------------------------------------------------------------------------------


def test_a_token_opens_and_stands_in_no_argument_url_or_file(tmp_path, origin, monkeypatch):
    calls: list[list[str]] = []
    popen = git_repository.GitProgram._popen

    def watched(self, arguments, environment, **options):
        calls.append([*arguments])
        return popen(self, arguments, environment, **options)

    monkeypatch.setattr(git_repository.GitProgram, "_popen", watched)
    with git_server(tmp_path / "served", token="s3cret") as server:
        with opened(server, tmp_path / "none") as store:
            with pytest.raises(AccessDenied) as caught:
                all_refs(store)
            assert caught.value.reason == "git_access_denied"
        keys = ("x-access-token", "s3cret", None)
        for name, way in (("env", {"token_env": "TOKEN"}), ("saved", {"saved_token": 1})):
            with opened(server, tmp_path / name, credential=keys, **way) as store:
                # The test's server has no TLS; a source with a token is refused without.
                assert len(all_refs(store)) == 2
        wrong = {"token_env": "TOKEN", "environment": {"TOKEN": "other"}}
        with opened(server, tmp_path / "wrong", **wrong) as store, pytest.raises(AccessDenied):
            all_refs(store)
        with (
            pytest.raises(AccessDenied, match="'MISSING'"),
            opened(server, tmp_path / "missing", token_env="MISSING"),
        ):
            pass
    assert not any("s3cret" in word for call in calls for word in call)
    assert not any("s3cret" in line for line in server.seen)
    for path in tmp_path.rglob("*"):
        if path.is_file() and "home" in path.parts:
            assert b"s3cret" not in path.read_bytes()


@pytest.mark.parametrize("environment", [{}, {"https_proxy": "http://127.0.0.1:9"}])
def test_a_tenant_that_nobody_trusts_gets_nowhere_inside(server, tmp_path, environment):
    named = {GIT_PROTOCOLS: "http https", **environment}
    with opened(server, tmp_path / "home", guard=AddressGuard(), environment=named) as store:
        server.seen.clear()
        with pytest.raises(InvalidSetting) as caught:
            all_refs(store)
        assert caught.value.reason == "private_address"
        assert server.seen == []


def test_the_server_s_own_netrc_is_not_for_a_tenant_that_nobody_trusts(origin, tmp_path):
    own = tmp_path / "user"
    own.mkdir()
    (own / ".netrc").write_text("machine 127.0.0.1 login x-access-token password s3cret\n")
    (own / ".netrc").chmod(0o600)
    environment = {"HOME": str(own)}
    guard = AddressGuard((ip_network("127.0.0.0/8"),))
    with git_server(tmp_path / "served", token="s3cret") as server:
        with opened(server, tmp_path / "operator", environment=environment) as store:
            assert len(all_refs(store)) == 2
        with (
            opened(server, tmp_path / "tenant", environment=environment, guard=guard) as store,
            pytest.raises(AccessDenied) as caught,
        ):
            all_refs(store)
    assert caught.value.reason == "git_access_denied"


def test_a_server_that_has_the_files_alone_is_told_apart(origin, tmp_path):
    origin.git("update-server-info")
    handler = partial(QuietFiles, directory=origin.folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        thread = threading.Thread(target=files.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        repository = f"http://127.0.0.1:{files.server_port}/.git"
        try:
            with (
                opened(None, tmp_path / "home", repository=repository) as store,
                pytest.raises(InvalidSetting, match="as files alone") as caught,
            ):
                all_refs(store)
        finally:
            files.shutdown()
            thread.join()
    assert caught.value.reason == "git_protocol"


class QuietFiles(SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_: object) -> None:
        pass


NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "environment",
    [{}, {"all_proxy": NOBODY, "no_proxy": "*"}, {"http_proxy": NOBODY, "NO_PROXY": "x,.test"}],
)
def test_git_connects_to_the_address_that_was_looked_at(server, tmp_path, monkeypatch, environment):
    """The name is known to the look alone: git would not find it, or find another address."""
    port = int(server.url.rpartition(":")[2])
    monkeypatch.setattr(
        git_program.socket, "getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))],
    )  # fmt: skip
    guard = AddressGuard((ip_network("127.0.0.0/8"),))
    repository = f"http://repository.test:{port}/team/docs"
    values = {GIT_PROTOCOLS: "http", **environment}
    with opened(
        server, tmp_path / "home", guard=guard, repository=repository, environment=values
    ) as store:
        assert len(all_refs(store)) == 2


@pytest.mark.parametrize("known", [True, False])
def test_a_proxy_is_asked_by_name_whatever_is_known_here(server, tmp_path, monkeypatch, known):
    def looked_up(*_, **__):
        if known:
            return [(2, 1, 6, "", ("8.8.8.8", 80))]
        raise OSError

    monkeypatch.setattr(git_program.socket, "getaddrinfo", looked_up)
    repository = "http://repository.test/team/docs"
    values = {GIT_PROTOCOLS: "http", "http_proxy": server.url}
    with opened(server, tmp_path / "home", guard=AddressGuard(), repository=repository,
                environment=values) as store:  # fmt: skip
        assert len(all_refs(store)) == 2
    assert all(f" {repository}" in line for line in server.seen)


def test_a_proxy_is_told_the_name_where_git_speaks_https(tmp_path, monkeypatch):
    monkeypatch.setattr(
        git_program.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("8.8.8.8", 443))]
    )
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        told: list[bytes] = []

        def answer() -> None:
            with proxy.accept()[0] as asked:
                told.append(asked.recv(1000))
                asked.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        place = {
            "repository": "https://repository.test/r",
            "environment": {GIT_PROTOCOLS: "https", "https_proxy": address},
        }
        with (
            opened(None, tmp_path / "home", guard=AddressGuard(), **place) as store,
            pytest.raises(S3SyncError),
        ):
            all_refs(store)
        thread.join()
    assert told[0].startswith(b"CONNECT repository.test:443 ")


def test_names_that_are_known_inside_are_answered_as_those_that_nobody_has(server, tmp_path):
    said = set()
    for host in ("localhost", "nobody-has-this.invalid"):
        repository = f"{server.url}/team/docs".replace("127.0.0.1", host)
        named = {GIT_PROTOCOLS: "http https"}
        with (
            opened(
                server,
                tmp_path / host,
                guard=AddressGuard(),
                repository=repository,
                environment=named,
            ) as store,
            pytest.raises(Unavailable) as caught,
        ):
            all_refs(store)
        said.add((caught.value.reason, caught.value.message.replace(host, "it")))
    assert len(said) == 1


def test_an_address_in_place_of_a_name_is_not_pinned(tmp_path):
    repository = "https://[2001:4860:4860::8888]/r"
    with opened(None, tmp_path / "home", guard=AddressGuard(), repository=repository) as store:
        assert "http.curloptResolve" not in store._repository.git._way_in()
    with (
        opened(
            None, tmp_path / "home", guard=AddressGuard(), repository="https://[fd00::1]/r"
        ) as store,
        pytest.raises(InvalidSetting, match="not of the internet"),
    ):
        store._repository.git._way_in()


def test_a_name_that_only_the_proxy_knows_is_asked_of_nobody_else(server, tmp_path, monkeypatch):
    """By the time that git asks, the name is known, and leads into the network."""

    def unknown(*_, **__):
        raise OSError

    monkeypatch.setattr(git_program.socket, "getaddrinfo", unknown)
    repository = f"{server.url}/team/docs".replace("127.0.0.1", "localhost")
    values = {GIT_PROTOCOLS: "http", "all_proxy": NOBODY, "no_proxy": "*"}
    with opened(server, tmp_path / "home", guard=AddressGuard(), repository=repository,
                environment=values) as store, pytest.raises(Unavailable):  # fmt: skip
        all_refs(store)
    assert server.seen == []


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_the_port_of_the_protocol_is_pinned(tmp_path, monkeypatch, scheme, port):
    monkeypatch.setattr(
        git_program.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("8.8.8.8", port))]
    )
    with opened(None, tmp_path / "home", guard=AddressGuard(),
                repository=f"{scheme}://repository.test/r") as store:  # fmt: skip
        pinned = store._repository.git._way_in()["http.curloptResolve"]
    assert pinned == f"repository.test:{port}:8.8.8.8"


def test_no_host_is_asked_that_git_reads_otherwise_than_the_look(server, tmp_path, monkeypatch):
    port = int(server.url.rpartition(":")[2])
    public = [(2, 1, 6, "", ("8.8.8.8", port))]
    monkeypatch.setattr(git_program.socket, "getaddrinfo", lambda *_, **__: public)
    repository = f"http://127%2e0.0.1:{port}/team/docs"
    with (
        pytest.raises(InvalidSetting, match="repository"),
        opened(server, tmp_path / "home", guard=AddressGuard(), repository=repository) as store,
    ):
        all_refs(store)
    assert server.seen == []


def test_git_speaks_no_protocol_that_is_not_allowed(server, tmp_path, origin):
    for repository in (f"file://{origin.folder}", f"{server.url}/team/docs"):
        with (
            pytest.raises(InvalidSetting) as caught,
            opened(
                server, tmp_path / "home", repository=repository, environment={GIT_PROTOCOLS: ""}
            ),
        ):
            pass
        assert caught.value.reason == "git_protocol"
    with opened(server, tmp_path / "home", repository=f"file://{origin.folder}",
                environment={GIT_PROTOCOLS: "file"}) as store:  # fmt: skip
        assert len(all_refs(store)) == 2


def asked_of_ssh(tmp_path, repository: str) -> list[str]:
    """Return the arguments with which git runs ``ssh`` for a repository."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\nexit 1\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    named = {GIT_PROTOCOLS: "ssh", "PATH": path}
    with (
        opened(None, tmp_path / "home", repository=repository, environment=named) as store,
        pytest.raises(S3SyncError),
    ):
        all_refs(store)
    return (tmp_path / "asked").read_text().splitlines()


@pytest.mark.parametrize(
    ("repository", "user_host", "path"),
    [
        ("git@h:team/docs.git", "git@h", "team/docs.git"),
        ("git@h:~bob/docs.git", "git@h", "~bob/docs.git"),
        ("h:team/docs.git", "h", "team/docs.git"),
        ("ssh://git@h/team/docs.git", "git@h", "/team/docs.git"),
        ("ssh://git@h/~/docs.git", "git@h", "~/docs.git"),
    ],
)
def test_a_server_is_asked_for_the_path_that_git_itself_would_ask_for(
    tmp_path, repository, user_host, path
):
    asked = asked_of_ssh(tmp_path, repository)
    assert asked[-2:] == [user_host, f"git-upload-pack '{path}'"]


def test_hooks_and_templates_of_anybody_are_not_run(server, tmp_path, origin, monkeypatch):
    evil = tmp_path / "template" / "hooks"
    evil.mkdir(parents=True)
    for name in ("reference-transaction", "post-checkout"):
        (evil / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (evil / name).chmod(0o755)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / ".gitconfig").write_text(
        f"[init]\n\ttemplateDir = {evil.parent}\n[core]\n\thooksPath = {evil}\n"
        f'[url "http://127.0.0.1:9/"]\n\tinsteadOf = {server.url}/\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    with opened(server, tmp_path / "home", environment={"HOME": str(tmp_path / "user")}) as store:
        assert len(all_refs(store)) == 2
    assert not (tmp_path / "ran").exists()


# --- behind the engine ------------------------------------------------------------------------


@pytest.fixture
def world(server, tmp_path, origin):
    made = make_world()
    made.configure(place=GitPlace(repository="team/docs"), collection_name="docs")
    with opened(server, tmp_path / "home") as store:
        made.store = store
        yield made
    made.catalog.close()


def test_a_commit_is_synced_by_its_diff_and_each_record_tells_where_it_is_from(world, origin):
    for number in range(20):
        origin.write(f"n/{number}.md", f"text {number}\n\nsecond {number}")
    first = origin.commit()
    world.sync()
    assert world.store.requests()["GET"] == 22
    known = world.embedder.inferred
    origin.write("n/3.md", "text 3\n\nanother")
    origin.git("mv", "n/4.md", "n/moved.md")
    origin.git("rm", "-q", "n/5.md")
    second = origin.commit()
    told = world.sync()
    assert told == {
        "n/3.md": "updated", "n/4.md": "removed", "n/5.md": "removed", "n/moved.md": "indexed",
    }  # fmt: skip
    assert world.store.requests()["GET"] == 24
    assert world.embedder.inferred - known <= 3  # the changed paragraph, and the moved file's two
    by_key = {(m["document_key"], m["start_line"]): m for m in world.metadata().values()}
    page = "https://github.com/team/docs/blob"
    assert by_key["n/3.md", 1]["version_key"] == by_key["n/3.md", 2]["version_key"] == second
    assert by_key["n/3.md", 2]["s3sync_link"] == f"{page}/{second}/n/3.md#L2-L2"
    assert by_key["n/6.md", 1]["version_key"] == first
    assert by_key["n/6.md", 1]["s3sync_link"] == f"{page}/{first}/n/6.md#L1-L1"
    assert by_key["n/6.md", 1]["s3sync_bucket"] == "team/docs"
    world.sync()
    assert world.store.requests()["GET"] == 24


def test_a_repository_that_cannot_be_reached_takes_nothing_away(world, origin, server):
    world.sync()
    server.redirect = "http://127.0.0.1:9"
    with pytest.raises(FixConfiguration):
        world.listing()
    assert world.keys_indexed() == {"b.py", "docs/a.md"}
