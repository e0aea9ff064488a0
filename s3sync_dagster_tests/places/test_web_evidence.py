"""When the pages of a site count as gone: what crawls, homes, clocks and portals may not take."""

import gzip
import json
import time

import pytest
import sqlalchemy as sa

from s3sync_dagster.engine.moving import finish_move
from s3sync_dagster.model.errors import FixConfiguration, NotFound, Unavailable
from s3sync_dagster.places import web_fetch
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.test_web_crawl import breaks_down
from s3sync_dagster_tests.places.web_server import Reply, Visitor, later, web_site
from s3sync_dagster_tests.sources import changed

JOINED = '<link rel="canonical" href="/">'


def of_pages(site, number, *more):
    paths = [f"/p{one}" for one in range(number)]
    site.page("/", *more, *paths)
    for path in paths:
        site.page(path)
    return paths


def test_a_page_that_joins_another_one_leaves_after_two_crawls(site, visit):
    paths = of_pages(site, 3)
    visitor = visit()
    before = sorted(visitor.crawl())
    for path in paths:
        site.page(path, text="back soon", head=JOINED)
    assert sorted(visitor.crawl()) == before
    site.page("/p0")
    assert sorted(visitor.crawl()) == ["/", "/p0"]
    site.page("/p0", head=JOINED)
    assert sorted(visitor.crawl()) == ["/", "/p0"]
    assert sorted(visitor.crawl()) == ["/"]
    assert sorted(visitor.crawl()) == ["/"]  # 304s now
    site.page("/new", head=JOINED)
    site.page("/", "/new")
    assert sorted(visitor.crawl()) == ["/"]  # it was never listed: joined at once


def test_what_a_crawl_that_failed_has_missed_does_not_count(site, visit):
    paths = of_pages(site, 12, "/a")
    site.page("/a")
    visitor = visit()
    before = visitor.crawl()
    there = dict(site.replies)
    site.put("/a", status=404)
    for path in paths:
        site.put(path, status=500)
    breaks_down(site)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            visitor.crawl()
        assert caught.value.reason == "site_error"
    assert site.asked("/a") == [200, 404, 404]
    site.replies = {**there, "/a": Reply(status=404)}
    assert visitor.crawl() == before  # the first that counts
    site.replies = there
    assert visitor.crawl() == before


def test_a_page_that_is_gone_is_asked_for_until_its_removal_is_surely_over(site, visit):
    of_pages(site, 2)
    visitor = visit()
    before = visitor.crawl()
    site.page("/", "/p0")  # from now on memory alone knows /p1
    before["/"] = visitor.crawl()["/"]
    site.put("/p1", status=404)
    assert "/p1" in visitor.crawl()
    assert "/p1" not in visitor.crawl()
    for hides in (500, 403, 302):
        site.put("/p1", status=hides, headers={"Location": "/p0"})
        assert "/p1" not in visitor.crawl()
    site.page("/p1")
    assert visitor.crawl() == before
    site.put("/p1", status=404)
    visitor.crawl()
    visitor.crawl()
    visitor.crawl(hours=15 * 24)
    site.seen.clear()
    visitor.crawl()
    assert not site.asked("/p1")


def test_pages_that_are_gone_take_no_room_from_new_ones(site, visit):
    of_pages(site, 9)
    visitor = visit(page_limit=10)
    assert len(visitor.crawl()) == 10
    for number in range(9):
        site.put(f"/p{number}", status=410)
    visitor.crawl()
    assert sorted(visitor.crawl()) == ["/"]
    paths = [f"/q{number}" for number in range(9)]
    site.page("/", *paths)
    for path in paths:
        site.page(path)
    assert sorted(visitor.crawl()) == ["/", *paths]


@pytest.mark.parametrize(
    ("status", "leaves"), [(301, True), (308, True), (302, False), (303, False), (307, False)]
)
def test_a_redirect_for_now_is_no_evidence(site, visit, status, leaves):
    of_pages(site, 3)
    site.page("/login")
    visitor = visit()
    before = set(visitor.crawl())
    for number in range(3):
        site.move(f"/p{number}", "/login", status)
    assert set(visitor.crawl()) == {*before, "/login"}
    for _ in range(2):
        assert set(visitor.crawl()) == ({"/", "/login"} if leaves else {*before, "/login"})


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        ("/p0", False),
        ("/p1", False),
        ("http://login.invalid/", False),
        ("/fails", False),
        ("/refused", False),
        ("/", True),
        ("/lost", True),
        ("/download.zip", True),
    ],
)
def test_a_redirect_for_good_counts_where_the_site_tells_what_is_there(site, visit, target, gone):
    of_pages(site, 3)
    site.put("/fails", status=500)
    site.put("/refused", status=403)
    visitor = visit()
    before = set(visitor.crawl())
    site.move("/p0", target)
    site.move("/p1", "/p0")  # with the first two a circle, of one and of two
    for _ in range(4):
        found = set(visitor.crawl()) - {"/fails"}
    assert found == (before - {"/p0", "/p1"} if gone else before)
    for path in ("/p0", "/p1"):
        site.page(path)
    assert set(visitor.crawl()) - {"/fails"} == before


def names(path):
    return f'<link rel="canonical" href="{path}">'


@pytest.mark.parametrize(
    ("moves", "pages"),
    [
        ({"/p0": "/p0/"}, {"/p0/": "/p0"}),
        ({"/p0": "/b", "/b": "/p0/"}, {"/p0/": "/p0"}),
        ({"/p0": "/a"}, {"/a": "/b", "/b": "/p0"}),
        ({"/p0": "/p0/"}, {"/p0/": "/refused"}),  # which tells nothing
        ({"/p0": "/p0/"}, {"/p0/": "/lost"}),
    ],
)
def test_a_page_that_is_named_by_what_it_was_moved_to_leaves_all_the_same(
    site, visit, moves, pages
):
    of_pages(site, 2, "/twin")
    site.page("/twin", head=names("/p0"))
    site.put("/refused", status=403)
    visitor = visit()
    assert set(visitor.crawl()) == {"/", "/p0", "/p1"}
    for path, target in moves.items():
        site.move(path, target)
    for path, target in pages.items():
        site.page(path, text="new words", head=names(target))
    assert set(visitor.crawl()) == {"/", "/p0", "/p1", *pages}
    for _ in range(3):
        assert set(visitor.crawl()) == {"/", "/p1", *pages}
    assert b"new words" in visitor.read(next(iter(pages)))
    with pytest.raises(NotFound):
        visitor.store.head(f"{site.url}/p0")


def test_what_joins_a_page_that_was_moved_joins_its_new_address(site, visit):
    of_pages(site, 2, "/twin")
    site.page("/twin", head=names("/p0"))
    visitor = visit()
    visitor.crawl()
    site.move("/p0", "/p0/")
    site.page("/p0/", head=names("/p0"))
    for _ in range(3):
        found = set(visitor.crawl())
    assert found == {"/", "/p1", "/p0/"}


def test_an_empty_answer_is_no_version_of_a_page(site, visit):
    of_pages(site, 2)
    visitor = visit()
    before = visitor.crawl()
    site.put("/p1", b" \n", headers={"Content-Type": "text/html"})
    assert visitor.crawl() == before
    with pytest.raises(Unavailable) as caught:
        visitor.opened().head(f"{site.url}/p1")
    assert caught.value.reason == "page_missing"
    site.page("/p1")
    assert visitor.crawl() == before
    site.put("/p1", b"", headers={"Content-Type": "text/html"})
    visitor.crawl()
    assert "/p1" not in visitor.crawl()


def test_crawls_that_follow_each_other_at_once_see_one_outage(site, visit):
    of_pages(site, 2)
    visitor = visit()
    before = visitor.crawl()
    site.put("/p1", status=404)
    for _ in range(4):
        assert visitor.crawl(hours=0) == before
    assert visitor.crawl(hours=0.9) == before
    assert sorted(visitor.crawl(hours=0.2)) == ["/", "/p0"]


def test_a_page_that_is_there_again_before_the_crawl_ends_is_not_missed(site, visit, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.places.web_store.STEP_SECONDS", 0.0)
    of_pages(site, 3)
    visitor = visit()
    visitor.crawl()
    site.put("/p0", status=404)
    visitor.crawl()
    later(visitor.folder, hours=6)
    token, found = None, []
    while True:
        page = visitor.store.list_unordered("", token=token)
        found += [ref.key.removeprefix(site.url) for ref in page.objects]
        token = page.token
        if token is None:
            break
        if site.asked("/p0")[-1] == 404 and len(site.asked("/p0")) == 3:
            site.page("/p0", text="there again")
            visitor.store.head(f"{site.url}/p0")  # as a batch does
    assert site.asked("/p0") == [200, 404, 404, 200]
    assert sorted(found) == ["/", "/p0", "/p1", "/p2"]


def test_a_first_page_that_leads_away_for_now_adopts_no_host(site, visit):
    of_pages(site, 3)
    visitor = visit()
    before = visitor.crawl()
    with web_site("127.0.0.2") as portal:
        portal.page("/", "/ad")
        portal.page("/ad")
        site.move("/", f"{portal.url}/", 302)
        with pytest.raises(FixConfiguration) as caught:
            visitor.crawl()
        assert caught.value.reason == "start_page_missing"
        assert portal.hosts == []
        site.page("/", "/p0", "/p1", "/p2", f"{portal.url}/ad")
        assert set(visitor.crawl()) == set(before)
        assert portal.hosts == []


def test_a_clock_that_was_ahead_hides_no_change(site, visit):
    site.page("/")
    site.put("/sitemap.xml", "<url><loc>/s</loc><lastmod>2024-03-01</lastmod></url>")
    site.page("/s")
    visitor = visit()
    before = visitor.crawl()
    later(visitor.folder, hours=-365 * 24)
    site.page("/s", text="changed")
    assert visitor.crawl(hours=0)["/s"] != before["/s"]


# --- homes ------------------------------------------------------------------------------------


class Synced:
    """A catalog and a collection that several homes work for."""

    def __init__(self) -> None:
        self.world = make_world()

    def sync(self, visitor: Visitor, *, hours: float = 6) -> set[str]:
        later(visitor.folder, hours=hours)
        self.world.store = visitor.store
        self.world.listing()
        self.world.run_batches()
        return self.documents(visitor)

    def move(self) -> None:
        """Let the source be what its code declares now: another one."""
        catalog = self.world.catalog
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        catalog.sources.register(changed(self.world.source, id="of the code", bucket_name="new"))
        self.world.source = catalog.moves.begin("docs")

    def finish(self) -> None:
        """Let go what may go of the source before."""
        world = self.world
        finish_move(
            world.source,
            catalog=world.catalog,
            collections=lambda: world.collections,
            clock=world.clock,
            log=lambda _: None,
        )

    def documents(self, visitor: Visitor) -> set[str]:
        keys = {one["document_key"] for one in self.world.metadata().values()}
        return {key.removeprefix(visitor.site.url) for key in keys}


def test_a_new_home_removes_nothing_until_a_second_crawl_after_one_that_read_all(site, visit):
    paths = {f"/p{number}" for number in range(10)}
    site.page("/", "/hub", "/other")
    site.page("/other")
    site.page("/hub", *sorted(paths))
    for path in paths:
        site.page(path)
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    assert everything == {"/", "/hub", "/other", *paths}
    hub = site.replies["/hub"]
    site.put("/hub", "down", status=500)
    for _ in range(3):
        assert synced.sync(other) >= everything - {"/hub"}
    site.replies["/hub"] = hub
    assert synced.sync(other) == everything
    site.page("/hub", *sorted(paths - {"/p3"}))
    site.put("/p3", status=404)
    assert synced.sync(other) == everything
    assert synced.sync(other) == everything - {"/p3"}


def test_what_a_new_home_does_not_find_leaves_after_its_second_crawl(site, visit):
    of_pages(site, 2, "/old")
    site.page("/old")
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    site.page("/", "/p0", "/p1")
    site.put("/old", status=404)
    assert synced.sync(other) == everything
    assert synced.sync(other, hours=0) == everything
    assert synced.sync(other) == everything - {"/old"}


def test_a_home_that_can_never_read_some_page_knows_its_site_after_a_week(site, visit):
    of_pages(site, 1, "/broken", "/old")
    site.page("/old")
    site.put("/broken", status=500)
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    site.page("/", "/p0", "/broken")
    site.put("/old", status=404)
    for _ in range(3):
        assert synced.sync(other) == everything
    synced.sync(other, hours=8 * 24)
    assert synced.sync(other) == everything - {"/old"}


def test_one_answer_to_a_home_that_does_not_know_a_page_takes_no_records(site, visit):
    of_pages(site, 2)
    synced, other = Synced(), visit("two")
    everything = synced.sync(visit("one"))
    key = f"{site.url}/p1"
    site.put("/p1", status=404)
    synced.world.ask(key)
    synced.world.run_batches(store=other.store)
    assert synced.documents(other) == everything
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            other.store.head(key)
        assert caught.value.reason == "page_missing"
    site.page("/p1")
    other.store.head(key)
    site.put("/q", status=404)
    with pytest.raises(Unavailable):
        other.store.head(f"{site.url}/q")
    later(other.folder, hours=2)
    with pytest.raises(NotFound):
        other.store.head(f"{site.url}/q")


@pytest.mark.parametrize("finds", ["who reads it where there is no room", "a crawl"])
def test_a_page_that_was_there_meanwhile_is_missed_anew(site, visit, finds):
    """One answer was hours ago, and the other one is the first of an outage."""
    of_pages(site, 1, "/p1")
    key, there = f"{site.url}/p1", Reply(b"Words of /p1", headers={"Content-Type": "text/html"})
    visitor = visit(page_limit=1)
    site.put("/p1", status=404)
    with pytest.raises(Unavailable):
        visitor.store.head(key)
    site.replies["/p1"] = there
    if finds == "a crawl":
        assert "/p1" in visit(page_limit=3).crawl()
        visitor.crawl(hours=0)
        assert "/p1" in visitor.skipped  # and forgotten
    else:
        visitor.read("/")  # which has the one room
        visitor.read("/p1")
    later(visitor.folder, hours=2)
    site.put("/p1", status=404)
    with pytest.raises(Unavailable) as caught:
        visitor.store.head(key)
    assert caught.value.reason == "page_missing"


def test_what_the_first_crawl_after_a_move_did_not_find_stays_until_a_second_one(site, visit):
    paths = of_pages(site, 12)
    synced = Synced()
    everything = synced.sync(visit("before"))
    synced.move()
    for path in paths[:2]:
        site.put(path, status=404)
    other = visit("after")
    for _ in range(2):
        synced.sync(other, hours=0)
        synced.finish()
        assert synced.documents(other) == everything
    site.page(paths[1])
    for _ in range(3):
        synced.world.clock.seconds += 6 * 3600
        synced.sync(other)
    synced.finish()
    assert synced.documents(other) == everything - {paths[0]}
    assert synced.world.catalog.moves.left_by(synced.world.source.id) == []


def test_a_home_reads_no_older_page_than_another_one_has_told_of(site, visit):
    of_pages(site, 1)
    synced, one, two = Synced(), visit("one"), visit("two")
    two.crawl()  # its pages wait here to be read
    site.page("/p0", text="of today")
    synced.world.store = one.store
    synced.world.listing()
    synced.world.run_batches(store=two.store)
    texts = "".join(synced.world.texts().values())
    assert "of today" in texts
    assert "Words of /p0" not in texts


def test_a_home_reads_no_older_sidecar_than_another_one_has_told_of(site, visit):
    of_pages(site, 1, "/x.meta.json")

    def says(team):
        what = {"path": f"{site.url}/p0", "metadata": {"team": team}}
        said = {"version": "chroma-v1", "id": "x", **what}
        site.put("/x.meta.json", json.dumps(said), headers={"Content-Type": "application/json"})

    says("red")
    synced, one, two = Synced(), visit("one"), visit("two")
    two.crawl()  # its pages wait here to be read
    says("blue")
    synced.world.store = one.store
    synced.world.listing()
    synced.world.run_batches(store=two.store)
    teams = {row["document_key"]: row.get("team") for row in synced.world.metadata().values()}
    assert teams[f"{site.url}/p0"] == "blue"


def test_a_picture_in_place_of_a_page_takes_no_records_until_two_crawls_met_it(site, visit):
    of_pages(site, 2)
    synced, visitor = Synced(), visit()
    everything = synced.sync(visitor)
    site.put("/p1", b"BAD", headers={"Content-Type": "image/png"})
    synced.world.ask(f"{site.url}/p1")
    synced.world.run_batches()
    assert synced.documents(visitor) == everything
    assert synced.sync(visitor) == everything
    assert synced.sync(visitor) == everything - {"/p1"}


def test_a_page_that_was_moved_for_good_is_gone_to_who_asks_once_two_crawls_met_that(site, visit):
    of_pages(site, 2)
    visitor = visit()
    visitor.crawl()
    site.move("/p1", "/p0")
    for _ in range(2):
        with pytest.raises(FixConfiguration) as caught:
            visitor.store.head(f"{site.url}/p1")
        assert caught.value.reason == "page_moved"
        visitor.crawl()
    with pytest.raises(NotFound):
        visitor.store.head(f"{site.url}/p1")


@pytest.mark.parametrize(("target", "gone"), [("/p0", True), ("/nowhere", False), ("/new", False)])
def test_a_page_nobody_knows_that_was_moved_to_one_that_crawls_met_is_gone(
    site, visit, target, gone
):
    of_pages(site, 2)
    visitor = visit()
    visitor.crawl()
    site.move("/old", target)
    for hours in (0, 2):
        later(visitor.folder, hours=hours)
        store = visitor.opened()
        with pytest.raises(FixConfiguration) as caught:
            store.head(f"{site.url}/old")
        store.close()
    assert caught.value.reason == ("object_gone" if gone else "page_moved")


def test_a_home_that_begins_no_crawl_asks_for_robots_again_after_an_hour(site, visit):
    of_pages(site, 1)
    site.put("/robots.txt", "User-agent: *\nDisallow: /p0")
    visitor = visit()
    visitor.crawl()
    site.put("/robots.txt", "")
    for hours, refused in ((0, True), (2, False)):
        later(visitor.folder, hours=hours)
        store = visitor.opened()
        if refused:
            with pytest.raises(FixConfiguration, match=r"robots\.txt"):
                store.head(f"{site.url}/p0")
        else:
            assert store.head(f"{site.url}/p0").size > 0
        store.close()


# --- gzip -------------------------------------------------------------------------------------


def test_a_packed_answer_of_several_members_is_read_whole(site, visit):
    def packed(*parts, end=b""):
        members = b"".join(gzip.compress(part.encode()) for part in parts)
        headers = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
        return Reply(members + end, headers=headers)

    site.page("/", "/padded", "/cut")
    site.replies["/sitemap.xml"] = Reply(
        gzip.compress(f"<urlset><url><loc>{site.url}/two</loc></url>".encode())
        + gzip.compress(f"<url><loc>{site.url}/many</loc></url></urlset>".encode())
    )
    site.replies["/two"] = packed("<p>one</p>", "<p>two</p>")
    site.replies["/many"] = packed(*["x"] * 3000)
    site.replies["/padded"] = packed("fill", end=b"\0" * 512)
    cut = packed("<p>one</p>", "<p>two, which is cut off</p>")
    site.replies["/cut"] = Reply(cut.body[:-9], headers=cut.headers)
    visitor = visit()
    assert visitor.crawl()["/cut"] == "unread"
    assert visitor.read("/two") == b"<p>one</p><p>two</p>"
    assert visitor.read("/many") == b"x" * 3000
    assert visitor.read("/padded") == b"fill"


def test_many_small_members_cost_no_more_than_their_bytes():
    members = gzip.compress(b"x") * 200_000
    began = time.thread_time()
    assert web_fetch.unpack_whole(members, 10**6) == b"x" * 200_000
    assert time.thread_time() - began < 20  # a minute and more where each member copies the rest


NOINDEX = [
    ("", "noindex", True),
    ("", "nofollow, NoIndex", True),
    ("", "googlebot: noindex", False),
    ("", "googlebot: nofollow\r\nX-Robots-Tag: none", True),
    ("", "unavailable_after: 25 Jun 2030 15:00:00 PST, noindex", True),
    ("", "noindex\r\nX-Robots-Tag: s3sync: all", False),
    ('<meta name="robots" content="noindex">', "all", True),
    ('<META CONTENT="none" NAME=Robots>', "", True),
    ('<meta name="googlebot" content="noindex">', "", False),
    ('<meta name="robots" content="noindex"><meta name="s3sync" content="index">', "", False),
]


@pytest.mark.parametrize(("head", "header", "skipped"), NOINDEX)
def test_a_page_that_wants_no_index_is_skipped(site, visit, head, header, skipped):
    site.page("/", "/p0", "/p1")
    site.page("/p1")
    site.page("/p0", "/p2", head=head, headers={"X-Robots-Tag": header} if header else {})
    site.page("/p2")
    visitor = visit()
    for _ in range(3):
        found = set(visitor.crawl())
        assert found | set(visitor.skipped) == {"/", "/p0", "/p1", "/p2"}
        assert visitor.skipped == ({"/p0": "NOINDEX"} if skipped else {})
    assert (visitor.store.head(f"{site.url}/p0").storage_class == "NOINDEX") is skipped


def test_a_page_leaves_when_two_crawls_met_that_it_wants_no_index(site, visit):
    of_pages(site, 3)
    visitor = visit()
    before = sorted(visitor.crawl())
    off = {"X-Robots-Tag": "noindex"}
    site.page("/p1", text="kept out", headers=off)
    assert sorted(visitor.crawl()) == before
    assert visitor.store.head(f"{site.url}/p1").storage_class == "STANDARD"
    assert sorted(visitor.crawl()) == ["/", "/p0", "/p2"]
    assert visitor.skipped == {"/p1": "NOINDEX"}
    later(visitor.folder, hours=24 * 30)
    visitor.crawl()
    assert visitor.skipped == {"/p1": "NOINDEX"}
    site.page("/p1", text="for all again")
    assert sorted(visitor.crawl()) == before


def test_a_header_of_a_304_is_heard_where_it_tells_of_the_index(site, visit):
    """nginx sends headers of its configuration with a 304, and the ETag is that of the file."""
    of_pages(site, 3)
    visitor = visit()
    before = sorted(visitor.crawl())
    site.replies["/p1"].headers["X-Robots-Tag"] = "noindex"
    assert sorted(visitor.crawl()) == before
    assert sorted(visitor.crawl()) == ["/", "/p0", "/p2"]
    assert visitor.skipped == {"/p1": "NOINDEX"}
    visitor.crawl()
    assert site.asked("/p1")[-2:] == [304, 304]
    assert set(site.asked("/p0")[1:]) == {304}
    del site.replies["/p1"].headers["X-Robots-Tag"]
    assert sorted(visitor.crawl()) == before
    assert site.asked("/p1")[-2:] == [304, 200]


def test_pages_that_a_lower_limit_leaves_out_leave_and_push_none_out(site, visit):
    of_pages(site, 5)
    synced, wide = Synced(), visit(page_limit=6)
    for _ in range(2):
        assert synced.sync(wide) == {"/", *(f"/p{number}" for number in range(5))}
    narrow = visit(page_limit=3)
    for _ in range(3):
        assert synced.sync(narrow) == {"/", "/p0", "/p1"}
    left = f"{site.url}/p2"
    synced.world.ask(left)
    assert synced.sync(narrow) == {"/", "/p0", "/p1"}
    assert narrow.store.head(left).storage_class == "PAGE_LIMIT"
    assert b"Words of /p2" in narrow.read("/p2")  # whoever wants to see it does
    assert synced.sync(narrow) == {"/", "/p0", "/p1"}
    assert synced.sync(visit(page_limit=6)) == {"/", *(f"/p{number}" for number in range(5))}


def test_a_full_home_that_is_new_takes_nothing_of_another_one_at_once(site, visit):
    of_pages(site, 3)
    synced, other = Synced(), visit("two", page_limit=4)
    everything = synced.sync(visit("one", page_limit=4))
    site.page("/", "/p9", "/p0", "/p1", "/p2")
    site.page("/p9")
    assert synced.sync(other) >= everything
