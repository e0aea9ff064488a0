"""Headings that layout analysis takes for paragraphs, and titles that it cuts in two.

It knows headings by their size but leaves out those of one word (``Abstract``) and bold ones of the
body's size.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from s3sync_dagster.extraction.pdf.blocks import Block

_MIN_RATIO = 1.15
"""Of a heading's size and the body's."""
_LEVELS = ((1.7, 1), (1.35, 2))
_MAX_WORDS = 12
_MAX_HEADING_WORDS = 20
"""Of what layout analysis calls a heading; more are an abstract in bold letters."""
_MAX_BOLD_WORDS = 8
_BOLD = 600
_MIN_TEXT_WORDS = 12
"""Of the paragraph that a bold line heads; labels of forms have no such below them."""
_MIN_BODY_CHARACTERS = 200
"""Of a page, from which the body's size is known."""
_TITLE = re.compile(r"[\d(]*[.\d]*\)?\s*[^\W\d_a-z][^\W_]{2,}")
_SENTENCE_END = re.compile(r"[.,;:!?]$")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of letters of one font."""

    text: str
    left: float
    top: float
    width: float
    height: float
    size: float
    """Of the font, in points."""
    weight: int
    """400 for ordinary letters, 700 for bold ones."""


def find_headings(blocks: list[Block], pieces: Sequence[Piece]) -> list[Block]:
    """Return blocks in which lines of a larger or bolder font are headings."""
    sizes: Counter[float] = Counter()
    for piece in pieces:
        sizes[round(piece.size, 1)] += len(piece.text)
    if sizes.total() < _MIN_BODY_CHARACTERS:
        return blocks
    body = sizes.most_common(1)[0][0]
    out = [_as_heading(block, following, pieces, body) for block, following in _pairs(blocks)]
    return [_as_text(block) for block in _join_titles(out)]


def _as_text(block: Block) -> Block:
    """Return a paragraph for a heading that is too long for one."""
    too_long = block.kind == "heading" and len(block.text.split()) > _MAX_HEADING_WORDS
    return replace(block, kind="paragraph", level=0) if too_long else block


def _pairs(blocks: list[Block]) -> list[tuple[Block, Block | None]]:
    return [*pairwise(blocks), *([(blocks[-1], None)] if blocks else [])]


def _as_heading(
    block: Block, following: Block | None, pieces: Sequence[Piece], body: float
) -> Block:
    if block.kind != "paragraph" or not body:
        return block
    text = block.text.strip("* ")
    if "*" in text:
        return block  # a bold label and what it says
    count = len(text.split())
    if not 0 < count <= _MAX_WORDS or not _TITLE.match(text) or _SENTENCE_END.search(text):
        return block
    inside = [piece for piece in pieces if piece.text.strip() and _is_in(piece, block)]
    if not inside or block.height > 2 * max(piece.size for piece in inside):
        return block
    ratio = min(piece.size for piece in inside) / body
    if ratio >= _MIN_RATIO:
        level = next((level for least, level in _LEVELS if ratio >= least), 3)
        return replace(block, kind="heading", text=text, level=level)
    is_bold = all(piece.weight >= _BOLD for piece in inside)
    if is_bold and ratio > 0.95 and count <= _MAX_BOLD_WORDS and _heads(block, following):
        return replace(block, kind="heading", text=text, level=3)
    return block


def _is_in(piece: Piece, block: Block) -> bool:
    middle = piece.left + piece.width / 2, piece.top + piece.height / 2
    return (
        block.left - 1 <= middle[0] <= block.left + block.width + 1
        and block.top - 1 <= middle[1] <= block.top + block.height + 1
    )


def _heads(block: Block, following: Block | None) -> bool:
    """Return whether a paragraph of some length stands right below, in the same column."""
    if following is None or following.kind != "paragraph":
        return False
    gap = following.top - (block.top + block.height)
    shared = min(block.left + block.width, following.left + following.width) - max(
        block.left, following.left
    )
    near = 0 <= gap <= 3 * block.height
    return near and shared > 0 and len(following.text.split()) >= _MIN_TEXT_WORDS


def _join_titles(blocks: list[Block]) -> list[Block]:
    """Return blocks in which a heading that goes on in the next line is one."""
    out: list[Block] = []
    for block in blocks:
        if out and _goes_on(out[-1], block):
            above = out.pop()
            width = max(above.left + above.width, block.left + block.width)
            left = min(above.left, block.left)
            block = replace(
                above,
                text=f"{above.text} {block.text}",
                left=left,
                width=width - left,
                height=block.top + block.height - above.top,
            )
        out.append(block)
    return out


def _goes_on(above: Block, below: Block) -> bool:
    if not above.kind == below.kind == "heading" or above.level != below.level:
        return False
    line = below.height
    gap = below.top - (above.top + above.height)
    same_place = -0.5 * line <= gap <= 0.6 * line
    return same_place and (below.text[:1].islower() or above.text.endswith((":", ",", " and")))
