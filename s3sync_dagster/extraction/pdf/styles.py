"""How a page's lines are set: size and weight of their letters, beside those of the body."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from s3sync_dagster.extraction.pdf.blocks import Block

BOLD = 600
MIN_RATIO = 1.15
"""Of a heading's size and the body's."""
_MIN_BODY_CHARACTERS = 200
"""Of a document, from which the body's size is known."""
_MIN_OWN_SHARE = 0.3
"""Share of a page's letters in the document's size; a page with fewer has a body of its own."""
_BOLD_NAME = re.compile(
    r"bold|black|heavy|demi(?!c)|[-,]medi\b|-medium\b|[-,](?:bd|b)\d?\b|\bbd\b|\.b$"
    r"|bx\d*$|cmbx|cmssbx|sfbx|lin(?:libertine|biolinum)[a-z]?b\b|(?-i:[a-z](?:B|Bd|BI)$)",
    re.IGNORECASE,
)
_ITALIC_NAME = re.compile(
    r"italic|oblique|[-,]it\b|-reguital|cmti|sfti|(?-i:[a-z](?:I|It|BI)$)|\.i$"
    r"|lin(?:libertine|biolinum)[a-z]?i\b",
    re.IGNORECASE,
)
_LEFT = attrgetter("left")
_TRUE_SIZE = 3.0
"""Points; a smaller size of a font is a unit that the page scales."""
_MAX_SCALE = 1.8
"""Between a font's size and the height of its letters, which differ by a third in some fonts."""
_MIN_SHARE = 0.1
_SAME_SIZE = 0.25
"""Points between sizes that are one, measured by the height of each line's letters."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of letters that begins in one font."""

    text: str
    left: float
    top: float
    width: float
    height: float
    size: float
    """Of the font, in points."""
    weight: int
    """400 for ordinary letters, 700 for bold ones."""
    is_italic: bool = False
    font: str = ""
    """Name of the font, which says nothing of its weight in many files."""

    @property
    def middle(self) -> float:
        """Points from the page's upper edge to the middle of the line."""
        return self.top + self.height / 2


@lru_cache(maxsize=1024)
def weight_of(font: str) -> int:
    """Return 700 for a font whose name says that it is bold, 400 for others."""
    return 700 if _BOLD_NAME.search(font) else 400


@lru_cache(maxsize=1024)
def is_italic(font: str) -> bool:
    """Return whether a font's name says that its letters lean."""
    return bool(_ITALIC_NAME.search(font))


def size_of(font_size: float | None, height: float) -> float:
    """Return the points of letters, from their height where the font's size is a mere unit.

    In a figure that is made smaller or larger, it is a unit too.
    """
    is_true = font_size and font_size >= _TRUE_SIZE and _is_near(font_size, height)
    return round(font_size if font_size and is_true else height, 1)


def _is_near(font_size: float, height: float) -> bool:
    return not height or 1 / _MAX_SCALE <= height / font_size <= _MAX_SCALE


def count_sizes(pieces: Iterable[Piece]) -> Counter[float]:
    """Return how many characters are set in each size."""
    sizes: Counter[float] = Counter()
    for piece in pieces:
        sizes[round(piece.size, 1)] += len(piece.text)
    return sizes


def body_size(
    page: Counter[float], document: Counter[float], *, of_all: float | None = None
) -> float | None:
    """Return the size of a page's running text, None where there is too little to tell.

    It is the document's, except on pages that hardly use that (another document's, a slide's).
    ``of_all`` is the document's where that is known already.
    """
    if document.total() < _MIN_BODY_CHARACTERS:
        return None
    of_all = of_all or commonest(document)
    has_own = page.total() >= _MIN_BODY_CHARACTERS
    return commonest(page) if has_own and page[of_all] < _MIN_OWN_SHARE * page.total() else of_all


def commonest(sizes: Counter[float]) -> float:
    """Return the size of most letters, those of nearly the same counted together."""

    def near(size: float) -> int:
        return sum(n for other, n in sizes.items() if abs(other - size) <= _SAME_SIZE)

    return max(sizes, key=lambda size: (near(size), sizes[size]))


def style_of(piece: Piece) -> tuple[str, float]:
    """Return the font of a piece and its size to half a point."""
    return piece.font, round(2 * piece.size) / 2


class Letters:
    """How many letters of a document, or a part of it, are set in each size and font."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._counted: Counter[tuple[float, str]] = Counter()
        self.sizes: Counter[float] = Counter()
        self.lines: Counter[tuple[str, float]] = Counter()
        """Pieces by font and half point."""
        for piece in pieces:
            self.lines[style_of(piece)] += 1
            self._counted[piece.size, piece.font] += len(piece.text)
            self.sizes[piece.size] += len(piece.text)
        self.size = commonest(self.sizes) if self.sizes else None

    @property
    def body(self) -> tuple[str, float]:
        """Font and half points of running text."""
        fonts: Counter[tuple[str, float]] = Counter()
        for (size, font), count in self._counted.items():
            fonts[font, round(2 * size) / 2] += count
        return max(fonts, key=fonts.__getitem__, default=("", 0.0))

    def fonts_of(self, size: float) -> frozenset[str]:
        """Return the fonts of text of a size: those in which a tenth of its letters are set."""
        fonts: Counter[str] = Counter()
        for (other, font), count in self._counted.items():
            if abs(other - size) <= _SAME_SIZE:
                fonts[font] += count
        return frozenset(font for font, n in fonts.items() if n >= _MIN_SHARE * fonts.total())


def lines_in(block: Block, pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the pieces of a block by line, from above and from the left."""
    left, right = block.left - 1, block.left + block.width + 1
    top, bottom = block.top - 1, block.top + block.height + 1
    inside = [
        piece
        for piece in pieces
        if top <= piece.top + piece.height / 2 <= bottom
        and left <= piece.left + piece.width / 2 <= right
        and piece.text.strip()
    ]
    return list(by_line(inside))


def by_line(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces of each line from the left, the lines from above."""
    line: list[Piece] = []
    start = 0.0
    placed = [(piece.top + piece.height / 2, i, piece) for i, piece in enumerate(pieces)]
    for middle, _, piece in sorted(placed):
        if line and middle - start > min(piece.height, line[0].height) / 2:
            yield sorted(line, key=_LEFT)
            line = []
        if not line:
            start = middle
        line.append(piece)
    if line:
        yield sorted(line, key=_LEFT)
