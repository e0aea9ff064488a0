"""Labels between the rows of a table, at which layout analysis ends it."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.labelled_tables import join_at_labels
from s3sync_dagster_tests.extraction.table_pieces import table_of, text_at

COLUMNS = [(60.0, 160.0), (260.0, 300.0), (360.0, 400.0)]
HEAD = ["Schools", "2019", "2020"]
UPPER = [HEAD, ["Public", "1", "2"], ["Private", "3", "4"]]
LOWER = [["Art", "5", "6"], ["Law", "7", "8"]]
TOPS = [100.0, 114.0, 128.0]


def rest(rows: list[list[str]], *, top: float = 170.0, shift: float = 0.0) -> Block:
    columns = [COLUMNS[0], *((left + shift, right + shift) for left, right in COLUMNS[1:])]
    return table_of(rows, [top + 14 * i for i in range(len(rows))], columns)


@pytest.mark.parametrize("kind", ["paragraph", "heading"])
def test_rows_below_a_label_are_of_the_table_above(kind: str):
    label = text_at("Field of study", 60, 152, kind=kind)
    (table,) = join_at_labels([table_of(UPPER, TOPS, COLUMNS), label, rest(LOWER)])
    assert table.rows == [*UPPER, ["Field of study", "", ""], *LOWER]
    assert table.tops == [*TOPS, 152, 170, 184]
    assert table.first_row == HEAD


def test_several_labels_are_of_one_table():
    pieces = [table_of(UPPER, TOPS, COLUMNS)]
    for top in (152.0, 208.0):
        pieces += [text_at("Field of study", 60, top), rest(LOWER, top=top + 18)]
    (table,) = join_at_labels(pieces)
    assert len(table.rows) == len(UPPER) + 2 * 3


@pytest.mark.parametrize(
    ("label", "lower"),
    [
        (text_at("Field of study", 60, 152), rest([["Fields", "Men", "Women"], *LOWER])),
        (text_at("Field of study", 60, 152), rest(LOWER, shift=20)),
        (text_at("Field of study", 60, 190), rest(LOWER, top=208)),
        (text_at("Field of study", 60, 152), rest(LOWER, top=220)),
        (text_at("This text goes on over the columns of values", 60, 152), rest(LOWER)),
        (text_at("Field of study", 20, 152), rest(LOWER)),
    ],
    ids=["header", "columns", "far above", "far below", "wide", "left"],
)
def test_another_table_stays_one(label: Block, lower: Block):
    blocks = [table_of(UPPER, TOPS, COLUMNS), label, lower]
    assert join_at_labels(blocks) == blocks
