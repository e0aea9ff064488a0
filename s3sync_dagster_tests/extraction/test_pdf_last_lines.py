"""Lines of a text that layout analysis takes for the first row of the table below."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.last_lines import part_last_lines
from s3sync_dagster_tests.extraction.table_pieces import table_of, text_at, words_at, words_of_rows

COLUMNS = [(60.0, 118.0), (120.0, 180.0)]
BODY = [["Station", "Forest"], ["letter", "342.8"], ["river", "61.0"]]


def made(
    text: str, line: str, *, step: float = 25, kind: str = "paragraph", cut: int | None = None
) -> tuple[list[Block], list[Word]]:
    tops = [114.0, *(114.0 + step * (row + 1) for row in range(len(BODY)))]
    cut = line.find(" ", 9) if cut is None else cut
    table = table_of([[line[:cut], line[cut:]], *BODY], tops, COLUMNS)
    above = text_at(text, 60, 100, kind=kind)
    words = [*words_at(text, 60, 100), *words_at(line, 60, 114)]
    return [above, table], words + words_of_rows(BODY, tops[1:], COLUMNS)


def test_the_end_of_a_sentence_is_the_text_s():
    blocks, words = made("The river is not longer than", "the storage we bridge.")
    text, table = part_last_lines(blocks, words)
    assert text.text == "The river is not longer than the storage we bridge."
    assert (table.rows, table.first_row, table.top) == (BODY, BODY[0], 139)


def test_one_more_item_is_the_list_s():
    blocks, words = made("Into the station.", "• Signal the answer.", kind="list_item")
    before, item, table = part_last_lines(blocks, words)
    assert before is blocks[0]
    assert (item.kind, item.text) == ("list_item", "Signal the answer.")
    assert table.rows == BODY


@pytest.mark.parametrize(
    ("text", "line", "step"),
    [
        ("The river is longer.", "the storage we bridge.", 25),  # the sentence has its end
        ("The river is not longer than", "Station of the river", 25),  # no end
        ("The river is not longer than", "the storage we bridge.", 14),  # as near as the rows
    ],
)
def test_other_first_rows_stay(text: str, line: str, step: float):
    blocks, words = made(text, line, step=step)
    found = part_last_lines(blocks, words)
    assert [*map(id, found)] == [*map(id, blocks)]


def test_a_word_that_columns_cut_is_in_no_sentence_but_stays_in_the_table():
    blocks, words = made("The river is not longer than", "the storage we bridge.", cut=7)
    assert part_last_lines(blocks, words) is blocks
