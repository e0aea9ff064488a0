"""Rows of a table, by the places of their words: several taken for one, and text taken for some.

Layout analysis takes rows that stand close, or the last one below a rule, for one row of several
lines, and lines of justified text above a table, or below it, for rows.
"""

import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.text_layer import plain

_VALUE = re.compile(
    r"[-–—*.†‡#]{1,3}|[-–+(<>≤≥~$€£¥]*\.?\d[\d.,:/%)*†‡a-z]{0,18}|n/?a|nd", re.IGNORECASE
)
_MIN_FILLED = 2
_MIN_VALUES = 0.8
"""Share of a column's cells below the header that are values."""
_MAX_LINE_WORDS = 4
_MAX_BLANK = 0.7
"""Between words of a line of text, in its height; cells are farther apart."""
_MIN_TEXT_GAPS = 4
"""Between the words of a line of text."""
_MIN_TEXT_SHARE = 0.8
"""Of a table's letters that stand in lines of text; then it is none."""
_MAX_ODD_LETTERS = 0.05
"""By which marks of emphasis and hyphens may differ; more are another block's words."""
_PARAGRAPH = 1.4
"""Of the usual step from line to line, from which on the next line begins a paragraph."""
_GAP = 1.4
"""Of the step from line to line inside a cell; rows are farther apart."""
_SAME_PITCH = 0.2
"""By which the distance of two lines may differ from that of the table's rows."""

_Lines = list[list[Word]]


def part_rows(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which each row of a table has a row of its own, and text is none."""
    out: list[Block] = []
    for block in blocks:
        if block.kind == "table" and not block.tops:
            out += _all_text(block, words) or [block]
            continue
        by_row = words_by_row(block, words) if has_places(block) else []
        for part, own in _without_text(block, by_row) if by_row else [(block, by_row)]:
            out.append(_parted(part, own) if own else part)
    return out


def has_places(block: Block) -> bool:
    """Return whether the places of a table's rows and columns are known."""
    width = len(block.columns)
    return (
        block.kind == "table"
        and width >= _MIN_FILLED
        and len(block.tops) == len(block.rows)
        and all(len(row) == width for row in block.rows)
    )


def distance_of_rows(tables: Sequence[Block]) -> float:
    """Return the points from row to row in tables, or pieces of one; 0 where there is one row."""
    steps = [below - above for table in tables for above, below in pairwise(table.tops)]
    return median(steps) if steps else 0.0


def body_of(table: Block) -> list[list[str]]:
    """Return a table's rows from the first one that has a value."""
    start = next((i for i, row in enumerate(table.rows) if any(map(is_value, row))), 0)
    return table.rows[start:]


def columns_of_values(rows: list[list[str]]) -> list[int]:
    """Return the columns, besides the first, that have values in the rows below a header."""
    found: list[int] = []
    for number, column in enumerate(zip(*rows, strict=True)):
        filled = [cell for cell in column if cell]
        if number and filled and sum(map(is_value, filled)) >= _MIN_VALUES * len(filled):
            found.append(number)
    return found


def words_by_row(block: Block, words: Sequence[Word]) -> list[list[Word]]:
    """Return the words of each row of a table, nothing where the rows are not below each other."""
    # A block may be wider than its cells, where the names of its rows are text.
    left = max(block.left, block.columns[0][0]) - 2
    right = block.left + block.width + 2
    limits = [*(top - 1 for top in block.tops[1:]), block.top + block.height + 2]
    if sorted(limits) != limits:
        return []
    by_row: list[list[Word]] = [[] for _ in block.rows]
    top, bottom = block.top - 2, limits[-1]
    for word in words:
        down = word.top + word.height / 2
        if top <= down <= bottom and left <= word.left + word.width / 2 <= right:
            by_row[min(bisect(limits, down), len(by_row) - 1)].append(word)
    return by_row


def _without_text(block: Block, by_row: list[list[Word]]) -> list[tuple[Block, list[list[Word]]]]:
    """Return the table, and as paragraphs the lines of text that were taken for its rows."""
    are_text = [_is_text(row, own) for row, own in zip(block.rows, by_row, strict=True)]
    known = [one for one in are_text if one is not None]
    if not any(known):
        return [(block, by_row)]
    cells = [i for i, one in enumerate(are_text) if one is False]
    start = cells[0] if cells else len(are_text)
    end = cells[-1] + 1 if cells else len(are_text)
    # A row of one cell goes with the table: its header, or a label between its rows.
    while cells and start > 0 and are_text[start - 1] is None:
        start -= 1
    while cells and end < len(are_text) and are_text[end] is None:
        end += 1
    if sum(map(bool, are_text[start:end])) > (end - start) / 2:
        start = end = len(are_text)  # words far apart here and there
    parts = [
        (_paragraph(block, by_row[:start]), []),
        (_table(block, start, end), by_row[start:end]),
        (_paragraph(block, by_row[end:]), []),
    ]
    return [(part, own) for part, own in parts if part is not None]


def _is_text(row: list[str], words: list[Word]) -> bool | None:
    """Return whether no gap parts the cells of a row, None for one cell or less."""
    if sum(map(bool, row)) < _MIN_FILLED:
        return None
    return _are_text(list(lines_of(words)))


def _are_text(lines: _Lines) -> bool:
    gaps = [
        (after.left - before.left - before.width) / max(1.0, before.height)
        for line in lines
        for before, after in pairwise(line)
    ]
    return len(gaps) >= _MIN_TEXT_GAPS * len(lines) and max(gaps, default=9.0) <= _MAX_BLANK


def _all_text(block: Block, words: Sequence[Word]) -> list[Block]:
    """Return the paragraphs of a table that is text below a heading with its number at the edge.

    Nothing where it is a table.
    """
    right, bottom = block.left + block.width + 2, block.top + block.height + 2
    inside = [
        word
        for word in words
        if block.left - 2 <= word.left + word.width / 2 <= right
        and block.top - 2 <= word.middle <= bottom
    ]
    lines = list(lines_of(inside))
    letters = sum(len(word.text) for word in inside)
    in_text = sum(len(word.text) for line in lines if _are_text([line]) for word in line)
    known = sum(len("".join(cell.split())) for row in block.rows for cell in row)
    if in_text < _MIN_TEXT_SHARE * letters or abs(letters - known) > _MAX_ODD_LETTERS * known:
        return []
    steps = [below[0].middle - above[0].middle for above, below in pairwise(lines)]
    gap = _PARAGRAPH * median(steps) if steps else 0.0
    starts = [0, *(i + 1 for i, step in enumerate(steps) if step > gap), len(lines)]
    parts = (_paragraph(block, lines[start:end]) for start, end in pairwise(starts))
    return [part for part in parts if part is not None]


def _paragraph(block: Block, by_row: list[list[Word]]) -> Block | None:
    words = [word for row in by_row for line in lines_of(row) for word in line]
    if not words:
        return None
    top, left = min(word.top for word in words), min(word.left for word in words)
    return Block(
        kind="paragraph",
        text=plain(" ".join(word.text for word in words)),
        top=top,
        height=max(word.top + word.height for word in words) - top,
        left=left,
        width=max(word.left + word.width for word in words) - left,
    )


def _table(block: Block, start: int, end: int) -> Block | None:
    if start == end:
        return None
    rows, tops = block.rows[start:end], block.tops[start:end]
    bottom = block.tops[end] if end < len(block.tops) else block.top + block.height
    top = block.top if start == 0 else tops[0]
    return replace(block, rows=rows, tops=tops, first_row=rows[0], top=top, height=bottom - top)


def _parted(block: Block, by_row: list[list[Word]]) -> Block:
    cells = [cells_of(row, block.columns) for row in by_row]
    pitch = _pitch(cells)
    rows: list[list[str]] = []
    tops: list[float] = []
    for texts, top, found, own in zip(block.rows, block.tops, cells, by_row, strict=True):
        lines = list(lines_of(own))
        if _are_values(texts, lines):
            rows += [[plain(word.text) for word in line] for line in lines]
            tops += [line[0].top for line in lines]
            continue
        starts = _starts(found, pitch) if _are_same(texts, found) else []
        if len(starts) < 2 and not rows and _are_same(texts, found):
            starts = _head_and_row(cells, block.tops)
        if len(starts) < 2:
            rows.append(texts)
            tops.append(top)
            continue
        rows += _rows(found, starts)
        tops += [start[0] for start in starts]
    return replace(block, rows=rows, tops=tops, first_row=rows[0]) if rows != block.rows else block


def _are_values(texts: list[str], lines: _Lines) -> bool:
    """Return whether each of several lines has a value for each column."""
    return (
        len(lines) > 1
        and all(len(line) == len(texts) for line in lines)
        and all(is_value(word.text) for line in lines for word in line)
        and sorted(" ".join(texts).split()) == sorted(w.text for line in lines for w in line)
    )


def cells_of(words: list[Word], columns: Sequence[tuple[float, float]]) -> list[_Lines]:
    """Return the lines of each cell of a row."""
    own: list[list[Word]] = [[] for _ in columns]
    for word in words:
        middle = word.left + word.width / 2
        gaps = [max(left - middle, middle - right, 0.0) for left, right in columns]
        own[gaps.index(min(gaps))].append(word)
    return [list(lines_of(cell)) for cell in own]


def _are_same(texts: list[str], cells: list[_Lines]) -> bool:
    """Return whether the words found are those of the row."""
    return all(
        "".join(text.replace("*", "").split())
        == "".join(plain(_text(lines)).replace("*", "").split())
        for text, lines in zip(texts, cells, strict=True)
    )


def _text(lines: _Lines) -> str:
    return " ".join(word.text for line in lines for word in line)


def _starts(cells: list[_Lines], pitch: float) -> list[tuple[float, float]]:
    """Return top and bottom of each row inside one, by its columns of values."""
    first = next((lines for lines in cells if lines), [])
    values = [
        lines
        for lines in cells
        if len(lines) > 1
        and all(len(line) == 1 and _VALUE.fullmatch(line[0].text) for line in lines)
    ]
    most = max(map(len, values), default=0)
    if values and (len(first) >= most or _are_named(values, cells)):
        return _merged([line for lines in values for line in lines])
    lines = _merged([line for lines in cells for line in lines])
    tops = [top for top, _ in lines]
    steps = [below - above for above, below in pairwise(tops)]
    if not steps:
        return []
    apart = [0, *(i + 1 for i, step in enumerate(steps) if step > _GAP * min(steps))]
    if len(apart) > 1:
        ends = [*apart[1:], len(lines)]
        parts = [(lines[i][0], lines[j - 1][1]) for i, j in zip(apart, ends, strict=True)]
        is_label = _filled(cells, *parts[0]) == [True] + [False] * (len(cells) - 1)
        rows = parts[1:] if is_label else parts
        has_names = all(_filled(cells, *part)[0] for part in rows)
        return parts if has_names and _are_rows(cells, rows, words=None) else []
    if not pitch or any(abs(step - pitch) > _SAME_PITCH * pitch for step in steps):
        return []
    return lines if _are_rows(cells, lines, words=_MAX_LINE_WORDS) else []


def _head_and_row(cells: list[list[_Lines]], tops: list[float]) -> list[tuple[float, float]]:
    """Return top and bottom of a table's header and of the row below it, where both are its first.

    The last line is as far from the next row as that from its next one, and has a value in a
    column of values; the header has none. Nothing where it is otherwise.
    """
    first, others = cells[0], cells[1:]
    lines = _merged([line for column in first for line in column])
    steps = [below - above for above, below in pairwise(tops[1:])]
    if len(lines) < 2 or not steps:
        return []
    pitch, parts = median(steps), [(lines[0][0], lines[-2][1]), lines[-1]]
    if abs(tops[1] - parts[1][0] - pitch) > _SAME_PITCH * pitch:
        return []
    head, row = (
        [[line for line in column if top <= line[0].middle <= bottom] for column in first]
        for top, bottom in parts
    )
    has_values = any(
        _is_value(lines) and all(_is_value(one[column]) for one in others if one[column])
        for column, lines in enumerate(row)
    )
    said = "".join(_text(lines) for lines in head)
    is_head = sum(map(bool, head)) >= _MIN_FILLED and not any(map(str.isdigit, said))
    return parts if is_head and has_values and row[0] and not _is_value(row[0]) else []


def _is_value(lines: _Lines) -> bool:
    return len(lines) == 1 and len(lines[0]) == 1 and is_value(lines[0][0].text)


def is_value(text: str) -> bool:
    """Return whether a cell is a number, or a mark for none."""
    return _VALUE.fullmatch(text) is not None


def _are_named(values: list[_Lines], cells: list[_Lines]) -> bool:
    """Return whether text stands beside each value, though a cell before it spans them all."""
    starts = [line[0].middle for line in max(values, key=len)]
    return any(
        len(lines) >= len(starts)
        and all(
            any(
                abs(line[0].middle - start) <= line[0].height / 2 and not line[0].text[:1].islower()
                for line in lines
            )
            for start in starts
        )
        for lines in cells
        if lines and lines not in values
    )


def _filled(cells: list[_Lines], top: float, bottom: float) -> list[bool]:
    return [any(top <= line[0].middle <= bottom for line in cell) for cell in cells]


def _are_rows(cells: list[_Lines], parts: list[tuple[float, float]], *, words: int | None) -> bool:
    """Return whether each part has two cells, none of which goes on with the one above."""
    for place, (top, bottom) in enumerate(parts):
        own = [[line for line in cell if top <= line[0].middle <= bottom] for cell in cells]
        filled = [lines for lines in own if lines]
        goes_on = place and any(lines[0][0].text[:1].islower() for lines in filled)
        longest = max((len(line) for lines in filled for line in lines), default=0)
        if goes_on or len(filled) < _MIN_FILLED or (words and longest > words):
            return False
    return True


def _merged(lines: _Lines) -> list[tuple[float, float]]:
    """Return top and bottom of lines, those of several columns beside each other as one."""
    found: list[tuple[float, float]] = []
    for line in sorted(lines, key=lambda line: line[0].middle):
        top, bottom = line[0].top, line[0].top + line[0].height
        if found and line[0].middle < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], bottom))
        else:
            found.append((top, bottom))
    return found


def _rows(cells: list[_Lines], starts: list[tuple[float, float]]) -> list[list[str]]:
    """Return the rows.

    Lines that stand between rows belong to these by order, or to the nearest, the upper of two.
    """
    middles = [(top + bottom) / 2 for top, bottom in starts]
    rows = [["" for _ in cells] for _ in starts]
    for column, lines in enumerate(cells):
        places = [_row_of(line, starts) for line in lines]
        for place, line in enumerate(lines):
            gaps = [round(abs(line[0].middle - middle), 1) for middle in middles]
            near = place if len(lines) == len(starts) else gaps.index(min(gaps))
            row = near if None in places else places[place] or 0
            text = plain(" ".join(word.text for word in line))
            is_named = column == 0 or rows[row][0] or rows[row][column]
            is_text = any(len(one) > 1 for one in lines) and not is_value(text)
            if row and not is_named and text[0].islower() and is_text:
                row -= 1  # the rest of a cell that spans both rows
            rows[row][column] = f"{rows[row][column]} {text}".strip()
    return rows


def _row_of(line: list[Word], starts: list[tuple[float, float]]) -> int | None:
    """Return the row between whose edges a line stands."""
    inside = (i for i, (top, end) in enumerate(starts) if top <= line[0].middle <= end)
    return next(inside, None)


def _pitch(cells: list[list[_Lines]]) -> float:
    """Return the usual distance of rows of one line, 0.0 where there are too few."""
    single = [
        max(lines[0][0].middle for lines in row if lines)
        for row in cells
        if any(row) and all(len(lines) <= 1 for lines in row)
    ]
    steps = [below - above for above, below in pairwise(single)]
    return median(steps) if len(steps) > 1 else 0.0
