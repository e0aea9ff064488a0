"""Values that layout analysis makes texts of their own, beside the names of their table."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.rows import is_value
from s3sync_dagster.extraction.pdf.values_apart import add_values
from s3sync_dagster_tests.extraction.table_pieces import table_of, text_at, words_at, words_of_rows

COLUMNS = [(60.0, 130.0), (160.0, 190.0)]
ROWS = [["Country", "Unit"], ["Austria", "25g"], ["Germany", "25g"], ["Spain", "10g"]]
TOPS = [100.0, 114.0, 128.0, 142.0]
VALUES = {
    (240, 114): "109",
    (290, 114): "0.9",
    (240, 128): "1,230",
    (290, 128): "-",
    (240, 142): "36",
    (290, 142): "0",
}
HEADER = {(240, 100): "N", (290, 100): "Positive"}


def read(
    texts: dict[tuple[int, int], str], *, rows: list[list[str]] = ROWS, kind: str = "paragraph"
) -> list[Block]:
    words = words_of_rows(rows, TOPS[: len(rows)], COLUMNS)
    words += [word for (left, top), text in texts.items() for word in words_at(text, left, top)]
    blocks = [text_at(text, left, top, kind=kind) for (left, top), text in texts.items()]
    return add_values([*blocks, table_of(rows, TOPS[: len(rows)], COLUMNS)], words)


def test_values_beside_the_rows_are_their_cells_and_text_above_them_their_heads():
    (table,) = read({**HEADER, **VALUES})
    assert table.rows == [
        ["Country", "Unit", "N", "Positive"],
        ["Austria", "25g", "109", "0.9"],
        ["Germany", "25g", "1,230", "-"],
        ["Spain", "10g", "36", "0"],
    ]
    assert table.columns[2:] == [(240, 265), (290, 305)]
    assert (table.first_row, table.left + table.width) == (table.rows[0], 305)


def test_a_header_may_begin_above_the_table():
    (table,) = read({(240, 86): "Samples", **HEADER, **VALUES})
    assert table.rows[0] == ["Country", "Unit", "Samples N", "Positive"]
    assert (table.top, table.height, table.tops[:2]) == (86, 66, [86, 114])


def test_a_text_may_have_the_values_of_a_row():
    (table,) = read({(240, 114): "109     0.9", (240, 128): "12", (240, 142): "36"})
    assert table.rows[1] == ["Austria", "25g", "109 0.9"]


def test_text_far_above_stays_text():
    text, table = read({(240, 60): "Samples", **VALUES})
    assert (text.text, len(table.columns)) == ("Samples", 4)


WITHOUT_ONE = {place: text for place, text in VALUES.items() if place != (290, 128)}
OTHERS = {
    "too few in a column": WITHOUT_ONE,
    "between the rows": {(left, top + 7): text for (left, top), text in VALUES.items()},
    "words": dict.fromkeys(VALUES, "few"),
    "over the names": {(left - 150, top): text for (left, top), text in VALUES.items()},
    "beside the header": {(left, top - 14): text for (left, top), text in VALUES.items()},
    "one": {(240, 114): "109"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_texts_beside_a_table_stay_texts(name: str):
    found = read(OTHERS[name])
    assert len(found) == len(OTHERS[name]) + 1
    assert found[-1].rows == ROWS


def test_two_values_for_one_cell_and_a_single_row_are_left():
    twice = {(240, 114): "109", (280, 114): "7", (240, 128): "1,230,000,000", (240, 142): "36"}
    assert len(read(twice)) == len(twice) + 1
    assert len(read(VALUES, rows=ROWS[:2])) == len(VALUES) + 1


def test_parts_of_a_number_that_touch_are_one():
    def first(second: str, left: float) -> str:
        words = words_of_rows(ROWS, TOPS, COLUMNS)
        words += [*words_at("1", 240, 114), *words_at(second, left, 114)]
        words += [*words_at("12", 240, 128), *words_at("36", 240, 142)]
        blocks = [text_at(f"1{second}", 240, 114), text_at("12", 240, 128), text_at("36", 240, 142)]
        (table,) = add_values([*blocks, table_of(ROWS, TOPS, COLUMNS)], words)
        return table.rows[1][2]

    assert first(".25", 245.25) == "1.25"
    assert first(".25", 247) == "1 .25"
    assert first("25", 245.25) == "1 25"


def test_a_number_may_begin_with_its_mark():
    assert is_value(".25")
    assert is_value("-.5")
    assert not is_value(".a")
