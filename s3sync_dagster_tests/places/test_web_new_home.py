"""A new home whose sitemap is not to be had knows nothing of pages that only that named."""

import pytest

from s3sync_dagster.places import web_crawl
from s3sync_dagster_tests.places.test_web_evidence import Synced
from s3sync_dagster_tests.places.web_server import web_site


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html><body>Temporarily unavailable</body></html>", 200),
        ("", 200),
        ("", 401),
        ("", 403),
        (None, 200),
    ],
)
def test_pages_that_answer_stay_where_a_new_home_cannot_read_the_sitemap(site, visit, body, status):
    orphans = [f"/o{number}" for number in range(3)]
    site.page("/", "/a")
    for path in ("/a", *orphans):
        site.page(path)
    entries = [f"<url><loc>{site.url}{path}</loc></url>" for path in orphans]
    whole = f"<urlset>{''.join(entries)}</urlset>"
    site.put("/sitemap.xml", whole)
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    assert everything == {"/", "/a", *orphans}
    cut_short = whole[: len(whole) // 2]
    site.put("/sitemap.xml", cut_short if body is None else body, status=status)
    for _ in range(3):
        assert synced.sync(other) == everything


@pytest.mark.parametrize("status", [401, 403, 451, 302, 303, 429, 500])
def test_what_hides_pages_from_a_new_home_takes_no_records(site, visit, status, monkeypatch):
    monkeypatch.setattr(web_crawl, "PAUSE_SECONDS", 0.0)
    paths = [f"/p{number}" for number in range(3)]
    site.page("/", "/a", *paths)
    for path in ("/a", *paths):
        site.page(path)
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    for path in paths:
        site.put(path, status=status, headers={"Location": "http://login.example/"})
    for _ in range(3):
        assert synced.sync(other) == everything


def test_robots_of_a_new_home_take_no_records(site, visit):
    site.page("/", "/a", "/b")
    site.page("/a")
    site.page("/b")
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    site.put("/robots.txt", "User-agent: *\nDisallow: /a")
    for _ in range(3):
        assert synced.sync(other) == everything


@pytest.mark.parametrize("status", [500, 429])
def test_another_host_that_is_away_loses_nothing_in_a_new_home(site, visit, status):
    with web_site("127.0.0.2") as second:
        host = second.url.removeprefix("http://")
        second.page("/x")
        second.page("/y")
        site.page("/", "/a", f"{second.url}/x", f"{second.url}/y")
        site.page("/a")
        synced, other = Synced(), visit("two", other_hosts=(host,))
        everything = synced.sync(visit("one", other_hosts=(host,)))
        assert len(everything) == 4
        second.put("/robots.txt", status=status)
        for _ in range(3):
            assert synced.sync(other) == everything


def test_a_home_whose_listing_died_before_it_told_what_has_records_says_nothing_is_missing(
    site, visit
):
    site.page("/", "/a")
    site.page("/a")
    site.page("/o")
    site.put("/sitemap.xml", f"<urlset><url><loc>{site.url}/o</loc></url></urlset>")
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    site.put("/sitemap.xml", status=403)
    for _ in range(2):
        other.crawl()
    for _ in range(3):
        assert synced.sync(other) == everything


@pytest.mark.parametrize(("depth", "stays"), [(1, {"/", "/a", "/o"}), (0, {"/"})])
def test_what_a_new_home_asks_for_by_its_address_leads_no_further_than_it_did(
    site, visit, depth, stays
):
    site.page("/", "/a")
    site.page("/a")
    site.page("/o", "/deep")
    site.page("/deep")
    site.put("/sitemap.xml", f"<urlset><url><loc>{site.url}/o</loc></url></urlset>")
    synced, other = Synced(), visit("two", max_depth=depth)
    assert synced.sync(visit("one", max_depth=1)) == {"/", "/a", "/o"}
    site.put("/sitemap.xml", status=403)
    for _ in range(3):
        synced.sync(other)
    assert synced.sync(other) == stays


def test_what_a_new_home_asks_for_by_its_address_takes_no_room_from_what_it_found(site, visit):
    site.page("/", "/z1")
    site.page("/z1", "/z2")
    site.page("/z2")
    site.page("/o")
    site.put("/sitemap.xml", f"<urlset><url><loc>{site.url}/o</loc></url></urlset>")
    synced, other = Synced(), visit("two", page_limit=3)
    assert synced.sync(visit("one")) == {"/", "/z1", "/z2", "/o"}
    site.put("/sitemap.xml", status=403)
    site.put("/o", status=404)
    for _ in range(3):
        assert synced.sync(other) >= {"/", "/z1", "/z2"}
    assert synced.sync(other) == {"/", "/z1", "/z2"}
