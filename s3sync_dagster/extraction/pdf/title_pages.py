"""Pages that a title heads: a document's first one, and slides."""

from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.standing_out import as_text, main_size
from s3sync_dagster.extraction.pdf.styles import BOLD, Piece, lines_in
from s3sync_dagster.extraction.pdf.titles import NUMBERED, is_capital

_MAX_SLIDE_LETTERS = 1200
_SAME_TITLE = 0.85
"""Of a slide's largest heading; smaller ones are points, or labels of what it shows."""
_MIN_PROSE_WORDS = 25
"""Of the paragraph with which a document's text begins."""


def titles_alone(blocks: list[Block], pieces: Sequence[Piece]) -> list[Block]:
    """Return a slide's blocks, of which those in the largest letters head it; others are points.

    A page of many letters is no slide.
    """
    if sum(len(piece.text) for piece in pieces) > _MAX_SLIDE_LETTERS:
        return blocks
    sizes = [
        main_size(inside)
        if block.kind == "heading"
        and (inside := [piece for line in lines_in(block, pieces) for piece in line])
        else 0.0
        for block in blocks
    ]
    least = _SAME_TITLE * max(sizes, default=0.0)
    return [
        as_text(block) if 0 < size < least else block
        for block, size in zip(blocks, sizes, strict=True)
    ]


def without_authors(blocks: list[Block], pieces: Sequence[Piece], *, body: float) -> list[Block]:
    """Return a document's first blocks, in which names and addresses below its title are text.

    They are set larger than the body, but in ordinary letters smaller than the title's.
    """
    title = 0.0
    out: list[Block] = []
    for i, block in enumerate(blocks):
        if block.kind == "paragraph" and len(block.text.split()) >= _MIN_PROSE_WORDS:
            return [*out, *blocks[i:]]
        if block.kind == "heading":
            inside = [piece for line in lines_in(block, pieces) for piece in line]
            size = main_size(inside) if inside else 0.0
            is_plain = not any(piece.weight >= BOLD for piece in inside)
            is_section = NUMBERED.match(block.text) or is_capital(block.text)
            if inside and size < title - 1 and is_plain and not is_section:
                block = as_text(block)
            title = max(title, size if size > body else 0.0)
        out.append(block)
    return out
