"""The fast engine for web pages: the same words as docling's, and the same structure."""

import pytest

from s3sync_dagster.extraction.web import plain_text, without_boilerplate
from s3sync_dagster.extraction.web_fast import read_html_fast
from s3sync_dagster.extraction.words import word_recall
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.conftest import Read

FAST = {"engines": {".html": "fast"}}


def markdown(html: str) -> str:
    content = f"<html><body>{html}</body></html>".encode()
    return read_html_fast(content, name="a.html", config=ExtractionConfig()).text


def test_same_words_and_blocks_as_docling(read: Read):
    fast = read(corpus.HTML.encode(), "fish.html", **FAST)
    slow = read(corpus.HTML.encode(), "fish.html")
    assert fast.engine == "lxml"
    assert fast.title == slow.title
    assert word_recall(slow.text, fast.text) == 1.0
    assert word_recall(fast.text, slow.text) == 1.0
    for block in (
        "# Fish",
        "## Prices",
        "- cod\n    - small\n    - large\n- hake",
        "3. third\n4. fourth",
    ):
        assert block in fast.text
        assert block in slow.text
    assert "| Fish | Price |\n| - | - |\n| Cod | 5 |\n| Cod | 9 |" in fast.text


def test_large_pages_are_read_by_the_fast_engine_alone(read: Read):
    page = b"<h1>Long</h1>" + b"<p>Some words in a paragraph.</p>\n" * 100_000
    document = read(page, "long.html")
    assert document.engine == "lxml"
    assert document.warnings == ()
    assert document.text.count("Some words") == 100_000


def test_boilerplate_goes_by_choice(read: Read):
    text = read(corpus.HTML.encode(), "fish.html", boilerplate=False, **FAST).text
    assert "Home" not in text
    assert "Imprint" not in text
    assert "Before the first heading." in text


@pytest.mark.parametrize(
    "html",
    [
        "<header>Top</header><article><header>Own</header>Text</article><footer>End</footer>",
        "<main><header>Own</header><nav>Menu</nav>Text <form>Search</form>and more</main>",
        "<p>One <aside>beside</aside> two.</p><div role=banner>Top</div>Tail<div role=note>N</div>",
        "<aside><nav>Menu</nav>in <footer>both</footer></aside>Text",
        "<p>Text</p><nav><ul><li>never closed<li>Menu",
    ],
)
def test_the_tree_loses_what_the_text_loses(html):
    content = f"<html><body>{html}</body></html>"
    bare = read_html_fast(
        content.encode(), name="a.html", config=ExtractionConfig(boilerplate=False)
    )
    assert bare.text == markdown(without_boilerplate(html))


def test_deep_pages_are_read_as_text(read: Read):
    document = read(b"<div>" * 20_000 + b"deep text", "deep.html", **FAST)
    assert document.text.strip() == "deep text"
    assert len(document.warnings) == 1


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a <b>bold</b> and <i>it</i> and <code>x</code></p>", "a **bold** and *it* and `x`\n"),
        ("one<p>two</p>three", "one\n\ntwo\n\nthree\n"),
        ("<div><span>a</span> <span>b</span></div>", "a b\n"),
        ("<a href='/x'><div>block</div></a>", "block\n"),
        ("a<br>b", "a\nb\n"),
        ("<blockquote><p>q</p><p>r</p></blockquote>", "> q\n\n> r\n"),
        ("<ol start='x'><li>a<li>b</ol>", "1. a\n2. b\n"),
        ("<ul><li><p>a</p><p>b</p></li></ul>", "- a b\n"),
        ("<table><tr><td>a|b<td>c<tr><td>d</table>", "| a\\|b | c |\n| - | - |\n| d |  |\n"),
        ("<table><tr><td colspan='2'>a<tr><td>b<td>c</table>", "| a | a |\n| - | - |\n| b | c |\n"),
        ("<p>x</p><!-- no --><script>no</script><style>no</style>", "x\n"),
        ("<h2>a<br>b</h2>", "## a b\n"),
        ("<img src='x' alt='a cat'>", "[Picture: a cat]\n"),
        ("<td colspan='99999999999'>x</td>", "x\n"),
        ("", "\n"),
        ("<!-- -->", "\n"),
    ],
)
def test_structure(html: str, expected: str):
    assert markdown(html) == expected


@pytest.mark.parametrize("content", [b"\n", b"<!-- nothing -->", b"\x0c \n"])
def test_page_without_anything_has_no_text(content: bytes):
    document = read_html_fast(content, name="a.html", config=ExtractionConfig())
    assert not document.text.strip()


def test_table_with_a_table_in_a_cell_is_one_table(read: Read):
    inner = "<table><tr><td>A1</td><td>B1</td></tr></table>"
    page = f"<table><tr><td>A</td><td>B</td></tr><tr><td>{inner}</td><td>2</td></tr></table>"
    assert read(page.encode(), "a.html").text == "| A | B |\n| - | - |\n| A1 B1 | 2 |\n"


def test_table_for_the_layout_is_none(read: Read):
    inner = "<table><tr><td>A1</td><td>B1</td></tr></table>"
    page = f"<table><tr><td>x</td><td>y</td></tr><tr><td><h2>News</h2></td><td>{inner}</td></tr>"
    assert "## News\n" in read(page.encode(), "a.html").text


def test_line_of_the_source_is_no_heading(read: Read):
    page = b"<p>It says:\n<samp># no heading</samp><br>and\ngoes on</p>"
    assert read(page, "a.html").text == "It says: `# no heading`\nand goes on\n"


def test_labels_of_a_drawing_are_read():
    drawing = (
        "<svg><title>icon</title><g><text x='1'>North</text><text><tspan>South</tspan></text></g>"
        "<foreignObject><div>East</div></foreignObject></svg>"
    )
    assert markdown(f"<p>a</p>{drawing}<p>b</p>") == "a\n\nNorth South East\n\nb\n"


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (
            (
                "<switch><foreignObject><div>Approve <b>order</b> 17</div></foreignObject>"
                "<text>Approve order…</text></switch>"
            ),
            "Approve order 17",
        ),
        ("<switch><foreignObject/><g><text>as letters</text></g></switch>", "as letters"),
        ("<defs><text>unused</text></defs><text>used</text>", "used"),
        ("<text>12<tspan>.5</tspan> kg H<tspan dy='3'>2</tspan>O</text>", "12.5 kg H2O"),
        ("<text><tspan x='0'>one</tspan><tspan x='0' dy='9'>two</tspan></text>", "one two"),
    ],
    ids=["diagrams.net", "nothing in the first", "definitions", "parts of a word", "lines"],
)
def test_labels_of_a_drawing_are_said_once(drawn: str, expected: str):
    assert markdown(f"<svg><g>{drawn}</g></svg>") == f"{expected}\n"


MATH = (
    "<math><semantics><mrow><mi>x</mi><mo>=</mo><mn>7</mn></mrow>"
    "<annotation encoding='application/x-tex'>x=7</annotation></semantics></math>"
)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (
            "<span class='katex'><span class='katex-html' aria-hidden='true'>E=25</span></span>",
            "E=25",
        ),
        (
            (
                f"<span class='katex'><span class='katex-mathml'>{MATH}</span>"
                "<span class='katex-html' aria-hidden='true'>x=7</span></span>"
            ),
            "$x=7$",
        ),
        (
            (
                f"<span class='mwe-math-element'><span style='display: none'>{MATH}</span>"
                "<img class='mwe-math-fallback-image-inline' aria-hidden='true' alt='x=7'></span>"
            ),
            "$x=7$",
        ),
        (f"<span class='katex'>{MATH} and {MATH}</span>", "$x=7$ and $x=7$"),
        ("<img class='mwe-math-fallback-image-inline' alt='x=7'>", "[Picture: x=7]"),
        (
            (
                "<span class='MathJax'><span class='math'><span>x</span>=7</span>"
                f"<span class='MJX_Assistive_MathML'>{MATH}</span></span>"
            ),
            "$x=7$",
        ),
        (
            (
                "<mjx-container><svg><text>x=7</text></svg>"
                f"<mjx-assistive-mml>{MATH}</mjx-assistive-mml></mjx-container>"
            ),
            "$x=7$",
        ),
    ],
    ids=[
        "KaTeX, letters alone",
        "KaTeX",
        "MediaWiki",
        "two",
        "its picture alone",
        "MathJax 2",
        "MathJax",
    ],
)
def test_a_formula_of_a_page_is_said_once(formula: str, expected: str):
    assert markdown(f"<p>so {formula} holds</p>") == f"so {expected} holds\n"


@pytest.mark.parametrize("odd", ["<![foo[ x ]]>", "<![ ", "<![if !mso]>", "<!x>"])
def test_sections_that_no_page_should_have_end_no_reading(odd: str):
    assert plain_text(f"<p>a</p>{odd}<p>b</p>").startswith("a\n")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("<li>a</li><ul><li>b</li></ul><li>c</li>", "- a\n    - b\n- c\n"),
        ("<div><li>a</li></div><span><li>b</li></span>", "- a\n- b\n"),
        ("loose<li>a</li>more<p>odd</p>", "- loose\n- a\n- more\n- odd\n"),
        ("<script>no</script><template><li>no</li></template><li>a</li>", "- a\n"),
    ],
)
def test_what_stands_in_a_list_and_in_no_item_is_read(items: str, expected: str):
    assert markdown(f"<ul>{items}</ul>") == expected


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<caption>Prices of <b>fish</b></caption><tr><td>a</td></tr>", "Prices of **fish**\n\n"),
        ("<form><tr><td>a</td></tr></form>", ""),
        ("<tr><form><td>a</td></form></tr>", ""),
        ("<tbody><form><tr><td>a</td></tr></form></tbody>", ""),
        ("<tr><td>a</td></tr>beside", "beside\n\n"),
    ],
)
def test_what_stands_in_a_table_and_in_no_cell_is_read(inside: str, expected: str):
    assert markdown(f"<table>{inside}</table>") == f"{expected}| a |\n| - |\n"


def test_lines_of_code_stay_apart():
    assert markdown("<pre>one<br>two<br/></pre>") == "```\none\ntwo\n```\n"


def test_what_a_page_declares_as_shadow_is_read():
    shown = "<div><template shadowrootmode='open'><p>shown</p></template></div>"
    assert markdown(f"{shown}<template><p>not</p></template>") == "shown\n"


@pytest.mark.parametrize("deep", ["", "<b>" * 100])
def test_page_that_stands_in_a_frame_is_read(deep: str):
    inside = f"{deep}<p>in the frame</p><iframe srcdoc='&lt;p&gt;no'></iframe>"
    frame = f'<iframe srcdoc="{inside}"></iframe>'
    assert markdown(f"<p>a{frame}</p><p>b</p><iframe></iframe>") == "a\n\nin the frame\n\nb\n"


def test_page_in_a_frame_of_an_item_is_read_without_what_goes_by_choice(read: Read):
    page = "<ul><li>One <iframe srcdoc='<nav>menu</nav><p>framed'>no frames</iframe></li></ul>"
    assert markdown(page) == "- One menu framed\n"
    kept = read(page.encode(), "a.html", boilerplate=False)
    assert kept.text == "- One framed\n"


def test_an_article_is_no_second_form_of_its_formula():
    page = f"<div class='katex'><p>{MATH}</p><p>and more</p></div>"
    assert markdown(page) == "$x=7$\n\nand more\n"
