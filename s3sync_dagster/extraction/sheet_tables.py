"""Rows of sheets to Markdown tables, with a page for each block of rows."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from s3sync_dagster.extraction.number_formats import Range
from s3sync_dagster.model.document import Page
from s3sync_dagster.model.errors import LimitExceeded

ROWS_PER_PAGE = 100
"""Rows that one label such as ``Sheet1!A2:F101`` covers."""
MAX_CHARACTERS = 200_000_000
MAX_MERGED_RANGES = 10_000
TITLE_CHARACTERS = 80
"""Of a sheet's name in labels and warnings; Excel allows 31, a file may have a million."""


class MergedCells:
    """Puts a merged cell's value into each of its cells, so that every row says what it is."""

    def __init__(self, ranges: list[Range]) -> None:
        self._starts: dict[int, list[Range]] = defaultdict(list)
        for first, last in ranges[:MAX_MERGED_RANGES]:
            self._starts[first[0]].append((first, last))
        self._open: list[tuple[int, int, int, str]] = []
        """Columns, last row and value of the ranges that reach into the coming rows, in order."""

    def fill(self, row: int, cells: list[str]) -> list[str]:
        """Return the row (counted from 0) with the values of merged cells repeated."""
        self._open = [entry for entry in self._open if entry[2] >= row]
        for (_, left), (last, right) in self._starts.get(row, ()):
            value = cells[left] if left < len(cells) else ""
            place = bisect_left(self._open, (left,))
            before, after = self._open[max(place - 1, 0) : place], self._open[place : place + 1]
            # No cell is in two ranges, whatever a file says: a hundred million would be open.
            is_apart = all(left > one[1] for one in before) and all(right < one[0] for one in after)
            if value and is_apart:
                self._open.insert(place, (left, right, last, value))
        for left, right, _, value in self._open:
            for column in range(left, min(right + 1, len(cells))):
                cells[column] = cells[column] or value
        return cells


@dataclass(slots=True)
class SheetWriter:
    """Markdown under construction."""

    pieces: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    length: int = 0
    sheets: int = 0
    title: str = ""
    block: list[tuple[int, list[str]]] = field(default_factory=list)
    """Rows of the current table that are not written yet, with their numbers."""
    header: list[str] | None = None
    """Header of the current table once it is written."""
    left: int = 0
    """First column of the current table."""
    previous: tuple[int, list[str]] | None = None
    """First column and header of the table before, for rows that go on after an empty row."""

    def begin_sheet(self, title: str) -> None:
        """Write the sheet's heading."""
        self.sheets += 1
        self.title = title[:TITLE_CHARACTERS]
        self.header = self.previous = None
        self._write(f"# {_one_line(title)}\n\n")

    def add_row(self, number: int, row: list[str]) -> None:
        """Take a row; an empty one ends the table."""
        if not any(row):
            self.end_table()
            return
        self.block.append((number, row))
        if len(self.block) >= ROWS_PER_PAGE:
            self._flush()

    def end_table(self) -> None:
        """Write what is left of the table, and forget its header."""
        self._flush()
        if self.header is not None:
            self._write("\n")
            self.previous = (self.left, self.header)
        self.header = None

    def add_notes(self, notes: list[str]) -> None:
        """Write comments and links after the sheet's rows."""
        if notes:
            self._write("".join(f"- {note}\n" for note in notes) + "\n")

    def add_drawings(self, texts: list[str]) -> None:
        """Write the words of boxes and charts after the sheet's rows, as a page of their own."""
        if texts:
            self.pages.append(Page(start=self.length, label=f"{self.title}: drawings"))
            self._write("".join(f"{text}\n\n" for text in texts))

    def _flush(self) -> None:
        if not self.block:
            return
        left = min(next(i for i, cell in enumerate(row) if cell) for _, row in self.block)
        right = max(max(i for i, cell in enumerate(row) if cell) for _, row in self.block) + 1
        if self.header is not None and (left < self.left or right > self.left + len(self.header)):
            self._widen(left, right)
        if self.header is not None:
            left, right = self.left, self.left + len(self.header)
        rows = [(row + [""] * right)[left:right] for _, row in self.block]
        self.pages.append(Page(start=self.length, label=self._label(left, right)))
        self.block = []
        if self.header is None:
            if len(rows) == 1 and len(rows[0]) == 1:
                self._write(rows[0][0] + "\n\n")  # a line of text above a table
                return
            self._write_header(left, rows)
        self._write("".join(map(_markdown_row, rows)))

    def _write_header(self, left: int, rows: list[list[str]]) -> None:
        """Write the first row, or the header of the table before where its columns go on."""
        goes_on = self.previous is not None and (left, len(rows[0])) == (
            self.previous[0],
            len(self.previous[1]),
        )
        if goes_on and self.previous is not None and not _is_header(rows[0]):
            self.header = self.previous[1]
        else:
            self.header = rows.pop(0)
        self.left = left
        ruler = _markdown_row(["-"] * len(self.header))
        self._write(_markdown_row(self.header) + ruler)

    def _widen(self, left: int, right: int) -> None:
        """Begin a wider table: later rows have cells where the header has none."""
        header = self.header or []
        before = max(0, self.left - left)
        after = max(0, right - self.left - len(header))
        self.left = min(left, self.left)
        self.header = [""] * before + header + [""] * after
        self._write("\n" + _markdown_row(self.header) + _markdown_row(["-"] * len(self.header)))

    def _label(self, left: int, right: int) -> str:
        first, last = self.block[0][0], self.block[-1][0]
        return f"{self.title}!{column_name(left)}{first}:{column_name(right - 1)}{last}"

    def _write(self, piece: str) -> None:
        self.pieces.append(piece)
        self.length += len(piece)
        if self.length > MAX_CHARACTERS:
            raise LimitExceeded(
                f"The sheets hold more than {MAX_CHARACTERS // 10**6} million characters.",
                reason="output_too_large",
            )


def _is_header(row: Iterable[str]) -> bool:
    """Return whether all cells are filled with words: data rows mostly hold a number or a gap."""
    return all(cell and not cell[0].isdigit() for cell in row)


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |\n"


def _cell(text: str) -> str:
    if "|" in text or "\n" in text or "\r" in text:
        return _one_line(text).replace("|", "\\|")
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def column_name(column: int) -> str:
    """Return ``A`` for 0, ``Z`` for 25, ``AA`` for 26."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
