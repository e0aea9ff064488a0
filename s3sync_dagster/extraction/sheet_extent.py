"""A look at how far a workbook's cells reach, before a reader makes room for all of them.

Readers hold a sheet as a full rectangle: two cells in opposite corners would be 17 billion.
"""

import io
import re
import zipfile
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE, check_unpacked_size
from s3sync_dagster.model.errors import LimitExceeded, UnreadableFile

MAX_CELLS = 20_000_000
"""Cells of one sheet's rectangle, empty ones included."""
MAX_UNPACKED_BYTES = 2 * 1024**3
"""Of all parts together: they are streamed, so more may pass than elsewhere."""
_BLOCK_BYTES = 1024**2
_MAX_REFERENCE_BYTES = 64
# A cell with something in it: `<c r="AB12" s="3">`, but not `<c r="AB12" s="3"/>`.
_CELL = re.compile(rb'<(?:\w+:)?c [^>]*?r="([A-Z]{1,3})(\d{1,7})"[^>]*(?<!/)>')


def check_extents(content: Content) -> None:
    """Raise ``LimitExceeded`` for a workbook that would fill memory.

    ``too_many_cells`` for the rectangle of a sheet, ``zip_bomb`` for the unpacked size. Files
    that are no zip archive (XLS) have bounds of their own and pass.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        return
    check_unpacked_size(content, limit_bytes=MAX_UNPACKED_BYTES)
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if re.fullmatch(r"xl/worksheets/[^/]+\.xml", entry.filename):
                    _check_sheet(archive, entry)
    except BROKEN_ARCHIVE:
        raise UnreadableFile("The workbook is cut off or damaged.", reason="damaged") from None


def _check_sheet(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    columns: set[bytes] = set()
    first_row, last_row = 0, 0
    rest = b""
    with archive.open(entry) as part:
        while block := part.read(_BLOCK_BYTES):
            data = rest + block
            for found in _CELL.finditer(data):
                columns.add(found[1])
                last_row = int(found[2])
                first_row = first_row or last_row
            rest = data[-_MAX_REFERENCE_BYTES:]
    if not columns:
        return
    numbers = [_number(letters) for letters in columns]
    cells = (max(numbers) - min(numbers) + 1) * (abs(last_row - first_row) + 1)
    if cells > MAX_CELLS:
        raise LimitExceeded(
            f"A sheet spans {cells:,} cells; at most {MAX_CELLS:,} are read.",
            reason="too_many_cells",
        )


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
