"""What sets a heading apart from its text, on its page and over the document."""

import gc
import time
from collections import Counter
from dataclasses import replace

import pytest

from s3sync_dagster.extraction.pdf.agreement import agree
from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.contents_pages import is_entry
from s3sync_dagster.extraction.pdf.headings import find_headings
from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.standing_out import is_in_figure
from s3sync_dagster.extraction.pdf.styles import Piece, body_size, is_italic, size_of, weight_of
from s3sync_dagster.extraction.pdf.title_pages import titles_alone, without_authors
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_pdf_headings import BODY, heading, page_of, paragraph

TEXT = "Words of the body go on and on from line to line until they end."
ROMAN, SANS = ("Roman", 10.0), ("Sans", 10.0)


def set_in(text: str, top: float, size: float, *, weight: int = 400, font: str = "Roman") -> Piece:
    width = 5.0 * len(text)
    return Piece(text, 70, top, width, size, size=size, weight=weight, font=font)


def kind_of(text: str, size: float, *, weight: int = 400, font: str = "Roman") -> str:
    """Return what a line is that layout analysis calls a heading, above text of ten points."""
    body = [set_in(BODY, 300 + 12 * n, 10) for n in range(4)]
    line = set_in(text, 50, size, weight=weight, font=font)
    return find_headings([heading(text, 48)], [line, *body], body=10.0, fonts={"Roman"})[0].kind


@pytest.mark.parametrize(
    ("text", "size", "weight", "font", "kind"),
    [
        ("We present a checker which infers", 10, 400, "Roman", "paragraph"),
        ("Deducing Dependencies", 11, 400, "Roman", "heading"),
        ("Deducing Dependencies", 10, 700, "Roman", "heading"),
        ("Deducing Dependencies", 10, 400, "Sans", "heading"),
        ("deducing dependencies of", 10, 400, "Sans", "paragraph"),
        ("information is the act of finding", 12, 400, "Roman", "paragraph"),
        ("l-asparaginase applications", 12, 400, "Roman", "heading"),
        ("gold and Linux", 14, 400, "Roman", "heading"),
        ("Find the MAX = 0 for all in R", 10, 700, "Roman", "paragraph"),
        ("Theme Description", 7, 700, "Roman", "paragraph"),
        ("CONFIGURATION STEPS", 9, 700, "Roman", "heading"),
        ("14 if loc then", 10, 700, "Roman", "paragraph"),
        ("3.1 readData", 10, 700, "Roman", "heading"),
        ("3.1 Data", 9, 700, "Sans", "heading"),
        ("Theme Description", 9, 700, "Sans", "paragraph"),
        ("(a) Words of figures", 10, 700, "Roman", "paragraph"),
        ("本手册假定用户已经能处理一般的文档。", 14, 400, "Roman", "paragraph"),
        ("本手册假定用户" * 7, 14, 400, "Roman", "paragraph"),
        ("本手册假定用户", 14, 400, "Roman", "heading"),
        ("Ann Other ann@example.org", 14, 400, "Roman", "paragraph"),
    ],
)
def test_heading_stands_out_from_its_text(
    text: str, size: float, weight: int, font: str, kind: str
):
    assert kind_of(text, size, weight=weight, font=font) == kind


@pytest.mark.parametrize(("weight", "level"), [(700, 2), (400, 0)])
def test_a_heading_that_may_lack_its_first_letters_keeps_its_level(weight: int, level: int):
    body = [set_in(BODY, 300 + 12 * n, 10) for n in range(4)]
    line = set_in("fluent harbour", 50, 10, weight=weight)
    block = replace(heading("fluent harbour", 48), level=2)
    (found, *_) = find_headings([block], [line, *body], body=10.0, fonts={"Roman"})
    assert (found.kind, found.level) == ("paragraph", level)


def kind_of_line(text: str, *pieces: Piece) -> str:
    """Return what a paragraph of one line is, at the end of a page."""
    body = [set_in(BODY, 300 + 12 * n, 10) for n in range(4)]
    block = paragraph(text, pieces[0].top)
    return find_headings([block], [*pieces, *body], body=10.0, fonts={"Roman"})[0].kind


def test_number_of_a_section_tells_a_heading_in_other_letters_whatever_stands_below():
    bold = set_in("4.5 Quotes, dashes etc.", 50, 10, weight=700)
    assert kind_of_line(bold.text, bold) == "heading"
    assert kind_of_line("4.5 Quotes", set_in("4.5 Quotes", 50, 10, font="Sans")) == "heading"
    assert kind_of_line("4.5 Quotes", set_in("4.5 Quotes", 50, 10)) == "paragraph"
    number = Piece("4.5", 70, 50, 15, 10, size=10, weight=700, font="Sans-Bold")
    title = Piece("Quotes", 95, 50, 30, 10, size=10, weight=400, font="Sans-Oblique")
    assert kind_of_line("**4.5** *Quotes*", number, title) == "heading"


def test_words_with_wide_white_between_them_are_no_heading():
    left, right = set_in("Corelet A", 50, 14), set_in("Corelet B", 50, 14)
    apart = Piece(right.text, 300, 50, right.width, 14, size=14, weight=400, font="Roman")
    near = Piece(right.text, 125, 50, right.width, 14, size=14, weight=400, font="Roman")
    body = [set_in(BODY, 300 + 12 * n, 10) for n in range(4)]
    block = heading("Corelet A Corelet B", 48)
    assert find_headings([block], [left, apart, *body], body=10.0)[0].kind == "paragraph"
    assert find_headings([block], [left, near, *body], body=10.0)[0].kind == "heading"


@pytest.mark.parametrize(
    ("font", "is_bold"),
    [
        *(("AdvTTaf7f9f4f.B", True), ("HFBRBX10", True), ("LinBiolinumTB", True)),
        *(("TradeGothicLTStd-Bd2", True), ("ABCDEF+Arial-BoldMT", True), ("CMBX12", True)),
        *(("AdvPTimesB", True), ("GillSansBd", True), ("AdvP4DF60EBI", False)),
        *(("LinLibertineT", False), ("AdvTT99c4c969", False), ("HFBR10", False), ("Lib", False)),
    ],
)
def test_weight_is_known_by_many_names(font: str, is_bold: bool):
    assert (weight_of(font) == 700) == is_bold


@pytest.mark.parametrize(
    ("font", "leans"),
    [
        *(("AdvPTimesI", True), ("RxgxbpMinionProIt", True), ("AdvTT8861b38f.I", True)),
        *(("LinBiolinumTI", True), ("LinLibertineI", True), ("GaramondBI", True)),
        *(("LinLibertineT", False), ("GillSansUI", False), ("AdvPTimesB", False), ("Licit", False)),
    ],
)
def test_leaning_letters_are_known_by_many_names(font: str, leans: bool):
    assert is_italic(font) == leans


def test_size_is_that_of_the_letters_where_a_figure_is_scaled():
    assert size_of(24.0, 6.0) == 6.0
    assert size_of(1.0, 8.9) == 8.9
    assert size_of(11.96, 10.7) == 12.0


def test_body_is_the_size_of_most_letters_though_their_heights_differ():
    sizes = Counter({8.9: 400, 9.0: 350, 7.0: 500})
    assert body_size(sizes, sizes) == 8.9


def line(text: str, style: tuple[str, float] = ROMAN, kind: str = "paragraph") -> Block:
    return Block(kind=kind, text=text, style=style, level=2 if kind == "heading" else 0)


def kinds(*blocks: Block) -> list[str]:
    agree([list(blocks)], Counter({SANS: 4, ROMAN: 400}), body=ROMAN)
    return [block.kind for block in blocks if block.style]


def test_numbered_lines_with_text_between_them_prove_each_other():
    text = Block(kind="paragraph", text=TEXT)
    names = ("I. INTRODUCTION", "II. THE WORLD", "III. THE END")
    assert kinds(*(one for name in names for one in (line(name), text))) == ["heading"] * 3
    assert kinds(*map(line, names)) == ["paragraph"] * 3  # a list
    assert kinds(line(names[0]), text, line(names[2]), text) == ["paragraph"] * 2


def test_numbered_item_of_a_list_is_a_heading_where_it_counts_with_others():
    item = Block(kind="list_item", ordered=True, marker="1.", text="Introduction", style=ROMAN)
    text = Block(kind="paragraph", text=TEXT)
    kinds(item, text, line("2. Methods"), text, line("3. Results"), text)
    assert (item.kind, item.text, item.level) == ("heading", "1. Introduction", 1)


def test_numbers_of_appendices_count_too():
    text = Block(kind="paragraph", text=TEXT)
    names = ("A.1 Prompts", "A.2 Results", "A.3 Costs")
    assert kinds(*(one for name in names for one in (line(name), text))) == ["heading"] * 3
    assert kind_of("A.1 Prompts", 10, weight=700) == "heading"


def test_capitals_without_a_number_are_one_beside_numbered_capitals():
    text = Block(kind="paragraph", text=TEXT)
    lone = line("REFERENCES"), Block(kind="paragraph", text="[1] A. Bee.")
    capitals = ("I. INTRODUCTION", "II. THE WORLD", "III. THE END")
    numbered = [one for name in capitals for one in (line(name), text)]
    assert kinds(*numbered, *lone) == ["heading"] * 4
    assert kinds(*numbered, line("References")) == ["heading"] * 3 + ["paragraph"]
    others = [one for n in (1, 2, 3) for one in (line(f"{n}. Title"), text)]
    assert kinds(*others, line("REFERENCES")) == ["heading"] * 3 + ["paragraph"]


def test_line_set_as_three_headings_are_is_one():
    known = [line(f"Heading {name}", SANS, "heading") for name in ("One", "Two", "Three")]
    assert kinds(*known, line("Future Developments", SANS))[-1] == "heading"
    assert kinds(*known[:2], line("Future Developments", SANS))[-1] == "paragraph"
    assert kinds(*known, line("Future Developments", ROMAN))[-1] == "paragraph"


def kinds_of_labels(*after: Block, label: str = "Server", size: float = 10.0) -> list[str]:
    """Return what a title and two headings in other letters are, with blocks behind them."""
    style = ("Sans", size)
    labels = [line(label, style, "heading"), line("Latency (ms)", style, "heading")]
    return kinds(line("A Title of the Whole", ROMAN, "heading"), *labels, *after)


def test_letters_in_which_nothing_heads_text_are_those_of_labels():
    text, short = Block(kind="paragraph", text=TEXT), Block(kind="paragraph", text="10 20 30")
    assert kinds_of_labels(short) == ["heading", "paragraph", "paragraph"]
    assert kinds_of_labels(short, line("Why", SANS, "heading"), text) == ["heading"] * 4
    assert kinds_of_labels() == ["heading"] * 3  # the text goes on on the next page
    assert kinds_of_labels(short, size=13.0) == ["heading"] * 3
    assert kinds_of_labels(short, label="2 Server") == ["heading"] * 3
    entry = Block(kind="paragraph", text="1 Server 7", is_entry=True)
    assert kinds_of_labels(entry) == ["heading"] * 3


def test_numbered_headings_below_each_other_are_two():
    block = heading("4. FRAMEWORK 4.1 Graph of words", 50)
    body = [set_in(BODY, 300 + 12 * n, 10) for n in range(4)]
    found = find_headings([block], [set_in("4. FRAMEWORK", 50, 14), *body])
    assert [(one.text, one.level) for one in found] == [
        ("4. FRAMEWORK", 1),
        ("4.1 Graph of words", 2),
    ]


def test_names_below_a_title_are_no_headings():
    title, names = heading("A Title of Many Words", 50), heading("Ann Other and Bob More", 80)
    numbered, text = heading("1 Introduction", 110), paragraph(TEXT * 3, 140)
    pieces = [set_in(title.text, 52, 20), set_in(names.text, 82, 14)]
    pieces.append(set_in(numbered.text, 112, 14))
    found = without_authors([title, names, numbered, text, names], pieces, body=10.0)
    assert [one.kind for one in found] == [
        *("heading", "paragraph", "heading", "paragraph"),
        "heading",  # below the beginning of the text it may be any section's
    ]


@pytest.mark.parametrize(
    ("line", "are"),
    [
        ("Ann B. Other, Bob More", True),
        ("Ann Other1,2 and Bob van More3", True),
        ("Ann Other\u2020", True),
        ("Ann Other", False),  # as well a section of two words
        ("Section A. Applicant", False),
        ("Part I. Applicant", False),
        ("The work of Ann B. Other", False),
        ("A. Introduction", False),
    ],
)
def test_bold_names_below_a_title_are_told_by_initials_and_marks(line: str, are: bool):
    title, names, text = heading("A Title", 50), heading(line, 80), paragraph(TEXT * 3, 140)
    pieces = [set_in(title.text, 52, 20), set_in(line, 82, 14, weight=700)]
    found = without_authors([title, names, text], pieces, body=10.0)
    assert [one.kind for one in found[:2]] == ["heading", "paragraph" if are else "heading"]
    bold = replace(names, kind="paragraph", style=("Bold", 14.0))
    found = without_authors([title, bold, text], pieces, body=10.0)
    assert found[1].style == (None if are else bold.style)


def test_slide_has_its_title_alone():
    blocks = [heading("Colon Cancer", 50), heading("Stage One", 90)]
    pieces = [set_in(blocks[0].text, 52, 28), set_in(blocks[1].text, 92, 20)]
    assert [one.kind for one in titles_alone(blocks, pieces)] == ["heading", "paragraph"]
    much = [set_in("word " * 300, 200, 10)]
    assert [one.kind for one in titles_alone(blocks, [*pieces, *much])] == ["heading"] * 2


def test_label_in_a_figure_is_none_and_a_bar_behind_a_title_is_no_figure():
    label = heading("Number of nodes", 100)
    figure = Block(kind="figure", top=80, left=60, width=320, height=200)
    assert is_in_figure(label, [figure], page=600 * 800)
    bar = Block(kind="figure", top=95, left=60, width=480, height=30)
    assert not is_in_figure(label, [bar], page=600 * 800)
    assert not is_in_figure(label, [figure], page=300 * 300)


def test_entries_of_a_table_of_contents_are_none_and_what_stands_beside_it_is():
    names = [f"Chapter of {name}" for name in ("Salt", "Fish", "Bread", "Wine", "Milk", "Tea")]
    blocks = [heading("Contents", 50)]
    pieces = [set_in("Contents", 52, 16)]
    for number, name in enumerate(names):
        top = 100.0 + 20 * number
        blocks.append(heading(name, top))
        pieces.append(set_in(name, top, 14, weight=700))
        pieces.append(Piece(str(7 + number), 400, top, 10, 10, size=14, weight=700))
    aside = heading("What is New", 300)
    pieces.append(set_in(aside.text, 302, 16))
    found = find_headings([*blocks, aside], pieces, body=10.0)
    assert [one.text for one in found if one.kind == "heading"] == ["Contents", "What is New"]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Barley .... 12", True),
        ("Barley . . . . . iv", True),
        ("Barley ......", True),
        ("Barley .... B-2", True),
        ("Barley .... B", False),
        ("Barley ... 12", False),
        ("Barley.... and oats 12", False),
    ],
)
def test_entry_of_a_table_of_contents_has_leaders(text: str, is_one: bool):
    assert is_entry([set_in(text, 50, 10)]) == is_one


def test_line_of_dots_is_looked_at_in_no_time():
    start = time.thread_time()
    assert not is_entry([set_in("." * 1000 + "q", 50, 10)])
    assert time.thread_time() - start < 2.5


def test_sections_in_the_body_s_letters_are_headings_where_they_count(read: Read):
    text = [(TEXT, 1)] * 4
    lines = [(f"{number}. HARVEST OF FISH", 1) for number in ("I", "II", "III")]
    content = page_of(*(one for line in lines for one in (line, *text)))
    found = [line for line in read(content, "a.pdf").text.split("\n") if line.startswith("#")]
    assert found == ["# I. HARVEST OF FISH", "# II. HARVEST OF FISH", "# III. HARVEST OF FISH"]
    alone = read(page_of(*text, lines[1], *text), "a.pdf").text
    assert "#" not in alone


def test_nothing_is_collected_while_a_page_is_read_and_all_is_after():
    assert gc.isenabled()
    content = page_of(*[(TEXT, 1)] * 4)
    read_with_liteparse(content, name="a.pdf", config=ExtractionConfig())
    assert gc.isenabled()


def test_numbered_item_with_its_text_below_heads_it_only_where_it_is_long(read: Read):
    def found(lines: int) -> str:
        text = [(TEXT, 1)] * lines
        names = [(f"{number}. Harvest of fish", 1) for number in (1, 2, 3)]
        content = page_of(*(one for name in names for one in (name, *text)))
        return read(content, "a.pdf").text

    assert found(4).count("# ") == 3
    assert f"# 2. Harvest of fish\n\n{TEXT}" in found(4)
    assert found(1).startswith(f"1. Harvest of fish {TEXT}\n2. ")  # a list
