"""Charsets of pages and sitemaps, as browsers read them."""

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.places import web_text
from s3sync_dagster.places.web_address import page_address
from s3sync_dagster.places.web_text import sitemap_entries


def test_a_byte_order_mark_counts_before_what_the_header_says(site, visit):
    page = "\ufeff<html><body><p>café words</p></body></html>".encode()
    site.put("/", page, headers={"Content-Type": "text/html; charset=iso-8859-1"})
    visitor = visit()
    visitor.crawl()
    assert "café" in visitor.read("/").decode()


def test_a_link_is_written_in_the_charset_that_the_page_itself_tells(site, visit):
    page = '<html><head><meta charset="iso-8859-1"></head><body><a href="/café">c</a></body></html>'
    site.put("/", page.encode("latin-1"), headers={"Content-Type": "text/html"})
    site.page("/caf%C3%A9")
    assert sorted(visit().crawl()) == ["/", "/caf%C3%A9"]


def test_an_address_of_a_sitemap_in_cdata_is_whole():
    text = "<urlset><url><loc><![CDATA[https://a.example/d[1].html]]></loc></url></urlset>"
    assert [one.address for one in sitemap_entries(text)] == ["https://a.example/d[1].html"]


def test_a_sitemap_of_the_size_that_the_protocol_has_is_read_whole(site, visit):
    filler = "<x>" + "y" * 900 + "</x>"
    entries = "".join(f"<url><loc>{site.url}/p{i}</loc>{filler}</url>" for i in range(24_000))
    last = f"<url><loc>{site.url}/last</loc></url>"
    text = f"<urlset>{entries}{last}</urlset>"
    assert len(text) < 50 * 1024**2
    site.page("/")
    site.page("/last")
    site.put("/sitemap.xml", text)
    assert "/last" in visit(include_path_regexes=("^/last$",)).crawl()


def test_a_host_of_other_letters_is_the_one_that_browsers_ask():
    assert page_address("http://fa\u00df.example/") == "http://xn--fa-hia.example/"


def test_a_backslash_of_a_path_is_a_slash():
    assert (
        page_address("docs\\page.html", "http://a.example/x/")
        == "http://a.example/x/docs/page.html"
    )


def test_a_page_that_leads_to_itself_with_what_is_left_out_of_its_address_is_read(site, visit):
    site.page("/", "/a")
    site.move("/a", "/a?utm_source=x", 302)
    site.page("/a?utm_source=x")
    assert sorted(visit().crawl()) == ["/", "/a"]


@pytest.mark.parametrize("size", [64, 100, 1000])
def test_a_sitemap_that_is_looked_through_in_parts_is_read_as_a_whole_one(monkeypatch, size):
    monkeypatch.setattr(web_text, "_SLICE", size)
    places = [f"https://a.example/{number}" for number in range(50)]
    locs = [
        f"<loc><![CDATA[{place}]]></loc>" if number % 2 else f"<loc>{place}</loc>"
        for number, place in enumerate(places)
    ]
    text = "".join(f"<url>{loc}<lastmod>2026-01-01</lastmod></url>" for loc in locs)
    found = list(sitemap_entries(f"<urlset>{text}</urlset>"))
    assert [one.address for one in found] == places
    assert {one.changed for one in found} == {"2026-01-01"}


@pytest.mark.parametrize(
    "target", ["/?utm_source=x", "/;jsessionid=12AB", "/?sid=1a2b3c4d5e6f7a8b"]
)
def test_a_first_page_that_wants_parameters_of_a_visit_is_read(site, visit, target):
    site.move("/", target, 302)
    site.page(target, "/a")
    site.page("/a")
    visitor = visit()
    assert sorted(visitor.crawl()) == ["/", "/a"]
    assert b"Words of" in visitor.read("/")
    site.move(target, target, 302)
    with pytest.raises(S3SyncError):
        visitor.crawl()


def test_a_page_that_a_proxy_on_the_way_has_changed_is_a_page(site, visit):
    site.page("/", "/a")
    site.put("/a", "<p>as the proxy has it</p>", status=203, headers={"Content-Type": "text/html"})
    visitor = visit()
    assert sorted(visitor.crawl()) == ["/", "/a"]
    assert b"as the proxy" in visitor.read("/a")
