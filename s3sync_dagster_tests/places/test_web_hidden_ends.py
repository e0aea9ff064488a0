"""What is hidden ends where browsers end it: links behind it are of the page."""

import pytest

from s3sync_dagster.places.web_text import is_unindexed, links_of


@pytest.mark.parametrize(
    "hidden",
    [
        '<!-- <a href="/old" -->',
        '<!-- <link rel="stylesheet" href="/old.css" -->',
        '<!-- <a href="/old> -->',
        '<script>var h = "<a href=\\"" + u;</script>',
        "<script>s = '<a title=\"' + t;</script>",
        "<script>if (x <a && y) go()</script>",
        "<style>/* <a */</style>",
    ],
)
def test_a_tag_that_does_not_end_in_what_is_hidden_hides_nothing_behind_it(hidden):
    page = f'{hidden}<p class="x"><a href="/a">a</a></p><a href="/b">b</a>'
    assert links_of(page).links == ("/a", "/b")
    told = links_of(f'{hidden}<p class="x"></p><meta name="robots" content="noindex">').robots
    assert is_unindexed(told)


@pytest.mark.parametrize(
    "more", [':href="to"', 'v-bind:href="to"', 'data_href="/no"', 'href="/no"']
)
def test_a_link_leads_where_its_first_href_does(more):
    assert links_of(f'<a href="/a" {more}>a</a>').links == ("/a",)
