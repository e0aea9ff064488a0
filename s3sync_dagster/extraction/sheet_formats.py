"""Which cells of a workbook show more than their value: numbers with a format, and errors.

The fast reader gives the values alone. Dates stay in ISO form, which is found more easily.
"""

import io
import re
import struct
import zipfile
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.number_formats import Cells, Show, Shown, shows_of
from s3sync_dagster.extraction.office_repairs import with_parts
from s3sync_dagster.extraction.package import name_of, parse_part, relations
from s3sync_dagster.extraction.sheet_open_document import open_document_cells
from s3sync_dagster.extraction.sheet_records import xls_cells, xlsb_cells

_STYLE_TABLE = "xl/styles.xml"
_DURATION = re.compile(rb'formatCode="[^"]*\[(?:h+|m+|s+)\][^"]*"', re.IGNORECASE)
_NUMBERED_DURATION = re.compile(rb'numFmtId="46"')
_BLOCK_BYTES = 1024**2
_MAX_TAG_BYTES = 4096
_CELL = re.compile(rb"<(?:\w+:)?c\s([^<>]*[^<>/])>")
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
_STYLE = re.compile(rb'\bs="(\d+)"')
_ERROR = re.compile(
    rb'<(?:\w+:)?c\s([^<>]*\bt="e"[^<>]*)>.{0,2000}?<(?:\w+:)?v>([^<]+)<', re.DOTALL
)


def shown_cells(content: Content) -> dict[str, Shown]:
    """Return by sheet name the cells that show more than their value, and merged ones.

    Empty for a workbook whose parts cannot be followed: its values are what counts.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        if not zipfile.is_zipfile(source):
            return xls_cells(content)
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            if "xl/workbook.xml" in names:
                styles = _styles(archive)
                parts = _sheets(archive)
                return {name: Shown(_cells(archive, part, styles)) for name, part in parts}
            if "xl/workbook.bin" in names:
                return xlsb_cells(archive)
            return open_document_cells(archive) if "content.xml" in names else {}
    except (*BROKEN_ARCHIVE, KeyError, IndexError, struct.error):
        return {}


def without_durations(content: Content) -> Content:
    """Return an XLSX workbook in which durations are numbers of days; others as they are."""
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        with zipfile.ZipFile(source) as archive:
            before = archive.read(_STYLE_TABLE)
    except (*BROKEN_ARCHIVE, KeyError):
        return content
    after = _NUMBERED_DURATION.sub(b'numFmtId="0"', _DURATION.sub(b'formatCode="0"', before))
    return with_parts(content, {_STYLE_TABLE: after})


def _styles(archive: zipfile.ZipFile) -> dict[int, Show]:
    if _STYLE_TABLE not in archive.namelist():
        return {}
    root = parse_part(archive, _STYLE_TABLE)
    codes = {
        int(element.get("numFmtId")): element.get("formatCode", "")
        for element in root.iter()
        if name_of(element) == "numFmt" and element.get("numFmtId", "").isdigit()
    }
    table = next((element for element in root if name_of(element) == "cellXfs"), ())
    return shows_of(codes, [int(style.get("numFmtId") or 0) for style in table])


def _sheets(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    targets = dict(relations(archive, "xl/workbook.xml"))
    found: list[tuple[str, str]] = []
    for element in parse_part(archive, "xl/workbook.xml").iter():
        if name_of(element) == "sheet":
            key = next((value for name, value in element.items() if name.endswith("}id")), "")
            found.append((element.get("name", ""), targets.get(key, ("", ""))[1]))
    return found


def _cells(archive: zipfile.ZipFile, part: str, styles: dict[int, Show]) -> Cells:
    found: Cells = {}
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
