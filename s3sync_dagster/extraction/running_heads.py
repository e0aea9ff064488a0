"""Running heads and page numbers: what repeats in the margins of a PDF's pages."""

import re
from collections import Counter, defaultdict

from s3sync_dagster.extraction.pdf_blocks import Block

_MARGIN = 0.085
"""Share of the page's height, above and below, in which they stand."""
_MAX_CHARACTERS = 120
_MAX_HEIGHT_POINTS = 30.0
_MIN_PAGES = 3
_MIN_AGREEMENT = 0.9
_NUMBER = re.compile(r"\d+")


def find_running_heads(pages: list[tuple[list[Block], float]]) -> list[set[int]]:
    """Return for each page, given as blocks and height, the indices of what is no body text.

    A line counts when it stands in the margin of three pages or more, and when each number in it
    is always the same or counts with the pages. Lines that only look alike ("Record 12", "Record
    31") stay.
    """
    groups: dict[tuple[str, bool], list[tuple[int, int, list[int]]]] = defaultdict(list)
    for page, (blocks, height) in enumerate(pages):
        for i, block in enumerate(blocks):
            at_top = _margin_of(block, height)
            if at_top is None:
                continue
            numbers = [int(number[:9]) for number in _NUMBER.findall(block.text)]
            key = (_NUMBER.sub("#", " ".join(block.text.split())), at_top)
            groups[key].append((page, i, numbers))
    found: list[set[int]] = [set() for _ in pages]
    for members in groups.values():
        if len({page for page, _, _ in members}) < _MIN_PAGES or not _counts_with_pages(members):
            continue
        for page, i, _ in members:
            found[page].add(i)
    return found


def _margin_of(block: Block, height: float) -> bool | None:
    """Return True for the upper margin, False for the lower one, None for the body."""
    if block.kind not in ("paragraph", "heading") or not height:
        return None
    if len(block.text) > _MAX_CHARACTERS or block.height > _MAX_HEIGHT_POINTS:
        return None
    if block.top + block.height < height * _MARGIN:
        return True
    return False if block.top > height * (1 - _MARGIN) else None


def _counts_with_pages(members: list[tuple[int, int, list[int]]]) -> bool:
    for place in range(len(members[0][2])):
        values = [(page, numbers[place]) for page, _, numbers in members]
        same = Counter(value for _, value in values).most_common(1)[0][1]
        counting = Counter(value - page for page, value in values).most_common(1)[0][1]
        if max(same, counting) < len(values) * _MIN_AGREEMENT:
            return False
    return True
