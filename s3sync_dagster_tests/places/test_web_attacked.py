"""A site that answers everything with one page."""

from s3sync_dagster.model.errors import S3SyncError


def test_a_site_that_answers_all_with_one_page_replaces_no_other_page(site, visit):
    """As a login or maintenance page with status 200 does: what it says is of none of the pages."""
    pages = [f"/p{n}" for n in range(30)]
    site.page("/", *pages)
    for path in pages:
        site.page(path)
    visitor = visit()
    before = visitor.crawl()
    for path in ["/", *pages]:
        site.page(path, text="Please log in")
        site.replies[path].body = site.replies["/"].body
    try:
        after = visitor.crawl()
    except S3SyncError:
        return
    assert {path: after.get(path) for path in pages} == {path: before[path] for path in pages}
