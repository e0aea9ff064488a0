"""From byte ranges to what people see: lines, columns, pages, text."""

from collections.abc import Iterable, Iterator

from s3sync_dagster.chunking.outline import Piece
from s3sync_dagster.model.document import Page

_NEWLINE = 10


Place = tuple[str, int, int, int, int, str | None]
"""A piece's text, first and last line, first and last column, page."""


def locate(data: bytes, pieces: Iterable[Piece], pages: tuple[Page, ...]) -> Iterator[Place]:
    """Yield the place of each piece; pieces tile ``data`` in order.

    The text goes without one final newline, so that texts in order joined with newlines give the
    document again where chunks end at line ends.
    """
    line = column = 1
    character = 0
    page = -1
    label: str | None = None
    page_start = pages[0].start if pages else None  # of the next page
    ascii_text = data.decode() if data.isascii() else ""  # there, bytes are characters
    for start, end, _, header in pieces:
        ends_line = data[end - 1] == _NEWLINE and end - start > 1
        stop = end - 1 if ends_line else end
        text = ascii_text[start:stop] if ascii_text else data[start:stop].decode()
        while page_start is not None and page_start <= character:
            page += 1
            label = pages[page].label
            page_start = pages[page + 1].start if page + 1 < len(pages) else None
        size = len(text)
        newlines = text.count("\n")
        behind = size - text.rfind("\n") if newlines else column + size
        if header is not None:
            text = data[header[0] : header[1]].decode("utf-8") + text
        yield text, line, line + newlines, column, behind - 1 if behind > 2 else 1, label
        line += newlines
        if ends_line:
            character += size + 1
            line += 1
            column = 1
        else:
            character += size
            column = behind
