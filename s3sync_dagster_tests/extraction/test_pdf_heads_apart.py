"""Headings of one block that are several, and marks of sections that are none."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.heads_apart import heads_apart
from s3sync_dagster.extraction.pdf.section_marks import without_marks
from s3sync_dagster.extraction.pdf.styles import Piece
from s3sync_dagster_tests.extraction.test_pdf_heading_looks import set_in
from s3sync_dagster_tests.extraction.test_pdf_headings import BODY, heading

TEXT = [set_in(BODY, 300 + 12 * n, 10) for n in range(4)]


def parts(*lines: Piece) -> list[str]:
    """Return the headings of a block of lines whose box is that of the first one."""
    block = heading(" ".join(line.text for line in lines), 48)
    return [part.text for part in heads_apart(block, [*lines, *TEXT])]


@pytest.mark.parametrize(
    "below", ["5 Costs of fish", "4.1 Costs of fish"], ids=["next section", "section inside"]
)
def test_number_that_counts_on_begins_another_heading(below: str):
    assert parts(set_in("4 Harvest", 50, 14), set_in(below, 68, 14)) == ["4 Harvest", below]


@pytest.mark.parametrize("below", ["7 Costs of fish", "2000 Report", "and costs"])
def test_number_that_does_not_is_of_the_title(below: str):
    above = "4 Harvest of all the fish in the seas around the land"
    assert parts(set_in(above, 50, 14), set_in(below, 68, 14)) == [f"{above} {below}"]


def test_line_in_other_letters_begins_another_heading():
    above = set_in("MATERIALS AND METHODS", 50, 10, weight=700)
    assert len(parts(above, set_in("Cell Culture", 62, 10, weight=700))) == 2
    assert len(parts(above, set_in("Cell Culture", 62, 10))) == 2
    assert len(parts(above, set_in("OF THIS WORK", 62, 10, weight=700))) == 1
    assert len(parts(set_in("A Large Title", 50, 18), set_in("And Its Rest", 70, 18))) == 1


def test_line_farther_below_begins_another_heading_where_the_first_is_not_full():
    above = set_in("Positions and Honors", 50, 10, weight=700)
    assert len(parts(above, set_in("Positions and Employment", 70, 10, weight=700))) == 2
    assert len(parts(above, set_in("Positions and Employment", 62, 10, weight=700))) == 1
    full = set_in("Positions and Honors of All the People Who Have Been Employed There", 50, 10)
    assert len(parts(full, set_in("Since the Beginning", 70, 10))) == 1


def test_text_in_a_heading_s_block_is_text_below_it():
    head = set_in("Methods", 50, 10, weight=700)
    lines = [set_in("All of the publications of the year that discuss biochem-", 62, 10)]
    lines.append(
        set_in("ical methods are read by two people each, and one more reads all.", 74, 10)
    )
    text = "All of the publications of the year that discuss biochemical methods are read by two "
    block = heading(f"Methods {text}people each, and one more reads all.", 48)
    block.height = 40
    found = heads_apart(block, [head, *lines, *TEXT])
    assert [part.kind for part in found] == ["heading", "paragraph"]
    assert (found[0].text, found[1].text[: len(text)]) == ("Methods", text)


def pages_with(mark: str, *, tops: list[float], begins_on: int | None) -> list[str]:
    """Return the kinds of a heading at the top of pages, and of the one where it begins."""
    pages: list[list[Block]] = []
    for number, top in enumerate(tops):
        pages.append([heading(mark, top), Block(kind="paragraph", text=BODY, top=90)])
        if number == begins_on:
            pages[-1] += [heading(mark, 300), Block(kind="paragraph", text=BODY, top=330)]
    without_marks(pages)
    return [block.kind for page in pages for block in page if block.text == mark]


def test_marks_of_a_section_are_none_beside_the_heading_itself():
    assert pages_with("2 Nets", tops=[70, 70], begins_on=0) == ["paragraph", "heading", "paragraph"]
    assert pages_with("2 Nets", tops=[70, 70, 70], begins_on=None) == [
        *("heading", "paragraph", "paragraph")
    ]


def test_heading_that_two_pages_have_is_one():
    assert pages_with("Nets", tops=[70, 70], begins_on=None) == ["heading"] * 2
    assert pages_with("Nets", tops=[70, 300, 500], begins_on=None) == ["heading"] * 3
