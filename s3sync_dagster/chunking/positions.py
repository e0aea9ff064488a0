"""From byte ranges to what people see: lines, columns, pages, text."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from s3sync_dagster.chunking.outline import Piece
from s3sync_dagster.model.document import Page


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
    for piece in pieces:
        raw = data[piece.start : piece.end].decode("utf-8")
        while page + 1 < len(pages) and pages[page + 1].start <= character:
            page += 1
        text = raw[:-1] if raw.endswith("\n") and len(raw) > 1 else raw
        newlines = text.count("\n")
        if newlines:
            end_col = max(1, len(text) - text.rfind("\n") - 1)
        else:
            end_col = max(1, column + len(text) - 1)
        stored = text
        if piece.header is not None:
            stored = data[piece.header[0] : piece.header[1]].decode("utf-8") + text
        yield Place(
            text=stored,
            start_line=line,
            end_line=line + newlines,
            start_col=column,
            end_col=end_col,
            page=pages[page].label if page >= 0 else None,
        )
        character += len(raw)
        total = newlines + (len(raw) != len(text))
        line += total
        column = len(raw) - raw.rfind("\n") if total else column + len(raw)
