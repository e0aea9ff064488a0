"""Where a large document is cut into windows, of which each is parsed or scanned by itself."""

from collections.abc import Iterable, Iterator
from itertools import chain


def windows(data: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges up to ``size`` that tile ``data``, cut at top-level code if possible."""
    start = 0
    while len(data) - start > size:
        end = _window_end(data, start + size // 2, start + size)
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
            end = _window_end(data, start + size // 2, start + size) if broken else last
            yield start, end
            start = end
        if broken:
            yield start, position
            start = position
        last = position
    if start < len(data):
        yield start, len(data)


def _window_end(data: bytes, low: int, high: int) -> int:
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
