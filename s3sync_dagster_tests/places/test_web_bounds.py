"""What a hostile site may cost, and where it may not lead."""

import select
import socket
from ipaddress import ip_network

import pytest

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.places import web_robots, web_text
from s3sync_dagster.places.web import WebPlace
from s3sync_dagster.places.web_fetch import WebAnswer, WebFetcher
from s3sync_dagster.places.web_page import page_of
from s3sync_dagster.ports import addresses
from s3sync_dagster.ports.addresses import Reach
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts
from s3sync_dagster_tests.places.web_server import Visitor, web_site
from s3sync_dagster_tests.sources import s3_source


def test_rules_are_kept_once_however_often_a_name_stands_there(monkeypatch):
    made = []
    monkeypatch.setattr(web_robots, "_rule", lambda text: made.append(text) or text)
    names = "User-agent: *\nUser-agent: s3sync\n" * 2000
    robots = web_robots.parse_robots(names + "Disallow: /private\n" * 5000)
    assert len(robots.rules) == len(made) == web_robots.MAX_RULES


def test_rules_of_others_are_not_kept_at_all():
    text = "".join(f"User-agent: bot{n}\nDisallow: /\n" for n in range(2000))
    robots = web_robots.parse_robots(text + "User-agent: *\nDisallow: /private\n")
    assert len(robots.rules) == 1


def test_a_sitemap_is_read_no_further_than_it_counts(monkeypatch):
    monkeypatch.setattr(web_text, "MAX_SITEMAP_ENTRIES", 10)
    seen = []

    class Pattern:
        def finditer(self, text):
            for found in pattern.finditer(text):
                seen.append(found)
                yield found

    pattern = web_text._pattern(web_text._FIELD)
    monkeypatch.setattr(web_text, "_pattern", lambda _: Pattern())
    assert list(web_text.sitemap_entries("<url>" * 100_000)) == []
    assert len(seen) == 11


def test_a_length_that_no_database_holds_is_not_believed():
    headers = {"content-length": "9" * 20, "content-type": "text/html"}
    answer = WebAnswer(status=200, headers=headers, too_large=True)
    page = page_of(
        "https://example.org/big",
        answer,
        hosts=frozenset({"example.org"}),
        most_bytes=1000,
        changed=None,
        now=0.0,
    )
    assert page.size == 1001


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]"])
def test_nothing_is_connected_where_a_guarded_source_may_not_go(host):
    """Open and closed ports answer alike: no connection is tried at either."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        fetcher = WebFetcher(AddressGuard())
        with pytest.raises(InvalidSetting) as caught:
            fetcher.fetch(f"http://{host}:{port}/", most_bytes=1000)
        assert caught.value.reason == "private_address"
        assert select.select([server], [], [], 0.2)[0] == []


def test_networks_of_aws_endpoints_are_no_way_for_sites_and_repositories(tmp_path):
    environment = {"S3SYNC_HOME": str(tmp_path), "S3SYNC_AWS_PRIVATE_NETWORKS": "10.0.0.0/8"}
    parts = Parts(load_settings(environment))
    bucket = s3_source(id="i", name="d", bucket_name="b", collection_name="texts", tenant="t")
    site = bucket.with_changes(place=WebPlace(starting_url="https://example.org/"))
    assert parts.guard_for(bucket, None).allows("10.1.2.3")
    assert not parts.guard_for(site, None).allows("10.1.2.3")
    parts.close()


@pytest.fixture
def sites(monkeypatch):
    """A site at an address that passes for one of the internet, and one of this machine."""
    outside = (ip_network("127.0.0.2/32"), Reach.INTERNET)
    monkeypatch.setattr(addresses, "_SPECIAL", (outside, *addresses._SPECIAL))
    with web_site("127.0.0.2") as public, web_site() as inside:
        public.page("/", "/a")
        public.page("/a")
        inside.page("/secret")
        yield public, inside


@pytest.fixture
def visit(tmp_path):
    made: list[Visitor] = []

    def visitor(site, **more):
        made.append(Visitor(site, tmp_path / "web", **more))
        return made[-1]

    yield visitor
    for one in made:
        one.store.close()


def refused(crawl):
    with pytest.raises(InvalidSetting) as caught:
        crawl()
    return caught.value.reason


@pytest.mark.parametrize("path", ["/", "/robots.txt", "/sitemap.xml"])
def test_no_redirect_of_a_public_site_leads_inside_whoever_declared_it(sites, visit, path):
    public, inside = sites
    public.move(path, f"{inside.url}/secret")
    visitor = visit(public)
    if path == "/sitemap.xml":
        assert sorted(visitor.crawl()) == ["/", "/a"]
    else:
        assert refused(visitor.crawl) == "private_address"
    assert inside.hosts == []


def test_what_a_person_named_may_be_inside_and_nothing_else_of_the_site(sites, visit):
    public, inside = sites
    public.page("/", f"{inside.url}/secret", "/a")
    assert f"{inside.url}/secret" not in visit(public).crawl()
    public.page("/", f"{inside.url}/secret", "/b")
    named = visit(public, other_hosts=(inside.url.removeprefix("http://"),))
    assert f"{inside.url}/secret" in named.crawl()
    inside.page("/")
    assert "/" in visit(inside).crawl()


def test_a_public_site_whose_name_is_bent_inside_is_asked_no_more(sites, visit, monkeypatch):
    public, _ = sites
    visitor = visit(public)
    assert sorted(visitor.crawl()) == ["/", "/a"]
    visitor.store.close()
    public.hosts.clear()
    monkeypatch.undo()  # the same name, and an address of this machine
    again = visitor.opened()
    assert refused(lambda: again.head(f"{public.url}/a")) == "private_address"
    again.close()
    assert public.hosts == []


@pytest.mark.parametrize("path", ["/", "/robots.txt"])
def test_no_site_leads_to_the_credentials_of_a_cloud(visit, path):
    with web_site() as site:
        site.page("/")
        site.move(path, "http://169.254.169.254/latest/meta-data/")
        assert refused(visit(site).crawl) == "private_address"
        start = "http://169.254.169.254/latest/"
        assert refused(visit(site, starting_url=start).store.look) == "private_address"
