"""Where a large document is cut into windows, of which each is parsed or scanned by itself."""

from collections.abc import Iterable, Iterator
from itertools import chain

from s3sync_dagster.chunking.outline import Piece


def windows(data: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges up to ``size`` that tile ``data``, cut at top-level code if possible."""
    start = 0
    while len(data) - start > size:
        end = window_end(data, start + size // 2, start + size)
        yield start, end
        start = end
    yield start, len(data)


def windows_between(data: bytes, positions: Iterable[int], size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges up to ``size`` that tile ``data``, cut at ``positions``.

    What is longer than ``size`` between two of them is cut somewhere, and its rest is a window of
    its own: what follows is read as if nothing had been cut.

    Args:
        data: the document.
        positions: in order.
        size: in bytes.
    """
    start = last = 0
    for position in chain(positions, [len(data)]):
        broken = False
        while position - start > size:
            broken = last <= start
            end = window_end(data, start + size // 2, start + size) if broken else last
            yield start, end
            start = end
        if broken:
            yield start, position
            start = position
        last = position
    if start < len(data):
        yield start, len(data)


def window_end(data: bytes, low: int, high: int) -> int:
    """Return where a window ends between two positions: at top-level code if possible."""
    found = data.rfind(b"\n\n", low, high - 1)
    while found > 0:
        if data[found + 2] not in b" \t\r\n})]":
            return found + 2
        found = data.rfind(b"\n\n", low, found)
    line = data.rfind(b"\n", low, high)
    if line > 0:
        return line + 1
    while high > low and data[high] & 0xC0 == 0x80:
        high -= 1
    return high


def behind_header(pieces: Iterable[Piece], header: tuple[int, int], start: int) -> Iterator[Piece]:
    """Yield the pieces of a window before which a header row of the document was put.

    Args:
        pieces: as they stand in header and window.
        header: where it stands in the document; empty: there is none.
        start: where the window does.
    """
    size = header[1] - header[0]
    for piece in pieces:
        if piece.end > size:
            begin, repeats = start, header
            if piece.start >= size:
                begin = piece.start - size + start
                repeats = piece.header and in_document(piece.header, header, start)
            yield Piece(begin, piece.end - size + start, piece.path, repeats or None)


def in_document(row: tuple[int, int], header: tuple[int, int], start: int) -> tuple[int, int]:
    """Return where a header row of such a window stands in the document."""
    size = header[1] - header[0]
    return header if row[0] < size else (row[0] - size + start, row[1] - size + start)
