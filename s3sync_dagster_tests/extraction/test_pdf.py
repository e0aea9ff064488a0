"""PDF: pages, layout checked against the page's own words, running heads, dates."""

import io

import pytest

from s3sync_dagster.extraction.pages import page_ranges
from s3sync_dagster.extraction.pdf.blocks import (
    Block,
    blocks_to_markdown,
    join_tables,
    part_columns,
)
from s3sync_dagster.extraction.pdf.text_layer import iso_date
from s3sync_dagster.extraction.words import (
    join_split_words,
    part_joined_words,
    word_recall,
    words_of,
)
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read

WORDS = "The quick brown fox jumps over the lazy dog while seven wizards mix a potion"


def make_report(pages: int = 4) -> bytes:
    """Return a PDF with title, running head, page numbers, headings, lists and a ruled table."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import (
        ListFlowable,
        ListItem,
        PageBreak,
        Paragraph,
        SimpleDocTemplate,
        Spacer,
        Table,
        TableStyle,
    )

    styles = getSampleStyleSheet()
    story = []
    for number in range(1, pages + 1):
        items = [ListItem(Paragraph(word, styles["BodyText"])) for word in ("copper", "silver")]
        grid = TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)])
        story += [
            Paragraph(f"Section {number} of the report", styles["Heading1"]),
            Paragraph(f"Record {number * 7} says. " + WORDS + ".", styles["BodyText"]),
            ListFlowable(items, bulletType="bullet", start="•"),
            Spacer(1, 12),
            Table([["Metal", "Price"], ["copper", f"{number}.50"], ["silver", "9.00"]], style=grid),
            PageBreak(),
        ]

    def decorate(canvas, document) -> None:
        canvas.drawString(72, A4[1] - 30, "Annual report of the society")
        canvas.drawRightString(A4[0] - 72, 30, f"Page {document.page} of {pages}")

    out = io.BytesIO()
    document = SimpleDocTemplate(out, pagesize=A4, title="Annual report", author="Ada")
    document.build(story, onFirstPage=decorate, onLaterPages=decorate)
    return out.getvalue()


def test_pages_headings_lists_and_tables(read: Read):
    document = read(make_report(), "report.pdf")
    assert (document.title, document.author, document.page_count) == ("Annual report", "Ada", 4)
    assert [page.label for page in document.pages] == ["1", "2", "3", "4"]
    second = document.text[document.pages[1].start : document.pages[2].start]
    assert second.startswith("# Section 2 of the report\n")
    assert "- copper\n- silver\n" in second
    assert "| Metal | Price |\n| - | - |\n| copper | 2.50 |\n| silver | 9.00 |\n" in second
    assert word_recall(WORDS, second) == 1.0
    assert document.engine == "liteparse"
    assert document.warnings == ()


def test_running_head_stays_once_page_numbers_go_and_look_alikes_stay(read: Read):
    text = read(make_report(), "report.pdf").text
    assert text.count("Annual report of the society") == 1
    assert text.startswith("Annual report of the society\n\n# Section 1")
    assert "of 4" not in text
    assert [f"Record {number * 7} says" in text for number in range(1, 5)] == [True] * 4


def test_plain_engine_gives_every_word_with_its_page(read: Read):
    document = read(make_report(), "report.pdf", engines={".pdf": "pypdfium2"})
    assert document.engine == "pypdfium2"
    for number, page in enumerate(document.pages, start=1):
        assert f"Section {number} of" in document.text[page.start : page.start + 60]


def test_hyphens_of_line_ends_are_joined(read: Read):
    lines = ["every docu-", "ment counts and every", "well-known word"]
    text = read(raw_pdf.pages_pdf([raw_pdf.text_content(*lines)]), "a.pdf").text
    assert "document counts" in " ".join(text.split())
    assert "well-known" in text


def test_drawing_with_many_lines_is_read_as_plain_text(read: Read):
    strokes = b"\n".join(
        b"%d %d m %d %d l S" % (i % 600, i % 700, i % 500, i % 300) for i in range(9000)
    )
    content = raw_pdf.pages_pdf([raw_pdf.text_content("a map") + b"\n" + strokes])
    document = read(content, "map.pdf")
    assert document.text.strip() == "a map"
    (warning,) = document.warnings
    assert warning.startswith("Pages read as plain text, without layout: 1 (drawings ")


def test_too_many_pages_are_refused_before_any_is_read(read: Read):
    with pytest.raises(LimitExceeded, match="7001 pages") as caught:
        read(raw_pdf.pages_pdf([b""] * 7001), "book.pdf")
    assert caught.value.reason == "too_many_pages"


@pytest.mark.parametrize(
    ("raw", "iso"),
    [
        ("D:20240229120000+01'00'", "2024-02-29T12:00:00+01:00"),
        ("D:20240229120000Z", "2024-02-29T12:00:00Z"),
        ("D:20240229", "2024-02-29"),
        ("20240229120000", "2024-02-29T12:00:00"),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(raw: str, iso: str | None):
    assert iso_date(raw) == iso


def test_list_levels_become_depth():
    blocks = [
        Block(kind="list_item", text=text, level=level)
        for text, level in (("a", 0), ("b", 3), ("c", 5), ("d", 3), ("e", 0))
    ]
    assert blocks_to_markdown(blocks) == "- a\n    - b\n        - c\n    - d\n- e"


def test_emphasis_that_only_the_bullet_has_is_dropped():
    blocks = [
        Block(kind="list_item", text="*On-line management.*"),
        Block(kind="list_item", text="**Strong** words"),
    ]
    assert blocks_to_markdown(blocks) == "- On-line management.\n- **Strong** words"


def test_numbers_of_ordered_lists_stay():
    blocks = [
        Block(kind="list_item", text=text, ordered=True, marker=marker)
        for text, marker in (("x", "3."), ("y", "4)"), ("z", "(a)"))
    ]
    assert blocks_to_markdown(blocks) == "3. x\n4. y\n- (a) z"


def test_code_stays_code_and_chinese_is_no_code():
    code = Block(kind="code", lines=["def f():", "    return 1"])
    chinese = Block(kind="code", text="这是一个测试文件")
    assert (
        blocks_to_markdown([code, chinese])
        == "```\ndef f():\n    return 1\n```\n\n这是一个测试文件"
    )


def test_table_goes_on_over_the_page_break():
    rows = [["a", "b"], ["1", "2"]]
    first = Block(kind="table", rows=rows, first_row=rows[0])
    again = [["a", "b"], ["3", "4"]]
    second = Block(kind="table", rows=again, first_row=again[0])
    pages = [[first], [second, Block(kind="paragraph", text="end")]]
    assert join_tables(pages) == {1}
    assert blocks_to_markdown(pages[1]) == "| 3 | 4 |\n\nend"


def test_text_column_beside_a_table_is_no_part_of_it():
    lines = [
        "Grow the river with the stone and the",
        "market is with the garden of our",
        "people who come from the north by",
    ]
    table = Block(kind="table", rows=[[line, "x", str(i)] for i, line in enumerate(lines)])
    column, rest = part_columns([table])
    assert column.text == " ".join(lines)
    assert rest.rows == [["x", "0"], ["x", "1"], ["x", "2"]]
    described = [["Option", "Kind", "The words that describe it at length"]] + [
        ["a", "text", "Sets the name of the thing that is meant"] for _ in range(4)
    ]
    kept = Block(kind="table", rows=described)
    assert part_columns([kept]) == [kept]


def test_page_ranges():
    assert page_ranges({0, 1, 2, 6}) == "1-3, 7"
    assert page_ranges([]) == ""


@pytest.mark.parametrize(
    ("text", "reference", "mended"),
    [
        ("an ef ficient way", "an efficient way", "an efficient way"),
        ("an ef fi cient way", "an effi cient way", "an effi cient way"),
        ("to get her there", "to get her there together", "to get her there"),
        ("日 本 語", "日本語", "日 本 語"),
        ("| ef ficient | x |", "efficient x", "| efficient | x |"),
        ("o ffice 1 2", "office 12", "office 1 2"),
    ],
)
def test_words_parted_at_a_ligature_are_joined(text: str, reference: str, mended: str):
    assert join_split_words(text, words_of(reference)) == mended


def test_words_joined_over_a_dash_at_a_line_end_are_parted():
    reference = "from clunky typewriters\u2014\nreflects progress, and typewriter tests"
    text = "from clunky typewritersreflects progress, and typewriter tests"
    lost = words_of(reference) - words_of(text)
    mended = "from clunky typewriters\u2014 reflects progress, and typewriter tests"
    assert part_joined_words(text, lost, reference) == mended
    assert part_joined_words(text, words_of("typewriters"), reference) == text


def test_dash_at_a_line_end_loses_no_words(read: Read):
    line = b"(a line of words that is long enough to be one of a paragraph, and typewriters\227)Tj"
    below = b"0 -14 Td (reflects the progress that was made in all the years since they began.)Tj"
    content = b"BT /F1 11 Tf 72 600 Td " + line + b" " + below + b" ET"
    encoded = b"/BaseFont/Helvetica/Encoding/WinAnsiEncoding"
    made = raw_pdf.pages_pdf([content]).replace(b"/BaseFont/Helvetica>", encoded + b">")
    words = words_of(read(made, "a.pdf").text)
    assert words["typewriters"] == words["reflects"] == 1
