"""What people see in office files: numbers as displayed, errors, boxes, charts and diagrams."""

import datetime
import io

import pytest

from s3sync_dagster.extraction.sheet_formats import number_format
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_odd_files import added, docx, edited, run

RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
DIAGRAM = (
    '<dgm:dataModel xmlns:dgm="d" xmlns:a="a"><dgm:ptLst><dgm:pt><dgm:t><a:p><a:r><a:t>President'
    "</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>"
)


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        ("0.00%", 0.025, "2.50%"),
        ("0%", 0.1234, "12% (0.1234)"),
        ('"$"#,##0.00', 1599.99, "$1,599.99"),
        ('#,##0.00\\ "€"', -1234.5, "-1,234.50 €"),
        ("[$£-809]#,##0", 1200.0, "£1,200"),
        ("$#,##0.00_);($#,##0.00)", -3.0, "-$3.00"),
        ('0" kg"', 12.0, "12 kg"),
    ],
)
def test_number_is_shown_as_its_format_says(code: str, value: float, expected: str):
    show = number_format(code)
    assert show is not None
    assert show(value) == expected


@pytest.mark.parametrize("code", ["", "General", "dd-mmm-yy", "0.00E+00", "@", "# ?/?", "[h]:mm"])
def test_formats_of_dates_and_others_change_nothing(code: str):
    assert number_format(code) is None


def test_sheet_gives_what_is_displayed(read: Read):
    from openpyxl import Workbook

    book = Workbook()
    sheet = book["Sheet"]
    sheet.append(["share", "price", "day", "wrong"])
    sheet.append([0.025, 1599.99, datetime.date(2007, 5, 17), "#VALUE!"])
    sheet["A2"].number_format = "0.00%"
    sheet["B2"].number_format = '"$"#,##0.00'
    sheet["C2"].number_format = "dd-mmm-yy"
    sheet["D2"].data_type = "e"
    out = io.BytesIO()
    book.save(out)
    assert "| 2.50% | $1,599.99 | 2007-05-17 | #VALUE! |" in read(out.getvalue(), "a.xlsx").text


def test_chart_and_box_of_a_sheet_are_its_last_page(read: Read):
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet("Sales")
        sheet.write_column("A1", ["month", "May", "June"])
        sheet.write_column("B1", ["sum", 3, 4])
        sheet.insert_textbox("D1", "Only the north counts.")
        chart = book.add_chart({"type": "column"})
        assert chart is not None
        chart.set_title({"name": "Sales of spring"})
        chart.add_series({"values": "=Sales!$B$2:$B$3", "name": "tons"})
        sheet.insert_chart("D9", chart)
    document = read(out.getvalue(), "a.xlsx")
    assert document.pages[-1].label == "Sales: drawings"
    assert "Only the north counts." in document.text
    assert "Sales of spring\n" in document.text


def with_part(content: bytes, kind: str, target: str, body: str) -> bytes:
    """Return a Word document that refers to one more part."""
    relation = f'<Relationship Id="rX" Type="x/{kind}" Target="{target}"/></Relationships>'
    changed = edited(content, "word/_rels/document.xml.rels", "</Relationships>", relation)
    suffix = target.rpartition(".")[2]
    if suffix != "xml":
        kind = f'<Default Extension="{suffix}" ContentType="application/{suffix}"/></Types>'
        changed = edited(changed, "[Content_Types].xml", "</Types>", kind)
    return added(changed, f"word/{target}", body)


def test_words_of_a_diagram_are_read_once(read: Read):
    content = with_part(docx(""), "diagramData", "diagrams/data1.xml", DIAGRAM)
    assert read(content, "a.docx").text == "the end\n\n- President\n"
    content = with_part(
        docx(f"<w:p>{run('President')}</w:p>"), "diagramData", "diagrams/data1.xml", DIAGRAM
    )
    assert read(content, "a.docx").text == "President\n\nthe end\n"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("chunk.html", "<html><body><p>taken in</p></body></html>"),
        ("chunk.mht", "MIME-Version: 1.0\nContent-Type: text/html\n\n<p>taken in</p>"),
    ],
)
def test_document_that_word_takes_in_is_read(read: Read, name: str, body: str):
    content = with_part(docx(""), "aFChunk", name, body)
    assert read(content, "a.docx").text == "the end\n\ntaken in\n"
