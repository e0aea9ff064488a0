"""Records, one per line or row: CSV with its header repeated, JSON lines, plain lines."""

from collections.abc import Iterator

from s3sync_dagster.chunking.nesting import allow_json
from s3sync_dagster.chunking.outline import Outline, Piece
from s3sync_dagster.chunking.text import character_start

DEFAULT_LINES_BYTES = 4096
AFTER_HEADER_ROW = 3.0
INSIDE_RECORD = 3.0
APART = -0.6
"""Before and after a record that must be cut: its parts do not share chunks with others."""
MAX_HEADER_SHARE = 3
"""A header above a third of the limit is not repeated."""


def outline_csv(data: bytes, limit: int) -> Outline:
    """Return the cuts between the rows of a CSV file; each chunk repeats the header row."""
    outline = Outline(uniform=True)
    ends = _row_ends(data, limit)
    if not ends:
        return outline
    header = (0, ends[0])
    repeat = header[1] <= limit // MAX_HEADER_SHARE
    for number, start in enumerate(ends[:-1] if ends[-1] == len(data) else ends):
        outline.allow(start, AFTER_HEADER_ROW if number == 0 else 0.0)
        if repeat:
            outline.headers[start] = header
    return outline


def _row_ends(data: bytes, limit: int) -> list[int]:
    return [end for ends in _rows(data, limit) for end in ends]


def row_positions(data: bytes, limit: int) -> Iterator[int]:
    """Yield where rows end and the next begins, whatever stands before."""
    return (ends[-1] for ends in _rows(data, limit))


def _rows(data: bytes, limit: int) -> Iterator[list[int]]:
    """Yield where rows end; a newline inside quotes ends none.

    A quote that is not closed within ``limit`` bytes is taken for a plain character, so that one
    stray quote does not swallow the rest of the file.
    """
    start = line = 0
    quotes = 0
    pending: list[int] = []  # line ends inside the open quote
    while line < len(data):
        end = data.find(b"\n", line) + 1 or len(data)
        quotes += data.count(b'"', line, end)
        if quotes % 2 and end - start <= limit and end < len(data):
            pending.append(end)
        else:
            yield [*pending, end] if quotes % 2 else [end]
            pending.clear()
            quotes = 0
            start = end
        line = end


def outline_json_lines(data: bytes, limit: int) -> Outline:
    """Return the cuts between lines of JSON, and inside those that do not fit."""
    outline = Outline(uniform=True)
    start = 0
    apart = False
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        large = end - start > limit
        outline.allow(start, APART if large or apart else 0.0)
        apart = large
        if large:
            allow_json(data, (start, end), limit, outline, base=INSIDE_RECORD)
        start = end
    return outline


def cut_lines(data: bytes, *, max_lines: int, limit: int, most: int) -> list[Piece]:
    """Return pieces of at most ``max_lines`` lines and ``limit`` bytes (strategy ``lines``).

    The rest is not cut where there are more than ``most``.
    """
    pieces: list[Piece] = []
    start = 0
    while start < len(data) and len(pieces) <= most:
        end = start
        for _ in range(max_lines):
            following = data.find(b"\n", end) + 1 or len(data)
            if following - start > limit or end == len(data):
                break
            end = following
        if end == start:  # one line longer than the limit
            end = character_start(data, start + limit, start)
        pieces.append(Piece(start, end))
        start = end
    return pieces
