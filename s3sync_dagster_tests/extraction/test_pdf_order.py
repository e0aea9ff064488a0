"""Blocks in reading order, and tables that were taken for text."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, find_grids
from s3sync_dagster.extraction.pdf.lists import find_lists
from s3sync_dagster.extraction.pdf.order import in_reading_order
from s3sync_dagster.extraction.words import restore_beginning

PAGE_WIDTH = 600.0
LINE = 20.0


def text(name: str, *, left: float, top: float, width: float = 220, height: float = 80) -> Block:
    return Block(kind="paragraph", text=name, left=left, top=top, width=width, height=height)


def order(*blocks: Block) -> list[str]:
    return [block.text for block in in_reading_order(list(blocks), width=PAGE_WIDTH)]


def test_heading_that_stands_above_comes_first():
    below = [text("intro", left=60, top=100), text("body", left=60, top=200, width=480)]
    title = text("title", left=230, top=60, width=140, height=20)
    assert order(*below, title) == ["title", "intro", "body"]


def test_end_of_the_left_column_comes_before_the_right_one():
    left, right = text("left", left=60, top=100), text("right", left=320, top=100)
    end = text("end of left", left=60, top=700, height=20)
    assert order(left, right, end) == ["left", "end of left", "right"]


def test_columns_below_a_wide_heading_begin_anew():
    first, second = text("1", left=60, top=100), text("2", left=320, top=100)
    wide = text("wide", left=60, top=200, width=480, height=20)
    third, fourth = text("3", left=60, top=240), text("4", left=320, top=240)
    assert order(first, second, wide, third, fourth) == ["1", "2", "wide", "3", "4"]


def test_labels_and_values_of_a_form_stay_beside_each_other():
    rows = [
        text(name, left=left, top=top, width=150, height=12)
        for top in (100, 130, 160)
        for name, left in ((f"label {top}", 60), (f"value {top}", 320))
    ]
    assert order(*rows) == [row.text for row in rows]


def words(lines: list[list[tuple[str, float]]], *, top: float) -> list[Word]:
    """Return words of five points a letter."""
    return [
        Word(word, left, top + number * LINE, 5.0 * len(word), 10.0)
        for number, line in enumerate(lines)
        for word, left in line
    ]


GRID: list[list[tuple[str, float]]] = [
    [("Part", 60), ("Price", 200), ("Stock", 340)],
    [("bolt", 60), ("1.5", 200), ("7", 340)],
    [("nut", 60), ("0.5", 200), ("11", 340)],
]
ROWS = [[word for word, _ in line] for line in GRID]
COLUMNS = [
    text("Part bolt nut", left=60, top=100, width=20, height=50),
    text("Price 1.5 0.5", left=200, top=100, width=25, height=50),
    text("Stock 7 11", left=340, top=100, width=25, height=50),
]


def test_columns_beside_each_other_are_a_table():
    (table,) = find_grids(COLUMNS, words(GRID, top=100))
    assert (table.kind, table.rows, table.first_row) == ("table", ROWS, ROWS[0])
    assert (table.left, table.top, table.width, table.height) == (60, 100, 305, 50)


def test_columns_cut_to_pieces_by_rules_are_a_table():
    _, price, stock = COLUMNS
    pieces = [
        text("Part", left=60, top=100, width=20, height=10),
        Block(kind="rule", left=60, top=113, width=300, height=1),
        text("bolt nut", left=60, top=120, width=20, height=30),
        price,
        stock,
    ]
    (table,) = find_grids(pieces, words(GRID, top=100))
    assert table.rows == ROWS


def test_rows_at_the_end_of_a_text_are_a_table():
    above = [[("Prices", 60), ("of", 95), ("all", 110), ("parts.", 130)]]
    whole = text(
        "Prices of all parts. " + " ".join(cell for row in ROWS for cell in row),
        left=60,
        top=80,
        width=305,
    )
    before, table = find_grids([whole], words(above + GRID, top=80))
    assert (before.text, before.height) == ("Prices of all parts.", 10)
    assert table.rows == ROWS


def test_bullets_beside_a_text_make_it_a_list():
    lines = [
        [("\uf0b7", 60), ("First", 80), ("point", 110)],
        [("of", 80), ("two", 100)],
        [("\uf0b7", 60), ("Second", 80)],
    ]
    bullets = text("\uf0b7 \uf0b7", left=60, top=100, width=5, height=50)
    beside = text("First point of two Second", left=80, top=100, width=60, height=50)
    items = find_lists([bullets, beside], words(lines, top=100))
    assert [(item.kind, item.text) for item in items] == [
        ("list_item", "First point of two"),
        ("list_item", "Second"),
    ]
    for blocks in ([beside], [text("x y", left=60, top=100, width=5, height=50), beside]):
        assert find_lists(blocks, words(lines, top=100)) == blocks


@pytest.mark.parametrize(
    "lines",
    [
        [[("one", 60), ("two", 80), ("three", 100)]] * 3,  # words of a sentence
        [GRID[0]],  # a single line
        [GRID[0], [("bolt", 60), ("1.5", 340)]],  # a cell is missing
        [[("1", 60), ("What", 90), ("is", 115), ("it", 130), ("for", 145), ("7", 340)], *GRID[1:]],
    ],
)
def test_other_text_stays(lines: list[list[tuple[str, float]]]):
    content = " ".join(word for line in lines for word, _ in line)
    blocks = [text(content, left=60, top=100, width=320)]
    assert find_grids(blocks, words(lines, top=100)) == blocks


@pytest.mark.parametrize(
    ("found", "page", "mended"),
    [
        ("ficient harbour", "Efficient harbour\nThe river", "Efficient harbour"),
        ("fluent\tstone of it", "the Affluent\nstone of it", "Affluent\tstone of it"),
        ("fluent stone", "Affluent stone, affluent stone", "fluent stone"),  # which one?
        ("fluent stone", "superfluent stone", "fluent stone"),
        ("f luent signal", "Affluent signal", "Affluent signal"),
        ("f and g", "of and g, if and g", "f and g"),
        ("12 stones", "112 stones", "12 stones"),
    ],
)
def test_letters_dropped_before_a_ligature_come_back(found: str, page: str, mended: str):
    assert restore_beginning(found, page) == mended
