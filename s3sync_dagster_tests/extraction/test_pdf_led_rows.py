"""Lines of which dots lead to a value."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.led_rows import find_led
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.table_pieces import words_at


def block_of(lines: list[str], *, left: int = 60, top: int = 100) -> tuple[Block, list[Word]]:
    words = [
        word for place, line in enumerate(lines) for word in words_at(line, left, top + 14 * place)
    ]
    right = max(word.left + word.width for word in words)
    text = " ".join(lines)
    box = {"top": top, "left": left, "height": 14 * len(lines) - 4, "width": right - left}
    return Block(kind="paragraph", text=text, **box), words


def read(*made: tuple[Block, list[Word]]) -> list[Block]:
    return find_led([block for block, _ in made], [word for _, words in made for word in words])


def test_entries_of_a_table_of_contents_are_rows_without_dots():
    names = {"1 Introduction": 1, "1.1 What it is for": 2, "2 The main components": 5, "A Terms": 9}
    lines = [f"{name} {'.' * (60 - len(name))} {page}" for name, page in names.items()]
    pdf = raw_pdf.pages_pdf([raw_pdf.text_content("Contents", "", *lines)])
    (page,) = read_with_liteparse(pdf, name="a.pdf", config=ExtractionConfig()).texts
    assert page.splitlines()[-5:] == [
        "| 1 Introduction | 1 |",
        "| - | - |",
        "| 1.1 What it is for | 2 |",
        "| 2 The main components | 5 |",
        "| A Terms | 9 |",
    ]


@pytest.mark.parametrize("dots", ["........", ". . . . . . . ."])
def test_a_name_may_begin_on_the_line_above(dots: str):
    lines = [f"Notices {dots} vii", "A chapter with a long", f"name {dots} 12", f"Index {dots} 99"]
    (table,) = read(block_of(lines))
    assert table.kind == "table"
    assert table.rows == [
        ["Notices", "vii"],
        ["A chapter with a long name", "12"],
        ["Index", "99"],
    ]
    assert (table.first_row, table.top, table.left) == (table.rows[0], 100, 60)


def test_entries_that_layout_analysis_takes_for_a_table_are_rows_too():
    block, words = block_of(["AA. Eyes ...... 58", "BB. Lungs ...... 59", "CC. Skin ………… A-2"])
    block.kind, block.rows = "table", [["AA.", "Eyes ...... 58"], ["BB.", "Lungs ...... 59"]]
    (table,) = read((block, words))
    assert table.rows == [["AA. Eyes", "58"], ["BB. Lungs", "59"], ["CC. Skin", "A-2"]]


def test_a_table_with_a_header_keeps_it():
    block, words = block_of(
        ["Crime Total Male", "Fraud ..... 1.7 .9", "Arson ..... 9 8", "a ..... 2 1"]
    )
    block.kind = "table"
    assert read((block, words)) == [block]


def test_each_of_several_values_has_a_cell():
    (table,) = read(block_of(["Fraud ..... 1.7 .9", "Arson ..... 9 8", "Theft ..... 2 -"]))
    assert table.rows == [["Fraud", "1.7", ".9"], ["Arson", "9", "8"], ["Theft", "2", "-"]]


def test_values_in_columns_of_their_own_go_with_their_names():
    names = block_of(["Any injury ........", "Acute illness .....", "Chronic one ......."])
    columns = [block_of(["1.9", "4.5", "5.1"], left=170), block_of(["2", "5", "4"], left=200)]
    (table,) = read(names, *columns)
    assert table.rows == [
        ["Any injury", "1.9", "2"],
        ["Acute illness", "4.5", "5"],
        ["Chronic one", "5.1", "4"],
    ]


def test_blocks_that_follow_each_other_are_one_table():
    one = block_of(["I. Policy ....... 5"])
    other = block_of(["II. Scope ....... 5", "III. Purpose ....... 6"], top=130)
    (table,) = read(one, other)
    assert [row[0] for row in table.rows] == ["I. Policy", "II. Scope", "III. Purpose"]


@pytest.mark.parametrize(
    "lines",
    [
        ["Policy ....... 5", "Scope ....... 6"],
        ["Policy ....... 5", "Scope ....... 6", "Purpose ....... which is to be found later on"],
        ["Policy ....... 5", "Scope ....... 6", "Purpose ....... to-be-found-later-on"],
        ["Policy ....... 5", "Scope ....... 6", "Purpose ....... 7", "and text that goes on"],
        ["He said ... nothing", "and she ... went", "away ... 5", "then ... 6"],
        ["Name ..........", "Street ........", "Town ..........."],
    ],
    ids=["few", "a sentence", "a long word", "text below", "three dots", "a form to fill in"],
)
def test_other_lines_stay_text(lines: list[str]):
    made = block_of(lines)
    assert read(made) == [made[0]]


def test_values_of_fewer_names_stay_where_they_are():
    names = block_of(["Any injury ........", "Acute illness .....", "Chronic one ......."])
    values = block_of(["1.9", "4.5", "5.1", "7.2"], left=170)
    assert read(names, values) == [names[0], values[0]]
