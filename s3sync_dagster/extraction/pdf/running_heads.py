"""Running heads and page numbers: what repeats in the margins of a PDF's pages."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.extraction.pdf.blocks import Block

MARGIN = 0.085
"""Share of the page's height, above and below, in which they stand."""
_MAX_CHARACTERS = 120
_MIN_PAGES = 3
_MIN_AGREEMENT = 0.9
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class MarginLine:
    """A line of text in the upper or lower margin of a page."""

    text: str
    at_top: bool


def find_running_heads(pages: Sequence[Sequence[MarginLine]]) -> list[set[MarginLine]]:
    """Return for each page which of its margin lines are no body text.

    A line counts when it stands in the margin of three pages (of both, where there are two), and
    when each number in it is always the same or counts with the pages. So does a line of any words
    that begins or ends with the number of the page, as three others do. Lines that only look alike
    ("Record 12", "Record 31") stay.
    """
    alike: dict[object, list[tuple[int, MarginLine]]] = defaultdict(list)
    numbered: dict[object, list[tuple[int, MarginLine]]] = defaultdict(list)
    for number, lines in enumerate(pages):
        for line in lines:
            if len(line.text) > _MAX_CHARACTERS:
                continue
            alike[_NUMBER.sub("#", line.text), line.at_top].append((number, line))
            for place, value in _page_numbers(line.text):
                numbered[place, value - number, line.at_top].append((number, line))
    found: list[set[MarginLine]] = [set() for _ in pages]
    enough = min(_MIN_PAGES, max(2, len(pages)))
    groups = [members for members in alike.values() if _counts_with_pages(members)]
    groups += [members for members in numbered.values() if _distinct(members) > _MIN_PAGES]
    for members in groups:
        if _distinct(members) < enough:
            continue
        for number, line in members:
            found[number].add(line)
    return found


def without_heads(blocks: list[Block], heads: set[MarginLine], *, height: float) -> list[Block]:
    """Return a page's blocks without its running heads, also where they were glued to body text."""
    kept: list[Block] = []
    for block in blocks:
        text = block.text
        if block.kind in ("paragraph", "heading"):
            top = block.top < height * MARGIN
            bottom = block.top + block.height > height * (1 - MARGIN)
            text = _cut(text, heads, top=top, bottom=bottom)
        if text or not block.text:
            kept.append(block if text == block.text else replace(block, text=text))
    return kept


def _cut(text: str, heads: set[MarginLine], *, top: bool, bottom: bool) -> str:
    changed = True
    while changed and text:
        changed = False
        for head in heads:
            if not (top if head.at_top else bottom):
                continue
            if text == head.text:
                return ""
            if head.at_top and text.startswith(head.text + " "):
                text, changed = text[len(head.text) + 1 :], True
            elif not head.at_top and text.endswith(" " + head.text):
                text, changed = text[: -len(head.text) - 1], True
    return text


def _distinct(members: list[tuple[int, MarginLine]]) -> int:
    return len({number for number, _ in members})


def _page_numbers(text: str) -> list[tuple[str, int]]:
    """Return the numbers with which a line begins and ends, as far as it does."""
    ends = (
        ("first", re.match(r"\d{1,5}(?=\s|$)", text)),
        ("last", re.search(r"(?:^|\s)\d{1,5}$", text)),
    )
    return [(place, int(found[0])) for place, found in ends if found]


def _counts_with_pages(members: list[tuple[int, MarginLine]]) -> bool:
    numbers = [
        (page, [int(number[:9]) for number in _NUMBER.findall(line.text)]) for page, line in members
    ]
    for place in range(len(numbers[0][1])):
        values = [(page, found[place]) for page, found in numbers]
        same = Counter(value for _, value in values).most_common(1)[0][1]
        counting = Counter(value - page for page, value in values).most_common(1)[0][1]
        if max(same, counting) < len(values) * _MIN_AGREEMENT:
            return False
    return True
