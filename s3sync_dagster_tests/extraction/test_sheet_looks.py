"""Merged cells, errors and durations of sheets, in each of their formats."""

import io
import re
import struct
from xml.sax.saxutils import escape

import pytest

from s3sync_dagster.extraction.sheet_tables import MergedCells
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_shown import ods, record, xlsb

CALC = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'


def cell(text: str, *, kind: str = "string", more: str = "") -> str:
    shown = f"<text:p>{escape(text)}</text:p>" if text else ""
    return f'<table:table-cell office:value-type="{kind}" {more}>{shown}</table:table-cell>'


def row(*cells: str) -> str:
    return f"<table:table-row>{''.join(cells)}</table:table-row>"


COVERED = "<table:covered-table-cell/>"


def spanned(text: str, columns: int, rows: int = 1) -> str:
    return cell(
        text,
        more=(f'table:number-columns-spanned="{columns}" table:number-rows-spanned="{rows}"'),
    )


def test_merged_cells_of_an_open_document_sheet_are_said_in_each(read: Read):
    rows = [
        row(cell("Name"), spanned("Sales", 2), COVERED),
        row(spanned("North", 1, 2), cell("1"), cell("2")),
        row(COVERED, cell("3"), cell("4")),
    ]
    text = read(ods("".join(rows)), "a.ods").text
    assert text.endswith(
        "| Name | Sales | Sales |\n| - | - | - |\n| North | 1 | 2 |\n| North | 3 | 4 |\n"
    )


def test_merged_cells_behind_repeated_ones_are_said_where_they_stand(read: Read):
    empty = '<table:table-cell table:number-columns-repeated="2"/>'
    above = '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
    rows = [
        above,
        row(empty, spanned("Sales", 2), COVERED, cell("Sum")),
        row(empty, cell("1"), cell("2"), cell("3")),
    ]
    text = read(ods("".join(rows)), "a.ods").text
    assert "| Sales | Sales | Sum |\n| - | - | - |\n| 1 | 2 | 3 |\n" in text


def test_merged_cells_of_a_binary_sheet_are_said_in_each(read: Read):
    row = record(0, struct.pack("<IIHBBII", 1, 0, 300, 0, 0, 1, 0) + b"\0" * 8)
    merged = record(177, struct.pack("<I", 1)) + record(176, struct.pack("<IIII", 0, 1, 0, 0))
    value = record(5, struct.pack("<IId", 1, 0, 7.0))
    content = xlsb(rows=row + value, after=merged + record(178))
    assert (
        "| 2.50% | $1,599.99 | #DIV/0! |\n| - | - | - |\n| 2.50% | 7 |  |\n"
        in read(content, "a.xlsb").text
    )


@pytest.mark.parametrize("shown", ["#DIV/0!", "Err:502", "#NAME?", "#VALUE!", "#REF!", "Err:508"])
@pytest.mark.parametrize("kind", ["string", "float"])
def test_errors_of_an_open_document_sheet_are_shown(read: Read, shown: str, kind: str):
    value = 'office:string-value=""' if kind == "string" else 'office:value="0"'
    more = f'{value} {CALC} calcext:value-type="error" table:formula="of:=1/0"'
    text = read(ods(row(cell("a"), cell(shown, kind=kind, more=more), cell("b"))), "a.ods").text
    assert f"| a | {shown} | b |" in text


@pytest.mark.parametrize("code", ["[h]:mm", "[hh]:mm:ss", "[mm]:ss", "[s]", "yyyy-mm-dd", "hh:mm"])
@pytest.mark.parametrize("days", [1e9, 5e10, 1e300])
def test_durations_and_dates_beyond_python_s_hide_no_row(read: Read, code: str, days: float):
    import openpyxl

    book = openpyxl.Workbook()
    (sheet,) = book.worksheets
    for words in (["a", 1.5, "b"], ["c", days, "d"], ["e", 2.0, "f"]):
        sheet.append(words)
    for place in ("B1", "B2"):
        sheet[place].number_format = code
    out = io.BytesIO()
    book.save(out)
    text = read(out.getvalue(), "a.xlsx").text
    for line in (r"\| a \| .+ \| b \|", r"\| c \| .+ \| d \|", r"\| e \| 2 \| f \|"):
        assert re.search(line, text)
    if code == "[h]:mm":
        assert "| a | 36:00 | b |" in text
        assert days > 1e20 or f"| c | {days * 24:.0f}:00 | d |" in text


def test_comments_links_and_boxes_of_an_open_document_sheet_are_read(read: Read):
    comment = (
        "<office:annotation><dc:creator>Ann</dc:creator><text:p>ask</text:p><text:list>"
        "<text:list-item><text:p>Bob</text:p></text:list-item></text:list></office:annotation>"
    )
    link = '<text:a xlink:href="https://example.org/x">prices</text:a>'
    frame = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    rows = [
        f"<table:shapes>{frame.format('on the sheet')}</table:shapes>",
        row(
            '<table:table-cell table:number-columns-repeated="2"/>',
            cell("a").replace("<text:p>", f"{comment}<text:p>"),
            cell("b").replace("<text:p>b", f"{frame.format('in a cell')}<text:p>{link}"),
        ),
    ]
    document = read(ods("".join(rows)), "a.ods")
    assert document.text.endswith(
        "- C1: ask Bob\n- D1: https://example.org/x\n\non the sheet\n\nin a cell\n"
    )
    assert "prices" in document.text
    assert document.pages[-1].label == "Sheet1: drawings"


def test_no_cell_is_of_two_merged_ranges():
    merged = MergedCells([((0, 0), (1, 1)), ((1, 1), (9, 2)), ((1, 2), (2, 3)), ((1, 5), (2, 5))])
    rows = [["a", "", "", "", "", ""], ["", "b", "c", "", "", "d"], ["", "", "", "", "", ""]]
    filled = [merged.fill(number, row) for number, row in enumerate(rows)]
    assert filled == [
        ["a", "a", "", "", "", ""],
        ["a", "b", "c", "c", "", "d"],
        ["", "", "c", "c", "", "d"],
    ]
