"""Cells of several lines that layout analysis makes rows of: the rest goes with its beginning."""

from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.rows import has_places, is_value, words_by_row

_MIN_ROWS = 3
_MIDDLE = 0.2
"""Of a line's height, by which values stand off the middle of the two lines beside them."""
_NEARER = 1.2
"""How much farther the next row is than the next line of a cell."""
_MAX_STEP = 1.6
"""From line to line of a cell, in heights."""

_Rows = list[tuple[list[str], list[Word]]]


def join_wrapped(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which a line that goes on with a cell is no row of its own."""
    return [_joined(block, words) if has_places(block) else block for block in blocks]


def _joined(block: Block, words: Sequence[Word]) -> Block:
    by_row = words_by_row(block, words)
    if len(by_row) < _MIN_ROWS or not all(by_row):
        return block
    rows: _Rows = list(zip(block.rows, by_row, strict=True))
    # From the second row on: what stands below a header's lines is not the rest of these.
    pairs = [place for place in range(1, len(rows) - 1) if _are_one(rows, place)]
    texts: list[list[str]] = []
    tops: list[float] = []
    for place, (row, top) in enumerate(zip(block.rows, block.tops, strict=True)):
        if place - 1 in pairs:
            texts[-1] = [f"{a} {b}".strip() for a, b in zip(texts[-1], row, strict=True)]
        else:
            texts.append(row)
            tops.append(top)
    texts = _with_whole_names(texts)
    if texts == block.rows:
        return block
    return replace(block, rows=texts, tops=tops, first_row=texts[0])


def _with_whole_names(rows: list[list[str]]) -> list[list[str]]:
    """Return rows in which a name that stands beside several rows is whole in the first.

    The second of these has what stands in rows without a name elsewhere in the table.
    """
    nameless = {row[1] for row in rows if not row[0] and row[1]}
    out: list[list[str]] = []
    for row in rows:
        if out and out[-1][0] and _goes_on(row[0]) and row[1] in nameless:
            out[-1] = [f"{out[-1][0]} {row[0]}", *out[-1][1:]]
            row = ["", *row[1:]]
        out.append(row)
    return out


def _are_one(rows: _Rows, place: int) -> bool:
    """Return whether a row and the next one are the lines of one."""
    (upper, above), (lower, below) = rows[place], rows[place + 1]
    is_named = bool(upper[0] and lower[0])
    if is_named and any(upper[1:]) != any(lower[1:]) and _has_values_between(above, below):
        return True
    is_rest = any(lower) and all(
        _goes_on(b) and _is_text(a) for a, b in zip(upper, lower, strict=True) if b
    )
    step = _first(below) - _last(above)
    is_start = is_named and not any(upper[1:]) and any(lower[1:]) and _goes_on(lower[0])
    if not 0 < step <= _MAX_STEP * max(word.height for word in above):
        return False
    if is_rest and any(upper[1:]) and not all(lower):
        after = rows[place + 2 : place + 3]
        return all(_first(own) - _first(below) >= _NEARER * step for _, own in after)
    return is_start and _first(above) - _last(rows[place - 1][1]) >= _NEARER * step


def _has_values_between(above: list[Word], below: list[Word]) -> bool:
    """Return whether two rows are two lines of a name, and values beside the middle of both."""
    middles = sorted({round(word.middle, 1) for word in (*above, *below)})
    if len(middles) != 3:
        return False
    first, middle, last = middles
    beside = [word for word in (*above, *below) if round(word.middle, 1) == middle]
    height = max(word.height for word in beside)
    names = [word for word in (*above, *below) if round(word.middle, 1) != middle]
    is_beside = max(word.left + word.width for word in names) <= min(word.left for word in beside)
    is_near = last - first <= _MAX_STEP * height
    return is_beside and is_near and abs(first + last - 2 * middle) <= 2 * _MIDDLE * height


def _goes_on(cell: str) -> bool:
    return cell[:1].islower() or (cell[:1] == "(" and not is_value(cell))


def _is_text(cell: str) -> bool:
    return bool(cell) and not is_value(cell)


def _first(words: list[Word]) -> float:
    return min(word.middle for word in words)


def _last(words: list[Word]) -> float:
    return max(word.middle for word in words)
