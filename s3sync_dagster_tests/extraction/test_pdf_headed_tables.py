"""Headings that layout analysis takes for rows of a table."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.headed_tables import part_headed
from s3sync_dagster.extraction.pdf.styles import Piece
from s3sync_dagster.extraction.pdf.tables import mend_tables

ROWS = [["Year", "Fish"], ["2020", "12"], ["2021", "14"]]


def cell(text: str, left: float, top: float, *, size: float = 10.0, weight: int = 400) -> Piece:
    return Piece(text, left, top, 5.0 * len(text), 10, size=size, weight=weight)


def found(number: str, title: str, *, size: float, weight: int, glued: bool = False) -> list[Block]:
    """Return the parts of a table that begins with a numbered line, perhaps glued to its header."""
    pieces = [cell(number, 70, 50, size=size, weight=weight)]
    pieces.append(cell(title, 95, 50, size=size, weight=weight))
    for i, row in enumerate(ROWS):
        pieces += [cell(row[0], 70, 70 + 14 * i), cell(row[1], 200, 70 + 14 * i)]
    rows = [[f"{number} {title} Year", "Fish"], *ROWS[1:]] if glued else [[number, title], *ROWS]
    tops = [50.0, *([] if glued else [70.0]), 84.0, 98.0]
    table = Block(kind="table", rows=rows, tops=tops, left=70, width=200, top=50, height=60)
    return part_headed([table], pieces, body=10.0)


def test_numbered_line_in_larger_or_bold_letters_heads_its_table():
    for parts in (
        found("4.5", "Harvest", size=12, weight=400),
        found("4.5", "Harvest", size=10, weight=700),
        found("4.5", "Harvest", size=12, weight=700, glued=True),
    ):
        heading, table = parts
        assert (heading.kind, heading.text, heading.level) == ("heading", "4.5 Harvest", 2)
        assert (table.kind, table.rows, len(table.tops)) == ("table", ROWS, 3)
        assert table.top >= heading.top + heading.height


def test_numbered_row_in_the_table_s_letters_stays():
    (table,) = found("4.5", "Harvest", size=10, weight=400)
    assert len(table.rows) == 4
    (table,) = found("4", "harvest.", size=10, weight=700)
    assert len(table.rows) == 4


def test_bold_rows_of_a_bold_table_stay():
    rows = [["1", "Harvest"], ["2", "Costs"], ["3", "Wages"]]
    pieces = [
        cell(text, left, 50 + 14 * i, weight=700)
        for i, row in enumerate(rows)
        for text, left in zip(row, (70, 95), strict=True)
    ]
    table = Block(kind="table", rows=rows, left=70, width=200, top=50, height=60)
    assert part_headed([table], pieces, body=10.0) == [table]


def test_text_below_such_a_heading_is_text():
    pieces = [cell("3.1 Titles", 70, 50, size=14), cell("Words below them.", 70, 70)]
    table = Block(kind="table", left=70, width=200, top=50, height=40)
    table.rows = [["", "3.1 Titles"], ["", "Words below them."]]
    heading, text = part_headed([table], pieces, body=10.0)
    assert (heading.text, text.kind, text.text) == ("3.1 Titles", "paragraph", "Words below them.")


def test_line_with_wide_white_is_no_header_of_the_table_below_it():
    header = Block(kind="paragraph", text="Customer Vehicle", top=50, height=10, left=70, width=200)
    table = Block(kind="table", rows=[["Name", "2022"], ["Claim", "12"]], left=70, width=200)
    table.top, table.height = 64, 24
    (joined,) = mend_tables([header, table])
    assert joined.rows[0] == ["Customer", "Vehicle"]
    header.is_parted = True
    assert len(mend_tables([header, table])) == 2
