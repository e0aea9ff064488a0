"""Cells of several lines that layout analysis makes rows of: the rest goes with its beginning."""

from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.rows import has_places, is_value, words_by_row
from s3sync_dagster.extraction.pdf.text_layer import plain
from s3sync_dagster.extraction.pdf.titles import without_start

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
    rows = _with_ends(list(zip(block.rows, by_row, strict=True)))
    # From the second row on: what stands below a header's lines is not the rest of these.
    pairs = [place for place in range(1, len(rows) - 1) if _are_one(rows, place)]
    texts: list[list[str]] = []
    tops: list[float] = []
    for place, (row, own) in enumerate(rows):
        top = block.tops[0] if place == 0 else _first_top(own)
        if place - 1 in pairs:
            texts[-1] = [f"{a} {b}".strip() for a, b in zip(texts[-1], row, strict=True)]
        else:
            texts.append(row)
            tops.append(top)
    texts = _with_whole_names(texts)
    if texts == block.rows:
        return block
    return replace(block, rows=texts, tops=tops, first_row=texts[0])


def _with_ends(rows: _Rows) -> _Rows:
    """Return rows of which none begins with words that stand in the row above it.

    Where these go on with the name there, or are nearer to it, they are its end, or else a label.
    """
    out = rows[:1]
    for row, own in rows[1:]:
        upper, above = out[-1]
        last = [*lines_of(above)][-1]
        end = plain(" ".join(word.text for word in last))
        rest = without_start(row[0], end)
        is_lower = last[0].middle > _first(above)
        if not rest or not is_lower or not _is_short_of(own, row, end):
            out.append((row, own))
            continue
        before = [word for word in above if word not in last]
        step, next_step = last[0].middle - _last(before), _first(own) - last[0].middle
        is_near = step <= _MAX_STEP * last[0].height and len(out) > 1
        if is_near and (_goes_on(end) or step * _NEARER <= next_step):
            out[-1] = ([f"{upper[0]} {end}", *upper[1:]], above)
        else:
            out[-1:] = [(upper, before), ([end, *[""] * (len(row) - 1)], last)]
        out.append(([rest, *row[1:]], own))
    return out


def _is_short_of(own: list[Word], row: list[str], end: str) -> bool:
    """Return whether a row's places lack just the words with which its first cell begins."""
    there = "".join(plain(word.text) for word in own)
    said = "".join("".join(row).replace("*", "").split())
    return sorted(there + "".join(end.split())) == sorted(said)


def _first_top(words: list[Word]) -> float:
    return min(word.top for word in words)


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
