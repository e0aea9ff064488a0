"""Rows and headers that layout analysis makes text above a table of values."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.upper_rows import add_upper_rows
from s3sync_dagster_tests.extraction.table_pieces import table_of, text_at, words_at, words_of_rows

COLUMNS = [(60.0, 130.0), (260.0, 290.0), (310.0, 330.0), (360.0, 400.0)]
ROWS = [["Body", "2", "150", "300"], ["Paint", "1", "150", "225"], ["Sum", "3", "300", "525"]]
TOPS = [128.0, 142.0, 156.0]
HEADER = (96.0, {260.0: "Hours", 310.0: "Rate", 360.0: "Cost"})
FIRST = (114.0, {60.0: "Other", 260.0: "7", 310.0: "10", 360.0: "70"})

_Line = tuple[float, dict[float, str]]


def read(*lines: _Line, rows: list[list[str]] = ROWS, apart: tuple[Block, ...] = ()) -> list[Block]:
    """Return what is read of a table and one block of the lines above: a top, words by places."""
    tops = TOPS[: len(rows)]
    above = [
        [word for left, text in cells.items() for word in words_at(text, left, top)]
        for top, cells in lines
    ]
    inside: list[Word] = [word for line in above for word in line]
    left = min(word.left for word in inside)
    block = Block(
        kind="paragraph",
        text=" ".join(word.text for word in inside),
        left=left,
        width=max(word.left + word.width for word in inside) - left,
        top=lines[0][0],
        height=lines[-1][0] + 10 - lines[0][0],
    )
    words = inside + words_of_rows(rows, tops, COLUMNS)
    return add_upper_rows([block, *apart, table_of(rows, tops, COLUMNS)], words)


def test_a_header_and_rows_above_a_table_of_values_are_its_own():
    (table,) = read(HEADER, FIRST)
    assert table.rows == [["", "Hours", "Rate", "Cost"], ["Other", "7", "10", "70"], *ROWS]
    assert table.first_row == ["", "Hours", "Rate", "Cost"]
    assert table.tops == [96, 114, *TOPS]
    assert (table.top, table.height) == (96, 70)


def test_a_name_wider_than_the_first_column_widens_it():
    (table,) = read((114.0, {60.0: "Other kinds of work", 260.0: "7", 360.0: "70"}))
    assert table.rows[0] == ["Other kinds of work", "7", "", "70"]
    assert table.columns[0] == (60, 149)


def test_a_header_alone_is_the_first_row():
    (table,) = read((114.0, HEADER[1]))
    assert table.rows == [["", "Hours", "Rate", "Cost"], *ROWS]


def test_a_header_may_have_lines_that_stand_close():
    upper = {260.0: "All", 310.0: "Full", 360.0: "Whole"}
    (table,) = read((86.0, upper), HEADER, FIRST)
    assert table.rows[:2] == [["", "All", "Full", "Whole"], ["", "Hours", "Rate", "Cost"]]
    text, table = read((78.0, upper), HEADER, FIRST)
    assert (text.text, len(table.rows)) == ("All Full Whole", 5)


def test_text_above_the_header_stays_text():
    text, table = read(
        (82.0, {60.0: "What was done in all of the hours of the year"}), HEADER, FIRST
    )
    assert text.text == "What was done in all of the hours of the year"
    assert (text.top, text.height) == (82, 14)
    assert len(table.rows) == 5


OTHERS: dict[str, tuple[_Line, ...]] = {
    "prose": ((114.0, {60.0: "What was done in all of the hours of the last year of it"}),),
    "a title": ((114.0, {60.0: "Costs"}),),
    "one head": ((114.0, {60.0: "Work", 360.0: "Cost"}),),
    "a value without a name": ((114.0, {360.0: "12"}),),
    "far above": ((80.0, FIRST[1]),),
    "a header far above": ((80.0, HEADER[1]),),
    "values in the header": ((114.0, {260.0: "Hours", 310.0: "7", 360.0: "Cost"}),),
    "two in one column": ((114.0, {60.0: "A", 100.0: "B", 260.0: "7", 360.0: "60"}),),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_text_above_a_table_stays_text(name: str):
    text, table = read(*OTHERS[name])
    assert table.rows == ROWS
    assert text.kind == "paragraph"


def test_a_table_with_a_header_takes_no_rows():
    assert len(read((114.0, HEADER[1]), rows=[["", "Old", "New", "All"], *ROWS[:2]])) == 2


def test_above_another_block_and_above_a_single_row_nothing_is_taken():
    for kind in ("table", "code"):
        assert len(read(FIRST, apart=(text_at("Other 1 2 3", 60, 118, kind=kind),))) == 3
    assert len(read(FIRST, rows=ROWS[:1])) == 2


def test_text_whose_words_stand_in_another_order_is_left():
    words = [*words_at("Other", 60, 114), *words_at("70", 360, 114)]
    block = Block(kind="paragraph", text="70 Other", left=60, width=340, top=114, height=10)
    table = table_of(ROWS, TOPS, COLUMNS)
    assert len(add_upper_rows([block, table], [*words, *words_of_rows(ROWS, TOPS, COLUMNS)])) == 2
