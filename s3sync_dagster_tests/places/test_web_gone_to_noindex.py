"""A page that was moved for good to one that wants to be in no index is there no longer."""


def test_a_page_that_was_moved_to_one_in_no_index_leaves_after_two_crawls(site, visit):
    site.page("/", "/a")
    site.page("/a")
    visitor = visit()
    assert sorted(visitor.crawl()) == ["/", "/a"]
    site.move("/a", "/b", 301)
    site.page("/b", head='<meta name="robots" content="noindex">')
    assert sorted(visitor.crawl()) == ["/", "/a"]
    assert sorted(visitor.crawl()) == ["/"]
