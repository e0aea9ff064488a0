"""Marks of the section that goes on: headings which pages repeat above or below their text."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.blocks import Block

_MARKS = 2
"""Blocks with which a page begins that may be marks of its chapter and its section."""
_SAME_TOP = 4.0
"""Points in which marks stand on the same height."""
_MIN_PAGES = 3
"""Of a mark whose section begins nowhere."""


def without_marks(pages: Sequence[list[Block]]) -> None:
    """Make text of headings with which pages begin or end because their section goes on there.

    They stand on the same height in the same words on several pages; the heading itself stands
    elsewhere, or else is the first of them.
    """
    places: dict[str, list[tuple[Block, bool]]] = defaultdict(list)
    for blocks in pages:
        shown = [block for block in blocks if block.kind != "rule"]
        for place, block in enumerate(shown):
            if block.kind == "heading":
                is_end = place < _MARKS or place == len(shown) - 1
                places[_letters(block.text)].append((block, is_end))
    for found in places.values():
        ends = [block for block, is_end in found if is_end]
        heights = Counter(round(block.top / _SAME_TOP) for block in ends)
        height, count = heights.most_common(1)[0] if ends else (0, 0)
        is_begun = len(found) > count
        if count < (2 if is_begun else _MIN_PAGES) or count < len(ends) - 1:
            continue
        marks = [block for block in ends if round(block.top / _SAME_TOP) == height]
        for block in marks if is_begun else marks[1:]:
            block.kind, block.level = "paragraph", 0


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
