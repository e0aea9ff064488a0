"""Tables that layout analysis took for text: their rows, found again by the places of words."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.text_layer import plain

_MIN_COLUMNS = 3
_MIN_ROWS = 2
_MAX_CELL_WORDS = 3
_MIN_GAP = 0.9
"""Between two cells, in heights of the line; a blank is about a third."""
_MAX_PIECES = 16
"""Blocks, rules among them, into which one table may be cut."""
_MAX_CELL_WIDTH = 200.0
"""Points of a column; a wider block of many words is text."""
_TEXT = ("paragraph", "list_item")
_BAND = 24.0
"""Points of a page's height in which blocks are looked for together."""
_LEFT = attrgetter("left")


class Word(NamedTuple):
    """A word and its place on the page, in points from the upper left corner."""

    text: str
    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Points from the page's upper edge to the middle of the line."""
        return self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Cell:
    """Words of a line that stand together."""

    words: tuple[Word, ...]

    @property
    def left(self) -> float:
        """Points from the page's left edge to its first letter."""
        return self.words[0].left

    @property
    def right(self) -> float:
        """Points from the page's left edge to the end of its last letter."""
        return self.words[-1].left + self.words[-1].width

    @property
    def text(self) -> str:
        """Its words, with blanks."""
        return " ".join(word.text for word in self.words)


def find_grids(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which text that stands in rows and columns is a table.

    The reader takes the columns of a table without rules for paragraphs side by side, or its rows
    for the last lines of the text above. A grid has three columns that no word crosses, at least
    two rows, and short cells; text above it stays text.
    """
    own = _words_by_block(blocks, words)
    out: list[Block] = []
    place = 0
    while place < len(blocks):
        end, found = _find_from(place, blocks, own)
        out.extend(found)
        place = end
    return out


def _words_by_block(blocks: list[Block], words: Sequence[Word]) -> list[list[Word]]:
    """Return the words of each block of text; the smallest box around a word has it."""
    own: list[list[Word]] = [[] for _ in blocks]
    by_size = sorted(
        (block.width * block.height, i) for i, block in enumerate(blocks) if block.kind in _TEXT
    )
    bands: dict[int, list[tuple[float, float, float, float, list[Word]]]] = defaultdict(list)
    for b, i in ((blocks[i], i) for _, i in by_size):
        box = (b.left - 1, b.left + b.width + 1, b.top - 1, b.top + b.height + 1, own[i])
        for band in range(int(box[2] // _BAND), int(box[3] // _BAND) + 1):
            bands[band].append(box)
    for word in words:
        across, down = word.left + word.width / 2, word.top + word.height / 2
        for left, right, top, bottom, inside in bands.get(int(down // _BAND), ()):
            if top <= down <= bottom and left <= across <= right:
                inside.append(word)
                break
    return own


def _find_from(start: int, blocks: list[Block], own: list[list[Word]]) -> tuple[int, list[Block]]:
    """Return the blocks that replace those from ``start`` on, and where the next ones begin."""
    end = start + 1
    if blocks[start].kind in _TEXT:
        while end < min(len(blocks), start + _MAX_PIECES) and _may_be_cells(blocks[end], own[end]):
            end += 1
        while end > start + 1 and blocks[end - 1].kind == "rule":
            end -= 1
        for stop in range(end, start, -1):
            is_lone = stop == start + 1
            if is_lone and not _ends_with_cells(own[start]):
                break
            found = _part(blocks[start:stop], own[start:stop])
            if found:
                return stop, found
    return start + 1, [blocks[start]]


def _ends_with_cells(words: list[Word]) -> bool:
    """Return whether the last line of a text has as many cells as a grid's rows have."""
    if len(words) < _MIN_COLUMNS:
        return False
    last = max([word.top + word.height / 2 for word in words])
    line = [word for word in words if last - word.top - word.height / 2 <= word.height / 2]
    return len(list(cells_in(sorted(line, key=_LEFT)))) >= _MIN_COLUMNS


def _may_be_cells(block: Block, words: list[Word]) -> bool:
    if block.kind != "paragraph":
        return block.kind == "rule"
    if len(words) > _MAX_PIECES * _MAX_CELL_WORDS and block.width > _MAX_CELL_WIDTH:
        return False
    lines = [list(cells_in(line)) for line in lines_of(words)]
    return all(len(cell.words) <= _MAX_CELL_WORDS for line in lines for cell in line)


def _part(run: list[Block], own: list[list[Word]]) -> list[Block]:
    """Return the text above a grid, if any, and the grid; nothing where there is none."""
    rows = _grid([word for words in own for word in words])
    if not rows:
        return []
    top = min(word.top for cell in rows[0] for word in cell.words)
    left_over = [
        without_end(block.text, [word for word in words if word.middle > top])
        for block, words in zip(run, own, strict=True)
    ]
    if None in left_over or any(left_over[1:]):
        return []
    bottom = max(word.top + word.height for cell in rows[-1] for word in cell.words)
    left, right = min(row[0].left for row in rows), max(row[-1].right for row in rows)
    texts = [[plain(cell.text) for cell in row] for row in rows]
    table = Block(
        kind="table",
        rows=texts,
        first_row=texts[0],
        top=top,
        height=bottom - top,
        left=left,
        width=right - left,
    )
    above = left_over[0]
    if not above:
        return [table]
    end = max((word.top + word.height for word in own[0] if word.middle <= top), default=top)
    return [replace(run[0], text=above, height=end - run[0].top), table]


def _grid(words: list[Word]) -> list[list[Cell]]:
    """Return the longest grid with which the words end, none where they are running text."""
    rows: list[list[Cell]] = []
    for line in reversed(list(lines_of(words))):
        cells = list(cells_in(line))
        if len(cells) < _MIN_COLUMNS or not _fits(cells, rows):
            break
        if max(len(cell.words) for cell in cells) > _MAX_CELL_WORDS:
            return []  # a table of contents, or words far apart
        rows.insert(0, cells)
    return rows if len(rows) >= _MIN_ROWS else []


def lines_of(words: list[Word]) -> Iterator[list[Word]]:
    """Yield the words of each line from left to right, the lines from above."""
    line: list[Word] = []
    end = 0.0
    placed = [(word.top + word.height / 2, i, word) for i, word in enumerate(words)]
    for middle, _, word in sorted(placed):
        if line and middle > end:
            yield sorted(line, key=_LEFT)
            line = []
        if not line:
            end = middle + word.height / 2
        line.append(word)
    if line:
        yield sorted(line, key=_LEFT)


def cells_in(line: list[Word]) -> Iterator[Cell]:
    """Yield the cells of a line: wide white parts them."""
    start = 0
    for end in range(1, len(line) + 1):
        before = line[end - 1]
        is_last = end == len(line)
        if is_last or line[end].left - before.left - before.width > before.height * _MIN_GAP:
            yield Cell(tuple(line[start:end]))
            start = end


def _fits(cells: list[Cell], rows: list[list[Cell]]) -> bool:
    """Return whether a row has the columns of the others: as many, none crossing the next."""
    if any(len(row) != len(cells) for row in rows):
        return False
    columns = list(zip(cells, *rows, strict=True))
    rights = [max(cell.right for cell in column) for column in columns[:-1]]
    lefts = [min(cell.left for cell in column) for column in columns[1:]]
    return all(right < left for right, left in zip(rights, lefts, strict=True))


def without_end(text: str, words: list[Word]) -> str | None:
    """Return text without the words with which it ends, None if it does not end with them."""
    line_order = [word for line in lines_of(words) for word in line]
    ending = "".join(plain("".join(word.text for word in line_order)).split())
    end = len(text)
    for character in reversed(ending):
        while end and (text[end - 1].isspace() or text[end - 1] == "*"):
            end -= 1
        if not end or text[end - 1] != character:
            return None
        end -= 1
    return text[:end].rstrip(" *")
