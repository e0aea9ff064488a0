"""Cells of several lines, of which layout analysis makes rows."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.wrapped_cells import join_wrapped
from s3sync_dagster_tests.extraction.table_pieces import table_of, words_at, words_of_rows

COLUMNS = [(60.0, 260.0), (300.0, 360.0), (400.0, 460.0)]
HEAD = ["Name", "Air", "Land"]
LAST = ["Iron", "70", "80"]


def joined(rows: list[list[str]], tops: list[float], words: list[Word] | None = None) -> Block:
    found = words_of_rows(rows, tops, COLUMNS) if words is None else words
    (table,) = join_wrapped([table_of(rows, tops, COLUMNS)], found)
    return table


def test_the_rest_of_a_name_goes_with_its_row():
    rows = [HEAD, ["Applications developed by the public and", "0", "237"], ["government", "", ""]]
    table = joined([*rows, LAST], [100, 124, 137, 161])
    assert table.rows == [HEAD, [f"{rows[1][0]} government", "0", "237"], LAST]


def test_the_beginning_of_a_name_goes_with_its_row():
    rows = [HEAD, ["Organic compounds", "", ""], ["(as carbon)", "5", "6"], LAST]
    table = joined(rows, [100, 124, 137, 161])
    assert table.rows == [HEAD, ["Organic compounds (as carbon)", "5", "6"], LAST]


def test_values_beside_the_middle_of_two_lines_have_both_for_their_name():
    rows = [HEAD, ["Hexa Chloro", "", ""], ["Cyclo Hexane", "10", "1"], LAST]
    words = words_of_rows([HEAD, LAST], [100, 140], COLUMNS)
    words += words_at("Hexa Chloro", 60, 114) + words_at("Cyclo Hexane", 60, 126)
    words += words_at("10", 300, 120) + words_at("1", 400, 120)
    table = joined(rows, [100, 114, 126, 140], words)
    assert table.rows == [HEAD, ["Hexa Chloro Cyclo Hexane", "10", "1"], LAST]


def test_a_name_beside_several_rows_is_whole_in_the_first():
    rows = [
        HEAD,
        ["Asthma", "Count", "31"],
        ["", "Share", "6.3%"],
        ["Sexually transmitted", "Count", "7"],
        ["diseases", "Share", "1.4%"],
    ]
    table = joined(rows, [100, 114, 128, 142, 156])
    assert table.rows[3:] == [
        ["Sexually transmitted diseases", "Count", "7"],
        ["", "Share", "1.4%"],
    ]


def test_rows_as_far_apart_as_all_and_rows_of_their_own_stay():
    label = [HEAD, ["Taxes", "", ""], ["income", "5", "6"], ["sales", "7", "8"], LAST]
    assert joined(label, [100, 114, 128, 142, 156]).rows == label
    below = [HEAD, ["Taxes of all", "1", "2"], ["kinds", "", ""], LAST]
    assert joined(below, [100, 114, 128, 142]).rows == below
    capital = [HEAD, ["Applications", "0", "237"], ["Government", "", ""], LAST]
    assert joined(capital, [100, 124, 137, 161]).rows == capital


_PARTED_ROWS = [["Group", "All"], ["Shops", "3"], ["Farms", "4"], ["Mills", "6"]]


def glued(line: str, *, top: float, place: int = 2) -> list[list[str]]:
    """Return the rows of a table of which one begins with a line that stands above it."""
    columns, tops = [(60.0, 160.0), (200.0, 260.0)], [100.0, 120.0, 150.0, 170.0]
    words = words_of_rows(_PARTED_ROWS, tops, columns) + words_at(line, 60, top)
    rows = [list(row) for row in _PARTED_ROWS]
    rows[place][0] = f"{line} {rows[place][0]}"
    (table,) = join_wrapped([table_of(rows, tops, columns)], words)
    assert len(table.tops) == len(table.rows)
    return table.rows


def test_words_that_stand_in_the_row_above_are_the_end_of_its_name():
    for line, top in (("and offices", 131.0), ("Offices", 130.0), ("and offices", 134.0)):
        assert glued(line, top=top) == [
            ["Group", "All"],
            [f"Shops {line}", "3"],
            ["Farms", "4"],
            ["Mills", "6"],
        ]


def test_words_apart_from_the_row_above_are_a_label():
    label = ["Other kinds", ""]
    assert glued("Other kinds", top=137) == [*_PARTED_ROWS[:2], label, *_PARTED_ROWS[2:]]
    assert glued("other kinds", top=139)[2] == ["other kinds", ""]
    assert glued("Other kinds", top=110, place=1) == [_PARTED_ROWS[0], label, *_PARTED_ROWS[1:]]


def test_a_row_with_the_words_of_its_own_place_stays():
    columns, tops = [(60.0, 160.0), (200.0, 260.0)], [100.0, 120.0, 150.0, 170.0]
    rows = [["Group", "All"], ["Shops", "3"], ["and Farms", "4"], ["Mills", "6"]]
    words = words_of_rows(rows, tops, columns) + words_at("and", 60, 131)
    table = table_of(rows, tops, columns)
    assert join_wrapped([table], words) == [table]
