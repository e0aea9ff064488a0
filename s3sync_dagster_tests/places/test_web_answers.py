"""What a site answers: large, slow and foreign bytes, names, and addresses that are not its own."""

import gzip
import time
import tracemalloc
from ipaddress import ip_network

import pytest

from s3sync_dagster.model.errors import (
    InvalidSetting,
    LimitExceeded,
    Unavailable,
)
from s3sync_dagster.places import web_fetch
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster_tests.places.web_server import gzipped, small, web_site


def test_large_endless_and_packed_pages_are_bounded(site, visit):
    site.page("/", "/endless", "/bomb", "/large", "/packed", "/fine.gz.html")
    site.put("/endless", endless=b"x" * 65536, headers={"Content-Type": "text/html"})
    site.replies["/bomb"] = gzipped(b"\0" * (50 * 1024 * 1024))
    site.put("/large", b"y" * 2_000_000, headers={"Content-Type": "text/html"})
    site.replies["/packed"] = gzipped(b'<a href="/a">a</a>')
    site.page("/a")
    visitor = visit(most_bytes=1_000_000)
    found = visitor.crawl()
    assert sorted(found) == ["/", "/a", "/bomb", "/endless", "/large", "/packed"]
    for path in ("/bomb", "/endless", "/large"):
        with pytest.raises(LimitExceeded) as caught:
            visitor.store.read(site.url + path, max_size_bytes=1_000_000)
        assert caught.value.reason == "too_large"
    assert visitor.read("/packed") == b'<a href="/a">a</a>'


def test_a_packed_page_takes_no_more_memory_than_a_page_may_have():
    bomb = gzip.compress(b"\0" * (100 * 1024 * 1024))
    tracemalloc.start()
    try:
        assert len(web_fetch.unpack_whole(bomb, 1_000_000)) == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_what_is_sent_a_byte_at_a_time_is_given_up(site, visit, monkeypatch):
    monkeypatch.setattr(web_fetch, "PAGE_SECONDS", 0.5)
    small(site)
    site.put("/a", drip=True)
    site.put("/b", b"packed", headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})
    found = visit().crawl()
    assert (found["/a"], found["/b"]) == ("unread", "unread")


@pytest.mark.parametrize(
    ("header", "body", "text"),
    [
        ("text/html; charset=windows-1251", "Привет".encode("cp1251"), "Привет"),
        (
            "text/html; charset=iso-8859-1",
            "\u201cquoted\u201d".encode("cp1252"),
            "\u201cquoted\u201d",
        ),
        ("text/html; charset=utf-8", "caf\xe9".encode("latin-1"), None),
        ("text/html; charset=rot13", b"plain", None),
    ],
)
def test_the_charset_of_the_answer_counts_where_the_bytes_are_of_it(
    site, visit, header, body, text
):
    site.put("/", body, headers={"Content-Type": header})
    visitor = visit()
    visitor.crawl()
    read = visitor.read("/")
    assert read == body if text is None else read.decode("utf-8-sig") == text


def test_what_is_no_page_is_not_listed(site, visit):
    site.page("/", "/logo", "/data.zip", "/paper", "mailto:x@y", "javascript:x", "/style")
    site.put("/logo", b"\x89PNG", headers={"Content-Type": "image/png"})
    site.put("/style", b"a{}", headers={"Content-Type": "text/css"})
    site.put("/paper", b"%PDF-1.7", headers={"Content-Type": "application/pdf"})
    assert sorted(visit().crawl()) == ["/", "/paper"]
    assert not site.asked("/data.zip")


def test_names_say_what_pages_are(site, visit):
    site.page("/index.php", "/org")
    site.page("/org")
    site.put("/notes.md", "# x", headers={"Content-Type": "text/markdown"})
    visitor = visit(starting_url=f"{site.url}/index.php")
    visitor.crawl()
    names = [
        visitor.store.read(site.url + path, max_size_bytes=10**6).name
        for path in ("/index.php", "/org", "/notes.md")
    ]
    assert names == ["index.php.html", "org.html", "notes.md"]


def test_addresses_of_the_network_are_not_reached_by_whoever_is_guarded(site, visit):
    small(site)
    guarded = visit(guard=AddressGuard())
    for ask in (guarded.crawl, guarded.store.look):
        with pytest.raises(InvalidSetting) as caught:
            ask()
        assert caught.value.reason == "private_address"
    assert site.seen == []


def test_a_redirect_into_the_network_is_not_followed_by_whoever_is_guarded(site, visit):
    guard = AddressGuard((ip_network("127.0.0.1/32"),))
    with web_site("127.0.0.2") as inside:
        inside.page("/secret")
        for path in ("/", "/robots.txt"):
            site.replies.clear()
            site.page("/")
            site.move(path, f"{inside.url}/secret")
            with pytest.raises(InvalidSetting) as caught:
                visit(guard=guard).crawl()
            assert caught.value.reason == "private_address"
        assert inside.hosts == []


def test_a_first_page_that_leads_where_no_robots_are_to_be_had_ends_the_listing(site, visit):
    site.move("/", "http://127.0.0.1:9/home")
    with pytest.raises(Unavailable) as caught:
        visit().crawl()
    assert caught.value.reason == "robots_unavailable"


def test_only_pages_of_the_site_are_to_be_had_by_name(site, visit):
    small(site)
    visitor = visit()
    visitor.crawl()
    for key in ("http://169.254.169.254/latest", "file:///etc/passwd", f"{site.url}/a#x", "a"):
        for ask in (visitor.store.head, lambda one: visitor.store.read(one, max_size_bytes=9)):
            with pytest.raises(InvalidSetting) as caught:
                ask(key)
            assert caught.value.reason == "outside_site"


def test_hosts_are_asked_no_faster_than_they_want(site, visit):
    small(site)
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 0.2")
    began = time.monotonic()
    assert len(visit().crawl()) == 4
    assert time.monotonic() - began >= 0.6
