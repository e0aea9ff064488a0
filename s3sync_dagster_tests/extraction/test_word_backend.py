"""Word documents are read as docling reads them, with less work."""

import cProfile
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import pytest
from docling.backend.msword_backend import MsWordDocumentBackend
from docling_core.types.doc.common.content_layer import ContentLayer
from docx.oxml import parse_xml
from PIL import Image
from pptx import Presentation
from pptx.util import Emu

from s3sync_dagster.extraction.docling_reader import convert, open_backend, to_markdown
from s3sync_dagster.extraction.office import read_docx
from s3sync_dagster.extraction.slides import read_pptx
from s3sync_dagster.extraction.word_backend import WordBackend
from s3sync_dagster.model.source import ExtractionConfig

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
EQUATION = (
    f'<w:p xmlns:w="{WORD}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math">'
    "<w:r><w:t>with </w:t></w:r><m:oMath><m:r><m:t>E=m</m:t></m:r></m:oMath></w:p>"
)
CONFIG = ExtractionConfig()
METAFILE = struct.pack("<10I", 1, 88, 0, 0, 96, 96, 0, 0, 2540, 2540) + b" EMF" + b"\0" * 44
BOX = (
    f'<w:p xmlns:w="{WORD}" xmlns:v="urn:schemas-microsoft-com:vml"><w:r><w:pict><v:shape>'
    "<v:textbox><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:txbxContent>"
    "</v:textbox></v:shape></w:pict></w:r></w:p>"
)


def picture(color: str, size: tuple[int, int]) -> io.BytesIO:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    out.seek(0)
    return out


def a_document_of_everything() -> Any:
    document = docx.Document()
    document.add_heading("Report", 0)
    for number in range(3):
        document.add_heading(f"Part {number}", 1 + number)
        paragraph = document.add_paragraph("plain, ")
        paragraph.add_run("bold").bold = True
        paragraph.add_run(" and ").italic = True
        paragraph.add_run("low\tline\n next").font.subscript = True
        remark = document.add_paragraph("looked at").runs[0]
        document.add_comment(remark, text=f"by whom {number}", author="Ann")
        for style in ("List Bullet", "List Bullet 2", "List Number", "List Bullet"):
            document.add_paragraph(f"item in {style}", style=style)
        document.add_paragraph("")
        document.add_paragraph("again", style="List Number")
        document.add_paragraph("Said by nobody", style="Intense Quote")
        code = document.add_paragraph()
        code.add_run("def main(argv):\n    return argv[0];").font.name = "Courier New"
        table = document.add_table(rows=2, cols=2)
        table.cell(0, 0).text = "left"
        table.cell(1, 1).paragraphs[0].style = "List Bullet"
        table.cell(1, 1).paragraphs[0].text = "in a cell"
        for element in (EQUATION, BOX):
            document.element.body.append(parse_xml(element))
        document.add_picture(picture("white", (40, 40)))
        document.add_picture(picture("red", (40, 40)))
        document.add_paragraph("after the pictures")
    document.sections[0].header.paragraphs[0].text = "running head"
    return document


def bytes_of(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def by_docling(content: bytes) -> str:
    parsed = convert(
        open_backend(content, name="a.docx", format_name="DOCX", backend=MsWordDocumentBackend)
    )
    return parsed.export_to_markdown(
        escape_html=False,
        escape_underscores=False,
        compact_tables=True,
        traverse_pictures=True,
        included_content_layers={ContentLayer.BODY, ContentLayer.NOTES},
    )


def test_word_document_is_read_as_docling_reads_it():
    content = bytes_of(a_document_of_everything())
    parsed = convert(open_backend(content, name="a.docx", format_name="DOCX", backend=WordBackend))
    ours = to_markdown(parsed, layers=("BODY", "NOTES")).replace(
        "\x00picture\x00", "<!-- image -->"
    )
    assert ours == by_docling(content)
    for words in ("**bold**", "in a box", "```", "E=m", "by whom 1", "2. again", "| in a cell"):
        assert words in ours
    assert ours.count("<!-- image -->") == 3  # the white ones are empty space


def test_pictures_are_looked_at_but_not_written_again():
    document = docx.Document()
    document.add_picture(picture("red", (400, 400)))
    parsed = convert(
        open_backend(bytes_of(document), name="a.docx", format_name="DOCX", backend=WordBackend)
    )
    assert [one.image.size.width for one in parsed.pictures] == [8]


def test_a_paragraph_takes_a_third_fewer_calls_than_docling_makes():
    few, many = (bytes_of(paragraphs(count)) for count in (30, 90))
    config = ExtractionConfig()
    ours, docling = (
        calls(read, many) - calls(read, few)
        for read in (lambda content: read_docx(content, name="a.docx", config=config), by_docling)
    )
    assert ours < 0.65 * docling


def paragraphs(count: int) -> Any:
    document = docx.Document()
    for number in range(count):
        style = ("Normal", "List Bullet", "Heading 2")[number % 3]
        document.add_paragraph("words of a paragraph " * 5, style=style)
    return document


def calls(read: Callable[[bytes], object], content: bytes) -> int:
    read(content)  # what is loaded and compiled once is no part of it
    profile = cProfile.Profile()
    profile.runcall(read, content)
    return sum(entry.callcount for entry in profile.getstats())


def test_no_other_program_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    started = tmp_path / "started"
    program = tmp_path / "soffice"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("DOCLING_LIBREOFFICE_CMD", str(program))
    content = odd_pictures()
    assert "[Picture: a shape]\n\nafter" in read_docx(content, name="a.docx", config=CONFIG).text
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    shown: Any = slide.shapes.add_picture(picture("red", (90, 90)), Emu(0), Emu(0))
    shown.part.related_part(shown._element.blip_rId)._blob = METAFILE
    shown._element._nvXxPr.cNvPr.set("descr", "a drawing")
    out = io.BytesIO()
    deck.save(out)
    slides = read_pptx(out.getvalue(), name="a.pptx", config=CONFIG)
    assert slides.text == "[Picture: a drawing]\n"
    assert not started.exists()


def odd_pictures() -> bytes:
    """Return a document with a shape that no program but Word draws."""
    document = docx.Document()
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    shape = (
        f'<w:p xmlns:w="{WORD}" xmlns:wp="{drawing}/wordprocessingDrawing" '
        f'xmlns:a="{drawing}/main"><w:r><w:drawing><wp:inline><wp:docPr id="1" name="a" '
        'descr="a shape"/><a:graphic>'
        '<a:graphicData uri="x"/></a:graphic></wp:inline></w:drawing></w:r></w:p>'
    )
    document.element.body.insert(0, parse_xml(shape))
    document.add_paragraph("after")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def test_cells_over_many_columns_are_said_once_where_they_are_most_of_a_table():
    document, wide = docx.Document(), "over all" + "x" * 3000
    for columns in (2, 9):
        table = document.add_table(rows=3, cols=columns)
        table.cell(0, 1).merge(table.cell(0, columns - 1)).text = "group"
        table.cell(1, 0).merge(table.cell(1, columns - 1)).text = wide
        table.cell(2, 0).text = "a longer text"
        table.cell(2, 1).text = "short"
        document.add_paragraph("between")
    out = io.BytesIO()
    document.save(out)
    text = read_docx(out.getvalue(), name="a.docx", config=CONFIG).text
    assert f"| {wide} | {wide} |\n| a longer text | short |\n" in text
    assert text.count("over all") == 3
    assert f"| |{' group |' * 8}\n" in text
    assert f"| a longer text | short |{' |' * 7}\n" in text


def test_cells_over_many_columns_of_a_small_table_are_in_each():
    document = docx.Document()
    table = document.add_table(rows=2, cols=9)
    table.cell(0, 0).text, table.cell(1, 0).text = "hour", "Monday"
    table.cell(1, 1).merge(table.cell(1, 4)).text = "mathematics"
    out = io.BytesIO()
    document.save(out)
    text = read_docx(out.getvalue(), name="a.docx", config=CONFIG).text
    assert f"| Monday |{' mathematics |' * 4}{' |' * 4}\n" in text
