"""One document of known Markdown in each format that has headings or tables."""

import html
import io
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

from benchmarks.extraction import layouts


def _saved(save: Callable[[Any], object]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def make_pptx(markdown: str) -> bytes:
    """Return a slide for each heading; its tables stand on it too."""
    from pptx import Presentation

    deck = Presentation()
    slide, lines = None, None
    for kind, value in layouts.blocks(markdown):
        if kind.startswith("h"):
            slide = deck.slides.add_slide(deck.slide_layouts[1])
            slide.shapes.title.text = value
            lines = []
        elif kind == "table":
            shape = slide.shapes.add_table(len(value), len(value[0]), 0, 4_000_000, 5_000_000, 9)
            layouts.fill_table(shape.table, value)
        else:
            lines += value if kind == "list" else [value]
            slide.placeholders[1].text = "\n".join(lines)
    return _saved(deck.save)


def make_xlsx(markdown: str) -> bytes:
    """Return a sheet for each table."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    for kind, rows in layouts.blocks(markdown):
        if kind != "table":
            continue
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()
    return out.getvalue()


def tables_only(markdown: str) -> str:
    return "\n".join(line if line.startswith("|") else "" for line in markdown.splitlines())


def make_html(markdown: str) -> bytes:
    parts = []
    for kind, value in layouts.blocks(markdown):
        if kind == "table":
            rows = ("".join(f"<td>{cell}</td>" for cell in row) for row in value)
            parts.append("<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
        elif kind == "list":
            parts.append("<ul>" + "".join(f"<li>{item}</li>" for item in value) + "</ul>")
        else:
            parts.append(f"<{kind}>{html.escape(value)}</{kind}>")
    return ("<html><body>" + "\n".join(parts) + "</body></html>").encode()


def make_epub(markdown: str) -> bytes:
    from ebooklib import epub

    book = epub.EpubBook()
    book.set_identifier("id")
    book.set_title("Book")
    chapter = epub.EpubHtml(title="One", file_name="one.xhtml")
    chapter.content = make_html(markdown)
    book.add_item(chapter)
    book.spine = [chapter]
    book.add_item(epub.EpubNcx())
    return _saved(lambda out: epub.write_epub(out, book))


def make_eml(markdown: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = "ada@example.org"
    mail.set_content(make_html(markdown).decode(), subtype="html")
    return mail.as_bytes()


def make_adoc(markdown: str) -> bytes:
    lines = []
    for kind, value in layouts.blocks(markdown):
        if kind == "table":
            rows = ("".join(f"|{cell} " for cell in row) for row in value)
            lines += ["|===", *rows, "|===", ""]
        elif kind == "list":
            lines += [*(f"* {item}" for item in value), ""]
        elif kind == "p":
            lines += [value, ""]
        else:
            lines += ["=" * (int(kind[1]) + 1) + " " + value, ""]
    return "\n".join(lines).encode()


def make_files(markdown: str) -> dict[str, bytes]:
    docx = layouts.make_docx(markdown)
    return {
        "a.docx": docx,
        "a.odt": layouts.convert(docx, "odt"),
        "a.rtf": layouts.convert(docx, "rtf"),
        "a.pptx": make_pptx(markdown),
        "a.xlsx": make_xlsx(markdown),
        "a.html": make_html(markdown),
        "a.epub": make_epub(markdown),
        "a.eml": make_eml(markdown),
        "a.adoc": make_adoc(markdown),
        "a.pdf": layouts.make_single(markdown),
    }
