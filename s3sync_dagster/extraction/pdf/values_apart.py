"""Values that layout analysis makes texts of their own, beside the names of their table."""

from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, cells_in, lines_of
from s3sync_dagster.extraction.pdf.head_phrases import Columns, nearest_column
from s3sync_dagster.extraction.pdf.rows import (
    distance_of_rows,
    has_places,
    is_value,
    words_by_row,
)
from s3sync_dagster.extraction.pdf.table_lines import TEXT, row_beside, with_changed, words_of_texts
from s3sync_dagster.extraction.pdf.text_layer import plain

_MIN_ROWS = 2
_MIN_SHARE = 0.8
"""Of the rows below the header that have a value in each column."""
_MAX_HEADER = 1.5
"""Distances of rows from a header's first line to the top of the table."""


def add_values(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which values that stand to the right of a table's rows are its cells.

    They stand below each other in columns, beside almost every row; the texts above them are of
    the header.
    """
    out = blocks
    for table in blocks:
        if has_places(table) and len(table.rows) > _MIN_ROWS:
            beside = [block for block in out if _is_value_of(block, table)]
            out = _added(out, table, beside, words) if len(beside) >= _MIN_ROWS else out
    return out


def _is_value_of(block: Block, table: Block) -> bool:
    is_text = block.kind in TEXT and all(is_value(word) for word in block.text.split())
    return (
        is_text
        and block.left > table.columns[-1][1]
        and table.top <= block.top + block.height / 2 <= table.top + table.height
    )


def _added(
    blocks: list[Block], table: Block, beside: list[Block], words: Sequence[Word]
) -> list[Block]:
    own = words_of_texts(beside, words)
    values = [cell.words for inside in own for line in lines_of(inside) for cell in cells_in(line)]
    columns = _columns([(cell[0].left, cell[-1].left + cell[-1].width) for cell in values])
    names = [
        [word for word in row if word.left <= table.columns[-1][1]]
        for row in words_by_row(table, words)
    ]
    middles = [sorted({round(word.middle, 1) for word in row}) for row in names]
    rows = [[*row, *[""] * len(columns)] for row in table.rows]
    for cell in values:
        place = row_beside(cell[0], middles)
        column = len(table.columns) + nearest_column([*cell], columns)
        if not place or rows[place][column]:
            return blocks
        rows[place][column] = plain(" ".join(word.text for word in cell))
    filled = [sum(map(bool, column)) for column in zip(*rows, strict=True)]
    if min(filled[len(table.columns) :]) < _MIN_SHARE * (len(rows) - 1):
        return blocks
    header = [block for block in blocks if _is_header_of(block, table, columns)]
    for word in (word for inside in words_of_texts(header, words) for word in inside):
        column = len(table.columns) + nearest_column([word], columns)
        rows[0][column] = f"{rows[0][column]} {plain(word.text)}".strip()
    top = min([table.top, *(block.top for block in header)])
    right = max(right for _, right in columns)
    whole = replace(
        table,
        rows=rows,
        first_row=rows[0],
        tops=[top, *table.tops[1:]],
        columns=[*table.columns, *columns],
        top=top,
        height=table.top + table.height - top,
        width=right - table.left,
    )
    changed: dict[int, Block | None] = {id(block): None for block in (*beside, *header)}
    changed[id(table)] = whole
    return with_changed(blocks, changed)


def _columns(places: list[tuple[float, float]]) -> Columns:
    """Return what stands below each other as one."""
    found: Columns = []
    for left, right in sorted(places):
        if found and left < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], right))
        else:
            found.append((left, right))
    return found


def _is_header_of(block: Block, table: Block, columns: Columns) -> bool:
    pitch = distance_of_rows([table])
    return (
        block.kind in TEXT
        and block.left + block.width / 2 > table.columns[-1][1]
        and block.left > table.columns[-1][0]
        and block.top >= table.top - _MAX_HEADER * pitch
        and block.top + block.height <= table.tops[1]
    )
