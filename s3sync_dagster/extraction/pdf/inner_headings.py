"""Headings that layout analysis leaves inside a paragraph: lines of their own in other letters."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.styles import BOLD, MIN_RATIO, Piece, style_of
from s3sync_dagster.extraction.pdf.titles import (
    COUNTED,
    MAX_WORDS,
    NUMBERED,
    SENTENCE_END,
    around,
    count_words,
    is_no_heading,
    is_title,
    level_of,
    without_start,
)

_MAX_WORDS_UNNUMBERED = 8
_MIN_TEXT_WORDS = 12
"""Of what follows; labels of forms have no such below them."""
_MAX_WIDTH = 0.8
"""Of a heading without a number, as share of its paragraph's."""
_MIN_RATIO = 0.85
"""Of a heading's letters in another font and the body's."""
_MAX_LONE_WIDTH = 0.75
_MIN_SECTION_WORDS = 40
_FLUSH = 6.0
"""Points from the edge of a number to that of the text below it."""
_COUNTED = re.compile(r"(?:(?:\d+|[A-Z])(?:\.\d+)+\.?|\d+\.|[IVX]+\.|[A-Z]\.)(?:\s|$)")
_MAX_INDENT = 30.0
"""Points between the left edges of a heading and the line below it."""
_BLANK = 1.2
"""Between words of one line, in heights; more is the gap between columns."""
_LONE_NUMBER = re.compile(r"(?:(?:\d+|[A-Z]\.\d+)(?:\.\d+)*|[A-Z]|[IVX]+)[.)]?")


@dataclass(frozen=True, slots=True)
class _Line:
    """Words beside each other, in one column."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return " ".join(piece.text.strip() for piece in self.pieces)

    @property
    def left(self) -> float:
        return self.pieces[0].left

    @property
    def width(self) -> float:
        return self.pieces[-1].left + self.pieces[-1].width - self.left

    @property
    def style(self) -> tuple[bool, bool]:
        """Whether all is bold, and all leans; a number before a title may be set otherwise."""
        is_number = len(self.pieces) > 1 and _LONE_NUMBER.fullmatch(self.pieces[0].text.strip())
        pieces = self.pieces[1:] if is_number else self.pieces
        return (
            all(piece.weight >= BOLD for piece in pieces),
            all(piece.is_italic for piece in pieces),
        )

    @property
    def size(self) -> float:
        return min(piece.size for piece in self.pieces)


def parted(
    block: Block,
    lines: Sequence[Sequence[Piece]],
    body: float,
    fonts: Collection[str] = (),
) -> list[Block]:
    """Return a paragraph in parts, where headings stand in it on lines of their own.

    So with an item of a list, below which they begin at its bullet's edge or before it. ``fonts``
    are those of running text; many files do not say which of the others is bold.
    """
    if len(lines) < 2 or not _may_hold(lines, body):
        return [block]
    found = [_Line(tuple(one)) for line in lines for one in columns_of(line)]
    styles, set_in = Counter[tuple[bool, bool]](), Counter[str]()
    for line in found:
        styles[line.style] += len(line.text)
        set_in[line.pieces[-1].font] += len(line.text)
    if not styles:
        return [block]
    usual, usual_font = styles.most_common(1)[0][0], set_in.most_common(1)[0][0]
    out: list[Block] = []
    rest = block
    for i, line in enumerate(found):
        is_shown = (line.style != usual and any(line.style)) or line.size >= MIN_RATIO * body
        if not is_shown and NUMBERED.match(line.text):
            is_shown = all(piece.font != usual_font for piece in line.pieces)
        if not is_shown and fonts and line.size >= _MIN_RATIO * body:
            known = {*fonts, usual_font}
            is_shown = all(piece.font not in known for piece in line.pieces)
        is_lone = not is_shown and _is_lone(found, i, block)
        if not is_lone and (not is_shown or not _may_be(found, i, rest)):
            continue
        if block.kind == "list_item" and (i == 0 or line.left > block.left + _FLUSH):
            continue  # words of the item
        parts = _around(rest.text, line.text, found[i - 1].text if i else "")
        ends = parts is not None and not parts[1] and NUMBERED.match(line.text)
        if parts is not None and not SENTENCE_END.search(parts[1]):
            ends = ends or _COUNTED.match(line.text)  # the text goes on elsewhere
        is_section = is_shown and COUNTED.match(line.text) is not None
        if parts is None or not (ends or is_section or count_words(parts[1]) >= _MIN_TEXT_WORDS):
            continue
        top, bottom = line.pieces[0].top, rest.top + rest.height
        end = top + line.pieces[0].height
        if parts[0]:
            out.append(replace(rest, text=parts[0], height=max(1.0, top - rest.top)))
        out.append(
            replace(
                rest,
                kind="paragraph" if is_lone else "heading",
                marker="",
                text=line.text,
                level=0 if is_lone else level_of(line.text),
                style=style_of(max(line.pieces, key=lambda piece: len(piece.text))),
                top=top,
                height=end - top,
                width=line.width,
            )
        )
        rest = replace(
            rest,
            kind="paragraph",
            marker="",
            text=parts[1],
            top=end,
            height=max(1.0, bottom - end),
        )
    return [*out, rest] if rest.text else out


def _around(text: str, line: str, above: str) -> tuple[str, str] | None:
    """Return what stands before and after a line in a text, as ``around`` does.

    Where the line's words come more than once, those at its beginning or behind the line above.
    """
    after = without_start(text, line)
    if after is not None:
        return "", after
    parts = around(text, line)
    words = above.split()
    if parts is not None or not words:
        return parts
    parts = around(text, f"{words[-1]} {line}")
    return None if parts is None else (f"{parts[0]} {words[-1]}".strip(), parts[1])


def heads_its_text(block: Block, lines: Sequence[Sequence[Piece]]) -> bool:
    """Return whether a numbered item's first line ends early and long text begins at its edge.

    The lines of an item stand below its first word; a section's text begins below the number.
    """
    if len(lines) < 2 or len(block.text.split()) < _MIN_SECTION_WORDS:
        return False
    first = _Line(tuple(lines[0]))
    below = [_Line(tuple(line)) for line in lines[1:]]
    is_flush = min(line.left for line in below) <= block.left + _FLUSH
    return is_flush and _is_lone([first, *below], 0, block)


def _may_hold(lines: Sequence[Sequence[Piece]], body: float) -> bool:
    """Return whether a line is set otherwise than another, or numbered."""
    first = lines[0][0]
    return any(
        piece.font != first.font or piece.size >= MIN_RATIO * body or _COUNTED.match(piece.text)
        for line in lines
        for piece in line
    )


def _is_lone(lines: list[_Line], place: int, block: Block) -> bool:
    """Return whether a numbered line in the body's letters ends early, or stands in the middle.

    Only the document can tell whether it is a heading (see ``agreement``).
    """
    line = lines[place]
    if not _COUNTED.match(line.text) or not is_title(line.text) or SENTENCE_END.search(line.text):
        return False
    if len(line.text.split()) > MAX_WORDS or is_no_heading(line.text):
        return False
    before, after = line.left - block.left, block.left + block.width - line.left - line.width
    below = next((one for one in lines[place + 1 :] if _share(one, line)), None)
    goes_on = below is not None and below.text[:1].islower()
    return not goes_on and after >= (1 - _MAX_LONE_WIDTH) * block.width - min(before, after)


def columns_of(line: Sequence[Piece]) -> list[list[Piece]]:
    """Return a line in parts where a gap parts it, a number aside that stands before its title."""
    parts: list[list[Piece]] = []
    for piece in line:
        before = parts[-1][-1] if parts else None
        gap = piece.left - before.left - before.width if before else 0.0
        is_number = before is not None and bool(_LONE_NUMBER.fullmatch(before.text.strip()))
        if before is None or gap > before.height * (3 if is_number else _BLANK):
            parts.append([])
        parts[-1].append(piece)
    return parts


def _may_be(lines: list[_Line], place: int, block: Block) -> bool:
    """Return whether a line heads the text below it; above it, a sentence ends or the block begins.

    The box of a block that goes on in the next column holds lines of others.
    """
    line = lines[place]
    count = len(line.text.split())
    if not is_title(line.text) or SENTENCE_END.search(line.text) or is_no_heading(line.text):
        return False
    if NUMBERED.match(line.text):
        return count <= MAX_WORDS
    below = next((one for one in lines[place + 1 :] if _share(one, line)), None)
    begins = without_start(block.text, line.text) is not None
    above = next((one for one in reversed(lines[:place]) if _share(one, line)), None)
    return (
        count <= _MAX_WORDS_UNNUMBERED
        and (line.width <= _MAX_WIDTH * block.width or (begins and line.style[0]))
        and below is not None
        and (below.style != line.style or below.pieces[0].font != line.pieces[-1].font)
        and not below.text[:1].islower()
        and abs(below.left - line.left) <= _MAX_INDENT
        and (begins or above is None or bool(SENTENCE_END.search(above.text)))
    )


def _share(one: _Line, other: _Line) -> bool:
    return min(one.left + one.width, other.left + other.width) > max(one.left, other.left)
