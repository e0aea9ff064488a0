"""Sites whose pages become one: what disarms the look at the whole, and what it is wrong about."""

import pytest

from s3sync_dagster_tests.places.test_web_alike import PAGES, answer, require_alike


@pytest.fixture
def visitor(site, visit):
    site.page("/", *PAGES)
    for path in PAGES:
        site.page(path)
    return visit()


@pytest.mark.parametrize("asked", ["head", "read"])
def test_a_page_that_was_asked_for_by_its_key_does_not_vouch_for_an_outage(site, visitor, asked):
    """A batch reads pages while the site is down for all: what it got was nobody's text before."""
    before = visitor.crawl()
    answer(site, ["/", *PAGES], "Please log in")
    if asked == "head":
        visitor.store.head(f"{site.url}/p3")
    else:
        visitor.store.read(f"{site.url}/p3", max_size_bytes=10**6)  # takes what waits
        visitor.store.read(f"{site.url}/p3", max_size_bytes=10**6)
    require_alike(visitor)
    require_alike(visitor)
    for path in PAGES:
        site.page(path)
    site.page("/", *PAGES)
    assert visitor.crawl() == before


def test_stubs_that_were_one_text_may_become_another(site, visitor):
    """A wiki whose template changes: pages that were alike before are no outage."""
    answer(site, PAGES, "This page is a stub.")
    visitor.crawl()
    answer(site, PAGES, "This page is a stub. Help us to write it.")
    found = visitor.crawl()
    assert len({found[path] for path in PAGES}) == 1


@pytest.mark.parametrize("always", [False, True])
def test_a_site_that_leads_to_its_login_page_replaces_no_page(site, visitor, always):
    if always:
        site.page("/", "/login", *PAGES)
    site.page("/login", text="Please log in")
    before = visitor.crawl()
    for path in PAGES:
        site.move(path, "/login", status=302)
    found = visitor.crawl()
    assert {path for path in PAGES if found.get(path) != before[path]} == set()


def test_pages_that_are_new_make_no_outage_small(site, visitor):
    """A page for all that leads to a shop or a calendar: of the pages of before none is left."""
    visitor.crawl()
    new = [f"/new{n}" for n in range(140)]
    site.page("/", *new, text="Please log in")
    for path in PAGES:
        site.replies[path].body = site.replies["/"].body
    for path in new:
        site.page(path)
    require_alike(visitor)


def test_an_outage_that_began_at_the_end_of_a_crawl_replaces_nothing_at_the_next(site, visitor):
    """What few pages said is believed; that all others say it now is no more for that."""
    before = visitor.crawl()
    answer(site, PAGES[:5], "Down for maintenance")
    visitor.crawl()
    answer(site, PAGES, "Down for maintenance")
    require_alike(visitor)
    require_alike(visitor)
    for path in PAGES:
        site.page(path)
    assert visitor.crawl() == before
    answer(site, PAGES, "Down for maintenance")
    require_alike(visitor)
