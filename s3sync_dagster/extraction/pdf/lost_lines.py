"""Lines of a page's text layer that layout analysis leaves out: stamps, slugs, figures' labels.

They are added where they stand, so that a page keeps its headings and tables beside them.
"""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.margins import MARGIN, MarginLine
from s3sync_dagster.extraction.pdf.order import put_in_place
from s3sync_dagster.extraction.pdf.text_layer import plain
from s3sync_dagster.extraction.words import words_of

_LINE = re.compile(r"[^\r\n]+")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_MIN_LOST = 0.5
"""Share of a line's words that are missing where the line is, as others may be there twice.

Fewer are words read otherwise."""
_MIN_UPRIGHT = 2.0
"""Height by width of a line of several letters that runs up or down the page."""
_FEW_WORDS = 20
"""Lost words that are looked for in each line before its words are counted."""
_LABEL_WORDS = 3
"""Lines of at most as many are labels, those in a row of one figure."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text layer, measured from the page's upper left corner."""

    text: str
    top: float = 0.0
    left: float = 0.0
    width: float = 0.0
    height: float = 0.0
    is_upright: bool = False
    """True where it runs up or down."""
    is_marginal: bool = False
    """True where it stands at an edge, or runs along one."""
    is_visible: bool = True
    """False outside the page that is shown and printed."""

    @property
    def mark(self) -> MarginLine:
        """Return the line as a running head would be."""
        return MarginLine(" ".join(self.text.split()), at_top=False)


def find_lost_lines(page: Any, layer: Any, lost: Counter[str]) -> list[Line]:
    """Return the lines of a page of pdfium most of whose words are among the lost ones.

    ``layer`` is the page's text.
    """
    left = Counter(lost)
    few = list(left) if len(left) <= _FEW_WORDS else []
    whole = layer.get_text_range()
    found = [(line, plain(line[0])) for line in _LINE.finditer(whole)]
    words_at: dict[int, Counter[str]] = {}
    wanted: dict[int, tuple[int, str]] = {}
    # A line that is lost as a whole comes first: one of which some words are may stand there.
    for share in (1.0, _MIN_LOST):
        for line, text in found:
            if line.start() in wanted or not text.strip():
                continue
            if few and text.isascii() and not _has_some(text.lower(), few):
                continue
            words = words_at.get(line.start())
            if words is None:
                words = words_at[line.start()] = words_of(text)
            if left.keys().isdisjoint(words):
                continue
            missing = words & left
            if missing and missing.total() >= share * words.total():
                left.subtract(missing)
                wanted[line.start()] = (line.end(), text)
    lines = [(start, end, text) for start, (end, text) in sorted(wanted.items())]
    is_plain = _BEYOND.search(whole) is None
    return list(_lines(page, layer, lines, is_plain=is_plain))


def _has_some(text: str, words: list[str]) -> bool:
    return any(word in text for word in words)


def add_lines(blocks: list[Block], lines: list[Line]) -> None:
    """Put lines where they stand; what runs up the page comes at its end."""
    for block in _paragraphs([line for line in lines if not line.is_upright]):
        put_in_place(blocks, block)
    blocks.extend(_paragraphs([line for line in lines if line.is_upright]))


def _paragraphs(lines: list[Line]) -> Iterator[Block]:
    """Yield lines that follow each other as one paragraph."""
    gathered: Block | None = None
    last: Line | None = None
    for line in lines:
        if gathered is not None and last is not None and _goes_on(last, line):
            bottom = max(gathered.top + gathered.height, line.top + line.height)
            gathered = replace(
                gathered, text=f"{gathered.text} {line.text}", height=bottom - gathered.top
            )
        else:
            if gathered is not None:
                yield gathered
            gathered = Block(
                kind="paragraph",
                text=line.text,
                top=line.top,
                left=line.left,
                width=line.width,
                height=line.height,
            )
        last = line
    if gathered is not None:
        yield gathered


def _goes_on(above: Line, line: Line) -> bool:
    if above.is_upright or all(len(one.text.split()) <= _LABEL_WORDS for one in (above, line)):
        return True
    shared = min(above.left + above.width, line.left + line.width) - max(above.left, line.left)
    gap = line.top - (above.top + above.height)
    return shared > 0 and -above.height < gap < above.height


def _lines(
    page: Any, layer: Any, wanted: list[tuple[int, int, str]], *, is_plain: bool
) -> Iterator[Line]:
    """Yield the wanted lines; only these are measured, letter by letter.

    Places are those of pages that are not turned, and of letters of the first plane alone.
    """
    left, bottom, right, top = page.get_cropbox()
    has_places = page.get_rotation() == 0 and is_plain
    for start, end, words in wanted:
        box = _box(layer, start, end) if has_places else None
        if box is None:
            yield Line(words)
            continue
        x0, y0, x1, y1 = box
        upright = len(words.strip()) > _LABEL_WORDS and (y1 - y0) > _MIN_UPRIGHT * (x1 - x0)
        margin = (top - bottom) * MARGIN
        yield Line(
            words,
            top=top - y1,
            left=x0 - left,
            width=x1 - x0,
            height=y1 - y0,
            is_upright=upright,
            is_marginal=upright or y1 > top - margin or y0 < bottom + margin,
            is_visible=x1 > left and x0 < right and y1 > bottom and y0 < top,
        )


def _box(layer: Any, start: int, end: int) -> tuple[float, float, float, float] | None:
    """Return left, bottom, right and top of some characters, None where they have no place."""
    from pypdfium2 import raw

    edges = [ctypes.c_double() for _ in range(4)]
    boxes: list[tuple[float, float, float, float]] = []
    for place in range(start, end):
        index = raw.FPDFText_GetCharIndexFromTextIndex(layer, place)
        x0, x1, y0, y1 = edges
        has_box = index >= 0 and raw.FPDFText_GetCharBox(layer, index, x0, x1, y0, y1)
        if has_box and x1.value > x0.value:
            boxes.append((x0.value, y0.value, x1.value, y1.value))
    if not boxes:
        return None
    x0s, y0s, x1s, y1s = zip(*boxes, strict=True)
    return min(x0s), min(y0s), max(x1s), max(y1s)
