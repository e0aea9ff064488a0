"""PDFs from known Markdown in three layouts.

``single``: one column, ruled tables. ``columns``: two justified columns, running head and page
number, tables with horizontal rules only, third-level headings in bold body size. ``writer``: DOCX
printed by LibreOffice, tables without rules.
"""

import io
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NOUNS = """river stone market letter garden window bridge signal copper measure harbour meadow
engine winter paper silver number ladder candle orchard village station ocean forest mirror travel
question answer pattern record system object service storage account network protocol office
efficient affluent"""
_OTHERS = """workflow difficult reflection of the and to in a is that with for as on by from at this
which are be has it was were not or an their they we can all more than into over"""
NOUNS = _NOUNS.split()
WORDS = NOUNS + _OTHERS.split()


def make_markdown(seed: int) -> str:
    """Return a document of headings, paragraphs, lists and tables."""
    chance = random.Random(seed)
    lines = [f"# {_title(chance)}", ""]
    for _ in range(chance.randrange(3, 6)):
        lines += [f"## {_title(chance)}", ""]
        for _ in range(chance.randrange(1, 4)):
            lines += [_sentences(chance, chance.randrange(30, 120)), ""]
        if chance.random() < 0.6:
            lines += [f"### {_title(chance)}", "", _sentences(chance, 60), ""]
        if chance.random() < 0.6:
            for _ in range(chance.randrange(3, 6)):
                lines.append(f"- {_sentences(chance, chance.randrange(3, 9))}")
            lines.append("")
        if chance.random() < 0.6:
            lines += _table(chance)
    return "\n".join(lines) + "\n"


def _title(chance: random.Random) -> str:
    return " ".join(chance.choices(NOUNS, k=chance.randrange(2, 5))).capitalize()


def _sentences(chance: random.Random, count: int) -> str:
    out: list[str] = []
    while len(out) < count:
        part = chance.choices(WORDS, k=min(count - len(out), chance.randrange(6, 15)))
        part[0] = part[0].capitalize()
        part[-1] += "."
        out += part
    return " ".join(out)


def _table(chance: random.Random) -> list[str]:
    columns, rows = chance.randrange(3, 5), chance.randrange(3, 7)
    head = [chance.choice(NOUNS).capitalize() for _ in range(columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + " - |" * columns]
    for _ in range(rows):
        cells = [chance.choice(NOUNS)]
        cells += [f"{chance.randrange(1, 9999) / 10:.1f}" for _ in range(columns - 1)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def blocks(markdown: str) -> Iterator[tuple[str, Any]]:
    """Yield ``table`` with rows of cells, ``list`` with items, ``p`` and ``h1`` ... with text."""
    rows: list[list[str]] = []
    items: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            if "- |" not in line:
                rows.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if rows:
            yield "table", rows
            rows = []
        if line.startswith("- "):
            items.append(line[2:])
            continue
        if items:
            yield "list", items
            items = []
        if line.startswith("#"):
            marks, _, text = line.partition(" ")
            yield f"h{len(marks)}", text
        elif line:
            yield "p", line


def make_single(markdown: str) -> bytes:
    return _reportlab(markdown, columns=1)


def make_columns(markdown: str) -> bytes:
    return _reportlab(markdown, columns=2)


def _reportlab(markdown: str, *, columns: int) -> bytes:
    from reportlab.lib import colors
    from reportlab.lib.enums import TA_JUSTIFY
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
    from reportlab.lib.units import cm
    from reportlab.platypus import (
        BaseDocTemplate,
        Frame,
        ListFlowable,
        ListItem,
        PageTemplate,
        Paragraph,
        Spacer,
        Table,
        TableStyle,
    )

    styles = getSampleStyleSheet()
    body = ParagraphStyle("body", parent=styles["BodyText"], spaceAfter=8)
    heads = {"h1": styles["Title"], "h2": styles["Heading2"], "h3": styles["Heading3"]}
    if columns == 2:
        body = ParagraphStyle("justified", parent=body, alignment=TA_JUSTIFY)
        heads["h3"] = ParagraphStyle("bold", parent=body, fontName="Helvetica-Bold")
        rules = [
            ("LINEABOVE", (0, 0), (-1, 0), 1, colors.black),
            ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.black),
            ("LINEBELOW", (0, -1), (-1, -1), 1, colors.black),
        ]
    else:
        rules = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
    story = []
    for kind, value in blocks(markdown):
        if kind == "table":
            story += [Table(value, style=TableStyle(rules)), Spacer(1, 10)]
        elif kind == "list":
            entries = [ListItem(Paragraph(item, body)) for item in value]
            story.append(ListFlowable(entries, bulletType="bullet", start="•"))
        else:
            story.append(Paragraph(value, heads.get(kind, body)))

    def decorate(canvas, document) -> None:
        if columns == 2:
            canvas.setFont("Helvetica", 9)
            canvas.drawString(2 * cm, A4[1] - 1.3 * cm, "Proceedings of the society")
            canvas.drawCentredString(A4[0] / 2, 1.1 * cm, str(document.page))

    width = 17 * cm if columns == 1 else 8 * cm
    frames = [Frame(2 * cm + i * 9 * cm, 2 * cm, width, 25 * cm) for i in range(columns)]
    out = io.BytesIO()
    document = BaseDocTemplate(out, pagesize=A4)
    document.addPageTemplates([PageTemplate(frames=frames, onPage=decorate)])
    document.build(story)
    return out.getvalue()


def make_docx(markdown: str, *, with_title: bool = False) -> bytes:
    """Return a Word file; ``with_title`` as people write them, for print.

    Its first heading has the title's style then, and a blank line follows each table.
    """
    from docx import Document

    document = Document()
    for kind, value in blocks(markdown):
        if kind == "table":
            fill_table(document.add_table(len(value), len(value[0])), value)
            if with_title:
                document.add_paragraph()
        elif kind == "list":
            for item in value:
                document.add_paragraph(item, style="List Bullet")
        elif kind == "p":
            document.add_paragraph(value)
        else:
            document.add_heading(value, int(kind[1]) - with_title)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def fill_table(table: Any, rows: list[list[str]]) -> None:
    """Write cells into a table of python-docx or python-pptx."""
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            table.cell(i, j).text = cell


def convert(docx: bytes, suffix: str) -> bytes:
    """Return a Word file in another format, by LibreOffice."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "a.docx"
        source.write_bytes(docx)
        command = ["soffice", "--headless", f"-env:UserInstallation=file://{folder}/profile"]
        command += ["--convert-to", suffix, "--outdir", folder, str(source)]
        subprocess.run(command, check=True, capture_output=True)
        return (Path(folder) / f"a.{suffix}").read_bytes()


def make_writer(markdown: str) -> bytes:
    return convert(make_docx(markdown, with_title=True), "pdf")


LAYOUTS = {"single": make_single, "columns": make_columns, "writer": make_writer}
