"""Crawls of a site over HTTP: what is found, what an unchanged one costs, what counts as gone."""

import itertools
import sqlite3
from contextlib import closing

import pytest

from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    InvalidSetting,
    NotFound,
    Unavailable,
)
from s3sync_dagster.places import web_crawl, web_memory, web_sitemap
from s3sync_dagster_tests.places.web_server import Reply, small

HTML = {"Content-Type": "text/html"}


def test_links_lead_to_every_page_once_and_bytes_wait_for_their_reading(site, visit):
    small(site)
    visitor = visit()
    assert sorted(visitor.crawl()) == ["/", "/a", "/b", "/c/"]
    assert site.pages_asked() == [("/", 200), ("/a", 200), ("/b", 200), ("/c/", 200)]
    site.seen.clear()
    assert b"Words of /a" in visitor.read("/a")
    assert site.seen == []
    assert b"Words of /a" in visitor.read("/a")  # once more: they are kept no longer
    assert site.pages_asked() == [("/a", 200)]


def test_an_unchanged_site_costs_a_304_for_each_page(site, visit):
    small(site)
    visitor = visit()
    first = visitor.crawl()
    site.seen.clear()
    site.connections.clear()
    assert visitor.crawl() == first
    assert sorted(site.pages_asked()) == [("/", 304), ("/a", 304), ("/b", 304), ("/c/", 304)]
    # One for robots.txt and one for the sitemap, which are missing; all pages share another.
    assert len(site.connections) <= 3
    site.page("/b", "/d")  # no longer to /c/, which is there all the same
    site.page("/d")
    site.seen.clear()
    second = visitor.crawl()
    assert sorted(second) == ["/", "/a", "/b", "/c/", "/d"]
    assert [key for key in first if second[key] != first[key]] == ["/b"]
    assert b"/d" in visitor.read("/b")


def test_listing_head_and_read_agree_on_a_page(site, visit):
    small(site)
    visitor = visit()
    etag = visitor.crawl()["/a"]
    key = f"{site.url}/a"
    assert visitor.store.head(key).etag == etag
    assert site.asked("/a") == [200, 304]
    assert visitor.store.read(key, max_size_bytes=10**6).ref.etag == etag
    site.page("/a", text="other words")
    ref = visitor.store.head(key)
    assert ref.etag != etag
    assert b"other words" in visitor.read("/a")
    assert visitor.crawl()["/a"] == ref.etag


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_leaves_when_two_crawls_do_not_find_it(site, visit, status):
    small(site)
    visitor = visit()
    before = visitor.crawl()
    site.put("/a", status=status)
    assert visitor.crawl() == before
    with pytest.raises(Unavailable) as caught:
        visitor.store.head(f"{site.url}/a")
    assert caught.value.reason == "page_missing"
    assert sorted(visitor.crawl()) == ["/", "/b", "/c/"]
    with pytest.raises(NotFound) as gone:
        visitor.store.head(f"{site.url}/a")
    assert gone.value.reason == "object_gone"


def test_a_page_that_comes_back_in_between_begins_anew(site, visit):
    small(site)
    visitor = visit()
    before = visitor.crawl()
    for _ in range(3):
        site.put("/a", status=404)
        assert visitor.crawl() == before
        site.page("/a", "/")
        assert visitor.crawl() == before


@pytest.mark.parametrize("status", [500, 502, 503, 403, 401, 429, 451])
def test_what_hides_a_page_is_no_evidence_however_often(site, visit, status, monkeypatch):
    monkeypatch.setattr(web_crawl, "PAUSE_SECONDS", 0.0)
    small(site)
    visitor = visit()
    before = visitor.crawl()
    site.put("/a", status=status)
    for _ in range(4):
        assert visitor.crawl() == before


def test_a_change_of_robots_is_no_evidence_and_is_followed_at_once(site, visit):
    small(site)
    visitor = visit()
    before = visitor.crawl()
    site.put("/robots.txt", "User-agent: *\nDisallow: /a\nDisallow: /c")
    site.seen.clear()
    for _ in range(3):
        assert visitor.crawl() == before
    assert not site.asked("/a")
    assert not site.asked("/c/")
    with pytest.raises(FixConfiguration) as caught:
        visitor.store.head(f"{site.url}/a")
    assert caught.value.reason == "robots_disallowed"
    site.put("/robots.txt", "User-agent: s3sync\nDisallow: /")
    with pytest.raises(FixConfiguration) as caught:
        visitor.crawl()
    assert caught.value.reason == "robots_disallowed"


def test_robots_that_fail_or_a_site_that_is_silent_end_the_listing(site, visit):
    small(site)
    visitor = visit()
    visitor.crawl()
    site.put("/robots.txt", status=500)
    with pytest.raises(Unavailable) as caught:
        visitor.crawl()
    assert caught.value.reason == "robots_unavailable"
    gone = visit(starting_url="http://127.0.0.1:9/")
    with pytest.raises(Unavailable) as caught:
        gone.crawl()
    assert caught.value.reason == "site_unreachable"
    nowhere = visit(starting_url="http://nowhere.invalid/")
    with pytest.raises(Unavailable) as caught:
        nowhere.crawl()
    assert caught.value.reason == "site_unreachable"


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (404, FixConfiguration, "start_page_missing"),
        (403, AccessDenied, "site_access_denied"),
        (500, Unavailable, "site_error"),
    ],
)
def test_a_first_page_that_is_not_there_ends_the_listing(site, visit, status, kind, reason):
    small(site)
    visitor = visit()
    visitor.crawl()
    site.put("/", status=status)
    for look in (visitor.crawl, visitor.store.look):
        with pytest.raises(kind) as caught:
            look()
        assert caught.value.reason in (reason, "object_gone", "page_access_denied")
    assert kind is not NotFound


@pytest.mark.parametrize(
    ("body", "headers"), [(b" \n", HTML), (b"\x89PNG", {"Content-Type": "image/png"})]
)
def test_a_first_page_with_nothing_to_read_ends_the_listing(site, visit, body, headers):
    small(site)
    visitor = visit()
    known = visitor.crawl()
    site.put("/", body, headers=headers)
    for _ in range(3):
        with pytest.raises(FixConfiguration) as caught:
            visitor.crawl()
        assert caught.value.reason == "start_page_missing"
    small(site)
    assert visitor.crawl() == known


def test_a_site_that_breaks_down_in_the_middle_ends_the_listing_early(site, visit):
    site.page("/", *(f"/p{number}" for number in range(60)))
    site.default = lambda _: Reply(status=500)
    site.put("/robots.txt", status=404)
    site.put("/sitemap.xml", status=404)
    breaks_down(site)
    with pytest.raises(Unavailable) as caught:
        visit().crawl()
    assert caught.value.reason == "site_error"
    assert len(site.seen) <= 4 + web_crawl.MAX_FAILURES


@pytest.mark.parametrize("number", [5, 25])
def test_pages_that_always_fail_end_no_listing_of_the_others(site, visit, number):
    failing = [f"/bad{one}" for one in range(number)]
    good = [f"/good{one}" for one in range(3)]
    site.page("/", *failing, *good)
    for path in good:
        site.page(path)
    for path in failing:
        site.put(path, status=500)
    visitor = visit()
    found = visitor.crawl()
    assert sorted(found) == sorted(["/", *failing, *good])
    assert {found[path] for path in failing} == {"unread"}  # whoever asks for them learns why
    asked = sum(len(site.asked(path)) for path in failing)
    assert asked <= (3 if number < web_crawl.MAX_FAILURES else 2) * number
    # Pages that were read before keep what they had, and what is gone goes.
    for path in failing:
        site.page(path)
    read = visitor.crawl()
    for path in failing:
        site.put(path, status=500)
    site.put("/good0", status=404)
    assert visitor.crawl() == read
    del read["/good0"]
    assert visitor.crawl() == read


def test_pages_of_another_host_that_is_down_end_the_listing(site, visit, tmp_path):
    port = site.url.rpartition(":")[2]
    other = f"http://localhost:{port}"
    site.page("/", *(f"{other}/p{number}" for number in range(30)))
    site.default = lambda path: Reply(status=500 if site.hosts[-1] == f"localhost:{port}" else 404)
    site.put("/robots.txt", status=404)
    there = site.replies["/"]
    site.replies["/"] = lambda _: Reply(status=500) if "localhost" in site.hosts[-1] else there
    with pytest.raises(Unavailable) as caught:
        visit(other_hosts=(f"localhost:{port}",)).crawl()
    assert caught.value.reason == "site_error"
    assert len([path for path, _ in site.seen if path.startswith("/p")]) == web_crawl.MAX_FAILURES


def test_a_new_page_that_fails_is_there_and_tells_why(site, visit):
    small(site)
    site.put("/b", status=500)
    visitor = visit()
    found = visitor.crawl()
    assert found["/b"] == "unread"
    with pytest.raises(Unavailable) as caught:
        visitor.store.head(f"{site.url}/b")
    assert caught.value.reason == "site_error"
    site.page("/b")
    assert visitor.crawl()["/b"] != "unread"


def test_redirects_join_pages_and_the_old_address_leaves_after_two_crawls(site, visit):
    small(site)
    visitor = visit()
    visitor.crawl()
    site.move("/a", "/new/a")
    site.page("/new/a")
    assert {"/a", "/new/a"} <= set(visitor.crawl())
    assert sorted(visitor.crawl()) == ["/", "/b", "/c/", "/new/a"]


def test_loops_and_chains_of_redirects_end(site, visit):
    site.page("/", "/l1", "/chain/0", "/self")
    site.move("/l1", "/l2")
    site.move("/l2", "/l1")
    site.move("/self", "/self")
    site.default = lambda path: (
        Reply(status=302, headers={"Location": f"/chain/{int(path.rpartition('/')[2]) + 1}"})
        if path.startswith("/chain/")
        else Reply(status=404)
    )
    assert sorted(visit().crawl()) == ["/"]
    assert len([path for path, _ in site.seen if path.startswith("/chain/")]) <= 12


def test_a_chain_of_redirects_for_good_ends_at_its_last_page(site, visit):
    site.page("/", "/a", "/b")
    site.page("/a")
    site.page("/b")
    visitor = visit()
    visitor.crawl()
    for path, target in (("/a", "/b"), ("/b", "/c"), ("/c", "/d")):
        site.move(path, target)
    site.page("/d")
    assert sorted(visitor.crawl()) == ["/", "/a", "/b", "/d"]
    assert sorted(visitor.crawl()) == ["/", "/d"]


def test_a_first_page_that_only_leads_in_circles_is_said(site, visit):
    site.move("/", "/x")
    site.move("/x", "/")
    with pytest.raises(FixConfiguration) as caught:
        visit().crawl()
    assert caught.value.reason == "start_page_missing"


def test_the_first_page_may_lead_to_another_host_which_is_the_site_then(site, visit):
    port = site.url.rpartition(":")[2]
    site.replies["/"] = lambda _: Reply(
        status=301, headers={"Location": f"http://localhost:{port}/home"}
    )
    site.page("/home", "/a")
    site.page("/a", "http://elsewhere.invalid/x")
    found = visit().crawl()
    assert sorted(found) == [f"http://localhost:{port}/a", f"http://localhost:{port}/home"]


def test_other_hosts_are_left_alone_unless_they_are_named(site, visit):
    port = site.url.rpartition(":")[2]
    site.page("/", f"http://localhost:{port}/b")
    site.page("/b")
    assert sorted(visit().crawl()) == ["/"]
    named = visit(other_hosts=(f"localhost:{port}",), starting_url=f"{site.url}/?named")
    site.page("/?named", f"http://localhost:{port}/b")
    assert f"http://localhost:{port}/b" in named.crawl()


def test_a_host_that_is_named_later_is_found_on_pages_that_did_not_change(site, visit):
    port = site.url.rpartition(":")[2]
    other = f"http://localhost:{port}"
    site.page("/", "/a")
    site.page("/a", f"{other}/b")
    site.page("/b")
    before = visit().crawl()
    assert sorted(before) == ["/", "/a"]
    after = visit(other_hosts=(f"localhost:{port}",))
    found = after.crawl()
    assert sorted(found) == ["/", "/a", f"{other}/b"]
    assert (found["/"], found["/a"]) == (before["/"], before["/a"])
    site.seen.clear()
    assert after.crawl() == found
    assert {status for path, status in site.pages_asked()} == {304}


def test_canonical_pages_are_joined_where_the_site_has_them(site, visit):
    site.page("/", "/a?print=1", "/lost", "/x", "/y")
    site.page("/a?print=1", head='<link rel="canonical" href="/a">')
    site.page("/a")
    site.page("/lost", head='<link rel="canonical" href="/nowhere">')
    site.page("/x", head='<link rel="canonical" href="/y">')
    site.page("/y", head='<link rel="canonical" href="/x">')
    assert sorted(visit().crawl()) == ["/", "/a", "/lost", "/x", "/y"]


def test_what_the_first_page_calls_itself_is_no_first_page_where_it_leads_to_nothing(site, visit):
    site.page("/", "/a", head='<link rel="canonical" href="/home">')
    site.page("/home", "/a")
    site.page("/a")
    visitor = visit()
    assert sorted(visitor.crawl()) == ["/a", "/home"]
    site.move("/home", "/lost")
    assert {"/", "/a"} <= set(visitor.crawl())
    site.move("/", "/lost")  # and where this one leads is the first page
    with pytest.raises(FixConfiguration) as caught:
        visitor.crawl()
    assert "first page" in caught.value.message
    assert caught.value.reason == "start_page_missing"


def test_depth_and_patterns_bound_what_is_looked_at(site, visit):
    small(site)
    assert sorted(visit(max_depth=1).crawl()) == ["/", "/a", "/b"]
    assert not site.asked("/c/")
    assert sorted(visit(max_depth=0).crawl()) == ["/"]
    assert sorted(visit(include_path_regexes=("^/[ac]",)).crawl()) == ["/", "/a"]
    assert sorted(visit(exclude_path_regexes=("b",)).crawl()) == ["/", "/a"]
    with pytest.raises(InvalidSetting) as caught:
        visit(exclude_path_regexes=("b",)).store.head(f"{site.url}/b")
    assert caught.value.reason == "outside_site"


def test_a_limit_is_kept_and_new_pages_push_out_none_that_are_known(site, visit):
    site.page("/", *(f"/p{number:02}" for number in range(30)))
    for number in range(30):
        site.page(f"/p{number:02}")
    visitor = visit(page_limit=10)
    first = visitor.crawl()
    assert len(first) == 10
    site.page("/", "/first", *(f"/p{number:02}" for number in reversed(range(30))))
    site.page("/first")
    assert set(visitor.crawl()) == set(first)
    assert visit(page_limit=0).crawl() == {}
    assert len(visit(page_limit=4).crawl()) == 4


def test_what_finds_no_room_is_told_and_has_the_room_of_what_is_no_page(site, visit, monkeypatch):
    dead, pages = [f"/d{number}" for number in range(6)], [f"/p{number}" for number in range(6)]
    site.page("/", *dead, *pages, "/old")
    for path in pages:
        site.page(path)
    visitor = visit(page_limit=5)
    assert sorted(visitor.crawl()) == ["/", "/p0", "/p1", "/p2", "/p3"]
    assert visitor.skipped == dict.fromkeys(["/p4", "/p5", "/old"], "PAGE_LIMIT")
    assert sorted(visitor.crawl()) == ["/", "/p0", "/p1", "/p2", "/p3"]
    assert set(visitor.skipped) == {"/p4", "/p5", "/old", *dead}  # which it has not asked for
    assert not site.asked("/p4")
    monkeypatch.setattr(web_memory, "MAX_LEFT", 2)
    visitor.crawl()
    assert len(visitor.skipped) == 2
    monkeypatch.undo()
    site.move("/p3", "/old")  # which takes the room of what leads there
    site.page("/old")
    visitor.crawl()
    visitor.crawl()
    assert sorted(visitor.crawl()) == ["/", "/old", "/p0", "/p1", "/p2"]
    less = visit(page_limit=3)
    assert sorted(less.crawl()) == ["/", "/old", "/p0"]
    assert {"/p1", "/p2", "/p4"} <= set(less.skipped)
    more = visit(page_limit=9)
    assert len(more.crawl()) == 7
    assert not more.skipped


@pytest.mark.parametrize("named", ["/nowhere", "/p{other}"])
def test_pages_that_name_one_that_is_not_there_are_no_more_than_the_limit(
    site, visit, monkeypatch, named
):
    """Each of them gives its room to another one, until it is known that it is the page."""
    paths = [f"/p{number}" for number in range(12)]
    site.page("/", *paths)
    for number, path in enumerate(paths):
        name = named.format(other=number ^ 1)
        site.page(path, head=f'<link rel="canonical" href="{name}">')
    visitor = visit(page_limit=4)
    first = visitor.crawl()
    assert (len(first), "/" in first) == (4, True)
    assert set(visitor.skipped.values()) == {"PAGE_LIMIT"}
    assert first.keys() | visitor.skipped.keys() == {"/", *paths}
    for path in reversed(paths):
        site.page("/", *reversed(paths), "/more")
        assert visitor.crawl().keys() == first.keys(), path
    monkeypatch.setattr(web_memory, "MAX_LEFT", 2)
    visitor.crawl()
    assert len(visitor.skipped) == 2


def test_what_is_moved_for_now_and_where_it_leads_are_no_more_than_the_limit(site, visit):
    paths = [f"/p{number}" for number in range(3)]
    site.page("/", *paths)
    for path in paths:
        site.page(path)
    visitor = visit(page_limit=4)
    first = visitor.crawl()
    assert len(first) == 4
    for path in paths:
        site.move(path, f"{path}-now", 302)
        site.page(f"{path}-now")
    assert visitor.crawl() == first
    assert sorted(visitor.skipped) == [f"{path}-now" for path in paths]


def test_a_page_that_is_named_as_a_sitemap_is_a_page_all_the_same(site, visit):
    site.page("/", "/pages")
    site.page("/pages", "/p")
    site.page("/p")
    site.put("/robots.txt", "Sitemap: /pages\nSitemap: /list.txt")
    assert sorted(visit().crawl()) == ["/", "/p", "/pages"]
    assert site.asked("/pages") == [200, 200]


def test_a_crawl_that_an_older_program_began_does_not_go_on(site, visit):
    small(site)
    visitor = visit()
    before = visitor.crawl()
    token = visitor.store.list_unordered("", token=None).token
    visitor.store.close()
    with closing(sqlite3.connect(visitor.folder / "site.db")) as file, file:
        file.execute("DROP TABLE tasks")
        file.execute(
            "CREATE TABLE tasks (number INTEGER PRIMARY KEY, key TEXT UNIQUE, kind TEXT, "
            "depth INTEGER, known INTEGER, hops INTEGER, tries INTEGER DEFAULT 0, changed TEXT, "
            "outcome TEXT, target TEXT)"
        )
        file.execute("PRAGMA user_version = 0")
    with pytest.raises(Unavailable) as caught:
        visitor.opened().list_unordered("", token=token)
    assert caught.value.reason == "crawl_lost"
    site.seen.clear()
    assert visit().crawl() == before
    assert {status for _, status in site.pages_asked()} == {304}


def test_traps_of_endless_links_end(site, visit):
    def trap(path):
        number = int(path.rpartition("=")[2] or 0) if "=" in path else 0
        body = f'<a href="/cal?day={number + 1}">next</a><a href="sub/">deeper</a>'
        return Reply(body.encode(), headers={"Content-Type": "text/html"})

    site.page("/", "/cal?day=1", "/deep/")
    site.default = trap
    site.put("/robots.txt", status=404)
    site.put("/sitemap.xml", status=404)
    found = visit(page_limit=5000).crawl()
    assert len([path for path in found if path.startswith("/cal?")]) == web_crawl.MAX_VARIANTS
    assert len(found) < web_crawl.MAX_VARIANTS + 20


def test_sessions_in_addresses_make_no_pages_of_their_own(site, visit):
    seen = itertools.count()

    def page(path):
        plain = path.partition(";")[0].partition("?")[0]
        name, number = plain.strip("/") or "start", next(seen)
        one, two = f";jsessionid={number:X}F.node1", f"?PHPSESSID=a{number}"
        links = [f"/a{one}", f"/b{two}", f"/c{one}?id=1&sid={number:032x}", "/c?id=2&sid=7"]
        if name == "start" and site.seen and "/new" in site.replies:
            links.append("/new")
        inside = "".join(f'<a href="{link}">x</a>' for link in links)
        return Reply(f"<html><body>{name}{inside}</body></html>".encode(), headers=HTML)

    site.default = page
    site.put("/robots.txt", status=404)
    site.put("/sitemap.xml", status=404)
    visitor = visit(page_limit=7)
    wanted = ["/", "/a", "/b", "/c?id=1", "/c?id=2&sid=7"]
    assert sorted(visitor.crawl()) == wanted
    site.page("/new")
    assert sorted(visitor.crawl()) == sorted([*wanted, "/new"])
    assert not visitor.skipped


def test_parameters_of_a_path_are_variants_as_well(site, visit):
    site.page("/", *(f"/cal;day={number}/view;x=1" for number in range(9)))
    site.default = lambda _: Reply(b"<html>words</html>", headers=HTML)
    site.put("/robots.txt", status=404)
    site.put("/sitemap.xml", status=404)
    with pytest.MonkeyPatch.context() as few:
        few.setattr(web_crawl, "MAX_VARIANTS", 4)
        assert len(visit().crawl()) == 1 + 4


def test_a_page_that_was_known_by_its_session_leaves(site, visit):
    small(site)
    visitor = visit()
    visitor.crawl()
    with closing(sqlite3.connect(visitor.folder / "site.db")) as file, file:
        file.execute("UPDATE pages SET key = key || ';jsessionid=1' WHERE key LIKE '%/a'")
    assert sorted(visitor.crawl()) == ["/", "/a", "/b", "/c/"]


def test_sitemaps_lead_to_pages_and_their_dates_spare_requests(site, visit):
    def sitemap(date):
        urls = "".join(
            f"<url><loc>{site.url}/s{number}</loc><lastmod>{date}</lastmod></url>"
            for number in range(5)
        )
        site.put("/maps/1.xml", f"<urlset>{urls}</urlset>")

    site.page("/")
    site.put("/robots.txt", f"Sitemap: {site.url}/maps/index.xml")
    site.put("/maps/index.xml", "<sitemapindex><sitemap><loc>1.xml</loc></sitemap></sitemapindex>")
    for number in range(5):
        site.page(f"/s{number}")
    sitemap("2024-03-01")
    visitor = visit()
    assert len(visitor.crawl()) == 6
    site.seen.clear()
    assert len(visitor.crawl()) == 6
    assert [path for path, _ in site.seen if path.startswith("/s")] == []
    site.page("/s1", text="new")
    sitemap("2024-03-02")
    assert len(visitor.crawl()) == 6
    assert site.asked("/s1") == [200]
    assert site.asked("/s2") == [304]


def test_a_date_that_was_wrong_once_is_believed_no_more(site, visit, monkeypatch):
    site.page("/")
    site.put("/sitemap.xml", "<url><loc>/s</loc><lastmod>2024-03-01</lastmod></url>")
    site.page("/s")
    visitor = visit()
    visitor.crawl()
    site.page("/s", text="changed, and nobody says so")
    assert visitor.crawl()
    assert site.asked("/s") == [200]
    monkeypatch.setattr(web_sitemap, "RECHECK_SECONDS", 0.0)  # a day later
    visitor.crawl()
    monkeypatch.undo()
    site.seen.clear()
    visitor.crawl()
    assert site.asked("/s") == [304]


def test_a_date_of_today_does_not_spare_a_request(site, visit):
    site.page("/")
    site.put("/sitemap.xml", "<url><loc>/s</loc><lastmod>2999-01-01</lastmod></url>")
    site.page("/s")
    visitor = visit()
    visitor.crawl()
    visitor.crawl()
    assert site.asked("/s") == [200, 304]


def test_a_crawl_goes_on_in_another_process_where_one_ended(site, visit, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.places.web_store.STEP_SECONDS", 0.0)
    site.page("/", *(f"/p{number}" for number in range(20)))
    for number in range(20):
        site.page(f"/p{number}")
    visitor = visit()
    token, found = None, []
    while True:
        page = visitor.store.list_unordered("", token=token)
        found += page.objects
        token = page.token
        if token is None:
            break
        visitor.store.close()
        visitor.store = visitor.opened()
    assert len(found) == 21
    assert len(site.pages_asked()) == 21


def test_a_crawl_that_another_one_replaced_does_not_go_on(site, visit):
    small(site)
    visitor = visit()
    token = visitor.store.list_unordered("", token=None).token
    visitor.crawl()
    with pytest.raises(Unavailable) as caught:
        visitor.store.list_unordered("", token=token)
    assert caught.value.reason == "crawl_lost"


def breaks_down(site):
    """Have the first page answer the first of two questions."""
    there, asked = site.replies["/"], itertools.count()
    site.replies["/"] = lambda _: Reply(status=500) if next(asked) % 2 else there
