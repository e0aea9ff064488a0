"""What repeats in the margins of a PDF's pages: page numbers go, of all else something stays."""

import io

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.bodies import Body
from s3sync_dagster.extraction.pdf.margins import MarginLine
from s3sync_dagster.extraction.pdf.running_heads import (
    Cut,
    cuts_of,
    find_running_heads,
    later_ones,
    without_heads,
)
from s3sync_dagster.extraction.words import words_of
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read

BODY = [
    f"{word} is one of the lines of a page whose body says enough to be one."
    for word in ("Barley", "Clover", "Millet", "Oats", "Rye", "Spelt", "Wheat", "Hemp")
]


def page(*lines: str, top: int = 760, gap: int = 0, size: int = 11, foot: str = "") -> bytes:
    """Return a page whose first line is followed by a gap, in points, besides the line's own."""
    first, *others = lines
    shown = b"".join(b"0 -14 Td (%s)Tj " % line.encode() for line in others)
    head = b"/F1 %d Tf 72 %d Td (%s)Tj 0 -%d Td /F1 11 Tf " % (size, top, first.encode(), gap)
    at_end = b"BT /F1 11 Tf 72 30 Td (%s)Tj ET" % foot.encode()
    return b"BT " + head + shown + b"ET " + at_end


def table_pdf(pages: int) -> bytes:
    """Return a ruled table of 40 rows a page below a running head and above a foot."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate, Table, TableStyle

    rows = [["Metal", "Price"], *([f"copper {n}", f"{n}.50"] for n in range(40 * pages))]
    grid = TableStyle(
        [("GRID", (0, 0), (-1, -1), 0.5, colors.black), ("FONTSIZE", (0, 0), (-1, -1), 8)]
    )
    heights = [A4[1] / 60] * len(rows)

    def decorate(canvas, document) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawString(72, A4[1] - 30, "Society of metals")
        canvas.drawString(72, 30, f"Page {document.page}")

    out = io.BytesIO()
    document = SimpleDocTemplate(out, pagesize=A4)
    table = Table(rows, style=grid, rowHeights=heights, repeatRows=1)
    document.build([table], onFirstPage=decorate, onLaterPages=decorate)
    return out.getvalue()


@pytest.mark.parametrize(
    "pages",
    [
        [("Invoice 2024-01", "Two pumps"), ("Invoice 2024-02", "One turbine")],
        [("Ticket 1001", "Seat 4"), ("Ticket 1002", "Seat 19")],
        [("Certificate of attendance", "Ada was here"), ("Certificate of attendance", "So was Bo")],
        [(f"Measurement {number}", f"It was {number * 7} degrees") for number in (1, 2, 3)],
        [("Lease", "The tenant pays the rent.")] * 2,
        [("Report on the turbine", "Worn blades", f"Site {x}") for x in ("north", "south", "east")],
        [("1001",), ("1002",), ("1003",)],
        [("Only this",)] * 3,
    ],
)
def test_short_pages_keep_all_their_words(read: Read, pages: list[tuple[str, ...]]):
    text = read(raw_pdf.pages_pdf([page(*lines) for lines in pages]), "a.pdf").text
    assert words_of(text) == words_of(" ".join(line for lines in pages for line in lines))


@pytest.mark.parametrize(
    "heads", [[f"Invoice 2024-0{n}" for n in (1, 2, 3, 4)], [f"Ticket {n}" for n in (1, 2, 3, 4)]]
)
def test_titles_that_differ_by_a_number_stay_above_a_long_body(read: Read, heads: list[str]):
    pages = [page(head, *BODY, gap=20) for head in heads]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert [text.count(head) for head in heads] == [1] * 4


@pytest.mark.parametrize(
    "heads",
    [
        [f"0{n}.05.2024" for n in (1, 2, 3, 4)],
        [f"2024-05-0{n}" for n in (1, 2, 3, 4)],
        [f"0{n}:30" for n in (6, 7, 8, 9)],
        [f"{n}/2024" for n in (1, 2, 3, 4)],
        [f"{n}-{n + 1}" for n in (10, 11, 12, 13)],
        [f"$ {n}.00" for n in (1, 2, 3, 4)],
        [f"{n}%" for n in (1, 2, 3, 4)],
        ["2021", "2022", "2023", "2024"],
        ["1 Barley", "2 Clover", "3 Millet", "4 Oats"],
    ],
)
def test_numbers_of_something_else_than_pages_stay(read: Read, heads: list[str]):
    pages = [page(head, *BODY, gap=20) for head in heads]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert [text.count(head) for head in heads] == [1] * 4


def test_numbers_in_large_letters_are_no_page_numbers(read: Read):
    pages = [page(str(n), *BODY, top=740, gap=60, size=40) for n in (1, 2, 3)]
    assert words_of(read(raw_pdf.pages_pdf(pages), "a.pdf").text)["2"] == 1


def test_body_that_ends_with_the_number_of_its_page_keeps_it(read: Read):
    def whole(number: int) -> bytes:
        ends = [*BODY[:4], f"all that is shown in table {number}"]
        shown = [(72, 120 - 14 * i, line) for i, line in enumerate(ends)]
        shown.append((300, 30, str(number)))
        last = b"".join(b"BT /F1 11 Tf %d %d Td (%s)Tj ET " % (*p, s.encode()) for *p, s in shown)
        return page(*BODY, top=735) + last

    text = read(raw_pdf.pages_pdf([whole(n) for n in (1, 2, 3, 4)]), "a.pdf").text
    assert [words_of(text)[str(n)] for n in (1, 2, 3, 4)] == [1] * 4


def test_running_head_stays_once_as_no_heading(read: Read):
    pages = [
        page("Society news", *BODY, gap=20, foot=f"Phone 030 1234 | Page {n}") for n in range(1, 5)
    ]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.startswith("Society news\n\nBarley")
    assert text.count("Society news") == 1
    assert text.count("Phone 030 1234") == 1
    assert "Page 2" not in text


def test_line_on_both_of_two_pages_stays_there_as_no_heading(read: Read):
    pages = [page("Society news", *BODY, gap=20, size=13) for _ in range(2)]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.count("Society news\n\nBarley") == 2
    assert "#" not in text


def test_running_heads_stand_not_between_the_parts_of_a_table():
    above, table, below = (
        Block(kind=kind, text=kind) for kind in ("paragraph", "table", "paragraph")
    )
    text = Block(kind="paragraph", text="text")
    body = Body([text, table], [above], [below])
    assert body.whole(is_continued=False, goes_on=False) == [above, text, table, below]
    assert body.whole(is_continued=False, goes_on=True) == [above, text, below, table]
    body = Body([table, text], [above], [below])
    assert body.whole(is_continued=True, goes_on=False) == [table, text, above, below]


@pytest.mark.parametrize("pages", [2, 3])
def test_table_goes_on_under_a_running_head(read: Read, pages: int):
    document = read(table_pdf(pages), "stock.pdf")
    assert document.text.count("| Metal | Price |") == 1
    assert document.text.count("Society of metals") == (2 if pages == 2 else 1)
    table = document.text[document.text.index("| Metal") :].strip().split("\n")
    rows = 1 + 40 * pages
    assert [line[:1] for line in table[: rows + 1]] == ["|"] * (rows + 1)


def test_number_that_is_the_same_on_all_pages_is_no_page_number(read: Read):
    pages = [page("Welcome", *BODY, foot="030 555 777") for _ in range(4)]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.count("030 555 777") == 1


def test_running_head_that_the_body_says_goes_wholly(read: Read):
    pages = [page("Society news", *BODY, gap=20) for _ in range(4)]
    pages[0] = page("Welcome", *BODY, "These are the society news of May.", gap=20)
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.lower().count("society news") == 1


def test_body_that_begins_in_the_margin_stays(read: Read):
    pages = [page("Terms of the society", *BODY) for _ in range(4)]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.count("Terms of the society") == 4


def test_title_in_large_letters_stays_on_each_page(read: Read):
    pages = [page("Certificate of attendance", *BODY, gap=20, size=20) for _ in range(4)]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.count("Certificate of attendance") == 4


def test_large_letters_beside_the_number_of_the_page_are_a_running_head(read: Read):
    def foot(number: int) -> bytes:
        places = (72, 120) if number % 2 else (300, 72)
        parts = zip(places, (str(number), "Society news"), strict=True)
        shown = b"".join(b"1 0 0 1 %d 30 Tm (%s)Tj " % (x, text.encode()) for x, text in parts)
        return b"BT /F2 16 Tf " + shown + b"ET"

    pages = [page(*BODY) + foot(number) for number in range(640, 646)]
    text = read(raw_pdf.pages_pdf(pages), "a.pdf").text
    assert text.count("Society news") == 1
    assert "64" not in text
    assert "#" not in text


def heads_of(*pages: str) -> list[set[str]]:
    found = find_running_heads([[MarginLine(text, at_top=True)] for text in pages])
    return [{line.text for line in lines} for lines in found]


@pytest.mark.parametrize(
    ("pages", "running"),
    [
        (["Chapter one"] * 3, True),
        (["Chapter one"] * 2, False),
        (["1", "2", "3", "4"], True),
        (["- 1 -", "- 2 -"], True),
        (["Page 7 of 9", "Page 8 of 9", "Page 9 of 9"], True),
        (["Page 1 of 2", "Page 2 of 2"], True),
        (["1001", "1002"], False),
        (["Chapter one"], False),
        (["Chapter one", "Chapter two", "Epilogue"], False),
        (["Record 12", "Record 31", "Record 5"], False),
        (["Record 1", "Record 2", "Record 3"], False),
        (["News | 1", "News | 2", "News | 3"], True),
        (["Page 1 of 3 - News", "Page 2 of 3 - News", "Page 3 of 3 - News"], True),
        (["1 | News", "2 | News", "3 | News"], True),
        (["Ticket | 1001", "Ticket | 1002", "Ticket | 1003"], False),
        (["Invoice - 1", "Invoice - 2", "Invoice - 3"], False),
        (["News, page 7", "News, page 8", "News, page 9"], True),
        (["News | 14", "News | 2", "News | 30"], False),
        (["Lot 5 at 10", "Lot 6 at 70", "Lot 7 at 30"], False),
        (["Sea 1", "Sea 2", "Air 3", "Air 4"], True),
        (["640 Trade", "Trade 641", "642 Trade", "Trade 643"], True),
        (["1 Sea", "2 Sea", "3 Air", "4 Air"], True),
        (["1 Sea", "2 Air", "3 Land", "4 Fire"], False),
        (["3-1", "3-2", "3-3"], True),
        (["1.5", "2.5", "3.5"], False),
        (["24/7", "25/7", "26/7"], False),
        (["Page 1201", "Page 1202", "Page 1203"], True),
        (["Sea 4", "Land 5", "Air 9", "Fire 2"], False),
    ],
)
def test_what_counts_as_running_head(pages: list[str], running: bool):
    assert heads_of(*pages) == [{text} if running else set() for text in pages]


def test_what_does_not_stand_apart_is_no_running_head():
    lines = [MarginLine("Chapter one", at_top=True, is_apart=False)]
    assert find_running_heads([lines] * 3) == [{}, {}, {}]


def test_first_of_the_same_words_stays():
    texts = ("Sea 1", "Sea 2", "Air 3", "Air 4")
    heads = find_running_heads([[MarginLine(text, at_top=True)] for text in texts])
    said = dict.fromkeys(range(4), "a body")
    left = [{line.text for line in lines} for lines in later_ones(heads, said)]
    assert left == [set(), {"Sea 2"}, set(), {"Air 4"}]
    said[3] = "the sea is wide"
    left = [{line.text for line in lines} for lines in later_ones(heads, said)]
    assert left == [{"Sea 1"}, {"Sea 2"}, set(), {"Air 4"}]
    del said[2], said[3]
    left = [{line.text for line in lines} for lines in later_ones(heads, said)]
    assert left == [set(), {"Sea 2"}, set(), set()]


def test_running_head_glued_to_the_body_is_cut_off():
    blocks = [
        Block(kind="paragraph", text="Society news The body begins", top=20, height=40),
        Block(kind="paragraph", text="Society news in the body stays", top=300, height=12),
        Block(kind="paragraph", text="7", top=780, height=10),
    ]
    cuts = [Cut("Society news", "", at_top=True), Cut("7", "", at_top=False)]
    texts = [block.text for block in without_heads(blocks, cuts, height=800)]
    assert texts == ["The body begins", "Society news in the body stays"]


def test_body_with_the_words_of_a_running_head_stays_beside_it():
    blocks = [
        Block(kind="paragraph", text="7", top=20, height=10),
        Block(kind="paragraph", text="7 pumps were delivered", top=50, height=40),
    ]
    cuts = [Cut("7", "", at_top=True)]
    texts = [block.text for block in without_heads(blocks, cuts, height=800)]
    assert texts == ["7 pumps were delivered"]


def test_line_of_several_pieces_keeps_those_that_stay():
    title, number = MarginLine("Sea", at_top=True), MarginLine("7", at_top=True)
    whole = MarginLine("Sea 7", at_top=True, pieces=("Sea", "7"))
    cuts = cuts_of([title, number, whole], {number})
    block = Block(kind="paragraph", text="Sea 7 The body", top=20, height=40)
    assert [block.text for block in without_heads([block], cuts, height=800)] == ["Sea The body"]
