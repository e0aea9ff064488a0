"""Rows that layout analysis makes text below a table: sums, and names with their values."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.rows import (
    body_of,
    columns_of_values,
    distance_of_rows,
    has_places,
)
from s3sync_dagster.extraction.pdf.table_lines import (
    SHIFT,
    TEXT,
    TableLine,
    columns_with,
    line_of_table,
    with_changed,
    words_of_texts,
)
from s3sync_dagster.extraction.pdf.text_layer import plain
from s3sync_dagster.extraction.pdf.titles import without_start

_MAX_STEP = 1.7
"""From a row to the next one, in the table's own distance."""
_MAX_FORM_STEP = 2.3
"""The same, to a row of a form."""
_MIDDLE = 0.2
"""Of a line's height, by which values stand off the middle of the two lines beside them."""


def add_lower_rows(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which lines below a table are its rows where they stand in its columns.

    Wide white parts their cells, none stands over two columns, and columns of values have values.
    """
    out = blocks
    for table in blocks:
        below = _below(table, out) if has_places(table) and len(table.rows) > 1 else []
        out = _added(out, table, below, words) if below else out
    return out


def _below(table: Block, blocks: list[Block]) -> list[Block]:
    """Return the texts that begin near a table's last row, each near the end of those above it."""
    step = _MAX_FORM_STEP * distance_of_rows([table])
    under = [
        block
        for block in blocks
        if block.kind != "rule"
        and block.top > table.tops[-1]
        and table.left - SHIFT <= block.left < table.left + table.width
    ]
    found: list[Block] = []
    end = table.top + table.height
    for block in sorted(under, key=lambda block: block.top):
        if block.kind not in TEXT or block.top - end > step:
            break
        found.append(block)
        end = max(end, block.top + block.height)
    return found


def _added(
    blocks: list[Block], table: Block, below: list[Block], words: Sequence[Word]
) -> list[Block]:
    own = words_of_texts(below, words)
    found = list(_rows(table, [word for inside in own for word in inside]))
    while found and not (found[-1].has_values or found[-1].is_form):
        found.pop()  # names without values are text that follows
    taken = {word for row in found for word in row.words}
    rests = [_rest(block, inside, taken) for block, inside in zip(below, own, strict=True)]
    if not found or None in rests:
        return blocks
    end = max(word.top + word.height for word in taken)
    changed: dict[int, Block | None] = {id(table): _grown(table, found, end)}
    for block, rest in zip(below, rests, strict=True):
        if rest != block.text:
            height = max(1.0, block.top + block.height - end)
            left = replace(block, text=rest, top=end, height=height) if rest else None
            changed[id(block)] = left
    return with_changed(blocks, changed)


def _grown(table: Block, found: list[TableLine], end: float) -> Block:
    return replace(
        table,
        rows=[*table.rows, *(row.texts for row in found)],
        tops=[*table.tops, *(row.top for row in found)],
        columns=columns_with(table.columns, found),
        height=end - table.top,
    )


def _rest(block: Block, inside: list[Word], taken: set[Word]) -> str | None:
    """Return what a block says below the rows, None where its text is not in their order."""
    lines = [word.text for line in lines_of(inside) for word in line if word in taken]
    return without_start(block.text, plain(" ".join(lines))) if lines else block.text


def _rows(table: Block, words: list[Word]) -> Iterator[TableLine]:
    """Yield rows as far down as the lines are some."""
    values = columns_of_values(body_of(table))
    lines = (line_of_table(line, table.columns, values) for line in lines_of(words))
    rows = [row for row in takewhile(lambda row: row is not None, lines) if row is not None]
    height = max((word.height for word in words), default=0.0)
    end = max(table.tops[-1], table.top + table.height - height)
    pitch = max(distance_of_rows([table]), height)
    for row in _named(rows):
        step = _MAX_FORM_STEP if row.is_form else _MAX_STEP
        if row.top - end > step * pitch:
            return
        if not (row.has_values or row.is_form or row.is_name):
            return
        end = max(word.top for word in row.words)
        yield row


def _named(rows: list[TableLine]) -> Iterator[TableLine]:
    """Yield rows; values beside the middle of a name of two lines have it."""
    place = 0
    while place < len(rows):
        name = _name_around(rows[place : place + 3])
        if name:
            row = rows[place + 1]
            yield replace(row, cells=[name, *row.cells[1:]])
        else:
            yield rows[place]
        place += 3 if name else 1


def _name_around(rows: list[TableLine]) -> list[Word]:
    if len(rows) < 3 or not (rows[0].is_name and rows[2].is_name) or rows[1].cells[0]:
        return []
    height = max(word.height for word in rows[1].words)
    shift = abs(rows[0].middle + rows[2].middle - 2 * rows[1].middle)
    is_near = rows[2].middle - rows[0].middle <= 2 * height
    return rows[0].words + rows[2].words if is_near and shift <= 2 * _MIDDLE * height else []
