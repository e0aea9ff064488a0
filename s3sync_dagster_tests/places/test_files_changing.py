"""Stores that change while they are listed."""

import contextlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import fsspec
import pytest

from s3sync_dagster.model.errors import EmptyPlace, S3SyncError
from s3sync_dagster.places import files_walk
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.files_access import Entry
from s3sync_dagster.places.files_cloud import Page
from s3sync_dagster.places.files_named import NamedFiles
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.file_servers import all_refs, in_memory, open_place, start_rclone


@pytest.fixture
def store():
    return in_memory()


@pytest.fixture
def world(store):
    made = make_world()
    made.configure(place=FilesPlace(store_url=store.url))
    made.store = store.store()
    yield made
    made.store.close()
    made.catalog.close()


def test_a_store_that_is_empty_at_the_end_of_its_listing_makes_nothing_gone(
    world, store, monkeypatch
):
    """As where what it serves is unmounted in the middle."""
    fsspec.filesystem("memory").makedirs(store.url.removeprefix("fsspec+memory:/"), exist_ok=True)
    for folder in "abcde":
        for n in range(8):
            store.put(f"{folder}/{n}.md", f"text {folder} {n}".encode())
    world.sync()
    assert len(world.keys_indexed()) == 40
    monkeypatch.setattr(files_walk, "STEP_ENTRIES", 8)
    step, steps = world.store._walk.step, []

    def watched(token):
        steps.append(token)
        if len(steps) == 4:
            for folder in "abcde":
                for n in range(8):
                    store.delete(f"{folder}/{n}.md")
        return step(token)

    monkeypatch.setattr(world.store._walk, "step", watched)
    with contextlib.suppress(S3SyncError):
        world.listing()
    world.run_batches()
    assert len(world.keys_indexed()) == 40


def test_a_bucket_that_is_empty_at_the_end_of_its_listing_makes_nothing_gone(monkeypatch):
    store = open_place(FilesPlace(store_url="gs://team-docs/handbook"), {})
    first, rest = Page([Entry("a.md", "file", 1, version="1")], "more"), Page([], None)

    def page(_access, token, *, limit):
        return rest if token or limit == 1 else first

    monkeypatch.setattr(store, "_page", page)
    token = store.list_unordered("", token=None).token
    with pytest.raises(EmptyPlace):
        store.list_unordered("", token=token)
    store.close()


def test_a_folder_that_went_with_its_parent_is_gone():
    folders = {"": [Entry("a", "folder"), Entry("k", "file")], "a": [Entry("b", "folder")]}

    def listed(path):
        if path not in folders:
            raise FileNotFoundError(path)
        found = folders[path]
        if path == "a":
            del folders["a"]
            folders[""] = [Entry("k", "file")]
        return found

    entries, token = files_walk.Walk(listed, lambda _, files: files).step(None)
    assert ([one.name for one in entries], token) == (["k"], None)


def test_a_name_that_is_shown_escaped_takes_the_place_of_no_file_that_has_that_name(tmp_path):
    """As folders and repositories have it: a key is listed once, and the file that has it wins."""
    for name in (rb"a\udcff.md", b"a\xff.md", b"b.md", b"c.md"):
        (tmp_path / os.fsdecode(name)).write_text(f"text of {name!r}")
    server = start_rclone("webdav", tmp_path)
    url = f"dav://{server.url.rpartition('/')[2]}/"
    engine = make_world()
    engine.configure(place=FilesPlace(store_url=url))
    engine.store = open_place(FilesPlace(store_url=url), {})
    try:
        engine.sync()
        assert engine.keys_indexed() == {r"a\udcff.md", "b.md", "c.md"}
    finally:
        engine.store.close()
        engine.catalog.close()
        server.close()


def test_hdfs_is_reached_by_webhdfs():
    """As docs/places.md has it; a name node tells type, length and modificationTime of a file."""
    file = {"type": "FILE", "length": 4, "modificationTime": 1_700_000_000_123}

    class NameNode(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            what = parse_qs(query)["op"][0].upper()
            inside = [{**file, "pathSuffix": "a.md"}] if path.endswith("/docs") else []
            told: object = {"FileStatuses": {"FileStatus": inside}}
            if what == "GETFILESTATUS":
                told = {"FileStatus": {**file, "pathSuffix": ""}}
            body = b"text" if what == "OPEN" else json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), NameNode)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"fsspec+webhdfs://127.0.0.1:{server.server_port}/docs"
    store = open_place(FilesPlace(store_url=url), {})
    try:
        assert [ref.key for ref in all_refs(store)] == ["a.md"]
        assert store.head("a.md").size == 4
    finally:
        store.close()
        server.shutdown()
        server.server_close()


def test_a_file_that_is_replaced_while_its_folder_is_read_stays(world, store, monkeypatch):
    """As readdir of btrfs or tmpfs may tell, and SFTP servers with it."""
    for name in ("a.md", "in/b.md", "in/c.md", "in/gone.md", "went/d.md", "went/e/f.md"):
        store.put(name, name.encode())
    world.sync()
    assert len(world.keys_indexed()) == 6
    for name in ("in/gone.md", "went/d.md", "went/e/f.md"):
        store.delete(name)
    listed, reads = type(world.store._access).listed, []

    def lacking(access, system, folder):
        reads.append(folder)
        found = listed(access, system, folder)
        missed = folder == "in" and reads.count("in") == 1
        return [one for one in found if not (missed and one.name == "b.md")]

    monkeypatch.setattr(type(world.store._access), "listed", lacking)
    world.listing()
    world.run_batches()
    assert world.keys_indexed() == {"a.md", "in/b.md", "in/c.md"}


def test_many_folders_that_went_are_not_looked_for_one_by_one():
    there, asked, now = {"": [Entry("a", "folder")], "a": [Entry("k.md", "file")]}, [], [0.0]

    def listed(folder):
        asked.append(folder)
        now[0] += 1.0
        if folder not in there:
            raise FileNotFoundError(folder)
        return there[folder]

    named = NamedFiles(listed, shown="sftp://x")
    keys = [f"a/b{n}/c/d.md" for n in range(50)]
    assert named.still_gone([*keys, "a/k.md", "a"], lambda: now[0]) == [*keys, "a"]
    assert len(asked) <= 5
    there["a"] = []
    assert named.still_gone(["a/k.md"], lambda: now[0]) == []  # good for twice as long as it took
    now[0] += 20.0
    assert named.still_gone(["a/k.md"], lambda: now[0]) == ["a/k.md"]
