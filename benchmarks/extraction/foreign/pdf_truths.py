"""What is known of PDFs: headings that they name themselves, tables and titles marked by hand."""

import io
import re
from typing import Any
from xml.etree import ElementTree

from s3sync_dagster.extraction.pdf.tags import is_tagged, tagged_headings
from s3sync_dagster.extraction.words import words_of

MAX_PAGES = 30
"""Of one file that are read."""
_MIN_HEADINGS = 3
_MIN_FOUND = 0.8
"""Share of a file's bookmarks that are words of their pages; others are no headings' texts."""
_MIN_A_PAGE = 0.4
"""Headings a page; an outline of fewer names chapters only."""

_NUMBER = r"(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)*|[IVX]+)[.)]?"
"""Before a heading, which bookmarks often leave out."""


def without_names(content: bytes) -> tuple[bytes, list[str]]:
    """Return a PDF's first pages without outline and tags, and the headings that these named.

    No headings where the outline names few of them, or words that its pages do not have.
    """
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(content)
        numbers = range(min(len(pdf), MAX_PAGES))
        tagged = _tagged(pdf, numbers)
        named = tagged if len(tagged) >= _MIN_HEADINGS else _outlined(pdf, numbers)
        if len(named) < max(_MIN_HEADINGS, _MIN_A_PAGE * len(numbers)):
            return b"", []
        return pages_of(pdf, list(numbers)), named
    except pypdfium2.PdfiumError:
        return b"", []


def pages_of(pdf: Any, numbers: list[int]) -> bytes:
    """Return a PDF of some pages, without outline and tags."""
    import pypdfium2

    target = pypdfium2.PdfDocument.new()
    target.import_pages(pdf, numbers)
    out = io.BytesIO()
    target.save(out)
    return out.getvalue()


def _tagged(pdf: Any, numbers: range) -> list[str]:
    """Return the texts of headings in the structure tree."""
    if not is_tagged(pdf):
        return []
    return [
        name.text
        for number in numbers
        for name in tagged_headings(pdf[number], pdf[number].get_textpage())
    ]


def _outlined(pdf: Any, numbers: range) -> list[str]:
    """Return the bookmarks that are words of the page to which they lead."""
    texts = {number: pdf[number].get_textpage().get_text_range() for number in numbers}
    asked = found = 0
    names: list[str] = []
    for bookmark in pdf.get_toc():
        goal = bookmark.get_dest()
        number = goal.get_index() if goal else None
        if number not in texts:
            continue
        asked += 1
        title = " ".join(bookmark.get_title().split())
        words = [re.escape(word) for word in title.split()]
        name = r"\s*".join(words)
        patterns = (
            rf"^[ \t]*{_NUMBER}[ \t]*{name}\s*$",
            rf"^[ \t]*{name}\s*$",
            rf"^[ \t]*{_NUMBER}\s*{name}",
            name,
        )
        tried = (re.search(one, texts[number], re.IGNORECASE | re.MULTILINE) for one in patterns)
        there = next(filter(None, tried), None) if words else None
        if there:
            found += 1
            names.append(" ".join(there[0].split()))
    unique = list(dict.fromkeys(names))
    return unique if asked and found >= _MIN_FOUND * asked else []


def tables_of(structure: bytes) -> str:
    """Return the tables of ICDAR 2013's notation as Markdown, a row for each row."""
    tables: list[str] = []
    for table in ElementTree.fromstring(structure).iter("table"):
        rows: dict[tuple[int, int], dict[int, str]] = {}
        for place, region in enumerate(table.iter("region")):
            for cell in region.iter("cell"):
                row = rows.setdefault((place, int(cell.get("start-row", 0))), {})
                words = " ".join((cell.findtext("content") or "").split()).replace("|", "\\|")
                row[int(cell.get("start-col", 0))] = words
        lines = (
            "| " + " | ".join(words for _, words in sorted(row.items())) + " |"
            for _, row in sorted(rows.items())
        )
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def annotated_pages(
    content: bytes, boxes: dict[int, list[tuple[float, ...]]]
) -> tuple[bytes, list[str]]:
    """Return the pages with boxes, and the texts in these.

    A box is left, top, right and bottom in heights of the page.
    """
    import pypdfium2

    pdf: Any = pypdfium2.PdfDocument(content)
    found: list[str] = []
    for number, places in boxes.items():
        page = pdf[number]
        height = page.get_height()
        edge, _, _, top = page.get_cropbox()
        layer = page.get_textpage()
        for left, upper, right, lower in places:
            text = layer.get_text_bounded(
                left=edge + left * height,
                right=edge + right * height,
                top=top - upper * height,
                bottom=top - lower * height,
            )
            if words_of(text):
                found.append(" ".join(text.split()))
    return pages_of(pdf, list(boxes)), found


def boxes_of(annotations: bytes, *labels: str) -> dict[str, dict[int, list[tuple[float, ...]]]]:
    """Return the boxes of some labels in CVAT's notation, by file stem and page index."""
    files: dict[str, dict[int, list[tuple[float, ...]]]] = {}
    for image in ElementTree.fromstring(annotations).iter("image"):
        named = re.fullmatch(r"(?:doc_)?(.+)_page_0*(\d+)\.png", image.get("name", ""))
        if not named:
            continue
        height = float(image.get("height", 1))  # beside the page the image shows what was found
        pages = files.setdefault(named[1], {})
        pages[int(named[2]) - 1] = [
            tuple(float(box.get(edge, 0)) / height for edge in ("xtl", "ytl", "xbr", "ybr"))
            for box in image.iter("box")
            if box.get("label") in labels
        ]
    return files
