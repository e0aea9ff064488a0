"""Names of rows that layout analysis makes text beside a table of values."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.named_rows import find_names
from s3sync_dagster_tests.extraction.table_pieces import table_of, text_at, words_at, words_of_rows

COLUMNS = [(260.0, 300.0), (360.0, 400.0)]
ROWS = [["Sum", "Share"], ["4,151", "25.0"], ["361", "2.2"], ["380", "2.3"]]
TOPS = [100.0, 128.0, 142.0, 156.0]
NAMES = {100.0: "Loan type", 114.0: "Real estate", 128.0: "Houses", 142.0: "Shops", 156.0: "Land"}


def read(
    names: dict[float, str], *, rows: list[list[str]] = ROWS, left: float = 60.0
) -> list[Block]:
    words: list[Word] = words_of_rows(rows, TOPS[: len(rows)], COLUMNS)
    beside = [text_at(text, left, top) for top, text in names.items()]
    for top, text in names.items():
        words += words_at(text, left, top)
    return find_names([*beside, table_of(rows, TOPS[: len(rows)], COLUMNS)], words)


def test_text_beside_the_rows_is_their_names():
    (table,) = read(NAMES)
    assert table.rows == [
        ["Loan type", "Sum", "Share"],
        ["Real estate", "", ""],
        ["Houses", "4,151", "25.0"],
        ["Shops", "361", "2.2"],
        ["Land", "380", "2.3"],
    ]
    assert (table.left, len(table.columns), len(table.tops)) == (60, 3, 5)


def test_names_and_labels_of_pieces_are_one_table():
    lower = [["5", "6"], ["7", "8"]]
    tops = [188.0, 202.0]
    names = {**NAMES, 172.0: "Field of study", 188.0: "Art", 202.0: "Law"}
    words = words_of_rows(ROWS, TOPS, COLUMNS) + words_of_rows(lower, tops, COLUMNS)
    words += [word for top, text in names.items() for word in words_at(text, 60, top)]
    beside = [text_at(text, 60, top) for top, text in names.items()]
    tables = [table_of(ROWS, TOPS, COLUMNS), table_of(lower, tops, COLUMNS)]
    (table,) = find_names([*beside, *tables], words)
    assert table.rows[-3:] == [["Field of study", "", ""], ["Art", "5", "6"], ["Law", "7", "8"]]


def test_a_label_may_reach_over_the_first_values():
    label = "All that is lent for real estate of any kind"
    (table,) = read({**NAMES, 114.0: label})
    assert table.rows[1] == [label, "", ""]


def test_other_text_beside_a_table_stays_text():
    column = {top - 7: "a column of text" for top in TOPS[1:]}
    few = {128.0: "Houses"}
    crossing = {**NAMES, 142.0: "A name that goes on over each and all of the values"}
    above = {60.0: "Houses", 74.0: "Shops", 88.0: "Land"}
    for names in (column, few, crossing, above):
        assert len(read(names)) == len(names) + 1
    assert len(read(NAMES, rows=ROWS[:3])) == len(NAMES) + 1  # two rows prove nothing


def test_a_table_with_names_of_its_own_takes_none():
    rows = [["Name", "%"], ["Houses", "25.0"], ["Shops", "2.2"], ["Land", "2.3"]]
    assert len(read(NAMES, rows=rows)) == len(NAMES) + 1
