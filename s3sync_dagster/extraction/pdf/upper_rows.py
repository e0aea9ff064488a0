"""Rows, and the header, that layout analysis makes text above a table of values."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of, without_end
from s3sync_dagster.extraction.pdf.rows import (
    body_of,
    columns_of_values,
    distance_of_rows,
    has_places,
    is_value,
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

_MAX_STEP = 1.7
"""From a row to the next one, in the table's own distance."""
_MAX_HEADER_STEP = 2.3
"""The same, to the first row below a header."""
_MAX_LINE_STEP = 1.6
"""From line to line of a header, in heights."""
_MIN_HEADS = 0.5
"""Share of the columns of values that have a head."""


def add_upper_rows(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which lines above a table of values without a header are its rows.

    Their cells stand in its columns. Uppermost may be a header, without values.
    """
    out = blocks
    for table in blocks:
        is_open = (
            has_places(table) and len(table.rows) > 1 and len(body_of(table)) == len(table.rows)
        )
        above = _above(table, out) if is_open else []
        out = _added(out, table, above, words) if above else out
    return out


def _above(table: Block, blocks: list[Block]) -> list[Block]:
    """Return the texts that end near a table's first row, each near the top of those below it."""
    step = _MAX_HEADER_STEP * distance_of_rows([table])
    over = [
        block
        for block in blocks
        if block.kind != "rule"
        and block is not table
        and block.top + block.height <= table.top + SHIFT
        and table.left - SHIFT <= block.left + block.width
        and block.left < table.left + table.width
    ]
    found: list[Block] = []
    start = table.top
    for block in sorted(over, key=lambda block: -block.top - block.height):
        if block.kind not in TEXT or start - block.top - block.height > step:
            break
        found.append(block)
        start = min(start, block.top)
    return found[::-1]


def _added(
    blocks: list[Block], table: Block, above: list[Block], words: Sequence[Word]
) -> list[Block]:
    own = words_of_texts(above, words)
    found = list(_rows(table, [word for inside in own for word in inside]))[::-1]
    taken = {word for row in found for word in row.words}
    rests = [
        without_end(block.text, [word for word in inside if word in taken])
        for block, inside in zip(above, own, strict=True)
    ]
    if not found or None in rests:
        return blocks
    top = found[0].top
    rows = [*(row.texts for row in found), *table.rows]
    grown = replace(
        table,
        rows=rows,
        first_row=rows[0],
        tops=[*(row.top for row in found), *table.tops],
        columns=columns_with(table.columns, found),
        top=top,
        height=table.top + table.height - top,
    )
    changed: dict[int, Block | None] = {id(table): grown}
    for block, rest in zip(above, rests, strict=True):
        if rest != block.text:
            height = max(1.0, top - block.top)
            changed[id(block)] = replace(block, text=rest, height=height) if rest else None
    return with_changed(blocks, changed)


def _rows(table: Block, words: list[Word]) -> Iterator[TableLine]:
    """Yield rows as far up as the lines are some, then the lines of a header."""
    values = columns_of_values(table.rows)
    pitch = distance_of_rows([table])
    start, has_header = table.tops[0], False
    for line in reversed(list(lines_of(words))):
        row = line_of_table(line, table.columns, values)
        step = start - line[0].top
        if not has_header and row and row.has_values and row.cells[0] and step <= _MAX_STEP * pitch:
            start = row.top
            yield row
            continue
        header = row or line_of_table(line, table.columns, [])
        limit = _MAX_LINE_STEP * line[0].height if has_header else _MAX_HEADER_STEP * pitch
        if header is None or not _is_header(header, values) or step > limit:
            return
        start, has_header = header.top, True
        yield header


def _is_header(line: TableLine, values: list[int]) -> bool:
    heads = [number for number in values if line.cells[number]]
    has_some = len(heads) > 1 and len(heads) >= _MIN_HEADS * len(values)
    return has_some and not any(is_value(text) for text in line.texts)
