"""Tables that layout analysis ends at a label between their rows: one again, with the label."""

from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.rows import distance_of_rows, has_places, is_value

_MAX_WORDS = 12
_MAX_LINES = 2
_SHIFT = 3.0
"""Points by which columns of one table may differ."""
_MAX_INDENT = 25.0
"""Points by which its names may be indented below a label."""
_ABOVE, _BELOW = 2.6, 1.7
"""Most distances of rows between a label and the row above it, and the row below."""


def join_at_labels(blocks: list[Block]) -> list[Block]:
    """Return blocks in which a label, and the rows below it, are of the table above.

    These have no header of their own, and stand in the columns of the table.
    """
    out: list[Block] = []
    for block in blocks:
        if len(out) > 1 and _is_one(out[-2], out[-1], block):
            label, table = out.pop(), out.pop()
            row = [label.text.replace("*", ""), *[""] * (len(table.columns) - 1)]
            block = replace(
                table,
                rows=[*table.rows, row, *block.rows],
                tops=[*table.tops, label.top, *block.tops],
                height=block.top + block.height - table.top,
            )
        out.append(block)
    return out


def _is_one(table: Block, label: Block, rest: Block) -> bool:
    if not has_places(table) or not has_places(rest) or len(table.columns) != len(rest.columns):
        return False
    if label.kind not in ("paragraph", "heading") or len(label.text.split()) > _MAX_WORDS:
        return False
    pitch = distance_of_rows([table, rest])
    if not 0 < label.top - table.tops[-1] <= _ABOVE * pitch or label.height > _MAX_LINES * pitch:
        return False
    if not 0 < rest.top - label.top - label.height + pitch <= _BELOW * pitch:
        return False
    return (
        abs(label.left - table.left) <= _MAX_INDENT
        and label.left <= rest.left + _SHIFT
        and label.left + label.width <= rest.columns[1][0]
        and abs(rest.left - table.left) <= _MAX_INDENT
        and all(map(_is_same, table.columns[1:], rest.columns[1:]))
        and all(is_value(cell) for cell in rest.rows[0][1:] if cell)
    )


def _is_same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    shifts = (one[0] - other[0], one[1] - other[1], (sum(one) - sum(other)) / 2)
    return min(map(abs, shifts)) <= _SHIFT
