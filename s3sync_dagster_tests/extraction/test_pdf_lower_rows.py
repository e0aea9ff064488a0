"""Rows that layout analysis makes text below a table."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.lower_rows import add_lower_rows
from s3sync_dagster_tests.extraction.table_pieces import table_of, text_at, words_at, words_of_rows

COLUMNS = [(60.0, 130.0), (260.0, 290.0), (310.0, 330.0), (360.0, 400.0)]
ROWS = [["", "Hours", "Rate", "Cost"], ["Body", "2", "150", "300"], ["Paint", "1", "150", "225"]]
TOPS = [100.0, 114.0, 128.0]
FORM = [["Name", "A Woman", "Year", "2022"], ["Claim", "SF-8", "Make", "Old"]]

_Line = tuple[float, dict[float, str]]


def read(
    *lines: _Line,
    rows: list[list[str]] = ROWS,
    apart: tuple[Block, ...] = (),
    kind: str = "paragraph",
) -> list[Block]:
    """Return what is read of a table and one block of the lines below: a top, words by places."""
    tops = TOPS[: len(rows)]
    words: list[Word] = words_of_rows(rows, tops, COLUMNS)
    below = [
        [word for left, text in cells.items() for word in words_at(text, left, top)]
        for top, cells in lines
    ]
    words += [word for line in below for word in line]
    inside = [word for line in below for word in line]
    left, top = min(word.left for word in inside), lines[0][0]
    block = Block(
        kind=kind,
        text=" ".join(word.text for word in inside),
        left=left,
        width=max(word.left + word.width for word in inside) - left,
        top=top,
        height=lines[-1][0] + 10 - top,
    )
    return add_lower_rows([table_of(rows, tops, COLUMNS), *apart, block], words)


SUMS: tuple[_Line, ...] = (
    (142.0, {60: "Supplies", 360: "60"}),
    (156.0, {140: "Paint supplies", 360: "30"}),
    (170.0, {60: "Sales tax", 310: "10%", 360: "278"}),
)


@pytest.mark.parametrize("kind", ["paragraph", "heading", "list_item"])
def test_names_with_values_below_a_table_are_its_rows(kind: str):
    (table,) = read(*SUMS, kind=kind)
    assert table.rows[3:] == [
        ["Supplies", "", "", "60"],
        ["Paint supplies", "", "", "30"],
        ["Sales tax", "", "10%", "278"],
    ]
    assert table.tops == [*TOPS, 142, 156, 170]
    assert (table.height, table.columns[0]) == (80, (60, 208))


def test_a_sum_below_a_rule_is_a_row():
    rule = Block(kind="rule", top=140, left=60, width=340)
    _, table = sorted(read(*SUMS[:1], apart=(rule,)), key=lambda block: len(block.rows))
    assert table.rows[-1] == ["Supplies", "", "", "60"]


def test_values_that_stand_close_are_cells_of_their_columns():
    columns = [(60.0, 130.0), (260.0, 275.0), (278.0, 293.0), (296.0, 311.0)]
    words = words_of_rows(ROWS[1:], TOPS[:2], columns) + words_at("Total", 60, 128)
    words += words_at("150 151 152", 260, 128)
    block = text_at("Total 150 151 152", 60, 128)
    block.width = 251
    (table,) = add_lower_rows([table_of(ROWS[1:], TOPS[:2], columns), block], words)
    assert table.rows[-1] == ["Total", "150", "151", "152"]


def test_values_beside_the_middle_of_a_name_of_two_lines_have_it():
    (table,) = read(
        (142.0, {60: "Supplies of the"}),
        (148.0, {260: "1", 310: "2", 360: "3"}),
        (154.0, {60: "other shop"}),
        (168.0, {60: "Total", 360: "3"}),
    )
    assert table.rows[3:] == [
        ["Supplies of the other shop", "1", "2", "3"],
        ["Total", "", "", "3"],
    ]


def test_a_label_between_is_a_row_of_its_own():
    (table,) = read((142.0, {60: "Later"}), (156.0, {60: "Total", 360: "3"}))
    assert table.rows[3:] == [["Later", "", "", ""], ["Total", "", "", "3"]]


def test_a_row_of_a_form_may_stand_apart():
    (table,) = read((144.0, {60: "Order", 260: "RO-2", 310: "By", 360: "E. Turner"}), rows=FORM)
    assert table.rows[-1] == ["Order", "RO-2", "By", "E. Turner"]


def test_text_that_goes_on_below_the_rows_stays_text():
    table, text = read(*SUMS, (184.0, {60: "This is an estimate of what can be seen of it now."}))
    assert [row[0] for row in table.rows[3:]] == ["Supplies", "Paint supplies", "Sales tax"]
    assert (text.kind, text.text) == (
        "paragraph",
        "This is an estimate of what can be seen of it now.",
    )
    assert (text.top, text.height) == (180, 14)


OTHERS: dict[str, tuple[_Line, ...]] = {
    "far below": ((160.0, {60: "Supplies", 360: "60"}),),
    "names alone": ((142.0, {60: "Supplies"}), (156.0, {60: "Paint"})),
    "words where values are": ((142.0, {60: "Supplies", 360: "few"}),),
    "over two columns": ((142.0, {60: "Supplies", 280: "and more of it", 360: "60"}),),
    "two in one column": ((142.0, {60: "A", 100: "B", 360: "60"}),),
    "outside": ((142.0, {60: "Supplies", 360: "60", 440: "7"}),),
    "left of it": ((142.0, {40: "Supplies", 360: "60"}),),
    "right of it": ((142.0, {420: "Supplies", 460: "60"}),),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_text_below_a_table_stays_text(name: str):
    table, text = read(*OTHERS[name])
    assert table.rows == ROWS
    assert text.kind == "paragraph"


def test_a_form_takes_no_row_that_begins_elsewhere_or_lacks_a_cell():
    forms: tuple[dict[float, str], ...] = (
        {60: "Order", 270: "RO-2", 310: "By", 360: "Turner"},
        {60: "Order", 260: "RO-2", 360: "Turner"},
    )
    for cells in forms:
        table, _ = read((144.0, cells), rows=FORM)
        assert table.rows == FORM


def test_below_another_block_and_below_a_single_row_nothing_is_taken():
    for apart in ("table", "code"):
        other = text_at("Other 1 2 3", 60, 138, kind=apart)
        assert len(read(*SUMS[:1], apart=(other,))) == 3
    assert len(read(*SUMS[:1], rows=ROWS[:1])) == 2


def test_text_whose_words_stand_in_another_order_is_left():
    words = words_of_rows(ROWS, TOPS, COLUMNS) + words_at("Total", 60, 142)
    words += words_at("300", 360, 142)
    block = Block(kind="paragraph", text="300 Total", left=60, width=340, top=142, height=10)
    assert len(add_lower_rows([table_of(ROWS, TOPS, COLUMNS), block], words)) == 2
