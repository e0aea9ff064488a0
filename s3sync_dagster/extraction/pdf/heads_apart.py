"""Headings that layout analysis makes one: a section's, and its first subsection's below it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.standing_out import as_text, main_size
from s3sync_dagster.extraction.pdf.styles import BOLD, Piece, by_line, lines_in
from s3sync_dagster.extraction.pdf.titles import (
    NUMBERED,
    SENTENCE_END,
    is_capital,
    is_no_heading,
    is_title,
    level_of,
    without_start,
)

_OTHER_SIZE = 0.7
"""Points between the letters of two headings."""
_MAX_LINES = 6
_MAX_STEP = 60.0
"""Points from a line to the next one of the same block."""
_WIDER = 1.25
"""Of the step from line to line in running text; lines of one title are nearer."""
_MAX_TAKEN = 0.8
"""Of the column's width, with which a line of a title is not full."""
_MAX_INDENT = 30.0

_SECTION_INSIDE = re.compile(r"\s\**\d{1,2}(?:\.\d{1,2})+\.?\s+[^\W\d_a-z]")
_FIRST_SECTION = re.compile(
    r"((\d{1,2}(?:\.\d{1,2})*)\.?\s+[^\W\d_a-z].*)\s(\2\.1\.?\s+[^\W\d_a-z].*)"
)
_MAX_TITLE_LINES = 2
"""Of one of several numbered headings below each other."""

_Lines = list[list[Piece]]


def heads_apart(block: Block, pieces: Sequence[Piece]) -> list[Block]:
    """Return a heading, in parts where a line of it begins another one.

    That has a number that counts on, is set in other letters, or stands farther below.
    """
    if block.kind != "heading" or len(block.text.split()) < 2:
        return [block]
    lines = _all_lines(block, pieces)
    if not 1 < len(lines) <= _MAX_LINES:
        return [block]
    texts = [" ".join(piece.text.strip() for piece in line) for line in lines]
    step = _step(pieces, below=lines[-1][0].top)
    room = _width_below(block, pieces)
    starts = [
        i
        for i in range(1, len(lines))
        if _counts_on(texts[i - 1], texts[i])
        or _is_other(lines[i - 1], lines[i], texts[i - 1], texts[i])
        or (
            _is_far(lines[i - 1][0], lines[i][0], step)
            and is_title(texts[i])
            and not SENTENCE_END.search(texts[i - 1])
            and _has_room(lines[i - 1], lines[i], room)
        )
    ]
    out: list[Block] = []
    rest = block.text
    for start, end in pairwise([0, *starts, len(lines)]):
        text = " ".join(texts[start:end])
        after = without_start(rest, text)
        is_last = end == len(lines)
        if is_last:
            text, after = rest, ""  # without the hyphens of its lines' ends
        is_text = is_no_heading(text)
        if after is None or (is_text and not is_last):
            return [block]
        top, last = lines[start][0].top, lines[end - 1][0]
        level = level_of(text) if NUMBERED.match(text) else block.level
        height = last.top + last.height - top
        part = replace(block, text=text, level=level, top=top, height=height)
        out.append(as_text(part) if is_text else part)
        rest = after
    return out if starts else [block]


def numbers_apart(block: Block, pieces: Sequence[Piece]) -> list[Block]:
    """Return each of the numbered headings that follow each other on lines of one block."""
    is_open = block.kind in ("heading", "paragraph") or (
        block.kind == "list_item" and block.ordered
    )
    if not is_open or not _SECTION_INSIDE.search(block.text):
        return [block]
    inner = _FIRST_SECTION.fullmatch(block.text) if block.kind == "heading" else None
    if inner:
        first = replace(block, text=inner[1], level=level_of(inner[1]))
        return [first, replace(block, text=inner[3], level=level_of(inner[3]))]
    lines = lines_in(block, pieces)
    texts = [" ".join(piece.text.strip() for piece in line) for line in lines]
    starts = [i for i, text in enumerate(texts) if NUMBERED.match(text) and is_title(text)]
    if len(starts) < 2 or starts[0] != 0 or len(lines) > _MAX_TITLE_LINES * len(starts):
        return [block]
    groups = [lines[start:end] for start, end in pairwise([*starts, len(lines)])]
    whole = [" ".join(texts[start:end]) for start, end in pairwise([*starts, len(lines)])]
    is_bold = all(piece.weight >= BOLD for line in lines for piece in line)
    if block.kind != "heading" and not is_bold:
        return [block]
    if any(is_no_heading(text) or SENTENCE_END.search(text) for text in whole):
        return [block]
    return [
        replace(
            block,
            kind="heading",
            text=text,
            level=level_of(text),
            marker="",
            top=group[0][0].top,
            height=group[-1][0].top + group[-1][0].height - group[0][0].top,
        )
        for text, group in zip(whole, groups, strict=True)
    ]


def _all_lines(block: Block, pieces: Sequence[Piece]) -> _Lines:
    """Return the lines of a block, also those below its box, which often is that of the first."""
    lines = lines_in(block, pieces)
    if not lines:
        return []
    rest = without_start(block.text, " ".join(piece.text for line in lines for piece in line))
    while rest and len(lines) <= _MAX_LINES:
        last = lines[-1][0]
        near = [
            piece
            for piece in pieces
            if last.middle + last.height / 2 < piece.middle <= last.top + _MAX_STEP
            and piece.text.strip()
            and without_start(rest, piece.text) is not None
        ]
        if not near:
            return []
        first = min(near, key=lambda piece: (abs(piece.left - block.left) > _MAX_STEP, piece.top))
        line = [first]
        rest = without_start(rest, first.text)
        for piece in sorted(pieces, key=lambda piece: piece.left):
            is_beside = abs(piece.middle - first.middle) <= first.height / 2
            after = without_start(rest or "", piece.text) if piece.text.strip() else None
            if is_beside and piece.left > first.left and after is not None:
                line.append(piece)
                rest = after
        lines.append(line)
    return lines


def _counts_on(above: str, below: str) -> bool:
    """Return whether a line begins with the number that comes after that of the line above it."""
    one, other = NUMBERED.match(above), NUMBERED.match(below)
    if one is None or other is None or not one[1] or not other[1] or not is_title(below):
        return False
    first, second = one[1].split("."), other[1].split(".")
    if second == [*first, "1"]:
        return True
    depth = len(second)
    is_next = depth <= len(first) and second[:-1] == first[: depth - 1]
    values = (first[depth - 1], second[-1]) if is_next else ("", "")
    return all(map(str.isdigit, values)) and int(values[1]) == int(values[0]) + 1


def _is_other(above: Sequence[Piece], below: Sequence[Piece], upper: str, lower: str) -> bool:
    """Return whether two lines are set apart as those of one title are not."""
    if not is_title(lower) or SENTENCE_END.search(upper) or upper.endswith("-"):
        return False
    size = main_size(above) - main_size(below)
    if is_capital(upper) and not is_capital(lower) and abs(size) < _OTHER_SIZE:
        return True
    weights = [all(piece.weight >= BOLD for piece in line) for line in (above, below)]
    leans = [all(piece.is_italic for piece in line) for line in (above, below)]
    return size >= _OTHER_SIZE or weights[0] != weights[1] or leans[0] != leans[1]


def _is_far(above: Piece, below: Piece, step: float) -> bool:
    is_far = step > 0 and below.middle - above.middle > _WIDER * step * below.size
    return is_far and below.size <= above.size


def _has_room(above: Sequence[Piece], below: Sequence[Piece], width: float) -> bool:
    """Return whether the first word of a line would have found room at the end of the one above."""
    taken = above[-1].left + above[-1].width - above[0].left
    first = below[0].text.split()[0]
    word = below[0].width * (len(first) + 1) / max(1, len(below[0].text))
    return taken + word < _MAX_TAKEN * width


def _width_below(block: Block, pieces: Sequence[Piece]) -> float:
    """Return the width of the lines below a block, as far as they begin at its edge."""
    return max(
        (
            piece.width
            for piece in pieces
            if piece.top > block.top and abs(piece.left - block.left) <= _MAX_INDENT
        ),
        default=0.0,
    )


def _step(pieces: Sequence[Piece], *, below: float) -> float:
    """Return the usual distance of lines below a place of a page, in sizes of their letters.

    0 where there are few.
    """
    lines = [line[0] for line in by_line([p for p in pieces if p.top > below])]
    steps = [(after.middle - before.middle) / before.size for before, after in pairwise(lines)]
    return median(steps) if len(steps) > 2 else 0.0
