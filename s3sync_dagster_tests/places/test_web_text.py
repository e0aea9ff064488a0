"""What a crawl reads of pages, sitemaps and robots.txt, as browsers and the standards read them."""

import time

import pytest

from s3sync_dagster.places.web_robots import parse_robots
from s3sync_dagster.places.web_text import links_of, sitemap_entries


@pytest.mark.parametrize(
    ("page", "links"),
    [
        ('<a title="x > y" href="/a">', ("/a",)),
        ("<a title='5 > 4' data-x=\"it's > all\" href='/a'>", ("/a",)),
        ('<a href="/a?x=1>2">', ("/a?x=1>2",)),
        (f'<a class="{"c " * 2000}" href="/a">', ("/a",)),
        ('<a/href="/a">', ("/a",)),
        ("<a\nhref = /a >", ("/a",)),
        ('<!--><a href="/a">-->', ("/a",)),
        ('<!---><a href="/a">-->', ("/a",)),
        ('<!----><a href="/a">', ("/a",)),
        ('<!-- <a href="/no"> --><a href="/a">', ("/a",)),
        ('<!-- <a href="/no"> --!><a href="/a">', ("/a",)),
        ('<!-- > <a href="/no">', ()),
        ('<a title="it\'s" href="/a"><a href="/b">', ("/a", "/b")),
        ('<a title=it\'s href="/a"><a href="/b">', ("/a", "/b")),
        ('<p>1 < 2 and "</p><a href="/a">said "no"</a>', ("/a",)),
        ('<abbr href="/no"><a href="/a">', ("/a",)),
        ("<script>'<a href=\"/no\">'</script><a href='/a'>", ("/a",)),
    ],
)
def test_links_are_those_that_a_browser_finds(page, links):
    assert links_of(page).links == links


@pytest.mark.parametrize(
    "piece", ["<a ", '<a x="', "<a x='\"", "<a x=\"'>", "<!--", "<a =", '"', "="]
)
def test_what_never_ends_takes_no_more_time_than_it_is_long(piece):
    # By steps of RE2, which has no others: without them this would not come back.
    assert links_of(piece * (256 * 1024 // len(piece))).links == ()


@pytest.mark.parametrize("order", [0, 1])
def test_a_page_of_a_sitemap_is_not_its_picture(order):
    own = "<loc>https://a.example/page</loc>"
    picture = "<image:image><image:loc>https://a.example/p.png</image:loc></image:image>"
    inside = picture + own if order else own + picture
    text = (
        f"<urlset><!-- <url><loc>https://a.example/old</loc></url> --><url>{inside}</url></urlset>"
    )
    assert [one.address for one in sitemap_entries(text)] == ["https://a.example/page"]


def test_a_sitemap_may_have_a_prefix_throughout():
    text = (
        "<s:urlset><s:url><s:loc>https://a.example/p</s:loc><s:lastmod>2026-01-01</s:lastmod>"
        "</s:url></s:urlset>"
    )
    (entry,) = sitemap_entries(text)
    assert (entry.address, entry.changed) == ("https://a.example/p", "2026-01-01")


@pytest.mark.parametrize(
    ("rule", "address", "allowed"),
    [
        ("/caf%C3%A9", "/caf%c3%a9/x", False),
        ("/caf\u00e9", "/caf%C3%A9/x", False),
        ("/%7Ejoe", "/~joe/x", False),
        ("/~joe", "/%7ejoe/x", False),
        ("/%61bc", "/abc", False),
        ("/a%2Fb", "/a/b", True),
        ("/a%2fb", "/a%2Fb", False),
        ("/a%2A", "/a%2a", False),
        ("/a%2A", "/abc", True),
        ("/*.pdf$", "/x/y.pdf", False),
        ("/*.pdf$", "/x/y.pdf?z", True),
    ],
)
def test_rules_hold_however_they_are_escaped(rule, address, allowed):
    robots = parse_robots(f"User-agent: *\nDisallow: {rule}\n")
    assert robots.allows(f"https://a.example{address}") is allowed


@pytest.mark.parametrize("name", ["s3sync", "S3Sync", "s3sync/1.0", "s3sync / 2", "s3sync/*"])
def test_rules_are_ours_whatever_version_they_name(name):
    robots = parse_robots(f"User-agent: {name}\nDisallow: /ours\n\nUser-agent: *\nDisallow: /\n")
    assert robots.allows("https://a.example/x")
    assert not robots.allows("https://a.example/ours")


def test_rules_for_others_are_not_ours():
    robots = parse_robots("User-agent: s3syncer\nUser-agent: x/s3sync\nDisallow: /\n")
    assert robots.allows("https://a.example/x")


@pytest.mark.parametrize(
    ("read", "piece"),
    [
        (links_of, "<a <!--"),
        (links_of, '<a ="<!--'),
        (links_of, "<a =\"'<!--"),
        (links_of, "<a =\"><a ='><!--"),
        (sitemap_entries, "<!--<url>"),
        (sitemap_entries, "<url<!--<loc><![CDATA["),
    ],
)
def test_what_never_ends_is_not_looked_through_again_for_each_find(read, piece):
    def seconds(characters):
        text = "<x>" + piece * (characters // len(piece))
        began = time.thread_time()
        found = read(text)
        assert found is not None
        if read is sitemap_entries:
            list(found)
        return time.thread_time() - began

    seconds(1000)  # what is loaded at the first call
    assert seconds(400_000) < 4  # where each piece has the rest looked through it is half a minute
