"""Whether a line that layout analysis calls a heading stands out from the text that it heads.

It goes by sizes alone, so text is a heading to it on pages where it takes another size for the
body's: lines of a paragraph, labels in figures, cells in bold letters, names of authors.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.styles import BOLD, Piece
from s3sync_dagster.extraction.pdf.titles import NUMBERED, is_capital

_LARGER = 1.08
"""Of a line's letters and the body's, from which on size alone tells them apart."""
_MIN_RATIO = 0.93
"""Smaller letters are those of labels, notes and cells, also where they are bold."""
_MIN_CAPITAL_RATIO = 0.85
"""Capitals are as high as the body's letters in a smaller size."""
_SURE = 1.3
_LINE_NUMBER = re.compile(r"\d+[.)]?\s+[^\W\d_A-Z]")
"""Before a line of code; a heading goes on with a capital."""
_ADDRESS = re.compile(r"\S@\S|\bhttps?:|\bwww\.")
_MAX_FIGURE_SHARE = 0.5
"""Of a page; a larger picture is its background."""
_MIN_FIGURE_HEIGHT = 3.0
"""In heights of the heading; a smaller one is the bar behind it."""


def stands_out(
    block: Block,
    lines: Sequence[Sequence[Piece]],
    body: float,
    fonts: Collection[str] = (),
    *,
    heads_text: bool = False,
) -> bool:
    """Return whether the letters of a heading differ from the body's as a heading's do.

    ``fonts`` are those of running text. Smaller bold letters of another font do where text stands
    right below. True where a heading's letters are not known.
    """
    inside = [piece for line in lines for piece in line]
    if not inside:
        return True
    text = block.text.strip("* ")
    if _ADDRESS.search(text):
        return False
    ratio = main_size(inside) / body
    if ratio >= _SURE:
        return True
    if text[:1].islower() and text[1:2].isalpha():
        return False  # a line of a sentence
    capital = is_capital(text)
    is_other = bool(fonts) and all(piece.font not in fonts for piece in inside)
    is_bold = all(piece.weight >= BOLD for piece in inside)
    is_section = is_other and is_bold and (heads_text or NUMBERED.match(text) is not None)
    least = _MIN_CAPITAL_RATIO if capital or is_section else _MIN_RATIO
    if ratio < least or _LINE_NUMBER.match(text):
        return False
    letters = Counter[str]()
    for piece in inside:
        letters["all"] += len(piece.text)
        letters["bold"] += len(piece.text) * (piece.weight >= BOLD)
        letters["leans"] += len(piece.text) * piece.is_italic
        letters["other"] += len(piece.text) * bool(fonts and piece.font not in fonts)
    if ratio >= _LARGER or letters["bold"] > letters["all"] / 2 or capital:
        return True
    is_other = letters["other"] == letters["all"] and not text[:1].islower()
    return is_other and (not letters["leans"] or NUMBERED.match(text) is not None)


def as_text(block: Block) -> Block:
    """Return a block as a paragraph."""
    return replace(block, kind="paragraph", level=0)


def main_size(pieces: Sequence[Piece]) -> float:
    """Return the size in which most letters are set."""
    sizes: Counter[float] = Counter()
    for piece in pieces:
        sizes[piece.size] += len(piece.text)
    return max(sizes, key=sizes.__getitem__)


def is_in_figure(block: Block, figures: Sequence[Block], *, page: float) -> bool:
    """Return whether a line stands inside a figure; ``page`` is the page's area."""
    across, down = block.left + block.width / 2, block.top + block.height / 2
    return any(
        figure.left <= across <= figure.left + figure.width
        and figure.top <= down <= figure.top + figure.height
        and figure.height >= _MIN_FIGURE_HEIGHT * block.height
        and figure.width * figure.height <= _MAX_FIGURE_SHARE * page
        for figure in figures
    )
