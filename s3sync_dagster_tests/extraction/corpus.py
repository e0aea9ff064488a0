"""One small file of each format, made from scratch, each with what the format can hold.

``python -m s3sync_dagster_tests.extraction.corpus`` writes the golden Markdown anew; look at the
difference before committing it.
"""

import datetime
import io
import json
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

from s3sync_dagster_tests.extraction.old_files import LIGHT, OLD

GOLDEN = Path(__file__).with_name("golden")
_WHEN = datetime.datetime(2026, 2, 3, 10, 30)


def make_docx() -> bytes:
    """Headings, lists, merged cells, a link, a comment, a footnote, a picture, a running head."""
    from docx import Document
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    document = Document()
    document.core_properties.title = "Quarterly plan"
    document.core_properties.author = "Ada"
    document.core_properties.created = _WHEN
    document.sections[0].header.paragraphs[0].text = "RUNNING HEAD"
    document.add_heading("Quarterly plan", 0)
    document.add_heading("Goals", 1)
    remark = document.add_paragraph("Grow by 12 % in the under_served regions <north> & south.")
    comment = document.add_comment(remark.runs, text="Is this realistic?", author="Bob")
    comment._comment_elm.set(qn("w:date"), "2026-02-03T10:30:00Z")
    linked = document.add_paragraph("Details are on ")
    target = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"
    link = OxmlElement("w:hyperlink")
    link.set(
        qn("r:id"), document.part.relate_to("https://example.org/plan", target, is_external=True)
    )
    run, text = OxmlElement("w:r"), OxmlElement("w:t")
    text.text = "the site"
    run.append(text)
    link.append(run)
    linked._p.append(link)
    for style, words in (
        ("List Bullet", "hire"),
        ("List Bullet 2", "two engineers"),
        ("List Bullet", "train"),
        ("List Number", "first step"),
        ("List Number", "second step"),
    ):
        document.add_paragraph(words, style=style)
    table = document.add_table(3, 3)
    for i, row in enumerate((("Region", "Q1", "Q2"), ("North", "1|2", "3"), ("South", "4", "5"))):
        for j, words in enumerate(row):
            table.cell(i, j).text = words
    table.cell(2, 1).merge(table.cell(2, 2)).text = "merged"
    document.add_heading("Outlook", 2)
    document.add_paragraph("Ümläute, 日本語 and שלום stay.")
    picture = io.BytesIO(_red_square())
    document.add_picture(picture)
    document.inline_shapes[0]._inline.docPr.set("descr", "A red square")
    out = io.BytesIO()
    document.save(out)
    return _with_footnote(out.getvalue(), "The numbers are estimates.")


def _red_square() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(out, "PNG")
    return out.getvalue()


def _with_footnote(docx: bytes, words: str) -> bytes:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    override = (
        '<Override PartName="/word/footnotes.xml" ContentType="application/vnd.openxmlformats-'
        'officedocument.wordprocessingml.footnotes+xml"/></Types>'
    )
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    note = f'<w:footnote w:id="2"><w:p><w:r><w:t>{words}</w:t></w:r></w:p></w:footnote>'
    edits = {
        "[Content_Types].xml": ("</Types>", override),
        "word/_rels/document.xml.rels": (
            "</Relationships>",
            f'<Relationship Id="rId99" Type="{kind}" Target="footnotes.xml"/></Relationships>',
        ),
        "word/document.xml": (
            "</w:hyperlink>",
            '</w:hyperlink><w:r><w:footnoteReference w:id="2"/></w:r>',
        ),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            if name in edits:
                before, after = (text.encode() for text in edits[name])
                assert before in body
                body = body.replace(before, after, 1)
            new.writestr(name, body)
        new.writestr("word/footnotes.xml", f'<w:footnotes xmlns:w="{space}">{note}</w:footnotes>')
    return out.getvalue()


def make_pptx() -> bytes:
    """Three slides: bullets with depth and notes; a table; a picture. One more is hidden."""
    from pptx import Presentation
    from pptx.util import Cm

    deck = Presentation()
    deck.core_properties.title = "Road map"
    deck.core_properties.author = "Cleo"
    deck.core_properties.created = _WHEN
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Why"
    frame = first.placeholders[1].text_frame
    frame.text = "Customers wait"
    deeper = frame.add_paragraph()
    deeper.text, deeper.level = "three weeks on average", 1
    first.notes_slide.notes_text_frame.text = "Mention the survey."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Numbers"
    table = second.shapes.add_table(2, 2, Cm(2), Cm(5), Cm(10), Cm(3)).table
    for i, row in enumerate((("Year", "Weeks"), ("2026", "2"))):
        for j, words in enumerate(row):
            table.cell(i, j).text = words
    third = deck.slides.add_slide(deck.slide_layouts[5])
    third.shapes.title.text = "Picture"
    picture = third.shapes.add_picture(io.BytesIO(_red_square()), Cm(2), Cm(5))
    picture._element._nvXxPr.cNvPr.set("descr", "A chart of waiting times")
    hidden = deck.slides.add_slide(deck.slide_layouts[1])
    hidden.shapes.title.text = "Secret slide"
    hidden._element.set("show", "0")
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def make_xlsx() -> bytes:
    """Two tables in a sheet, types of all kinds, a hidden sheet, an empty one, a long one."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    book.set_properties({"title": "Stock", "author": "Dan", "created": _WHEN})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet("People")
    sheet.write_row("A1", ["Name", "Age", "Since", "Active"])
    sheet.write_row("A2", ["Zoë | Co", 31.0])
    sheet.write_datetime("C2", datetime.datetime(2024, 2, 29), day)
    sheet.write_boolean("D2", True)
    sheet.write_row("A3", ["Bob", 4.5])
    sheet.write("B5", "Totals by month")
    sheet.write_row("B7", ["Month", "Sum"])
    sheet.write_row("B8", ["May", 12])
    sheet.write_formula("C9", "=SUM(C8)", value=12)
    sheet.write_comment("B2", "Asked her.", {"author": "Eve"})
    sheet.write_url("E2", "https://example.org/zoe", string="page")
    sheet.merge_range("B11:C11", "both")
    sheet.write("B12", "left")
    sheet.write("C12", "right")
    hidden = book.add_worksheet("Draft")
    hidden.write("A1", "not for readers")
    hidden.hide()
    book.add_worksheet("Empty")
    long = book.add_worksheet("Long")
    long.write_row("A1", ["id", "square"])
    for number in range(150):
        long.write_row(number + 1, 0, [number, number**2])
    book.close()
    return out.getvalue()


def make_ods() -> bytes:
    """A sheet of OpenDocument."""
    from odfdo import Document, Table

    document = Document("spreadsheet")
    document.body.clear()
    table = Table("Prices")
    table.set_values([["Fruit", "Price"], ["Apple", 1.5], ["Pear", 2]])
    document.body.append(table)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def make_odt() -> bytes:
    """A text of OpenDocument with heading, list, table and note."""
    from odfdo import Document, Header, List, Paragraph, Table

    document = Document("text")
    document.body.clear()
    document.meta.title = "Report"
    document.body.append(Header(1, "Report"))
    document.body.append(Paragraph("An ordinary paragraph."))
    noted = Paragraph("A paragraph with a note.")
    noted.insert_note(after="note", note_id="n1", citation="1", body="The note's text.")
    document.body.append(noted)
    document.body.append(List(["milk", "bread"]))
    table = Table("T")
    table.set_values([["Key", "Value"], ["a", 1]])
    document.body.append(table)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def make_odp() -> bytes:
    """A presentation of OpenDocument with two slides."""
    from odfdo import Document, DrawPage, Frame, List

    deck = Document("presentation")
    deck.body.clear()
    deck.meta.title = "Tides"
    for number, (title, points) in enumerate(
        (("High and low", ["the moon pulls", "the sun helps"]), ("Tables", ["by harbour"])), start=1
    ):
        page = DrawPage(f"page{number}", name=f"Slide {number}")
        page.append(
            Frame.text_frame(
                title, size=("20cm", "2cm"), position=("1cm", "1cm"), presentation_class="title"
            )
        )
        page.append(
            Frame.text_frame(
                List(points),
                size=("20cm", "8cm"),
                position=("1cm", "4cm"),
                presentation_class="outline",
            )
        )
        deck.body.append(page)
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def make_pdf() -> bytes:
    """Two pages with headings, lists, a ruled table, running heads and page numbers."""
    from s3sync_dagster_tests.extraction.test_pdf import make_report

    return make_report(2)


def make_mhtml() -> bytes:
    """A page saved by a browser."""
    page = MIMEMultipart("related")
    page["Subject"] = "Fish"
    page.attach(MIMEText(HTML, "html", "utf-8"))
    return page.as_bytes()


def make_epub() -> bytes:
    """A book of two chapters."""
    from ebooklib import epub

    book = epub.EpubBook()
    book.set_identifier("id")
    book.set_title("The Book")
    book.set_language("en")
    book.add_author("Eve")
    chapters = []
    for number in (1, 2):
        chapter = epub.EpubHtml(title=f"Chapter {number}", file_name=f"c{number}.xhtml")
        chapter.content = f"<h1>Chapter {number}</h1><p>Words of chapter {number}.</p>"
        book.add_item(chapter)
        chapters.append(chapter)
    book.spine = chapters
    book.add_item(epub.EpubNcx())
    book.add_item(epub.EpubNav())
    out = io.BytesIO()
    epub.write_epub(out, book)
    return out.getvalue()


def make_eml() -> bytes:
    """A message with two attachments that are read and one that is not."""
    message = EmailMessage()
    message["Subject"] = "Grüße aus Köln"
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "bob@example.org"
    message["Date"] = "Mon, 02 Feb 2026 10:00:00 +0100"
    message.set_content("Dear Bob,\n\nsee the files.\n")
    message.add_alternative("<p>Dear Bob, see the files.</p>", subtype="html")
    message.add_attachment("name,count\nnails,100\n", subtype="csv", filename="parts.csv")
    message.add_attachment(
        make_odt(), maintype="application", subtype="octet-stream", filename="report.odt"
    )
    message.add_attachment(b"PK", maintype="application", subtype="zip", filename="more.zip")
    return message.as_bytes()


def make_notebook() -> bytes:
    """Text, code, and what code printed."""
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Analysis\n", "Some words."]},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": "print('hello')\n1 + 1",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["hello\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}},
                {"output_type": "display_data", "data": {"image/png": "iVBOR"}, "metadata": {}},
            ],
        },
    ]
    book = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}
    return json.dumps(book).encode()


HTML = """<!DOCTYPE html>
<html><head><title>Fish &amp; chips</title><style>p {color: red}</style></head><body>
<nav><a href="/home">Home</a></nav>
<p>Before the first heading.</p>
<main><h1>Fish</h1>
<p>Fresh <b>every</b> day, see <a href="https://example.org/fish">our list</a>. 1 &lt; 2.</p>
<ul><li>cod<ul><li>small</li><li>large</li></ul></li><li>hake</li></ul>
<ol start="3"><li>third</li><li>fourth</li></ol>
<h2>Prices</h2>
<table><thead><tr><th>Fish</th><th>Price</th></tr></thead>
<tr><td rowspan="2">Cod</td><td>5</td></tr><tr><td>9</td></tr></table>
<figure><img src="x.png" alt="A cod on ice"><figcaption>Caption of the picture</figcaption></figure>
<pre><code>weigh(fish)
  sell(fish)</code></pre>
<script>alert("no")</script></main>
<footer>Imprint</footer></body></html>
"""
ASCIIDOC = """= Handbook
Ada Lovelace

== Setup

Run *make* first.

* one
** deeper

|===
|Key |Value

|a |1
|===
"""
LATEX = r"""\documentclass{article}
\title{On fish}\author{Ann}
\begin{document}\maketitle
\section{Introduction}
Some \emph{emphasised} words and $x^2$.\footnote{A note on fish.}
\begin{itemize}\item cod\item hake\end{itemize}
\begin{tabular}{ll}Fish & Price\\Cod & 5\\\end{tabular}
\end{document}
"""

CORPUS: dict[str, Callable[[], bytes]] = {
    "plan.docx": make_docx,
    "roadmap.pptx": make_pptx,
    "stock.xlsx": make_xlsx,
    "prices.ods": make_ods,
    "report.odt": make_odt,
    "tides.odp": make_odp,
    "report.pdf": make_pdf,
    "fish.mhtml": make_mhtml,
    "book.epub": make_epub,
    "greetings.eml": make_eml,
    "analysis.ipynb": make_notebook,
    "fish.html": HTML.encode,
    "handbook.adoc": ASCIIDOC.encode,
    "fish.tex": LATEX.encode,
    "semicolons.csv": lambda: 'Obst;Preis\nÄpfel;1,20 €\n"a;b";2\n'.encode("cp1252"),
}
ALL = CORPUS | OLD


def main() -> None:
    """Write the golden files."""
    from s3sync_dagster.extraction import extract_document
    from s3sync_dagster.model.source import ExtractionConfig
    from s3sync_dagster.workers import open_pool

    GOLDEN.mkdir(exist_ok=True)
    config = ExtractionConfig(engines=LIGHT)
    with open_pool() as pool:
        for name, make in ALL.items():
            document = extract_document(make(), name=name, config=config, pool=pool)
            (GOLDEN / f"{name}.md").write_text(document.text)


if __name__ == "__main__":
    main()
