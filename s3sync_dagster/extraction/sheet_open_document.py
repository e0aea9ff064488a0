"""Which cells of an ODS workbook show more than their value, and which are merged.

The file says beside each value how it is shown.
"""

import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any

from s3sync_dagster.extraction.number_formats import Cells, Range, Show, Shown

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_NUMBERS = ("float", "percentage", "currency")
_TIME = "time"
"""Whose value is a text such as ``PT04H17M00S``."""
MAX_MERGED = 10_000
"""Ranges of one workbook."""
MAX_CELLS = 500_000
"""With a number, of one workbook; what follows is given as its value."""
_MAX_DECIMALS = 12
_ENOUGH_DIGITS = 8
_PLAIN_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_ERROR = re.compile(r"#[A-Z/0-9]+[!?]?|Err:\d+|#N/A")


def open_document_cells(archive: zipfile.ZipFile) -> dict[str, Shown]:
    """Return by sheet name the cells whose text is more than their value, and merged ones."""
    import lxml.etree  # noqa: PLC0415 (only for such files)

    etree: Any = lxml.etree

    found: dict[str, Shown] = {}
    cells: Cells = {}
    merged: list[Range] = []
    row = 0
    left, ranges_left = MAX_CELLS, MAX_MERGED
    with archive.open("content.xml") as part:
        walk = etree.iterparse(
            part,
            events=("start", "end"),
            tag=(f"{_TABLE}table", f"{_TABLE}table-row"),
            resolve_entities=False,
            no_network=True,
        )
        try:
            for event, element in walk:
                if element.tag == f"{_TABLE}table":
                    if event == "start":
                        cells, merged, row = {}, [], 0
                        found.setdefault(element.get(f"{_TABLE}name", ""), Shown(cells, merged))
                elif event == "end":
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
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1


def _show(cell: Any) -> Show | str | None:
    """Return how a cell's number is shown, None where the value says as much."""
    kind = cell.get(f"{_OFFICE}value-type")
    is_error = cell.get(f"{_CALC}value-type") == "error"
    if not is_error and kind != _TIME and kind not in _NUMBERS:
        return None
    texts = ("".join(paragraph.itertext()) for paragraph in cell.iterchildren(f"{_TEXT}p"))
    shown = " ".join(" ".join(texts).split())
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
