"""Stamps, slugs and labels beside a page's text: they are added, and the page keeps its layout."""

from collections import Counter

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.lost_lines import Line, add_lines, find_lost_lines
from s3sync_dagster.extraction.pdf.text_layer import open_pdf
from s3sync_dagster.extraction.words import words_of
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read

STAMP = "BT /F1 9 Tf 0 1 -1 0 24 200 Tm (inria-00555588, version 1 - 13 Jan 2011)Tj ET"
SLUG = "BT /F1 9 Tf 1 0 0 1 100 -40 Tm (proof 17 of sheet nine)Tj ET"


def page(title: str, *more: str) -> bytes:
    lines = [f"({title} line {n} has some words of its own)Tj 0 -14 Td" for n in range(12)]
    content = [
        f"BT /F1 24 Tf 72 720 Td (The {title} of the year)Tj ET",
        f"BT /F1 11 Tf 72 680 Td {' '.join(lines)} ET",
        *more,
    ]
    return "\n".join(content).encode()


def test_page_with_a_stamp_in_its_margin_keeps_its_heading(read: Read):
    document = read(raw_pdf.pages_pdf([page("Harvest", STAMP)]), "a.pdf")
    assert document.text.startswith("# The Harvest of the year\n")
    assert "Harvest line 11 has some words of its own" in document.text
    assert document.text.endswith("inria-00555588, version 1 - 13 Jan 2011\n")
    assert document.warnings == ()


def test_stamp_of_all_pages_is_a_running_head_that_stays_once(read: Read):
    titles = ("Harvest", "Winter", "Thaw", "Sowing")
    document = read(raw_pdf.pages_pdf([page(title, STAMP) for title in titles]), "a.pdf")
    assert [f"# The {title} of" in document.text for title in titles] == [True] * 4
    assert document.text.count("inria") == 1


def test_words_beside_the_sheet_are_neither_read_nor_missed(read: Read):
    document = read(raw_pdf.pages_pdf([page("Harvest", SLUG)]), "a.pdf")
    assert document.text.startswith("# The Harvest of the year\n")
    assert "proof" not in document.text
    assert document.warnings == ()


def test_line_is_lost_where_half_of_its_words_stand_elsewhere_too():
    content = raw_pdf.pages_pdf([raw_pdf.text_content("Lassa Fever in Leone", "Ward findings")])
    pdf = open_pdf(content)
    page, layer = pdf[0], pdf[0].get_textpage()

    def found(*words: str) -> list[str]:
        return [line.text for line in find_lost_lines(page, layer, Counter(words))]

    assert found("fever", "leone") == ["Lassa Fever in Leone"]
    assert found("fever") == []
    layer.close()
    pdf.close()


def test_a_line_that_is_lost_as_a_whole_comes_before_one_that_shares_words_with_it():
    lines = ("Configuring the TI-89 and its menus", "TI-89 menus", "Another line")
    pdf = open_pdf(raw_pdf.pages_pdf([raw_pdf.text_content(*lines)]))
    page, layer = pdf[0], pdf[0].get_textpage()
    lost: Counter[str] = Counter(("ti", "89", "menus", "and"))
    assert [line.text for line in find_lost_lines(page, layer, lost)] == ["TI-89 menus"]
    layer.close()
    pdf.close()


def test_lost_line_stands_where_it_was():
    blocks = [
        Block(kind="heading", text="Head", level=1, top=50, height=20, left=70, width=300),
        Block(kind="paragraph", text="below", top=300, height=40, left=70, width=300),
    ]
    add_lines(
        blocks,
        [
            Line("first of two", top=100, left=70, width=200, height=10),
            Line("lines that go on", top=112, left=70, width=200, height=10),
            Line("up the page", top=100, left=10, width=8, height=300, is_upright=True),
        ],
    )
    texts = [block.text for block in blocks]
    assert texts == ["Head", "first of two lines that go on", "below", "up the page"]


def test_page_without_any_layout_is_plain_and_says_why(read: Read):
    turned = "\n".join(
        f"BT /F1 11 Tf 0 1 -1 0 {60 + 20 * n} 100 Tm (line {n} of a table on its side)Tj ET"
        for n in range(12)
    )
    document = read(raw_pdf.pages_pdf([turned.encode()]), "a.pdf")
    assert words_of(document.text) >= Counter({"side": 12})
    assert document.warnings == (
        "Pages read as plain text, without layout: 1 (lines that the layout has no place for).",
    )


def test_page_turned_by_half_a_circle_keeps_its_words(read: Read):
    metals = ["copper and a longer line", "tin", "a line of some words", "lead", "zinc", "iron"]
    lines = [f"{line} w{number}x" for number, line in enumerate(metals)]
    content = raw_pdf.pages_pdf([raw_pdf.text_content(*lines)])
    turned = content.replace(b"/MediaBox", b"/Rotate 180/MediaBox")
    document = read(turned, "a.pdf")
    assert words_of(document.text) == words_of(" ".join(lines))
    assert "turned by half a circle" in document.warnings[0]
