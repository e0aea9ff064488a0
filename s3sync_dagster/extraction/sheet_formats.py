"""Numbers of XLSX sheets as Excel shows them: per cent, currencies, rounded; and errors.

The fast reader gives the values alone. Dates stay in ISO form, which is found more easily.
"""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.package import name_of, parse_part, relations

Show = Callable[[float], str]
_BUILT_IN = {2: "0.00", 4: "#,##0.00", 3: "#,##0", 9: "0%", 10: "0.00%", 11: "0.00E+00"}
"""Formats that files name by number (ECMA-376, 18.8.30), but dates and those of a locale."""
_BLOCK_BYTES = 1024**2
_MAX_TAG_BYTES = 4096
_CELL = re.compile(rb"<(?:\w+:)?c\s([^<>]*[^<>/])>")
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
_STYLE = re.compile(rb'\bs="(\d+)"')
_ERROR = re.compile(
    rb'<(?:\w+:)?c\s([^<>]*\bt="e"[^<>]*)>.{0,2000}?<(?:\w+:)?v>([^<]+)<', re.DOTALL
)
_QUOTED = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|_.|\*.')
_DIGITS = re.compile(r"[#0?][#0?,]*(?:\.([0#?]*))?")
_DATE = re.compile(r"[ymdhsYMDHS]|General|E[+-]|/|@", re.IGNORECASE)


def shown_cells(content: Content) -> dict[str, dict[tuple[int, int], Show | str]]:
    """Return by sheet name the cells (row and column from 0) that show more than their value.

    A function makes the text of a number; a text is an error such as ``#DIV/0!``. Empty for
    other formats, and for a workbook whose parts cannot be followed.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        return {}
    try:
        with zipfile.ZipFile(source) as archive:
            if "xl/workbook.xml" not in archive.namelist():
                return {}
            styles = _styles(archive)
            return {name: _cells(archive, part, styles) for name, part in _sheets(archive)}
    except (*BROKEN_ARCHIVE, KeyError):
        return {}


def number_format(code: str) -> Show | None:
    """Return how a format code shows a number, None for dates and what is not known.

    Only the part for positive numbers counts; a negative one has a minus before it.
    """
    first = code.split(";")[0]
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[1] or found[2] or found[3] or "")
        return "\x00"

    bare = _QUOTED.sub(keep, first)
    digits = _DIGITS.search(bare)
    if digits is None or _DATE.search(bare):
        return None
    before, after = bare[: digits.start()], bare[digits.end() :]
    if _DIGITS.search(after) or not set(before + after) <= set("\x00%$€£¥() -+"):
        return None
    texts = iter(literals)
    prefix = re.sub("\x00", lambda _: next(texts), before).strip("()").lstrip()
    suffix = re.sub("\x00", lambda _: next(texts), after).strip("()").rstrip()
    decimals = len(digits[1] or "")
    comma = "," if "," in digits[0] else ""
    factor = 100 if "%" in before + after else 1

    def show(value: float) -> str:
        text = f"{abs(value) * factor:{comma}.{decimals}f}"
        shown = f"{'-' if value < 0 else ''}{prefix}{text}{suffix}"
        is_whole = abs(float(text.replace(",", "")) / factor - abs(value)) <= abs(value) * 1e-9
        return shown if is_whole else f"{shown} ({value!r})"

    return show


def _styles(archive: zipfile.ZipFile) -> dict[int, Show]:
    """Return the formats by the number of the cell's style, where they show more."""
    if "xl/styles.xml" not in archive.namelist():
        return {}
    root = parse_part(archive, "xl/styles.xml")
    codes = dict(_BUILT_IN)
    for element in root.iter():
        if name_of(element) == "numFmt" and element.get("numFmtId", "").isdigit():
            codes[int(element.get("numFmtId"))] = element.get("formatCode", "")
    table = next((element for element in root if name_of(element) == "cellXfs"), ())
    found: dict[int, Show] = {}
    for number, style in enumerate(table):
        show = number_format(codes.get(int(style.get("numFmtId") or 0), ""))
        if show is not None:
            found[number] = show
    return found


def _sheets(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    targets = dict(relations(archive, "xl/workbook.xml"))
    found: list[tuple[str, str]] = []
    for element in parse_part(archive, "xl/workbook.xml").iter():
        if name_of(element) == "sheet":
            key = next((value for name, value in element.items() if name.endswith("}id")), "")
            found.append((element.get("name", ""), targets.get(key, ("", ""))[1]))
    return found


def _cells(
    archive: zipfile.ZipFile, part: str, styles: dict[int, Show]
) -> dict[tuple[int, int], Show | str]:
    found: dict[tuple[int, int], Show | str] = {}
    if part not in archive.namelist():
        return found
    rest = b""
    with archive.open(part) as file:
        while block := file.read(_BLOCK_BYTES):
            data = rest + block
            if styles:
                for cell in _CELL.finditer(data):
                    style, place = _STYLE.search(cell[1]), _place(cell[1])
                    show = styles.get(int(style[1])) if style else None
                    if show is not None and place is not None:
                        found[place] = show
            if b't="e"' in data:
                for cell in _ERROR.finditer(data):
                    place = _place(cell[1])
                    if place is not None:
                        found[place] = cell[2].decode("utf-8", "replace")
            rest = data[-_MAX_TAG_BYTES:]
    return found


def _place(attributes: bytes) -> tuple[int, int] | None:
    found = _REFERENCE.search(attributes)
    if found is None:
        return None
    column = 0
    for letter in found[1]:
        column = column * 26 + letter - ord("A") + 1
    return int(found[2]) - 1, column - 1
