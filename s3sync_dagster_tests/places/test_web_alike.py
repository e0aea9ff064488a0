"""A site that answers everything with one page."""

import pytest

from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.places import web_store

PAGES = [f"/p{n}" for n in range(30)]


@pytest.fixture
def visitor(site, visit):
    site.page("/", *PAGES)
    for path in PAGES:
        site.page(path)
    return visit()


def answer(site, paths, text):
    for path in paths:
        site.page(path, text=text)
        site.replies[path].body = site.replies[paths[0]].body


def require_alike(visitor):
    with pytest.raises(FixConfiguration) as caught:
        visitor.crawl()
    assert caught.value.reason == "site_answers_alike"


def test_a_site_that_answers_all_with_one_page_replaces_no_other_page(site, visitor):
    """As a login or maintenance page with status 200 does: what it says is of none of the pages."""
    before = visitor.crawl()
    replies = dict(site.replies)
    site.page("/", "/login", text="Please log in")  # leads to a page that is new
    for path in ("/login", *PAGES):
        site.page(path)
        site.replies[path].body = site.replies["/"].body
    require_alike(visitor)
    require_alike(visitor)  # nor is it what they were before by then
    site.replies.clear()
    site.replies.update(replies)
    site.page("/p2", text="another text")
    after = visitor.crawl()
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path]} == {"/p2"}
    assert b"Words of /p3" in visitor.read("/p3")
    assert visitor.crawl() == after


def test_a_crawl_that_was_broken_off_does_not_tell_what_pages_were_before(
    site, visitor, monkeypatch
):
    visitor.crawl()
    answer(site, ["/", *PAGES], "Down for maintenance")
    with monkeypatch.context() as patch:
        patch.setattr(web_store, "STEP_SECONDS", -1.0)
        token = None
        for _ in range(25):
            token = visitor.store.list_unordered("", token=token).token
    require_alike(visitor)


@pytest.mark.parametrize(("alike", "of"), [(10, 31), (12, 71)])
def test_a_few_pages_may_become_one(site, visitor, alike, of):
    more = [f"/more{n}" for n in range(of - 31)]
    site.page("/", *PAGES, *more)
    for path in more:
        site.page(path)
    assert len(visitor.crawl()) == of
    answer(site, PAGES[:alike], "one text")
    found = visitor.crawl()
    assert len({found[path] for path in PAGES[:alike]}) == 1


def test_pages_may_become_what_another_one_was(site, visitor):
    """As old addresses do that lead to a page of the site."""
    site.page("/old", text="Moved away")
    site.page("/", "/old", *PAGES)
    before = visitor.crawl()
    answer(site, ["/old", *PAGES], "Moved away")
    found = visitor.crawl()
    assert {found[path] for path in PAGES} == {before["/old"]}


def test_what_has_passed_is_what_pages_were_before(site, visitor):
    visitor.crawl()
    for paths in (PAGES[:9], PAGES[9:18], PAGES[18:27]):
        answer(site, [PAGES[0], *paths], "Moved away")
        visitor.crawl()
