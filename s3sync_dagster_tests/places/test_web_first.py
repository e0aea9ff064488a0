"""What the first page leads to is the first page, whatever of it was known before."""

import pytest

from s3sync_dagster.model.errors import S3SyncError

PATHS = [f"/p{number}" for number in range(3)]


def of(site, first):
    site.page(first, *PATHS)
    for path in PATHS:
        site.page(path)
    if first != "/":
        site.move("/", first, 302)


@pytest.mark.parametrize("first", ["/", "/en/"])
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_first_page_that_is_not_to_be_had_fails_the_listing(site, visit, first, status):
    of(site, first)
    visitor = visit()
    visitor.crawl()
    site.put(first, status=status)
    with pytest.raises(S3SyncError):
        visitor.crawl()


@pytest.mark.parametrize("first", ["/", "/en/"])
def test_nothing_leaves_while_the_first_page_is_forbidden(site, visit, first):
    of(site, first)
    visitor = visit()
    before = visitor.crawl()
    for path in PATHS:
        site.put(path, status=404)
    site.put(first, status=403)
    for _ in range(3):
        try:
            assert visitor.crawl() == before
        except S3SyncError:
            continue


def test_a_first_page_that_leads_to_what_the_source_leaves_out_is_read_for_its_links(site, visit):
    site.move("/", "/en/", 302)
    site.page("/en/", "/guide/a", "/other")
    site.page("/guide/a")
    visitor = visit(include_path_regexes=("^/guide/",))
    for _ in range(3):
        assert sorted(visitor.crawl()) == ["/guide/a"]
    site.put("/en/", status=403)
    with pytest.raises(S3SyncError):
        visitor.crawl()


@pytest.mark.parametrize("status", [301, 302])
def test_a_first_page_that_leads_in_a_circle_is_told_also_where_its_pages_are_known(
    site, visit, status
):
    of(site, "/en/")
    site.page("/")
    visitor = visit()
    visitor.crawl()
    site.move("/", "/en/", status)
    visitor.crawl()
    site.move("/en/", "/", status)
    with pytest.raises(S3SyncError):
        visitor.crawl()
