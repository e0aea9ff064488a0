"""File stores behind their drivers: what is listed, read, gone, and what is not believed."""

import asyncio
import gzip
import io
import json
import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import fsspec
import httpx
import pytest

from s3sync_dagster.engine.dry_run import dry_run
from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    LimitExceeded,
    NotFound,
    NotPossible,
    ObjectChanged,
    Unavailable,
)
from s3sync_dagster.places import files_access
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.files_access import Access, Entry
from s3sync_dagster.places.files_index import HttpIndex
from s3sync_dagster.places.files_store import FilesStore
from s3sync_dagster.places.files_url import parse_store_url
from s3sync_dagster.places.files_walk import STEP_ENTRIES, Walk
from s3sync_dagster.places.files_webdav import _status_of
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.file_servers import (
    FilesWorld,
    all_refs,
    in_azure,
    in_google,
    in_memory,
    on_disk,
    open_place,
    start_azurite,
    start_google,
    start_rclone,
)
from s3sync_dagster_tests.scripted_http import scripted_server

LONG = pytest.mark.long
KEYS = ("a.md", "b c#d%41&é.md", "sub/a.md", "sub/deep er/ü.md", "sub2.md")


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Path:
    """What the three servers of a folder serve."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def host_key(tmp_path_factory) -> tuple[Path, str]:
    """A server's key: its file, and its public half."""
    import asyncssh

    made = asyncssh.generate_private_key("ssh-ed25519")
    path = tmp_path_factory.mktemp("key") / "host"
    made.write_private_key(path)
    return path, made.export_public_key().decode()


@pytest.fixture(scope="module")
def sftp(disk, host_key):
    server = start_rclone("sftp", disk, "--key", str(host_key[0]), "--user", "u", "--pass", "p")
    yield server
    server.close()


@pytest.fixture(scope="module")
def webdav(disk):
    server = start_rclone("webdav", disk, "--etag-hash", "MD5")
    yield server
    server.close()


@pytest.fixture(scope="module")
def index(disk):
    server = start_rclone("http", disk)
    yield server
    server.close()


@pytest.fixture(scope="module")
def google():
    server = start_google()
    yield server
    server.close()


@pytest.fixture(scope="module")
def azure(tmp_path_factory):
    server = start_azurite(tmp_path_factory.mktemp("azurite"))
    yield server
    server.close()


@pytest.fixture
def known(tmp_path, sftp, host_key) -> dict[str, str]:
    """The variables of a user who knows the server's key and the password."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(
        f"[127.0.0.1]:{sftp.url.rpartition(':')[2]} {host_key[1]}"
    )
    return {"HOME": str(tmp_path), "SECRET": "p"}


@pytest.fixture(
    params=["sftp", "webdav", "index", "memory", pytest.param("google", marks=LONG),
            pytest.param("azure", marks=LONG)]
)  # fmt: skip
def world(request: pytest.FixtureRequest, monkeypatch) -> FilesWorld:
    """An empty folder of each make."""
    if request.param == "memory":
        return in_memory()
    name = f"t-{uuid.uuid4().hex[:12]}"
    server = request.getfixturevalue(request.param)
    if request.param == "google":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{server.url}")
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        return in_google(server, name)
    if request.param == "azure":
        return in_azure(server, name)
    folder = request.getfixturevalue("disk") / name
    folder.mkdir()
    if request.param == "sftp":
        known = request.getfixturevalue("known")
        url = f"sftp://u@{server.url}/{name}"
        return on_disk(url, folder, environment=known, secret=True)
    scheme = {"webdav": "dav", "index": "index+http"}[request.param]
    return on_disk(f"{scheme}://{server.url}/{name}", folder, environment={})


def test_listing_head_and_read_agree_whatever_the_names(world):
    for number, key in enumerate(KEYS):
        world.put(key, f"text {number}".encode())
    store = world.store()
    store.look()
    refs = all_refs(store)
    assert [ref.key for ref in refs] == sorted(KEYS, key=str.encode)
    for ref in refs:
        head, body = store.head(ref.key), store.read(ref.key, max_size_bytes=100)
        assert body.content == f"text {KEYS.index(ref.key)}".encode()
        plain = [one.etag.removesuffix("-new") for one in (ref, head, body.ref)]
        assert plain[0]
        assert plain[0] == plain[1] == plain[2]
        assert ref.size == head.size == body.ref.size == 6
        assert ref.last_modified is not None
        assert abs(ref.last_modified.timestamp() - time.time()) < 600
    store.close()
    assert store.head("a.md").key == "a.md"  # another connection
    store.close()


def test_other_bytes_of_the_same_size_are_another_version(world):
    world.put("a.md", b"before")
    world.put("b.md", b"before")
    store = world.store()
    first = {ref.key: ref.etag for ref in all_refs(store)}
    world.put("a.md", b"after!")
    second = {ref.key: ref.etag for ref in all_refs(store)}
    if first["a.md"].endswith("-new"):  # whole seconds: it is looked at again when it has settled
        first = {key: etag + "?" for key, etag in first.items()}
        second["b.md"] = first["b.md"]
    assert first["a.md"] != second["a.md"]
    assert first["b.md"] == second["b.md"]
    store.close()


def test_what_is_gone_is_told_and_a_store_that_is_away_tells_nothing(world):
    world.put("a.md", b"a")
    world.put("sub/b.md", b"b")
    store = world.store()
    world.delete("sub/b.md")
    for key in ("sub/b.md", "sub", "nothing/x.md", "../a.md", ""):
        with pytest.raises(NotFound) as caught:
            store.head(key)
        assert caught.value.reason == "object_gone"
    assert [ref.key for ref in all_refs(store)] == ["a.md"]
    store.close()
    marked = world.store(marker=".mounted")
    for ask in (lambda: marked.head("sub/b.md"), lambda: all_refs(marked)):
        with pytest.raises(FixConfiguration, match="marker") as caught:
            ask()
        assert caught.value.reason == "folder_not_mounted"
    world.put(".mounted", b"")
    assert "a.md" in [ref.key for ref in all_refs(marked)]
    marked.close()


def test_the_last_file_of_a_store_is_not_taken_for_gone(world):
    world.put("a.md", b"a")
    store = world.store()
    world.delete("a.md")
    with pytest.raises(FixConfiguration) as caught:
        store.head("a.md")
    assert caught.value.reason in ("folder_not_mounted", "folder_missing")
    store.close()


def test_too_much_and_another_version_are_refused(world):
    world.put("a.md", b"0123456789")
    store = world.store()
    with pytest.raises(LimitExceeded, match="10 bytes"):
        store.read("a.md", max_size_bytes=9)
    with pytest.raises(ObjectChanged):
        store.read("a.md", if_match="another", max_size_bytes=10)
    with pytest.raises(NotPossible):
        store.list_page("", start_after=None)
    assert store.requests()["HEAD"] >= 2
    store.close()


def test_a_store_that_is_not_there_is_missing(world):
    world.put("a.md", b"a")
    for url in (f"{world.url}-not", f"{world.url}/not"):
        store = world.store(store_url=url)
        if world.url.startswith(("gs:", "abfs:")):
            assert all_refs(store) == []  # no folders there: the guard asks before all goes
        else:
            with pytest.raises(FixConfiguration) as caught:
                store.look()
            assert caught.value.reason == "folder_missing"
        store.close()


def test_another_process_goes_on_where_a_listing_stood():
    world = in_memory()
    keys = [f"{folder}/{n:04}.md" for folder in ("a", "a b", "a/b", "c") for n in range(400)]
    for key in keys:
        world.put(key, b"x")
    token, found, steps = None, [], 0
    while True:
        store = world.store()
        page = store.list_unordered("", token=token)
        store.close()
        found += [ref.key for ref in page.objects]
        steps += 1
        token = page.token
        if token is None:
            break
    assert steps == 1 + len(keys) // STEP_ENTRIES
    assert sorted(found) == sorted(keys)


def test_the_engine_keeps_a_collection_in_step_with_a_store():
    world, engine = in_memory(), make_world()
    engine.configure(place=FilesPlace(store_url=world.url))
    engine.store = world.store()
    for key in ("a.md", "b.md", "sub/c.md", "d.md", "e.md", "f.md", "g.md"):
        world.put(key, f"first text of {key}".encode())
    assert set(engine.sync().values()) == {"indexed"}
    world.put("a.md", b"another text that is longer")
    world.delete("b.md")
    told = engine.sync()
    assert (told["a.md"], told["b.md"]) == ("updated", "removed")
    assert engine.keys_indexed() == {"a.md", "sub/c.md", "d.md", "e.md", "f.md", "g.md"}
    engine.store.close()
    engine.catalog.close()


# --- what is not believed ---------------------------------------------------------------------


@pytest.mark.parametrize("met", [ValueError, asyncio.CancelledError, SystemExit])
def test_what_a_driver_raises_ends_nothing_here(met, monkeypatch):
    world = in_memory()
    world.put("a.md", b"one")
    driver, store = type(fsspec.filesystem("memory")), world.store()

    def broken(*_, **__):
        raise met("hidden")

    for name, call in (
        ("ls", lambda: all_refs(store)),
        ("info", lambda: store.head("a.md")),
        ("open", lambda: store.read("a.md", max_size_bytes=9)),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(driver, name, broken)
            with pytest.raises(Unavailable, match=met.__name__) as told:
                call()
        assert told.value.reason == "store_failed"
        assert "hidden" not in told.value.message
    with monkeypatch.context() as patched:
        patched.setattr(driver, "open", lambda *_: io.StringIO("one"))
        with pytest.raises(Unavailable, match=r"'a\.md' could not be read \(TypeError\)"):
            store.read("a.md", max_size_bytes=9)
    assert store.read("a.md", max_size_bytes=9).content == b"one"


def test_a_folder_of_sftp_that_names_more_than_any(sftp, known, disk, monkeypatch):
    folder = disk / f"t-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    world = on_disk(f"sftp://u@{sftp.url}/{folder.name}", folder, environment=known, secret=True)
    for name in "abc":
        world.put(name, b"text")
    monkeypatch.setattr(files_access, "MOST_NAMES", 3)
    assert len(all_refs(world.store())) == 3
    monkeypatch.setattr(files_access, "MOST_NAMES", 2)
    with pytest.raises(Unavailable) as caught:
        all_refs(world.store())
    assert caught.value.reason == "answer_too_long"


def test_a_password_and_a_host_key_that_are_wrong_open_nothing(sftp, known, tmp_path):
    place = FilesPlace(store_url=f"sftp://u@{sftp.url}/", token_env="SECRET")
    with pytest.raises(Exception, match="sftp://USER"):
        place.check()  # a server's whole disk is no folder
    place = FilesPlace(store_url=f"sftp://u@{sftp.url}/x", token_env="SECRET")
    store = open_place(place, {**known, "SECRET": "wrong-one"})
    with pytest.raises(AccessDenied) as caught:
        store.look()
    assert caught.value.reason == "access_denied"
    assert "wrong-one" not in caught.value.message
    known_hosts = tmp_path / ".ssh" / "known_hosts"
    other = known_hosts.read_text().replace(sftp.url.rpartition(":")[2], "1")
    for text in (other, None):
        known_hosts.unlink() if text is None else known_hosts.write_text(text)
        with pytest.raises(FixConfiguration) as unknown:
            open_place(place, known).look()
        assert unknown.value.reason == "host_key_unknown"
    with pytest.raises(AccessDenied, match="SECRET"):
        open_place(place, {})


@pytest.mark.parametrize(
    ("status", "headers", "met"),
    [
        (503, {}, Unavailable),
        (500, {}, Unavailable),
        (429, {}, Unavailable),
        (403, {}, AccessDenied),
        (302, {"location": "/login?to=a.md"}, Unavailable),
    ],
)
def test_an_answer_that_is_no_answer_does_not_say_that_a_file_is_gone(status, headers, met):
    with scripted_server() as server:
        server.script = [(status, "", headers), (200, "<html>please log in</html>", {})]
        store = open_place(
            FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x"), {}
        )
        with pytest.raises(met) as caught:
            store.head("a.md")
        assert not isinstance(caught.value, NotFound)
        store.close()


def test_a_file_is_gone_when_the_server_says_so_and_its_folder_is_there():
    link = '<a href="b.md">b</a>'
    with scripted_server() as server:
        place = FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x")
        store = open_place(place, {})
        server.script = [(404, "", {}), (200, link, {"content-type": "text/html"})]
        with pytest.raises(NotFound):
            store.head("a.md")
        store.close()
        store = open_place(place, {})  # what was found of the folder is good for a moment
        server.script = [(404, "", {}), (503, "", {})]
        with pytest.raises(Unavailable):
            store.head("a.md")
        server.script = [(404, "", {}), (404, "", {})]
        with pytest.raises(FixConfiguration, match="does not exist"):
            store.head("a.md")
        server.script = [(200, link, {"content-type": "text/html"}), (200, "text", {})]
        with pytest.raises(FixConfiguration, match="neither a version nor a time"):
            all_refs(store)
        store.close()
    with pytest.raises(Unavailable):  # nobody listens any more
        store.head("a.md")
    store.close()


def test_an_index_takes_links_of_its_own_folder_alone():
    page = (
        '<a href="../">up</a><a href="?C=N;O=D">sort</a><a href="/x/a.md">a</a>'
        '<a href="http://127.0.0.1:1/x/b.md">b</a><a href="/y/c.md">c</a>'
        '<a href="d%20e.md#part">d</a><a href="./f.md">f</a><a href="g%2Fh.md">g</a>'
        '<a href="i%2F">i</a><a href="j%2f/">j</a>'
    )
    dated = {"last-modified": "Sat, 01 Aug 2026 10:00:00 GMT"}
    with scripted_server() as server:
        server.script = [(200, page, {"content-type": "text/html"}), *[(200, "text", dated)] * 3]
        store = open_place(
            FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x"), {}
        )
        refs = all_refs(store)
        assert [ref.key for ref in refs] == ["a.md", "d e.md", "f.md"]
        assert {ref.etag for ref in refs} == {f"4-{1785578400_000000:x}"}
        assert store.requests() == {"LIST": 1, "HEAD": 3, "GET": 0}
        store.close()


@pytest.mark.parametrize(
    "written", ["Text/HTML;charset=utf-8", "text/html ; charset=utf-8", "application/xhtml+xml"]
)
def test_a_page_of_an_index_is_one_however_its_type_is_written(written):
    page = '<a href="a.md">a</a>'
    with scripted_server() as server:
        server.script = [(200, page, {"content-type": written}), (200, "text", DATED)]
        store = open_place(
            FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x"), {}
        )
        assert [ref.key for ref in all_refs(store)] == ["a.md"]
        store.close()


def test_a_folder_without_files_is_empty_where_it_has_no_address_without_a_slash():
    pages = {"/x/": '<a href="a.md">a</a><a href="sub/">sub</a>', "/x/sub/": "<h1>sub</h1>"}
    with scripted_server() as server:

        def answer(_):
            path = server.asked[-1][1]
            if path in pages:
                return (200, pages[path], HTML)
            return (200, "text", DATED) if path.endswith(".md") else (404, "", {})

        server.decide = answer
        store = open_place(
            FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x"), {}
        )
        assert [ref.key for ref in all_refs(store)] == ["a.md"]
        pages["/x/"] = "<h1>x</h1>"
        assert all_refs(store) == []
        store.close()


def test_an_index_has_names_with_marks_that_servers_write_as_they_are():
    page = (
        """<a href="it's.md">a</a><A class='x' HREF='say "it".md'>b</A><a href=plain.md>c</a>"""
        """<a href="o'folder/">d</a><a href="amp&amp;lt;.md">e</a><a name="no.md">f</a>"""
    )
    pages = {"/x/": page, "/x/o'folder/": '<a href="a.md">a</a>'}
    with scripted_server() as server:

        def answer(_):
            path = unquote(server.asked[-1][1])
            return (200, pages[path], HTML) if path in pages else (200, "text", DATED)

        server.decide = answer
        store = open_place(
            FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x"), {}
        )
        keys = {ref.key for ref in all_refs(store)}
        assert keys == {"it's.md", 'say "it".md', "plain.md", "o'folder/a.md", "amp&lt;.md"}
        store.close()


HTML = {"content-type": "text/html"}
DATED = {"last-modified": "Sat, 01 Aug 2026 10:00:00 GMT"}
LATER = "Sat, 01 Aug 2026 10:00:01 GMT"


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ((302, "", {"location": "/login?next=/x/sub/"}), (200, "text", DATED)),
        ((302, "", {"location": "/login/"}), (302, "", {"location": "/login/"})),
        ((302, "", {"location": "/nothing"}), (404, "", {})),
        ((200, "<h1>Temporarily unavailable</h1>", HTML), (200, "text", DATED)),
        ((200, "<h1>Temporarily unavailable</h1>", HTML), (503, "", {})),
        ((200, "<h1>Please log in</h1>", HTML), (302, "", {"location": "/login/"})),
        ((200, "<h1>Please log in</h1>", HTML), (302, "", {"location": "/nothing"})),
        ((200, '{"error": "busy"}', {"content-type": "application/json"}), (200, "text", DATED)),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_a_folder_of_an_index_that_shows_another_page_has_lost_nothing(folder, file, dry):
    names = [f"{number}.md" for number in range(3)]
    pages = {
        "/x/": (200, '<a href="sub/">sub</a><a href="a.md">a</a>', HTML),
        "/x/sub/": (200, "".join(f'<a href="{one}">f</a>' for one in names), HTML),
        "/login": (200, "<form>Please log in</form>", HTML),
        "/nothing": (404, "", {}),
    }
    files = (200, "text", DATED)

    with scripted_server() as server:

        def answer(_):
            path = server.asked[-1][1].partition("?")[0]
            found = pages.get(path) or pages.get(path.rstrip("/") + "/")
            if path.startswith("/login"):
                found = pages["/login"]
            if path == "/x/a.md":
                return (200, "text", DATED)
            return found or files

        server.decide = answer
        engine = make_world()
        place = FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x")
        engine.configure(place=place)
        engine.store = open_place(place, {})
        assert set(engine.sync().values()) == {"indexed"}
        pages["/x/sub/"], files = folder, file
        asked = {"catalog": engine.catalog, "store": engine.store}
        listed = partial(dry_run, engine.source, **asked) if dry else engine.sync
        with pytest.raises(Unavailable) as caught:
            listed()
        assert caught.value.reason == "store_failed"
        engine.run_batches()
        assert engine.keys_indexed() == {"a.md", *(f"sub/{one}" for one in names)}
        pages["/x/sub/"], files = (200, "<h1>Nothing</h1>", HTML), (404, "", {})
        assert set(engine.sync(approve_deletes=True).values()) == {"removed"}
        assert engine.keys_indexed() == {"a.md"}
        engine.store.close()


PAGE = "<h1>busy!</h1>"
FOUND = f"""<d:multistatus xmlns:d="DAV:"><d:response><d:href>/x/a.md</d:href><d:propstat><d:prop>
<d:getetag>"v1"</d:getetag><d:getlastmodified>{DATED["last-modified"]}</d:getlastmodified>
<d:getcontentlength>14</d:getcontentlength><d:resourcetype/></d:prop>
<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"""


@pytest.mark.parametrize("scheme", ["index+http", "dav"])
@pytest.mark.parametrize(
    ("told", "got"),
    [
        ({"etag": '"v1"', **DATED}, (200, PAGE, HTML)),
        ({"etag": '"v1"', **DATED}, (200, PAGE, {"etag": '"v0"', "last-modified": LATER})),
        (DATED, (200, PAGE, {"last-modified": LATER})),
        (DATED, (200, f"{PAGE} or more", DATED)),
        (DATED, (203, PAGE, DATED)),
    ],
)
def test_a_body_that_is_not_the_files_is_not_believed(scheme, told, got):
    """A page of the server's own or of a cache, mostly of the very size of the file."""
    with scripted_server() as server:
        file = (200, "the true text.", told)
        asked = (207, FOUND, {}) if scheme == "dav" else file
        place = FilesPlace(store_url=f"{scheme}://127.0.0.1:{server.server_port}/x")
        store = open_place(place, {})
        server.script = [asked, got, asked]
        with pytest.raises(Unavailable) as caught:
            store.read("a.md", max_size_bytes=100)
        assert caught.value.reason == ("object_changed" if got[0] == 200 else "store_failed")
        server.script = [asked, file, asked]
        assert store.read("a.md", max_size_bytes=100).content == b"the true text."
        # What is packed for the way has another etag: Apache's mod_deflate appends "-gzip".
        gets = [headers for method, _, headers, _ in server.asked if method == "GET"]
        assert {headers.get("accept-encoding") for headers in gets} == {"identity"}
        store.close()


def multistatus(*responses):
    inside = "".join(responses)
    return (207, f'<d:multistatus xmlns:d="DAV:">{inside}</d:multistatus>', {})


def dav_file(path):
    return FOUND.partition("<d:response>")[1] + FOUND.partition("<d:response>")[2].partition(
        "</d:multistatus>"
    )[0].replace("/x/a.md", path)


def dav_folder(path):
    return (
        f"<d:response><d:href>{path}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>"
        "</d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )


def dav_word(path, status):
    words = f"<d:href>{path}</d:href><d:status>HTTP/1.1 {status} So</d:status>"
    return f"<d:response>{words}</d:response>"


def dav_untold(path, status, word=""):
    """Return an answer of which the one property that matters went so, or is not there."""
    date = "<d:getlastmodified>Sat, 01 Aug 2026 10:00:00 GMT</d:getlastmodified>"
    told = f'<d:prop>{date}<d:getetag>"f"</d:getetag></d:prop>'
    stats = f"<d:propstat>{told}<d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
    if status is not None:
        kept = f"<d:prop><d:resourcetype/></d:prop><d:status>HTTP/1.1 {status} So</d:status>"
        stats += f"<d:propstat>{kept}</d:propstat>"
    return f"<d:response><d:href>{path}</d:href>{stats}{word}</d:response>"


def dav_plain(path, line="<d:status>HTTP/1.1 200 OK</d:status>", word=""):
    """Return an answer of what is no folder, with this line about its properties."""
    told = "<d:prop><d:resourcetype/><d:getetag>f</d:getetag></d:prop>"
    stats = f"<d:propstat>{told}{line}</d:propstat>{word}"
    return f"<d:response><d:href>{path}</d:href>{stats}</d:response>"


WELL = "<d:status>HTTP/1.1 200 OK</d:status>"
DENIED = (
    "<d:propstat><d:prop><d:resourcetype/></d:prop><d:status>HTTP/1.1 403 No</d:status>"
    "</d:propstat>"
)


@pytest.mark.parametrize("line", ["", " ", "OK", "HTTP/1.1", "HTTP/1.1 many", "HTTP/1.1 ²00"])
def test_a_status_line_of_webdav_that_is_none_is_that_of_a_server_that_fails(line):
    for path in ("d:status", "d:propstat/d:status"):
        words = f"<d:status>{line}</d:status>"
        kind = "<d:prop><d:resourcetype/></d:prop>"
        inner = words if path == "d:status" else f"<d:propstat>{kind}{words}</d:propstat>"
        response = ElementTree.fromstring(f'<d:response xmlns:d="DAV:">{inner}</d:response>')
        assert _status_of(response) == 500


@pytest.mark.parametrize(
    ("top", "sub", "met"),
    [
        # RFC 5689, 3.8, and what others do: the folder is there, and not all of it is told
        ([dav_word("/x/", 507), dav_file("/x/a.md"), dav_folder("/x/sub/")], None, Unavailable),
        ([dav_folder("/x/"), dav_file("/x/a.md"), dav_word("/x/sub/", 403)], None, AccessDenied),
        ([dav_folder("/x/"), dav_file("/x/a.md"), dav_word("/x/sub/", 500)], None, Unavailable),
        # The folder is told of, but not that it is one: of a property, or of all but that
        ([dav_folder("/x/"), dav_file("/x/a.md"), dav_untold("/x/sub/", 403)], None, AccessDenied),
        ([dav_folder("/x/"), dav_file("/x/a.md"), dav_untold("/x/sub/", 404)], None, Unavailable),
        ([dav_folder("/x/"), dav_file("/x/a.md"), dav_untold("/x/sub/", None)], None, Unavailable),
        ([dav_folder("/x/"), dav_untold("/x/sub/", 403, WELL)], None, AccessDenied),
        ([dav_folder("/x/"), dav_untold("/x/sub/", 404, WELL)], None, Unavailable),
        # Its address is one of a folder, it is told twice, or nobody knows how that went
        ([dav_folder("/x/"), dav_plain("/x/sub/")], None, Unavailable),
        ([dav_folder("/x/"), dav_folder("/x/sub/"), dav_plain("/x/sub")], None, Unavailable),
        ([dav_folder("/x/"), dav_folder("/x/sub/"), dav_word("/x/sub", 404)], None, Unavailable),
        ([dav_folder("/x/"), dav_plain("/x/sub", word=DENIED)], None, AccessDenied),
        ([dav_folder("/x/"), dav_plain("/x/sub", "<d:status/>")], None, Unavailable),
        ([dav_folder("/x/"), dav_plain("/x/sub", WELL.replace("200", "302"))], None, Unavailable),
        (None, [], Unavailable),
        (None, [dav_folder("/dav/x/sub/"), dav_file("/dav/x/sub/b.md")], Unavailable),
        (None, [dav_folder("/x/sub/"), dav_file("/y/sub/b.md")], Unavailable),
    ],
)
def test_a_webdav_answer_that_is_not_whole_takes_nothing_away(top, sub, met):
    pages = {
        "/x": [dav_folder("/x/"), dav_file("/x/a.md"), dav_folder("/x/sub/")],
        "/x/sub": [dav_folder("/x/sub/"), dav_file("/x/sub/b.md"), dav_file("/x/sub/c.md")],
    }
    with scripted_server() as server:

        def answer(_):
            method, path = server.asked[-1][:2]
            if method == "GET":
                return (200, "the true text.", {"etag": '"v1"', **DATED})
            return multistatus(*pages.get(path.rstrip("/"), [dav_file(path)]))

        server.decide = answer
        engine = make_world()
        place = FilesPlace(store_url=f"dav://127.0.0.1:{server.server_port}/x")
        engine.configure(place=place)
        engine.store = open_place(place, {})
        assert set(engine.sync().values()) == {"indexed"}
        pages |= {"/x": pages["/x"] if top is None else top}
        pages |= {"/x/sub": pages["/x/sub"] if sub is None else sub}
        with pytest.raises(met):
            engine.listing()
        engine.run_batches()
        assert engine.keys_indexed() == {"a.md", "sub/b.md", "sub/c.md"}
        # A name that went between is told of as one, and is gone.
        gone = [dav_word("/x/sub/b.md", 404), dav_file("/x/sub/c.md")]
        pages["/x"] = [dav_folder("/x/"), dav_file("/x/a.md"), dav_folder("/x/sub/")]
        pages["/x/sub"] = [dav_folder("/x/sub/"), *gone]
        assert engine.sync() == {"sub/b.md": "removed"}
        engine.store.close()


def test_a_name_with_a_slash_in_it_is_no_folder_and_no_other_file():
    """Servers of what is no disk have such names, and write them with %2F."""
    named = [dav_file(f"/x/{name}") for name in ("c%2F", "sub%2F", "sub%2fb.md")]
    pages = {
        "/x": [*named, dav_folder("/x/"), dav_file("/x/c"), dav_folder("/x/sub/")],
        "/x/sub": [dav_folder("/x/sub/"), dav_file("/x/sub/b.md")],
    }
    pages["/x"] += [dav_folder("/x/sub%2Fmore/"), dav_folder("/x/./"), dav_folder("/x/%2E%2E/")]
    with scripted_server() as server:
        server.decide = lambda _: multistatus(*pages[server.asked[-1][1].rstrip("/")])
        store = open_place(FilesPlace(store_url=f"dav://127.0.0.1:{server.server_port}/x"), {})
        refs = {ref.key: ref.storage_class for ref in all_refs(store)}
        assert (refs.pop("c"), refs.pop("sub/b.md")) == ("STANDARD", "STANDARD")
        assert set(refs) == {
            f"{before}\\udcc0\\udcaf{after}"
            for before, after in (("c", ""), ("sub", ""), ("sub", "b.md"), ("sub", "more"))
        }
        assert set(refs.values()) == {"BAD_NAME"}
        store.close()


@pytest.mark.parametrize("line", ["HTTP/1.1", "HTTP/1.1 OK", "200", "HTTP/1.1 2000 So"])
def test_a_status_line_of_a_webdav_answer_that_is_none_is_told_as_that(line):
    with scripted_server() as server:
        store = open_place(FilesPlace(store_url=f"dav://127.0.0.1:{server.server_port}/x"), {})
        server.script = [multistatus(dav_plain("/x/a.md", f"<d:status>{line}</d:status>"))]
        with pytest.raises(Unavailable) as caught:
            store.head("a.md")
        assert "does not tell all of 'a.md'" in caught.value.message
        store.close()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_word_in_a_webdav_answer_about_one_file_is_its_own(status):
    with scripted_server() as server:
        store = open_place(FilesPlace(store_url=f"dav://127.0.0.1:{server.server_port}/x"), {})
        folder = multistatus(dav_folder("/x/"), dav_file("/x/b.md"))
        server.script = [multistatus(dav_word("/x/a.md", status)), folder]
        with pytest.raises({403: AccessDenied, 404: NotFound, 500: Unavailable}[status]):
            store.head("a.md")
        store.close()


@pytest.mark.parametrize("world", ["webdav", "index", pytest.param("google", marks=LONG),
                                   pytest.param("azure", marks=LONG)], indirect=True)  # fmt: skip
def test_an_answer_tells_itself_of_which_version_its_bytes_are(world):
    world.put("a.md", b"before")
    store = world.store()
    found = store._info("a.md", None)
    file = store._access.opened(store._opened(), "a.md", found)
    assert file.read(100) == b"before"
    file.close()
    world.put("a.md", b"after, longer" if world.url.startswith("index") else b"after!")
    with pytest.raises(ObjectChanged):
        store._access.opened(store._opened(), "a.md", found).read(100)
    store.close()


class Packed(Access):
    """A store that tells of each file how it was packed before it was uploaded."""

    def __init__(self, body: bytes, size: int) -> None:
        super().__init__(parse_store_url("fsspec+memory://x"), user="", secret=None,
                         user_home=Path("/nonexistent"))  # fmt: skip
        self.body, self.size = body, size

    def open(self):
        return None

    def info(self, system, key):
        return self.entry(key, {"type": "file", "size": self.size, "etag": "1",
                                "contentEncoding": "gzip"})  # fmt: skip

    def opened(self, system, key, found):
        return io.BytesIO(self.body)


def test_what_was_uploaded_packed_is_read_as_from_a_bucket_of_s3():
    plain, packed = b"words that pack well " * 99, gzip.compress(b"words that pack well " * 99)
    for body in (packed, plain):  # labels are often wrong
        store = FilesStore(Packed(body, len(body)), marker=None, shown="packed")
        assert store.read("a.md", max_size_bytes=len(plain)).content == plain
        with pytest.raises(LimitExceeded):
            store.read("a.md", max_size_bytes=len(plain) - 1)
        store.close()
    with pytest.raises(ObjectChanged):  # the size is that of the bytes that came
        FilesStore(Packed(packed, len(packed) + 1), marker=None, shown="packed").read(
            "a.md", max_size_bytes=len(plain)
        )


@LONG
@pytest.mark.parametrize("make", ["google", "azure"])
def test_clouds_send_what_was_uploaded_packed_as_it_lies_there(make, request, monkeypatch):
    server, name = request.getfixturevalue(make), f"t-{uuid.uuid4().hex[:12]}"
    plain = b"words that pack well " * 99
    if make == "google":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{server.url}")
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        world = in_google(server, name)
        about = {"name": "docs/a.md", "contentEncoding": "gzip"}
        parts = {"a": (None, json.dumps(about), "application/json"),
                 "b": (None, gzip.compress(plain), "text/markdown")}  # fmt: skip
        sent = httpx.Request("POST", "http://nowhere", files=parts)
        kind = sent.headers["content-type"].replace("form-data", "related")
        where = f"http://{server.url}/upload/storage/v1/b/{name}/o?uploadType=multipart"
        httpx.post(where, content=sent.read(), headers={"content-type": kind}).raise_for_status()
    else:
        from azure.storage.blob import BlobServiceClient, ContentSettings

        world = in_azure(server, name)
        service = BlobServiceClient.from_connection_string(world.environment["SECRET"])
        settings = ContentSettings(content_encoding="gzip")
        service.get_container_client(name).upload_blob(
            "docs/a.md", gzip.compress(plain), content_settings=settings
        )
    store = world.store()
    assert [ref.key for ref in all_refs(store)] == ["a.md"]
    assert store.read("a.md", max_size_bytes=len(plain)).content == plain
    store.close()


@pytest.mark.parametrize("broken", ["{}", '{"items": []}', "[]", '{"error": "busy"}'])
def test_what_is_no_page_of_google_ends_no_listing(broken, monkeypatch):
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    items = [{"name": f"docs/{number}.md", "size": "4", "generation": "1",
              "updated": "2026-08-01T10:00:00Z"} for number in range(2)]  # fmt: skip
    first = {"kind": "storage#objects", "items": items, "nextPageToken": "2"}
    with scripted_server() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        store = open_place(FilesPlace(store_url="gs://bucket/docs"), {})
        server.script = [(200, json.dumps(first), {}), (200, broken, {})]
        page = store.list_unordered("", token=None)
        assert [ref.key for ref in page.objects] == ["0.md", "1.md"]
        with pytest.raises(Unavailable):
            store.list_unordered("", token=page.token)
        store.close()


def test_what_google_refuses_is_told_once_and_in_our_words(monkeypatch, caplog):
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with scripted_server() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        store = open_place(FilesPlace(store_url="gs://bucket/docs"), {})
        server.decide = lambda _: (400, '{"error": {"code": 400, "message": "hidden"}}', {})
        with pytest.raises(Unavailable):
            all_refs(store)
        store.close()
    assert "gcsfs" not in {one.name for one in caplog.records}


def test_a_fresh_etag_of_an_index_may_be_made_of_whole_seconds():
    ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=200), usegmt=True)
    with scripted_server() as server:
        place = FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x")
        store = open_place(place, {})
        for dated, etag in ((ahead, "6a6dd1e0-4-new"), (DATED["last-modified"], "6a6dd1e0-4")):
            server.script = [(200, "text", {"etag": '"6a6dd1e0-4"', "last-modified": dated})] * 3
            assert store.read("a.md", max_size_bytes=9).ref.etag == etag
        store.close()


def test_a_secret_of_an_index_is_not_taken_along_to_another_server():
    with scripted_server() as server, scripted_server() as other:
        server.script = [(302, "", {"location": f"{other.url}/x/a.md"})] * 2
        url = parse_store_url(f"index+http://127.0.0.1:{server.server_port}/x")
        access = HttpIndex(url, user="", secret="hidden", user_home=Path("/nonexistent"))
        store = FilesStore(access, marker=None, shown="index")
        with pytest.raises(FixConfiguration, match="neither a version"):
            store.head("a.md")
        assert server.asked[0][2]["authorization"] == "Bearer hidden"
        assert other.asked
        assert [one for one in other.asked if "authorization" in one[2]] == []
        store.close()


def test_a_walk_believes_a_folder_that_went_and_not_one_that_cannot_be_listed():
    folders = {"": [Entry("a", "folder"), Entry("b", "folder")], "b": [Entry("c", "file")]}

    def listed(path):
        if path not in folders:
            raise FileNotFoundError(path)
        found = folders[path]
        if path == "" and went:
            folders[""] = found[1:]
        return found

    went = False
    with pytest.raises(Unavailable, match="'a'"):
        Walk(listed, lambda _, files: files).step(None)
    went = True
    entries, token = Walk(listed, lambda _, files: files).step(None)
    assert ([one.name for one in entries], token) == (["b/c"], None)


def test_a_walk_in_circles_ends():
    def listed(path):
        return [Entry("again", "folder"), Entry("a.md", "file")]

    walk, found, token = Walk(listed, lambda _, files: files), [], None
    while True:
        entries, token = walk.step(token)
        found += entries
        if token is None:
            break
    assert found[-1].kind == "deep"
    assert len(found) < 1024


@pytest.fixture
def linked(tmp_path, host_key):
    """A server that shows links as such, as OpenSSH's does, and the folder that it serves."""
    import asyncssh

    class AnyPassword(asyncssh.SSHServer):
        def begin_auth(self, username):
            return True

        def password_auth_supported(self):
            return True

        def validate_password(self, username, password):
            return password == "p"

    async def listen():
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[str(host_key[0])], server_factory=AnyPassword,
            sftp_factory=True,
        )  # fmt: skip

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[1]}")
    folder = tmp_path / "served"
    folder.mkdir()
    environment = {"HOME": str(tmp_path), "SECRET": "p"}
    yield (
        on_disk(f"sftp://u@127.0.0.1:{port}{folder}", folder, environment=environment, secret=True),
        folder,
    )
    loop.call_soon_threadsafe(server.close)
    asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


def test_a_link_of_sftp_leads_nowhere_whoever_asks_for_it(linked, tmp_path):
    world, folder = linked
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    for key in ("a.md", "b.md", "sub/c.md"):
        world.put(key, b"text")
    engine = make_world()
    engine.configure(place=FilesPlace(store_url=world.url, token_env="SECRET"))
    engine.store = world.store()
    assert set(engine.sync().values()) == {"indexed"}
    (folder / "a.md").unlink()
    (folder / "a.md").symlink_to(outside / "secret.md")
    (folder / "away").symlink_to(outside)
    for key in ("a.md", "away/secret.md", "away"):
        with pytest.raises(NotFound):
            engine.store.read(key, max_size_bytes=100)
    engine.ask("away/secret.md")
    assert engine.sync()["a.md"] == "removed"
    assert engine.keys_indexed() == {"b.md", "sub/c.md"}
    engine.store.close()


def test_names_that_are_no_utf8_and_links_are_counted_and_not_read():
    store = in_memory().store()
    refs = {ref.key: ref.storage_class for ref in map(store._ref, [
        Entry(os.fsdecode(b"a\xff.md"), "file", 1, "v"), Entry("x" * 2000, "file", 1, "v"),
        Entry("link", "link"), Entry("pipe", "other"), Entry("fine", "file", 1, "v"),
        Entry("a/../b.md", "file", 1, "v"),
    ])}  # fmt: skip
    assert refs.pop("fine") == "STANDARD"
    assert (refs.pop("link"), refs.pop("pipe")) == ("SYMLINK", "SPECIAL")
    assert set(refs.values()) == {"BAD_NAME"}
    assert "a\\udcff.md" in refs
    assert max(len(key.encode()) for key in refs) == 1024


@pytest.mark.parametrize(("kind", "scheme"), [("webdav", "dav"), ("http", "index+http")])
def test_a_folder_whose_name_is_no_utf8_stops_nothing_else(kind, scheme, tmp_path):
    """Old disks have names of another encoding, which servers give as the bytes that they are."""
    for name in (b"fine.md", b"a\xff.md", b"a\xfe.md", b"old\xe9/b.md"):
        file = tmp_path / os.fsdecode(name)
        file.parent.mkdir(exist_ok=True)
        file.write_text("text")
    server = start_rclone(kind, tmp_path)
    address = server.url.rpartition("/")[2]
    store = open_place(FilesPlace(store_url=f"{scheme}://{address}/"), {})
    assert {ref.key: ref.storage_class for ref in all_refs(store)} == {
        "fine.md": "STANDARD",
        "a\\udcfe.md": "BAD_NAME",
        "a\\udcff.md": "BAD_NAME",
        "old\\udce9/b.md": "BAD_NAME",
    }
    assert store.read("fine.md", max_size_bytes=100).content == b"text"
    store.close()
    server.close()


@pytest.mark.parametrize(("kind", "scheme"), [("webdav", "dav"), ("http", "index+http")])
def test_the_folder_of_a_store_has_any_name(kind, scheme, tmp_path):
    name = "50% of #1, 7%41?"
    (tmp_path / name).mkdir()
    (tmp_path / name / "a %41#.md").write_text("text")
    server = start_rclone(kind, tmp_path)
    address = f"{scheme}://{server.url.rpartition('/')[2]}/{quote(name)}"
    store = open_place(FilesPlace(store_url=address), {})
    assert [ref.key for ref in all_refs(store)] == ["a %41#.md"]
    assert store.read("a %41#.md", max_size_bytes=100).content == b"text"
    store.close()
    server.close()
