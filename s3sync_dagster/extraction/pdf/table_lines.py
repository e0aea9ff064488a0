"""Lines of text that stand in the columns of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, cells_in
from s3sync_dagster.extraction.pdf.head_phrases import Columns, nearest_column, over_columns
from s3sync_dagster.extraction.pdf.rows import is_value
from s3sync_dagster.extraction.pdf.text_layer import plain

TEXT = ("paragraph", "heading", "list_item")
SHIFT = 2.0
"""Points by which cells of one column may begin apart."""
_MANY_COLUMNS = 3
_MARKS = ".,"
"""That stand inside of a number."""
_TOUCHING = 0.05
"""Between the parts of a number, in heights of the line."""


@dataclass(frozen=True, slots=True)
class TableLine:
    """A line of text by the columns of a table."""

    cells: list[list[Word]]
    has_values: bool
    """Whether one of its cells is a value where the table has values."""
    is_form: bool
    """Whether it has a cell for each of many columns, where this begins."""

    @property
    def words(self) -> list[Word]:
        """All of them, from left to right."""
        return [word for cell in self.cells for word in cell]

    @property
    def texts(self) -> list[str]:
        """The words of its cells."""
        return [plain(" ".join(word.text for word in cell)) for cell in self.cells]

    @property
    def top(self) -> float:
        """Points from the page's upper edge to its highest letter."""
        return min(word.top for word in self.words)

    @property
    def middle(self) -> float:
        """Points from the page's upper edge to the middle of its first word."""
        return self.words[0].middle

    @property
    def is_name(self) -> bool:
        """Whether it is the first column's alone."""
        return bool(self.cells[0]) and not any(self.cells[1:])


def words_of_texts(blocks: list[Block], words: Sequence[Word]) -> list[list[Word]]:
    """Return the words of each block, none of which is in two."""
    own: list[list[Word]] = [[] for _ in blocks]
    boxes = [
        (b.left - 1, b.left + b.width + 1, b.top - 1, b.top + b.height + 1, inside)
        for b, inside in zip(blocks, own, strict=True)
    ]
    for word in words:
        across, down = word.left + word.width / 2, word.top + word.height / 2
        for left, right, top, bottom, inside in boxes:
            if top <= down <= bottom and left <= across <= right:
                inside.append(word)
                break
    return [with_whole_numbers(inside) for inside in own]


def with_changed(blocks: list[Block], changed: Mapping[int, Block | None]) -> list[Block]:
    """Return blocks with others in the place of some, which are named by ``id``; None: nothing."""
    placed = (changed.get(id(block), block) for block in blocks)
    return [block for block in placed if block is not None]


def with_whole_numbers(found: Sequence[Word]) -> list[Word]:
    """Return words of which ``1`` and ``.2`` that touch are one, as where a font sets them apart.

    The rules for other tables count their words, and so have them as the engine gives them.
    """
    words: list[Word] = []
    for word in found:
        before = words[-1] if words else word
        gap = word.left - before.left - before.width
        is_rest = word.text[:1] in _MARKS and word.text[1:2].isdigit()
        if is_rest and before.text[-1:].isdigit() and abs(gap) <= _TOUCHING * word.height:
            width = word.left + word.width - before.left
            words[-1] = before._replace(text=before.text + word.text, width=width)
        else:
            words.append(word)
    return words


def line_of_table(line: list[Word], columns: Columns, values: list[int]) -> TableLine | None:
    """Return a line as a row, None where it is none of these columns."""
    cells: list[list[Word]] = [[] for _ in columns]
    parts = [[*cell.words] for cell in cells_in(line)]
    while parts:
        part = parts.pop(0)
        over = over_columns(part, columns)
        if len(over) > 1 and len(part) > 1 and all(is_value(word.text) for word in part):
            parts = [*([word] for word in part), *parts]
            continue
        is_inside = columns[0][0] - SHIFT <= part[0].left and _right(part) <= columns[-1][1]
        column = over[0] if over else nearest_column(part, columns)
        if len(over) > 1 or not (over or is_inside) or cells[column]:
            return None
        cells[column] = part
    texts = [" ".join(word.text for word in cell) for cell in cells]
    filled = [number for number in values if texts[number]]
    if not all(is_value(texts[number]) for number in filled):
        return None
    begins = zip(cells, columns, strict=True)
    is_form = len(cells) >= _MANY_COLUMNS and all(
        cell and abs(cell[0].left - left) <= SHIFT for cell, (left, _) in begins
    )
    return TableLine(cells, has_values=bool(filled), is_form=is_form)


def row_beside(word: Word, middles: list[list[float]]) -> int | None:
    """Return the row of which a line stands in the height of the word."""
    for place, own in enumerate(middles):
        if any(abs(word.middle - middle) <= word.height / 3 for middle in own):
            return place
    return None


def _right(words: list[Word]) -> float:
    return words[-1].left + words[-1].width


def columns_with(columns: Columns, lines: Sequence[TableLine]) -> Columns:
    """Return columns as wide as the cells of the lines."""
    out: Columns = []
    for number, (left, right) in enumerate(columns):
        inside = [line.cells[number] for line in lines if line.cells[number]]
        left = min([left, *(cell[0].left for cell in inside)])
        out.append((left, max([right, *map(_right, inside)])))
    return out
