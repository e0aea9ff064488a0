"""What people see in office files: numbers as displayed, errors, boxes, charts and diagrams."""

import datetime
import io
import re
import struct
import zipfile
from pathlib import Path

import pytest

from s3sync_dagster.extraction.number_formats import number_format
from s3sync_dagster.extraction.sheet_formats import shown_cells
from s3sync_dagster.extraction.sheet_open_document import MAX_CELLS
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.corpus import make_ods
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
        ('General" pcs"', 12.0, "12 pcs"),
        ('"No. "General\\ "x"', -2.5, "-No. 2.5 x"),
        ('general" mm";-general" mm"', 0.25, "0.25 mm"),
        ('0,"K"', 12345.0, "12K (12345)"),
        ('$#,##0,"k"', 12345678.0, "$12,346k (12345678)"),
        ('0.0,,"M"', 1200000.0, "1.2M"),
        ("#,##0,.00", 1234560.0, "1,234.56"),
        ("00000", 1234.0, "01234"),
        ("000", 7.0, "007"),
        ("000-00-0000", 12345678.0, "012-34-5678"),
        ("(000) 000-0000", 301234567.0, "(030) 123-4567"),
        ("00000\\-0000", 940431234.0, "94043-1234"),
        ('"A"000"/"00', 1234.0, "A012/34"),
        ("##-##", 12345.0, "123-45"),
        ("00-00", 12.5, "00-13 (12.5)"),
        ("000,000", 7.0, "000,007"),
        ("0.0##", 2.5, "2.5"),
        ("0.###", 2.0, "2"),
        ("0", 2.5, "3 (2.5)"),
        ("0", -0.5, "-1 (-0.5)"),
        ("0%", 0.125, "13% (0.125)"),
        ("0.00", 0.125, "0.13 (0.125)"),
        ("0.00", 1.005, "1.01 (1.005)"),
        ("0%", 0.285, "29% (0.285)"),
        ('[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', 1200000.0, "1.2M"),
        ('[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', 1200.0, "1.2K"),
        ('[>=1000000]0.0,,"M";[>=1000]0.0,"K";0', 12.0, "12"),
        ("[<=9999999]###-####;(###) ###-####", 5551234.0, "555-1234"),
        ("[<=9999999]###-####;(###) ###-####", 3015551234.0, "(301) 555-1234"),
        ('[=0]"none";0.00', 0.0, "0"),
        ('";"0', 5.0, ";5"),
        ("\x000\x00", 5.0, "5"),
        ("#,##0.00", 1e300, f"{10**300:,}.00"),
        ("[h]:mm", 1.25, "30:00"),
        ("[h]:mm;@", 1.25, "30:00"),
        ("[hh]:mm:ss", -0.25, "-06:00:00"),
        ("[mm]:ss", 0.0625, "90:00"),
        ("[h]:mm", 0.0628125, "1:30 (1:30:27)"),
    ],
)
def test_number_is_shown_as_its_format_says(code: str, value: float, expected: str):
    show = number_format(code)
    assert show is not None
    assert show(value) == expected


@pytest.mark.parametrize(
    "code", ["", "General", "dd-mmm-yy", "0.00E+00", "@", "# ?/?", "h:mm", "[m]:mm", ";0"]
)
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


def test_hours_beyond_a_day_are_hours(read: Read):
    from openpyxl import Workbook

    book = Workbook()
    sheet = book["Sheet"]
    sheet.append(["total", "name", "seconds"])
    sheet.append([1.25, 7, 1.0 + 1 / 86400])
    for cell, code in zip(sheet[2], ("[h]:mm", "000", "[ss].0"), strict=True):
        cell.number_format = code
    out = io.BytesIO()
    book.save(out)
    assert "| 30:00 | 007 | 24:00:01 |" in read(out.getvalue(), "a.xlsx").text


@pytest.mark.parametrize("rest", ["0" * 253, "." + "0" * 253, "%" * 254, "," * 254])
def test_long_formats_end(rest: str):
    show = number_format("0" + rest)
    assert show is not None
    assert len(show(1e300)) < 2000
    assert number_format("0" + rest + "00") is None


def test_numbers_without_end_are_given_as_they_are():
    for code in ("0.00", "[h]:mm", "000-000"):
        show = number_format(code)
        assert show is not None
        assert show(float("inf")) == "inf"
        assert len(show(1.7e308)) < 500


ODS_CELLS = """
<table:table-row table:number-rows-repeated="2"><table:table-cell office:value-type="string"
 table:number-columns-repeated="2"><text:p>head</text:p></table:table-cell></table:table-row>
<table:table-row>
<table:table-cell office:value-type="percentage" office:value="0.025"><text:p>2,50 %</text:p>
</table:table-cell>
<table:table-cell office:value-type="currency" office:value="1599.987"><text:p>1.599,99 €</text:p>
</table:table-cell>
<table:table-cell office:value-type="float" office:value="0"><text:p>#DIV/0!</text:p>
</table:table-cell>
<table:table-cell office:value-type="time" office:time-value="PT04H17M00S"><text:p>04:17 PM</text:p>
</table:table-cell>
<table:table-cell office:value-type="float" office:value="0.333333333333333">
<text:p>0.3333333333</text:p></table:table-cell>
<table:table-cell office:value-type="date" office:date-value="2007-05-17"><text:p>17 May</text:p>
</table:table-cell></table:table-row>"""


def ods(cells: str) -> bytes:
    """Return a workbook with these rows in its only sheet."""
    table = re.compile(r"<table:table .*</table:table>", re.DOTALL)
    with zipfile.ZipFile(io.BytesIO(make_ods())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    content = parts["content.xml"].decode()
    rows = re.sub(r">\s+<", "><", cells)  # the reader takes white space for damage
    sheet = f'<table:table table:name="Sheet1">{rows}</table:table>'
    return archive_of({**parts, "content.xml": table.sub(sheet, content).encode()})


def archive_of(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return out.getvalue()


def test_open_document_sheet_gives_what_is_displayed(read: Read):
    text = read(ods(ODS_CELLS), "a.ods").text
    shown = "2,50 % | 1.599,99 € (1599.987) | #DIV/0! | 04:17 PM | 0.333333333333333 | 2007-05-17"
    assert f"| {shown} |" in text


def test_numbers_repeated_without_end_are_few():
    rows = 'table:number-rows-repeated="1048576"'
    cell = (
        '<table:table-cell office:value-type="percentage" office:value="0.5" '
        'table:number-columns-repeated="16384"><text:p>50%</text:p></table:table-cell>'
    )
    shown = shown_cells(ods(f"<table:table-row {rows}>{cell}</table:table-row>"))
    assert len(shown["Sheet1"].cells) == MAX_CELLS


def record(kind: int, body: bytes = b"") -> bytes:
    """Return a record of an XLSB part."""
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return head + bytes([len(body)]) + body


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(*, rows: bytes = b"", after: bytes = b"") -> bytes:
    code = struct.pack("<H", 164) + wide('"$"#,##0.00')
    styles = record(278) + record(615, struct.pack("<I", 1)) + record(44, code) + record(616)
    styles += record(617, struct.pack("<I", 3))
    for number in (0, 10, 164):
        styles += record(47, struct.pack("<HHHHHI", 0, number, 0, 0, 0, 0))
    sheet = record(129) + record(148, struct.pack("<IIII", 0, 1, 0, 2)) + record(145)
    sheet += record(0, struct.pack("<IIHBBII", 0, 0, 300, 0, 0, 1, 0) + b"\0" * 8)
    sheet += record(5, struct.pack("<IId", 0, 1, 0.025)) + record(
        5, struct.pack("<IId", 1, 2, 1599.99)
    )
    sheet += record(3, struct.pack("<IIB", 2, 0, 0x07)) + rows + record(146) + after + record(130)
    book = record(131) + record(143)
    book += record(156, struct.pack("<II", 0, 1) + wide("rId1") + wide("Sales")) + record(144)
    book += record(157, b"\0" * 26) + record(132)
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    related = (
        f'<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" Type="{kind}/worksheet" '
        'Target="worksheets/sheet1.bin"/></Relationships>'
    )
    return archive_of(
        {
            "[Content_Types].xml": b"<Types/>",
            "xl/_rels/workbook.bin.rels": related.encode(),
            "xl/workbook.bin": book,
            "xl/styles.bin": styles + record(618),
            "xl/worksheets/sheet1.bin": sheet,
        }
    )


def test_binary_sheet_gives_what_is_displayed(read: Read):
    assert "| 2.50% | $1,599.99 | #DIV/0! |" in read(xlsb(), "a.xlsb").text


def test_old_sheet_gives_what_is_displayed(read: Read):
    content = bytearray((Path(__file__).parent / "samples/stock.xls").read_bytes())
    assert "%" not in read(bytes(content), "a.xls").text
    for style in re.finditer(rb"\xe0\x00\x14\x00", bytes(content)):
        content[style.end() + 2 : style.end() + 4] = struct.pack("<H", 10)  # 0.00%
    assert "00%" in read(bytes(content), "a.xls").text


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


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ('#,##0.00" DR";#,##0.00" CR"', -3.5, "3.50 CR"),
        ('#,##0.00" DR";#,##0.00" CR"', 3.5, "3.50 DR"),
        ('"up "0%;"down "0%;"flat"', -0.5, "down 50%"),
        ('"up "0%;"down "0%;"flat"', 0.0, "flat (0)"),
        ('"up "0%;"down "0%;"flat"', 0.5, "up 50%"),
        ("+0.0%;-0.0%", -0.125, "-12.5%"),
        ('0" kg";[Red]0" kg"', -5.0, "-5 kg"),
        ("0;(0)", -5.0, "-5"),
        ('_-* 0.00_-;-* 0.00_-;_-* "-"??_-', 0.0, "0.00"),
        ('0;;"none"', 0.0, "0"),
    ],
)
def test_parts_of_a_format_that_tell_the_sign_in_words_count(code, value, shown):
    assert number_format(code)(value) == shown
