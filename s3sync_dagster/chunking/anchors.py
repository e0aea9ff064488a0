"""Cuts that stay where they are: content, not distance from the beginning, decides between equals.

Where all cuts cost the same (rows, log lines, sentences), the cheapest ones would be those that
fill best, counted from the beginning: one more row would move all that follow. Every chunk or two
one cut is made an anchor by a hash of what follows it, and so cheap that it is always taken. The
same content has the same anchors: an edit moves the cuts up to the next anchor and no further.

Where each chunk repeats a header, a chunk more costs more: there only every few anchors are always
taken, and the others where they make no chunk more.
"""

import zlib
from collections import deque
from collections.abc import Sequence

LIGHT_ANCHOR = 0.4
"""An anchor costs so much less than nothing: a little less than another chunk costs."""
ANCHOR = 0.6
"""One that is always taken: a little more than another chunk costs."""
ANCHOR_REACH = 2.5
"""How many times the size of a chunk there is none before and after it that is as cheap."""
_CONTENT_BYTES = 48
_ODD = 2_654_435_761
"""2**32 divided by the golden ratio: spreads what is close together."""


def find_anchors(
    data: bytes, positions: Sequence[int], costs: Sequence[float], reach: int
) -> list[int]:
    """Return the indices of the positions that are the first choice within ``reach`` bytes around.

    That is the cheapest one, and among those that cost the same the one with the smallest hash.
    Two anchors are more than ``reach`` bytes apart, and hardly ever more than a few times that.
    """
    hashes = [_scatter(data[p : p + _CONTENT_BYTES]) for p in positions]
    ranks = list(zip(costs, hashes, strict=True))
    anchors: list[int] = []
    window: deque[int] = deque()  # indices with rising ranks: the first is the window's smallest
    ahead = 0
    count = len(positions)
    for index, position in enumerate(positions):
        while ahead < count and positions[ahead] <= position + reach:
            while window and ranks[window[-1]] > ranks[ahead]:
                window.pop()
            window.append(ahead)
            ahead += 1
        while positions[window[0]] < position - reach:
            window.popleft()
        if window[0] == index:
            anchors.append(index)
    return anchors


def anchored_cut(data: bytes, low: int, high: int) -> int:
    """Return the position in ``low < position <= high`` that its content makes the first choice."""
    return min(range(low + 1, high + 1), key=lambda at: _scatter(data[at : at + 8]))


def _scatter(content: bytes) -> int:
    """Return 32 bits that differ wildly for rows that differ by a digit (a CRC alone does not)."""
    return zlib.crc32(content) * _ODD & 0xFFFF_FFFF
