"""Pages that a title heads: a document's first one, and slides."""

import re
from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.standing_out import as_text, main_size
from s3sync_dagster.extraction.pdf.styles import BOLD, Piece, lines_in
from s3sync_dagster.extraction.pdf.titles import NUMBERED, is_capital

_MAX_SLIDE_LETTERS = 1200
_SAME_TITLE = 0.85
"""Of a slide's largest heading; smaller ones are points, or labels of what it shows."""
_MIN_PROSE_WORDS = 25
"""Of the paragraph with which a document's text begins."""
_PARTICLES = frozenset(
    (
        *("and", "und", "et", "y", "e", "van", "von", "der", "den", "de", "la", "le", "da", "di"),
        *("del", "dos", "du", "ter", "ten", "zu", "bin", "ibn", "al"),
    )
)
"""Words in small letters among names."""
_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
_MARKED = re.compile(r"[^\W\d_A-Z]{2}(?:\d+(?:,\d+)*|[*∗†‡§¶])+(?=[\s,;&]|$)")
"""A name with the number or mark of its address."""
_INITIAL = re.compile(r"[^\W\d_]{2}[\s,]+(?:[^\W\d_a-zIVX]\.[\s-]?)+\s*[^\W\d_]{2}")
"""A letter for a name between two names; before all it numbers a section."""
_SECTIONS = re.compile(
    r"(?:part|section|appendix|annex|chapter|schedule|step|teil|abschnitt|anhang|kapitel|partie"
    r"|annexe|chapitre|parte|sección|capítulo)\b",
    re.IGNORECASE,
)
"""What a letter may number."""


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

    They are set larger than the body, but in ordinary letters smaller than the title's. Bold ones
    are told by their initials, or by the marks of their addresses.
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
            if size < title - 1 and are_names(block.text):
                block = as_text(block)
            title = max(title, size if size > body else 0.0)
        if title and block.kind == "paragraph" and are_names(block.text):
            block = replace(block, style=None)  # else letters like a section's make it one
        out.append(block)
    return out


def are_names(text: str) -> bool:
    """Return whether a line is nothing but names of people, as their initials or marks show."""
    words = _WORD.findall(text)
    of_names = all(word in _PARTICLES or not word[0].islower() for word in words)
    are_told = _MARKED.search(text) or _INITIAL.search(text)
    return of_names and are_told is not None and not _SECTIONS.match(text)
