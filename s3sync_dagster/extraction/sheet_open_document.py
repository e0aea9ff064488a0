"""What an ODS workbook shows besides the values of its cells.

The file says beside each value how it is shown, which cells are merged, comments and links.
"""

import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any

from s3sync_dagster.extraction.number_formats import Cells, Range, Show, Shown
from s3sync_dagster.extraction.sheet_tables import column_name

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBERS = ("float", "percentage", "currency")
_TIME = "time"
"""Whose value is a text such as ``PT04H17M00S``."""
MAX_MERGED = 10_000
"""Ranges of one workbook."""
MAX_NOTES = 5000
"""Comments, links and boxes of one workbook."""
MAX_CELLS = 500_000
"""With a number, of one workbook; what follows is given as its value."""
_MAX_DECIMALS = 12
_ENOUGH_DIGITS = 8
_PLAIN_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_ERROR = re.compile(r"#[A-Z/0-9]+[!?]?|Err:\d+|#N/A")


def open_document_cells(archive: zipfile.ZipFile) -> dict[str, Shown]:
    """Return by sheet name the cells whose text is more than their value, and what is beside."""
    import lxml.etree  # noqa: PLC0415 (only for such files)

    etree: Any = lxml.etree

    found: dict[str, Shown] = {}
    cells: Cells = {}
    merged: list[Range] = []
    notes: list[str] = []
    boxes: list[str] = []
    row = 0
    left, ranges_left, notes_left = MAX_CELLS, MAX_MERGED, MAX_NOTES
    with archive.open("content.xml") as part:
        walk = etree.iterparse(
            part,
            events=("start", "end"),
            tag=(f"{_TABLE}table", f"{_TABLE}table-row", f"{_TABLE}shapes"),
            resolve_entities=False,
            no_network=True,
        )
        try:
            for event, element in walk:
                if element.tag == f"{_TABLE}table":
                    if event == "start":
                        cells, merged, notes, boxes, row = {}, [], [], [], 0
                        shown_here = Shown(cells, merged, notes, boxes)
                        found.setdefault(element.get(f"{_TABLE}name", ""), shown_here)
                elif event == "end":
                    said = list(islice(_words_drawn(element), notes_left))
                    boxes += said
                    notes_left -= len(said)
                if event == "end" and element.tag == f"{_TABLE}table-row":
                    said = list(islice(_notes(element, row), notes_left))
                    notes += said
                    notes_left -= len(said)
                    shown = dict(islice(_shown(element, row), left))
                    cells |= shown
                    left -= len(shown)
                    ranges = list(islice(_merged(element, row), ranges_left))
                    merged += ranges
                    ranges_left -= len(ranges)
                    row += _count(element, "number-rows-repeated")
                    element.clear()  # a large sheet is not held as a whole
        except etree.XMLSyntaxError:
            return {}
    return found


def _notes(line: Any, row: int) -> Iterator[str]:
    """Yield ``A2: words of a comment`` and ``B3: https://…``."""
    column = 0
    for cell in line.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        place = f"{column_name(column)}{row + 1}"
        for comment in cell.iterchildren(f"{_OFFICE}annotation"):
            if words := _words(comment):
                yield f"{place}: {words}"
        for link in cell.iter(f"{_TEXT}a"):
            if target := link.get(_HREF):
                yield f"{place}: {target}"
        column += _count(cell, "number-columns-repeated")


def _words_drawn(element: Any) -> Iterator[str]:
    """Yield the words of the boxes and shapes of a sheet or a row, those of charts aside."""
    for shape in element.iter(f"{_DRAW}*"):
        if words := _words(shape):
            yield words


def _words(element: Any) -> str:
    """Return the words of an element's paragraphs and lists, not of other elements inside it."""
    texts = (
        "".join(paragraph.itertext())
        for child in element.iterchildren(f"{_TEXT}p", f"{_TEXT}list")
        for paragraph in child.iter(f"{_TEXT}p")
        if paragraph is child or child.tag == f"{_TEXT}list"
    )
    return " ".join(" ".join(texts).split())


def _merged(line: Any, row: int) -> Iterator[Range]:
    column = 0
    for cell in line.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        below = _count(cell, "number-rows-spanned") - 1
        right = _count(cell, "number-columns-spanned") - 1
        if below or right:
            yield (row, column), (row + below, column + right)
        column += _count(cell, "number-columns-repeated")


def _shown(line: Any, row: int) -> Iterator[tuple[tuple[int, int], Show | str]]:
    column = 0
    for cell in line.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        columns = _count(cell, "number-columns-repeated")
        show = _show(cell)
        if show is not None:
            for below in range(_count(line, "number-rows-repeated")):
                for right in range(columns):
                    yield (row + below, column + right), show
        column += columns


def _count(element: Any, what: str) -> int:
    text = element.get(f"{_TABLE}{what}", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _show(cell: Any) -> Show | str | None:
    """Return how a cell's number is shown, None where the value says as much."""
    kind = cell.get(f"{_OFFICE}value-type")
    is_error = cell.get(f"{_CALC}value-type") == "error"
    if not is_error and kind != _TIME and kind not in _NUMBERS:
        return None
    shown = _words(cell)
    if is_error or kind == _TIME or _ERROR.fullmatch(shown):
        return shown or None
    digits = "".join(character for character in shown if character.isdigit())
    if not digits or _PLAIN_NUMBER.fullmatch(shown) and len(digits) >= _ENOUGH_DIGITS:
        return None
    factor = 100 if kind == "percentage" else 1

    def show(value: float) -> str:
        return shown if _says_all(digits, abs(value) * factor) else f"{shown} ({value!r})"

    return show


def _says_all(digits: str, value: float) -> bool:
    """Return whether digits are all that a number has, wherever its separators stand."""
    for decimals in range(_MAX_DECIMALS):
        text = f"{value:.{decimals}f}"
        if abs(float(text) - value) <= value * 1e-9:
            longer = f"{value:.{_MAX_DECIMALS}f}".replace(".", "")
            return digits.lstrip("0").startswith(text.replace(".", "").lstrip("0")) and (
                longer.lstrip("0").startswith(digits.lstrip("0"))
            )
    return False
