"""Which cells of XLS and XLSB workbooks show more than their value, from the files' records.

What the records hold: [MS-XLS] 2.4 and [MS-XLSB] 2.4. Raises ``struct.error``, ``IndexError`` and
``KeyError`` for files that are not as they should be.
"""

import codecs
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, cast

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.number_formats import Cells, Range, Show, Shown, shows_of
from s3sync_dagster.extraction.package import relations

_ERRORS = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?"}
_ERRORS |= {0x24: "#NUM!", 0x2A: "#N/A", 0x2B: "#GETTING_DATA"}
_BIFF8 = 0x0600
_CODE_PAGE, _BOUND_SHEET, _FORMAT, _STYLE, _BOF, _EOF = 0x42, 0x85, 0x41E, 0xE0, 0x809, 0x0A
_FORMULA, _NUMBER, _RK, _SHORT_NUMBERS, _BOOL_OR_ERROR = 0x06, 0x203, 0x27E, 0xBD, 0x205
_NO_NUMBER = b"\xff\xff"
"""End of a formula's result that is none; its first byte says what it is."""
_IS_ERROR = 2
_XLSB_SHEET, _XLSB_FORMAT, _XLSB_STYLE, _XLSB_STYLES, _XLSB_STYLES_END = 156, 44, 47, 617, 618
_XLSB_ROW, _XLSB_NUMBERS, _XLSB_ERRORS, _XLSB_MERGED = 0, (2, 5, 9), (3, 11), 176
_NO_TEXT = 0xFFFFFFFF


def xls_cells(content: Content) -> dict[str, Shown]:
    """Return by sheet name what an XLS file of Excel 5 and later shows."""
    import olefile  # noqa: PLC0415 (only for such files)

    with cast("Any", olefile.OleFileIO(read_all(content))) as file:
        name = next((n for n in ("Workbook", "Book") if file.exists(n)), None)
        stream = file.openstream(name).read() if name else b""
    codes: dict[int, str] = {}
    styles: list[int] = []
    sheets: list[tuple[int, str]] = []
    is_wide, encoding = False, "cp1252"
    for kind, body in _xls_records(stream, 0):
        if kind == _BOF:
            is_wide = struct.unpack_from("<H", body)[0] >= _BIFF8
        elif kind == _CODE_PAGE:
            encoding = _code_page(struct.unpack_from("<H", body)[0])
        elif kind == _FORMAT:
            code = _text(body[2:], 2 if is_wide else 1, encoding=None if is_wide else encoding)
            codes[struct.unpack_from("<H", body)[0]] = code
        elif kind == _STYLE:
            styles.append(struct.unpack_from("<H", body, 2)[0])
        elif kind == _BOUND_SHEET:
            title = _text(body[6:], 1, encoding=None if is_wide else encoding)
            sheets.append((struct.unpack_from("<I", body)[0], title))
    shows = shows_of(codes, styles)
    return {title: Shown(_xls_sheet(stream, start, shows)) for start, title in sheets}


def xlsb_cells(archive: zipfile.ZipFile) -> dict[str, Shown]:
    """Return by sheet name what an XLSB file shows."""
    codes: dict[int, str] = {}
    styles: list[int] = []
    is_table = False
    for kind, body in _xlsb_records(archive, "xl/styles.bin"):
        if kind == _XLSB_FORMAT:
            codes[struct.unpack_from("<H", body)[0]] = _wide_text(body[2:])[0]
        elif kind in (_XLSB_STYLES, _XLSB_STYLES_END):
            is_table = kind == _XLSB_STYLES
        elif kind == _XLSB_STYLE and is_table:
            styles.append(struct.unpack_from("<H", body, 2)[0])
    shows = shows_of(codes, styles)
    targets = dict(relations(archive, "xl/workbook.bin"))
    found: dict[str, Shown] = {}
    for kind, body in _xlsb_records(archive, "xl/workbook.bin"):
        if kind == _XLSB_SHEET:
            key, rest = _wide_text(body[8:])
            found[_wide_text(rest)[0]] = _xlsb_sheet(archive, targets[key][1], shows)
    return found


def _xls_records(stream: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Yield the records of the part of a stream that begins at a place: all sheets', or one's."""
    while place + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, place)
        yield kind, stream[place + 4 : place + 4 + size]
        if kind == _EOF:
            return
        place += 4 + size


def _xls_sheet(stream: bytes, start: int, shows: dict[int, Show]) -> Cells:
    found: Cells = {}

    def keep(row: int, column: int, style: int) -> None:
        if style in shows:
            found[row, column] = shows[style]

    for kind, body in _xls_records(stream, start):
        if kind == _SHORT_NUMBERS:
            row, first = struct.unpack_from("<HH", body)
            for i in range((len(body) - 6) // 6):
                keep(row, first + i, struct.unpack_from("<H", body, 4 + 6 * i)[0])
        elif kind in (_NUMBER, _RK, _FORMULA, _BOOL_OR_ERROR):
            row, column, style = struct.unpack_from("<HHH", body)
            code = None
            if kind == _BOOL_OR_ERROR:
                code = body[6] if body[7] else None
            elif kind == _FORMULA and body[12:14] == _NO_NUMBER:
                code = body[8] if body[6] == _IS_ERROR else None
            else:
                keep(row, column, style)
            if code in _ERRORS:
                found[row, column] = _ERRORS[code]
    return found


def _xlsb_records(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a part; a kind has up to two bytes of seven bits, a size up to four."""
    with archive.open(part) as stream:
        while first := stream.read(1):
            kind = first[0]
            if kind & 0x80:
                kind = kind & 0x7F | stream.read(1)[0] << 7
            size = 0
            for shift in (0, 7, 14, 21):
                byte = stream.read(1)[0]
                size |= (byte & 0x7F) << shift
                if not byte & 0x80:
                    break
            yield kind, stream.read(size)


def _xlsb_sheet(archive: zipfile.ZipFile, part: str, shows: dict[int, Show]) -> Shown:
    found: Cells = {}
    merged: list[Range] = []
    row = 0
    for kind, body in _xlsb_records(archive, part):
        if kind == _XLSB_ROW:
            row = struct.unpack_from("<I", body)[0]
        elif kind in _XLSB_NUMBERS:
            column, style = struct.unpack_from("<II", body)
            show = shows.get(style & 0xFFFFFF)
            if show is not None:
                found[row, column] = show
        elif kind in _XLSB_ERRORS and body[8] in _ERRORS:
            found[row, struct.unpack_from("<I", body)[0]] = _ERRORS[body[8]]
        elif kind == _XLSB_MERGED:
            top, bottom, left, right = struct.unpack_from("<IIII", body)
            merged.append(((top, left), (bottom, right)))
    return Shown(found, merged)


def _text(body: bytes, size_bytes: int, *, encoding: str | None) -> str:
    """Return a text of an XLS file after its length, which has one or two bytes.

    Without an encoding it is one of Excel 97 and later, with a byte of flags in between.
    """
    size = int.from_bytes(body[:size_bytes], "little")
    if encoding is not None:
        return body[size_bytes : size_bytes + size].decode(encoding, "replace")
    start = size_bytes + 1
    if body[size_bytes] & 1:
        return body[start : start + 2 * size].decode("utf-16-le", "replace")
    return body[start : start + size].decode("latin-1")


def _wide_text(body: bytes) -> tuple[str, bytes]:
    """Return a text of an XLSB file, and what follows it."""
    size = struct.unpack_from("<I", body)[0]
    if size == _NO_TEXT:
        return "", body[4:]
    return body[4 : 4 + 2 * size].decode("utf-16-le", "replace"), body[4 + 2 * size :]


def _code_page(number: int) -> str:
    try:
        return codecs.lookup({32768: "mac_roman"}.get(number, f"cp{number}")).name
    except LookupError:
        return "cp1252"  # 32769 is Excel's own number for it
