"""Dates of whole seconds: a page that changed in the second in which it was read is read again."""

import os
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from s3sync_dagster.places.web_fetch import WebAnswer, http_date
from s3sync_dagster.places.web_page import page_of
from s3sync_dagster_tests.places.web_server import Site

DAY = 24
BEFORE, AFTER = "the word is before", "the word is after!"
"""Of one length."""


@pytest.fixture
def folder(tmp_path):
    """Return a folder that the web server of the standard library shows, with what it was asked."""
    made = tmp_path / "www"
    made.mkdir()
    site = Site()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            super().do_GET()
            self.wfile.flush()
            changed = site.replies.pop(self.path, None)
            if changed is not None:  # in the second of its reading: the date stays
                file = made / self.path.lstrip("/")
                before = file.stat().st_mtime_ns
                file.write_text(changed)
                os.utime(file, ns=(before, before))

        def log_request(self, code="-", size="-"):
            site.seen.append((self.path, int(code)))

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(made)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield made, site
    server.shutdown()
    thread.join()
    server.server_close()


def words(text):
    return f"<html><body><main><h1>Page</h1><p>{text}</p></main></body></html>"


def write(file, text, *, seconds_ago):
    file.write_text(text)
    at = time.time() - seconds_ago
    os.utime(file, (at, at))


def test_a_page_that_changes_in_the_second_of_its_reading_is_read_again(folder, visit):
    made, site = folder
    write(made / "index.html", words("<a href=p.html>p</a>"), seconds_ago=3600)
    write(made / "p.html", words(BEFORE), seconds_ago=0)
    site.replies["/p.html"] = words(AFTER)
    visitor = visit(starting_url=f"{site.url}/")
    visitor.site = site
    first = visitor.crawl()
    assert BEFORE.encode() in visitor.read("/p.html")
    site.seen.clear()
    second = visitor.crawl()
    assert second["/p.html"] != first["/p.html"]
    assert AFTER.encode() in visitor.read("/p.html")
    assert site.asked("/") == [304]  # whose date had long passed


@pytest.mark.parametrize("etag", ['"65f-12"', 'W/"65f-12"'])
def test_an_etag_of_time_and_size_is_believed_no_sooner(site, visit, etag):
    def page(text):
        headers = {"Last-Modified": format_datetime(datetime.now(UTC), usegmt=True)}
        site.page("/p", text=text, headers={**headers, "ETag": etag})

    site.page("/", "/p")
    page(BEFORE)
    visitor = visit()
    visitor.crawl()
    page(AFTER)
    visitor.crawl()
    assert AFTER.encode() in visitor.read("/p")
    page(BEFORE)
    assert visitor.store.head(f"{site.url}/p").size > 0
    assert BEFORE.encode() in visitor.read("/p")


def test_no_date_of_a_sitemap_spares_a_page_that_had_just_changed(site, visit):
    now = format_datetime(datetime.now(UTC), usegmt=True)
    site.page("/")
    site.put("/sitemap.xml", "<url><loc>/s</loc><lastmod>2024-03-01</lastmod></url>")
    site.page("/s", headers={"Last-Modified": now})
    visitor = visit()
    visitor.crawl()
    visitor.crawl()
    assert site.asked("/s") == [200, 200]


def test_what_no_date_tells_is_found_within_days(site, visit):
    """An older file in its place, or a server that gives all files one date: its answer is 304."""
    same = {"ETag": '"constant"', "Last-Modified": "Thu, 01 Jan 1970 00:00:01 GMT"}
    site.page("/", "/p")
    site.page("/p", text=BEFORE, headers=same)
    visitor = visit()
    first = visitor.crawl()
    site.page("/p", text=AFTER, headers=same)
    assert visitor.crawl(hours=3 * DAY) == first
    assert visitor.crawl(hours=5 * DAY) != first
    assert AFTER.encode() in visitor.read("/p")
    site.seen.clear()
    visitor.crawl()
    assert site.asked("/p") == [304]


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("modified", "date", "believed"),
    [
        (None, 0, True),
        (-3600, 0, True),
        (-3600, -3600, False),  # its clock is an hour behind
        (3600, 3600 + 60, True),
        (3600, 3600 + 5, False),
        (-60, None, True),
        (-5, None, False),
        (-5, 3600, False),
        (20, 0, False),  # of a disk whose clock is ahead
    ],
)
def test_how_old_a_page_was_is_told_by_either_clock(modified, date, believed):
    def told(seconds):
        return format_datetime(datetime.fromtimestamp(NOON + seconds, UTC), usegmt=True)

    headers = {"etag": '"x"'}
    if modified is not None:
        headers["last-modified"] = told(modified)
    if date is not None:
        headers["date"] = told(date)
    answer = WebAnswer(status=200, headers=headers, body=b"x")
    page = page_of(
        "https://a.example/", answer, hosts=frozenset(), most_bytes=9, changed=None, now=NOON
    )
    assert page.is_told_by_validators(NOON + 60) is believed


@pytest.mark.parametrize(
    "text",
    ["", "soon", "Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 01 Jan 2020 00:00:00 -99999999999999"],
)
def test_a_date_that_is_none_tells_nothing_and_ends_no_listing(site, visit, text):
    assert http_date(text) is None
    site.page("/", headers={"Last-Modified": text})
    assert list(visit().crawl()) == ["/"]


def test_a_pause_may_be_told_as_a_date():
    date = {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "retry-after": "Sun, 06 Nov 1994 08:49:57 GMT"}
    assert WebAnswer(status=503, headers=date).pause_seconds == 20
    del date["date"]
    assert WebAnswer(status=503, headers=date).pause_seconds == 0
    assert WebAnswer(status=503, headers={"retry-after": "7"}).pause_seconds == 7
