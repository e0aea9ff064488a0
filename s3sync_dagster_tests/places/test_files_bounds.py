"""Folders at web servers and WebDAV whose answers do not end, or make much work of few bytes."""

import gzip
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from s3sync_dagster.model.errors import S3SyncError, Unavailable
from s3sync_dagster.places import files_access, files_index, files_webdav
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.files_access import Entry
from s3sync_dagster.places.files_store import FilesStore
from s3sync_dagster_tests.endless_http import Endless, endless_server, trickle, without_end
from s3sync_dagster_tests.places.file_servers import open_place

ON_THE_WAY = 24 * 1024 * 1024
"""So many bytes lie between a server and a client that reads no more, packed or not."""
MULTISTATUS = b'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">'
FOLDER = (
    b'<?xml version="1.0"?><multistatus xmlns="DAV:"><response><href>/docs/</href><propstat><prop>'
    b"<resourcetype><collection/></resourcetype></prop></propstat></response>%b</multistatus>"
)


@pytest.fixture
def server() -> Iterator[Endless]:
    with endless_server() as running:
        running.media = "text/html"
        yield running


def opened(server: Endless, protocol: str) -> FilesStore:
    host = server.url.removeprefix("http://")
    scheme = {"index": "index+http", "dav": "dav"}[protocol]
    return open_place(FilesPlace(store_url=f"{scheme}://{host}/docs"), {})


def refused(call: Callable[[], object]) -> S3SyncError:
    with pytest.raises(S3SyncError) as caught:
        call()
    assert type(caught.value) is Unavailable
    return caught.value


def listing(server: Endless, protocol: str) -> Callable[[], object]:
    store = opened(server, protocol)
    return lambda: store.list_unordered("", token=None)


@pytest.mark.parametrize("protocol", ["index", "dav"])
def test_a_folder_without_an_end(server: Endless, protocol: str) -> None:
    server.status = 200 if protocol == "index" else 207
    server.pieces = lambda _: without_end(MULTISTATUS, b"<D:response></D:response>")
    error = refused(listing(server, protocol))
    assert error.reason == "answer_too_long", error
    assert server.sent < 32 * 1024 * 1024 + ON_THE_WAY


@pytest.mark.parametrize("protocol", ["index", "dav"])
def test_a_packed_folder_that_is_a_gibibyte(server: Endless, protocol: str) -> None:
    server.status = 200 if protocol == "index" else 207
    packed = gzip.compress(b" " * (1024 * 1024))
    server.encoding = "gzip"
    server.pieces = lambda _: iter([packed * 1000])
    call = listing(server, protocol)
    tracemalloc.start()
    try:
        refused(call)
        assert tracemalloc.get_traced_memory()[1] < 160 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", ["index", "dav"])
def test_an_error_without_an_end(server: Endless, protocol: str) -> None:
    server.status = 500
    server.pieces = lambda _: without_end(b"<html>", b"x")
    refused(listing(server, protocol))
    assert server.sent < 32 * 1024 * 1024 + ON_THE_WAY


@pytest.mark.parametrize("protocol", ["index", "dav"])
def test_a_folder_that_comes_a_byte_now_and_then(
    server: Endless, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (files_access, files_index, files_webdav):
        monkeypatch.setattr(module, "PAGE_SECONDS", 1.0)
    server.status = 200 if protocol == "index" else 207
    server.pieces = lambda _: trickle(begin=MULTISTATUS)
    began = time.monotonic()
    assert refused(listing(server, protocol)).reason == "store_timeout"
    assert time.monotonic() - began < 40


@pytest.mark.parametrize(
    "page",
    [
        b"<a " * 300_000,
        b"<a href='" * 100_000,
        b'<a href="' * 100_000,
        b"<a " + b"href " * 200_000,
        b"<a href=" * 100_000,
        b"<a " + b" " * 500_000,
        b"<a href" + b" " * 500_000,
        b"&#" + b"9" * 500_000,
    ],
)
def test_a_page_that_makes_much_work_of_few_bytes(server: Endless, page: bytes) -> None:
    server.pieces = lambda _: iter((page,))
    store = opened(server, "index")
    began = time.thread_time()
    try:
        list(store._access.listed(store._opened(), ""))  # pyright: ignore[reportPrivateUsage]
    except (S3SyncError, ValueError):
        pass
    assert time.thread_time() - began < 15


def test_a_charset_that_takes_quadratic_time_is_not_believed(server: Endless) -> None:
    server.media = "text/html; charset=punycode"
    server.pieces = lambda _: iter((b"a-" + b"b" * 1_000_000,))
    began = time.thread_time()
    listing(server, "index")()
    assert time.thread_time() - began < 15


def test_a_link_that_is_no_address_takes_little_memory(server: Endless) -> None:
    server.pieces = lambda _: iter((b"<a href=" + b"%2f%61" * 700_000 + b"><a href=a.md>",))
    store = opened(server, "index")
    tracemalloc.start()
    try:
        found = store._folder("")  # pyright: ignore[reportPrivateUsage]
        assert tracemalloc.get_traced_memory()[1] < 60 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert [one.name for one in found] == ["a.md"]


def test_a_page_of_more_links_than_any_folder_has(
    server: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_index, "MOST_NAMES", 3)
    server.pieces = lambda _: iter((b"<a href=a><a href=b><a href=c>",))
    store = opened(server, "index")
    assert len(store._folder("")) == 3  # pyright: ignore[reportPrivateUsage]
    server.pieces = lambda _: iter((b"<a href=a>" * 4,))
    assert refused(lambda: store._folder("")).reason == "answer_too_long"  # pyright: ignore[reportPrivateUsage]


def test_links_of_a_page_are_those_that_were_found_before() -> None:
    page = (
        '<pre><a href="../">../</a><A  class="x>y" HREF = \'it"s.md\'>x</a><a\nhref=bare.md>x</a>'
        '<abbr href=no><a data-href=\'x\' href="a&amp;b.md">y</a><a name=x><a href="c>d.md">z'
    )
    found = files_index._links_of(page)  # pyright: ignore[reportPrivateUsage]
    assert found == ["../", "bare.md", "a&b.md", "c>d.md"]


@pytest.mark.parametrize("packed", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_folder_of_webdav_that_declares_what_each_element_has(
    server: Endless, packed: str
) -> None:
    server.status = 207
    attributes = " ".join(f'a{one} CDATA "x"' for one in range(9000))
    body = f"<!DOCTYPE l [<!ATTLIST a {attributes}>]><l>{'<a/>' * 3000}</l>"
    server.pieces = lambda _: iter((body.encode(packed),))
    began = time.thread_time()
    assert refused(listing(server, "dav")).reason == "store_failed"
    assert time.thread_time() - began < 10


@pytest.mark.parametrize("charset", ["cp037", "utf-7", "cp1140", "unicode_escape", "no-such-one"])
def test_a_charset_of_webdav_hides_no_declarations(server: Endless, charset: str) -> None:
    server.status, server.media = 207, f"application/xml; charset={charset}"
    attributes = " ".join(f'a{one} CDATA "x"' for one in range(9000))
    body = f"<!DOCTYPE l [<!ATTLIST a {attributes}>]><l>{'<a/>' * 3000}</l>"
    packed = body.encode("cp037" if charset.startswith("cp") else "utf-8")
    if charset == "utf-7":
        packed = body.replace("<", "+ADw-").replace("!", "+ACE-").encode()
    elif charset == "unicode_escape":
        packed = body.replace("<", "\\x3c").encode()
    server.pieces = lambda _: iter((packed,))
    began = time.thread_time()
    error = refused(listing(server, "dav"))
    assert (error.reason, "charset" in error.message) == ("store_failed", True)
    assert time.thread_time() - began < 10


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "iso-8859-1", "windows-1252", '"utf-8"'])
def test_charsets_that_servers_of_webdav_have_are_read(server: Endless, charset: str) -> None:
    server.status, server.media = 207, f"application/xml; charset={charset}"
    server.pieces = lambda _: iter((FOLDER % b"",))
    assert opened(server, "dav")._folder("") == []  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("name", [b"getlastmodified", b"creationdate"])
@pytest.mark.parametrize("date", [b"1 " * 1_000_000, b"1." * 200_000])
def test_a_date_of_webdav_that_takes_hours_to_read(
    server: Endless, name: bytes, date: bytes
) -> None:
    server.status = 207
    prop = b"<resourcetype/><%b>%b</%b>" % (name, date, name)
    one = b"<response><href>/docs/a</href><propstat><prop>%b</prop></propstat></response>" % prop
    server.pieces = lambda _: iter((FOLDER % one,))
    began = time.thread_time()
    assert refused(listing(server, "dav")).reason == "store_failed"
    assert time.thread_time() - began < 5


def test_a_name_of_webdav_that_is_no_address(server: Endless) -> None:
    server.status = 207
    prop = b"<propstat><prop><resourcetype/></prop></propstat>"
    one = b"<response><href>/docs/" + b"%61" * 100_000 + b"</href>" + prop + b"</response>"
    server.pieces = lambda _: iter((FOLDER % one,))
    assert refused(listing(server, "dav")).reason == "answer_too_long"


@pytest.mark.parametrize("what", ["headers", "continue", "redirects"])
def test_a_server_of_webdav_that_is_slow_before_its_answer(
    server: Endless, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(files_webdav, "PAGE_SECONDS", 1.0)
    server.headers_first = False
    if what == "redirects":

        def redirect(_: str) -> Iterator[bytes]:
            time.sleep(0.4)
            yield (
                b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n"
            )

        server.pieces = redirect
    elif what == "headers":
        server.pieces = lambda _: trickle(begin=b"HTTP/1.1 207 OK\r\nX: ")
    else:
        server.pieces = lambda _: (one.strip() + b"HTTP/1.1 100 C\r\n\r\n" for one in trickle())
    began = time.monotonic()
    error = refused(listing(server, "dav"))
    assert error.reason == "store_timeout", error
    assert time.monotonic() - began < 20


def test_a_long_file_of_webdav_has_no_end_in_time(
    server: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_webdav, "PAGE_SECONDS", 0.5)
    monkeypatch.setattr(files_webdav, "require_same", lambda *_: None)

    def slowly(_: str) -> Iterator[bytes]:
        for _number in range(10):
            time.sleep(0.1)
            yield b"x"

    server.pieces = slowly
    store = opened(server, "dav")
    access, system = store._access, store._opened()  # pyright: ignore[reportPrivateUsage]
    file = access.opened(system, "a", Entry("a", "file"))
    got = b""
    while piece := file.read(10):
        got += piece
    assert got == b"x" * 10


def test_a_folder_of_webdav_with_more_in_it_than_any_has(server: Endless) -> None:
    server.status = 207
    server.pieces = lambda _: iter((MULTISTATUS + b"<a/>" * 3_000_000 + b"</D:multistatus>",))
    assert refused(listing(server, "dav")).reason == "answer_too_long"
