"""Headings that layout analysis misses, and titles that it cuts in two."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.headings import Piece, find_headings
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_pdf_lost_lines import page

BODY = "The body of the page goes on for so many words that its size is known by them all."


def piece(text: str, top: float, *, size: float = 10.0, weight: int = 400) -> Piece:
    width = 5.0 * len(text)
    return Piece(text, left=70, top=top, width=width, height=size, size=size, weight=weight)


def paragraph(text: str, top: float, *, height: float = 11.0) -> Block:
    return Block(kind="paragraph", text=text, top=top, left=70, width=450, height=height)


def kinds(*lines: tuple[str, Piece]) -> list[str]:
    """Return the kinds of lines that stand above a long paragraph."""
    blocks = [paragraph(text, one.top) for text, one in lines]
    blocks.append(paragraph(BODY * 3, 200, height=60))
    pieces = [one for _, one in lines] + [piece(BODY, 200 + 12 * n) for n in range(4)]
    return [block.kind for block in find_headings(blocks, pieces)][:-1]


def test_one_word_in_large_letters_is_a_heading(read: Read):
    content = page("Harvest").replace(b"(The Harvest of the year)", b"(Harvest)")
    assert read(raw_pdf.pages_pdf([content]), "a.pdf").text.startswith("# Harvest\n")


def test_bold_line_above_a_paragraph_is_a_heading():
    bold = piece("Abstract", 186, weight=700)
    assert kinds(("Abstract", bold)) == ["heading"]
    assert kinds(("Abstract", piece("Abstract", 186))) == ["paragraph"]


def test_bold_label_with_its_value_is_none():
    bold = piece("Order RO-1", 186, weight=700)
    assert kinds(("**Order** RO-1", bold)) == ["paragraph"]
    assert kinds(("Total 12.", piece("Total 12.", 186, size=14))) == ["paragraph"]


def heading(text: str, top: float) -> Block:
    return Block(kind="heading", text=text, level=1, top=top, left=70, width=300, height=20)


def titles(*headings: Block) -> list[str]:
    pieces = [piece(BODY, 300 + 12 * n) for n in range(4)]
    return [f"{block.kind}: {block.text}" for block in find_headings([*headings], pieces)]


def test_title_of_two_lines_is_one():
    first, second = heading("Hope or hype:", 50), heading("the tobacco industry", 72)
    assert titles(first, second) == ["heading: Hope or hype: the tobacco industry"]
    far = heading("the tobacco industry", 150)
    assert titles(first, far) == ["heading: Hope or hype:", "heading: the tobacco industry"]


def test_whole_abstract_in_bold_letters_is_no_heading():
    assert titles(heading("word " * 30, 50))[0].startswith("paragraph: ")
