"""The main content of a page: what it names itself, what is found, and what JavaScript fills in."""

import pytest

from s3sync_dagster.extraction.web_main import read_main
from s3sync_dagster.model.errors import EmptyText
from s3sync_dagster.model.source import ExtractionConfig

SENTENCE = (
    "The harbour office opens at eight and asks for the ship's papers, the crew list and fees. "
)
MENU = "".join(f'<li><a href="/{n}">Menu entry {n}</a></li>' for n in range(40))
ARTICLE = (
    "<h2>Opening hours</h2><p>" + SENTENCE * 6 + "</p><pre><code>make harbour\nrun</code></pre>"
    "<h2>Fees</h2><p>" + SENTENCE * 6 + "</p><table><tr><th>Ship</th><th>Fee</th></tr>"
    "<tr><td>Barge</td><td>12</td></tr></table>"
)


def read(html: str):
    return read_main(html.encode(), name="a.html", config=ExtractionConfig())


@pytest.mark.parametrize(
    ("before", "after", "engine"),
    [
        ("<main>", "</main>", "main"),
        ('<div role="main">', "</div>", "main"),
        ("<article>", "</article>", "main"),
        ('<div class="content">', "</div>", "readability"),
    ],
)
def test_what_all_pages_share_goes_and_headings_code_and_tables_stay(before, after, engine):
    document = read(
        f"<html><head><title>Harbour</title></head><body><nav>Top navigation</nav>"
        f'<div class="menu"><ul>{MENU}</ul></div>{before}{ARTICLE}{after}'
        f"<div class='footer'><a href='/i'>Imprint</a></div></body></html>"
    )
    assert document.engine == engine
    assert document.title == "Harbour"
    for kept in ("## Opening hours", "## Fees", "make harbour\nrun", "| Barge | 12 |"):
        assert kept in document.text
    for lost in ("Top navigation", "Menu entry", "Imprint"):
        assert lost not in document.text


def test_a_part_that_names_itself_main_and_holds_nothing_is_not_believed():
    document = read(f"<main></main><div>{ARTICLE}</div>")
    assert "## Fees" in document.text


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_article_that_is_a_small_part_of_the_page_is_not_taken_for_all_of_it(where):
    teaser = f"<article><h3>News</h3><p>{SENTENCE * 3}</p></article>"
    page = f"<div id='content'>{ARTICLE}{ARTICLE}</div>"
    document = read(f"<body>{teaser + page if where == 'before' else page + teaser}</body>")
    for kept in ("## Opening hours", "## Fees", "make harbour\nrun", "| Barge | 12 |"):
        assert kept in document.text


def test_the_heading_of_the_page_stays_where_it_stands_outside():
    html = f"<h1>Harbour rules</h1><div>{'<p>x</p>' * 3}</div><div><div>{ARTICLE}</div></div>"
    assert read(html).text.count("# Harbour rules") == 1


@pytest.mark.parametrize(
    "body",
    [
        '<div id="root"></div><script src="/app.js"></script>',
        "<noscript>You need to enable JavaScript to run this app.</noscript><script>x()</script>",
        "<script>document.write('x')</script>",
        '<app-root id="app"><!-- here --></app-root><p>Loading</p><script src="x"></script>',
    ],
)
def test_a_page_that_javascript_fills_in_is_said_to_be_one(body):
    with pytest.raises(EmptyText) as caught:
        read(f"<html><head><title>App</title></head><body>{body}</body></html>")
    assert caught.value.reason == "javascript_only"


def test_a_short_page_with_a_script_is_a_page():
    document = read("<p>Closed on Sundays.</p><script>track()</script>")
    assert "Closed on Sundays." in document.text
