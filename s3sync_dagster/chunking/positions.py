"""From byte ranges to what people see: lines, columns, pages, text."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from s3sync_dagster.chunking.outline import Piece
from s3sync_dagster.model.document import Page

_NEWLINE = 10


class Place(NamedTuple):
    """A piece's text and position."""

    text: str
    start_line: int
    end_line: int
    start_col: int
    end_col: int
    page: str | None


def locate(data: bytes, pieces: Iterable[Piece], pages: tuple[Page, ...]) -> Iterator[Place]:
    """Yield the place of each piece; pieces tile ``data`` in order.

    The text goes without one final newline, so that texts in order joined with newlines give the
    document again where chunks end at line ends.
    """
    line = column = 1
    character = 0
    page = -1
    ascii_text = data.decode() if data.isascii() else ""  # there, bytes are characters
    for piece in pieces:
        start, end = piece.start, piece.end
        stop = end - 1 if data[end - 1] == _NEWLINE and end - start > 1 else end
        text = ascii_text[start:stop] if ascii_text else data[start:stop].decode()
        while page + 1 < len(pages) and pages[page + 1].start <= character:
            page += 1
        newlines = text.count("\n")
        behind = len(text) - text.rfind("\n") if newlines else column + len(text)
        stored = text
        if piece.header is not None:
            stored = data[piece.header[0] : piece.header[1]].decode("utf-8") + text
        yield Place(
            text=stored,
            start_line=line,
            end_line=line + newlines,
            start_col=column,
            end_col=max(1, behind - 1),
            page=pages[page].label if page >= 0 else None,
        )
        character += len(text) + end - stop
        line += newlines + end - stop
        column = behind if stop == end else 1
