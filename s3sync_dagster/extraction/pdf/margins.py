"""Lines in the margins of a PDF's pages, and whether they stand apart from the body."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from s3sync_dagster.extraction.pdf.styles import Piece
from s3sync_dagster.extraction.pdf.text_layer import plain

MARGIN = 0.085
"""Share of the page's height, above and below, in which running heads stand."""
_MIN_GAP = 0.4
"""White between a running head and the body, by the height of its letters."""
_MIN_WIDER = 1.5
"""The same, by the white between the lines of the page."""
_MAX_LARGER = 1.25
"""Size of a running head by the body's; what is larger is a title."""
_MAX_BLANK = 1.0
"""White between the words of one piece, by the height of the letters."""


@dataclass(frozen=True, slots=True)
class MarginLine:
    """A line of text in the upper or lower margin of a page, or a piece of one."""

    text: str
    at_top: bool
    pieces: tuple[str, ...] = ()
    """Of a line with wide white in it, such as a title and a page number; they are lines too."""
    is_apart: bool = True
    """Whether it is set off from the body, in letters that are no title's."""


@dataclass(slots=True)
class _Row:
    top: float
    bottom: float
    pieces: list[Piece]


def margin_lines(pieces: Sequence[Piece], *, height: float, body: float | None) -> list[MarginLine]:
    """Return the margins' lines of a page of a height; ``body`` is the size of its body's letters.

    Programs that leave narrow margins begin the body there. So a line is apart only where the white
    below or above it is wider than between other lines, where all that touches it stands in the
    margin, and where there is a body beside. What is much larger than the body is a title, unless
    a number stands apart in its line.
    """
    upper, lower = height * MARGIN, height * (1 - MARGIN)
    found: list[MarginLine] = []
    stacks = _stacks(_rows(pieces))
    has_body = any(row.bottom >= upper and row.top <= lower for rows in stacks for row in rows)
    for rows in stacks:
        in_margin = has_body and (rows[-1].bottom < upper or rows[0].top > lower)
        for row in rows:
            at_top = row.bottom < upper
            if not (at_top or row.top > lower):
                continue
            largest = max(piece.size for piece in row.pieces)
            texts = _texts(row.pieces)
            is_small = body is None or largest <= _MAX_LARGER * body
            is_apart = in_margin and (is_small or (len(texts) > 1 and any(map(str.isdigit, texts))))
            found.extend(MarginLine(text, at_top, is_apart=is_apart) for text in texts)
            if len(texts) > 1:
                found.append(MarginLine(" ".join(texts), at_top, tuple(texts), is_apart))
    return found


def _rows(pieces: Sequence[Piece]) -> list[_Row]:
    rows: list[_Row] = []
    for piece in sorted(pieces, key=lambda piece: (round(piece.top), piece.left)):
        if not piece.text.strip():
            continue
        if rows and round(piece.top) == round(rows[-1].top):
            rows[-1].pieces.append(piece)
            rows[-1].bottom = max(rows[-1].bottom, piece.top + piece.height)
        else:
            rows.append(_Row(piece.top, piece.top + piece.height, [piece]))
    return rows


def _stacks(rows: list[_Row]) -> list[list[_Row]]:
    """Return the rows in groups with wide white between them; one group where lines are few."""
    if not rows:
        return []
    bottoms: list[float] = []
    for row in rows:
        bottoms.append(max(row.bottom, bottoms[-1] if bottoms else row.bottom))
    gaps = [max(0.0, row.top - bottom) for row, bottom in zip(rows[1:], bottoms, strict=False)]
    usual = median(gaps) if gaps else 0.0
    stacks = [[rows[0]]]
    for (above, row), gap in zip(pairwise(rows), gaps, strict=True):
        height = min(above.bottom - above.top, row.bottom - row.top)
        if gap > max(_MIN_WIDER * usual, _MIN_GAP * height):
            stacks.append([])
        stacks[-1].append(row)
    return stacks


def _texts(pieces: list[Piece]) -> list[str]:
    """Return the texts of a row between which there is wide white."""
    texts: list[str] = []
    end = None
    for piece in sorted(pieces, key=lambda piece: piece.left):
        text = " ".join(plain(piece.text).split())
        if not text:
            continue
        if end is not None and piece.left - end < _MAX_BLANK * piece.height:
            texts[-1] += " " + text
        else:
            texts.append(text)
        end = piece.left + piece.width
    return texts
