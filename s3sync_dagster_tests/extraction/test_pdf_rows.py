"""Rows that were taken for one, and text that was taken for rows."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.rows import part_rows

EDGES = [(60.0, 160.0), (200.0, 300.0), (340.0, 440.0), (480.0, 580.0)]


def words(cell: str, left: float, top: float) -> list[Word]:
    found: list[Word] = []
    for text in cell.split():
        found.append(Word(text, left, top, 5.0 * len(text), 10.0))
        left += 5.0 * len(text) + 3.0
    return found


def parted(*rows: list[tuple[float, list[str]]]) -> list[Block]:
    """Return what becomes of a table; each row is its lines, with their tops and cells."""
    placed = [
        word
        for lines in rows
        for top, cells in lines
        for cell, (left, _) in zip(cells, EDGES, strict=False)
        for word in words(cell, left, top)
    ]
    width = len(rows[0][0][1])
    texts = [
        [" ".join(cells[i] for _, cells in lines if cells[i]) for i in range(width)]
        for lines in rows
    ]
    bottom = rows[-1][-1][0] + 10
    table = Block(
        kind="table",
        rows=texts,
        first_row=texts[0],
        top=rows[0][0][0],
        left=60,
        width=EDGES[width - 1][1] - 60,
        height=bottom - rows[0][0][0],
        columns=EDGES[:width],
        tops=[lines[0][0] for lines in rows],
    )
    return part_rows([table], placed)


def test_values_on_lines_of_their_own_are_rows():
    (table,) = parted(
        [(100, ["Age", "Share", "Total"])],
        [
            (120, ["Under one", "0.0156", "3,533"]),
            (132, ["One or two", "0.0287", "6,493"]),
            (144, ["Total", "", "9,999"]),
        ],
    )
    assert table.rows[1:] == [
        ["Under one", "0.0156", "3,533"],
        ["One or two", "0.0287", "6,493"],
        ["Total", "", "9,999"],
    ]


def test_lines_as_far_apart_as_the_rows_are_rows():
    (table,) = parted(
        [(100, ["Make", "Jeep", "a@b.org"])],
        [(113, ["Model", "Cherokee", "b@c.org"])],
        [(126, ["Trim", "Limited", "c@d.org"])],
        [(139, ["Email", "VIN", "1C4R"]), (152, ["", "Color", "White"])],
    )
    assert table.rows[-2:] == [["Email", "VIN", "1C4R"], ["", "Color", "White"]]


BELOW: tuple[list[tuple[float, list[str]]], ...] = (
    [(113, ["Body", "2", "300"])],
    [(126, ["Paint", "1.5", "225"])],
)


def test_a_header_and_the_row_below_it_are_two():
    (table,) = parted([(87, ["", "Hours", "Cost"]), (100, ["Parts", "", "2,100"])], *BELOW)
    assert table.rows[:2] == [["", "Hours", "Cost"], ["Parts", "", "2,100"]]
    assert table.tops == [87, 100, 113, 126]
    assert table.first_row == table.rows[0]


@pytest.mark.parametrize(
    ("first", "below"),
    [
        # A header of two lines: no values, lines closer than rows, numbers above.
        ([(87, ["", "Hours", "Cost"]), (100, ["Parts", "worked", "paid"])], BELOW),
        ([(91, ["", "Hours", "Cost"]), (103, ["Parts", "", "2010"])], BELOW),
        ([(87, ["", "2009", "Cost"]), (100, ["Parts", "", "2,100"])], BELOW),
        # Years that stand over text, and a cell whose text goes on.
        (
            [(87, ["", "Hours", "Cost"]), (100, ["Parts", "", "2010"])],
            ([(113, ["Body", "2", "paid"])], [(126, ["Paint", "3", "open"])]),
        ),
        ([(87, ["Parts", "Hours", ""]), (100, ["", "", "2,100"])], BELOW),
    ],
)
def test_other_lines_of_a_first_row_stay_together(first, below):
    (table,) = parted(first, *below)
    assert len(table.rows) == 3


def test_lines_farther_apart_than_those_of_a_cell_are_rows():
    (table,) = parted(
        [(100, ["Source", "Definition", "Examples"])],
        [
            (120, ["Stationary:", "", ""]),
            (143, ["Major", "Ten tons a year", "Utilities and"]),
            (154, ["", "of any one of", "chemical works"]),
            (177, ["Area", "Less than that", "Dry cleaners"]),
        ],
    )
    assert table.rows[1:] == [
        ["Stationary:", "", ""],
        ["Major", "Ten tons a year of any one of", "Utilities and chemical works"],
        ["Area", "Less than that", "Dry cleaners"],
    ]


def test_cells_of_several_lines_stay_one_row():
    lines = [
        (120.0, ["Public schools", "All students who", "Grade level"]),
        (131.0, ["and others", "need other ways", "extensions"]),
    ]
    (table,) = parted([(100, ["Kind", "Who", "Level"])], lines)
    assert table.rows[1] == [
        *("Public schools and others", "All students who need other ways"),
        "Grade level extensions",
    ]
    under = [(120.0, ["Mean", "0.94", "0.87"]), (131.0, ["", "(0.8)", "(0.7)"])]
    (table,) = parted([(100, ["Kind", "One", "Two"])], under)
    assert table.rows[1] == ["Mean", "0.94 (0.8)", "0.87 (0.7)"]


def close(text: str, top: float) -> list[Word]:
    return words(text, 60, top)


def test_lines_of_text_around_a_table_are_no_rows():
    above = ["the team makes all", "data of the world", "open to everyone"]
    edges = [(60.0, 145.0), (148.0, 230.0), (233.0, 310.0)]
    placed = close(" ".join(above), 100)
    placed += [
        word
        for top, cells in ((120, ["Sets", "47", "389"]), (140, ["Sites", "6", "21"]))
        for cell, (left, _) in zip(cells, edges, strict=True)
        for word in words(cell, left + 20, top)
    ]
    rows = [above, ["Sets", "47", "389"], ["Sites", "6", "21"]]
    table = Block(
        kind="table",
        rows=rows,
        first_row=above,
        top=100,
        left=60,
        width=250,
        height=50,
        columns=edges,
        tops=[100, 120, 140],
    )
    text, rest = part_rows([table], placed)
    assert (text.kind, text.text) == ("paragraph", " ".join(above))
    assert rest.rows == rows[1:]


def test_text_below_a_numbered_heading_is_no_table():
    lines = [
        ("2.1", "Savings from Improving a Single Drive"),
        ("The", "report included results from detailed analyses on five cycles"),
        ("selected", "from a large set of real data collected in a year"),
        ("as part", "of a study by the institute and the department"),
    ]
    placed: list[Word] = []
    for number, (start, rest) in enumerate(lines):
        if number:
            placed += close(f"{start} {rest}", 130 + 12.0 * number)
        else:
            placed += [*words(start, 60, 100), *words(rest, 96, 100)]
    table = Block(
        kind="table",
        rows=[list(line) for line in lines],
        first_row=list(lines[0]),
        top=100,
        left=60,
        width=400,
        height=80,
    )
    head, text = part_rows([table], placed)
    assert head.text == "2.1 Savings from Improving a Single Drive"
    assert text.text == " ".join(" ".join(line) for line in lines[1:])
    wide = [word._replace(left=word.left + 80) if word.left > 90 else word for word in placed]
    assert part_rows([table], wide)[0].kind == "table"


def test_values_with_text_beside_them_are_rows_though_a_cell_before_spans_them():
    (table,) = parted(
        [(100, ["Category", "Part", "Description"])],
        [(120, ["Fish", "1a", "Influence on all"]), (132, ["", "1b", "Others"])],
    )
    assert table.rows[1:] == [["Fish", "1a", "Influence on all"], ["", "1b", "Others"]]
    (table,) = parted(
        [(100, ["Category", "Part", "Description"])],
        [(120, ["Fish", "1a", "Influence on all"]), (132, ["", "1b", "the others"])],
    )
    assert table.rows[1:] == [["Fish", "1a 1b", "Influence on all the others"]]


def test_the_rest_of_a_cell_beside_two_rows_stays_in_it():
    (table,) = parted(
        [(100, ["Kind", "Description", "Code", "Influence"])],
        [(120, ["1", "Involvement at", "1a", "Some"]), (132, ["", "the beginning", "1b", "None"])],
        [(150, ["2", "Involvement in", "2a", "Some"]), (162, ["", "the study", "2b", "None"])],
    )
    assert table.rows[1:3] == [
        ["1", "Involvement at the beginning", "1a", "Some"],
        ["", "", "1b", "None"],
    ]


def test_small_letters_are_cells_of_their_rows():
    (table,) = parted(
        [(100, ["Kind", "Case", "Code", "Influence"])],
        [(120, ["1", "a", "1a", "Some"]), (132, ["", "b", "1b", "None"])],
    )
    assert table.rows[1:] == [["1", "a", "1a", "Some"], ["", "b", "1b", "None"]]


def test_lines_with_a_value_for_each_column_are_rows_wherever_their_cells_are():
    words_there = [
        word
        for top, cells in ((100, ["10", "20", "30"]), (120, ["11", "21", "31"]))
        for cell, (left, _) in zip(cells, EDGES, strict=False)
        for word in words(cell, left, top)
    ]
    table = Block(
        kind="table",
        rows=[["10 11", "20", "30 21 31"]],
        top=100,
        left=60,
        width=380,
        height=30,
        columns=EDGES[:3],
        tops=[100],
    )
    (whole,) = part_rows([table], words_there)
    assert whole.rows == [["10", "20", "30"], ["11", "21", "31"]]
