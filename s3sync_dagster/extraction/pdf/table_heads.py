"""Headers of tables by the places of their words: cells of several lines, cells over columns.

Layout analysis makes a row of each line of a header, and cuts a cell over several columns where
these begin, or begins each of the heads below with it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import groupby, pairwise, takewhile

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.head_phrases import (
    OVER,
    SHIFT,
    Columns,
    Phrase,
    by_cell,
    phrases_in,
)
from s3sync_dagster.extraction.pdf.rows import (
    cells_of,
    columns_of_values,
    has_places,
    is_value,
    words_by_row,
)
from s3sync_dagster.extraction.pdf.text_layer import plain
from s3sync_dagster.extraction.words import words_of

_MAX_ROWS = 5
"""Of the layout's rows that are one header."""
_MANY_COLUMNS = 3
"""Columns of values, with which one row below the header is enough."""


def mend_heads(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which each cell of a table's header is one.

    A cell over several columns is repeated in each, as merged cells of other formats are.
    """
    return [_mended(block, words) if has_places(block) else block for block in blocks]


def _mended(block: Block, words: Sequence[Word]) -> Block:
    own = words_by_row(block, words)
    if not own:
        return block
    edges = _edges(block.columns)
    end = _end_of_head(block.rows, [cells_of(row, edges) for row in own])
    values = columns_of_values(block.rows[end:])
    is_copied = _is_copied(block.rows[0], own[0])
    if is_copied:
        end = max(end, 1)
    elif not values or (len(values) < _MANY_COLUMNS and len(block.rows) - end <= end):
        return block
    if not end or not _are_said(block.rows[:end], own[:end]):
        return block
    is_ruled = all(abs(after - before) <= OVER for (_, before), (after, _) in pairwise(edges))
    columns = edges if is_ruled else _columns(edges, block.rows[end:], own[end:])
    if any(before > after + OVER for (_, before), (after, _) in pairwise(columns)):
        return block
    lines = list(lines_of([word for row in own[:end] for word in row]))
    if end == 1 and len(lines) == 1:
        return block
    first = _first_of_values(lines, edges, values) if is_copied else len(lines)
    phrases = [
        phrase
        for number, line in enumerate(lines[:first])
        for phrase in phrases_in(line, number, columns)
    ]
    cells = by_cell(phrases, columns, may_touch=not is_ruled)
    is_plain = end == 1 and not is_copied and all(len(phrase.over) == 1 for phrase in cells)
    rows = [] if is_plain else _rows(cells, len(columns))
    if not rows:
        return block
    tops = [lines[number][0].top for number, _ in rows]
    texts = [texts for _, texts in rows]
    if lines[first:]:
        below = cells_of([word for line in lines[first:] for word in line], edges)
        texts.append([plain(" ".join(w.text for line in cell for w in line)) for cell in below])
        tops.append(lines[first][0].top)
    texts += block.rows[end:]
    # The words of a header's lines may have made columns, which then hold nothing.
    filled = [number for number in range(len(columns)) if any(row[number] for row in texts)]
    texts = [[row[number] for number in filled] for row in texts]
    return replace(
        block,
        rows=texts,
        first_row=texts[0],
        tops=[*tops, *block.tops[end:]],
        columns=[columns[number] for number in filled],
    )


def _edges(columns: Sequence[tuple[float, float]]) -> Columns:
    """Return columns of which none goes on over the next: a cell over several may be as wide."""
    limits = [left for left, _ in columns[1:]]
    inner = [
        (left, right if left >= limit else min(right, limit))
        for (left, right), limit in zip(columns, limits, strict=False)
    ]
    return [*inner, columns[-1]]


def _end_of_head(rows: list[list[str]], cells: list[list[list[list[Word]]]]) -> int:
    """Return the first row that is not of the header: it has a value, or only a label."""
    for number, (row, own) in enumerate(zip(rows, cells, strict=True)):
        is_label = number > 0 and any(own[0:1]) and not any(own[1:])
        if is_label or any(is_value(cell) for cell in row[1:]) or number == _MAX_ROWS:
            return number if number < _MAX_ROWS else 0
    return 0


def _is_copied(row: list[str], words: list[Word]) -> bool:
    """Return whether a row says words more often than they are there."""
    said = words_of(" ".join(row))
    there = words_of(plain(" ".join(word.text for word in words)))
    return said.keys() == there.keys() and (said - there).total() > 0


def _are_said(rows: list[list[str]], own: list[list[Word]]) -> bool:
    """Return whether rows have the words found there, however often."""
    said = words_of(" ".join(cell for row in rows for cell in row))
    there = words_of(plain(" ".join(word.text for row in own for word in row)))
    return said.keys() == there.keys()


def _columns(edges: Columns, rows: list[list[str]], own: list[list[Word]]) -> Columns:
    """Return left and right of what stands in each column below the header."""
    found = list(edges)
    known: set[int] = set()
    for row, words in zip(rows, own, strict=True):
        for number, inside in enumerate(_placed(row, words)):
            if not inside:
                continue
            left, right = inside[0].left, inside[-1].left + inside[-1].width
            if number in known:
                left, right = min(left, found[number][0]), max(right, found[number][1])
            known.add(number)
            found[number] = (left, right)
    return found


def _placed(row: list[str], words: list[Word]) -> list[list[Word]]:
    """Return the words of each cell of a row of one line, nothing where they are others."""
    line = sorted(words, key=lambda word: word.left)
    cells: list[list[Word]] = []
    for cell in row:
        rest, inside = "".join(cell.replace("*", "").split()), list[Word]()
        while rest and line and rest.startswith(word := plain(line[0].text)):
            rest = rest.removeprefix(word)
            inside.append(line.pop(0))
        if rest:
            return []
        cells.append(inside)
    return [] if line else cells


def _first_of_values(lines: list[list[Word]], columns: Columns, values: list[int]) -> int:
    """Return the first line that has a value where all rows below have some."""
    for number, line in enumerate(lines):
        cells = cells_of(line, columns)
        texts = [" ".join(word.text for part in cells[i] for word in part) for i in values]
        if values and 2 * sum(map(is_value, texts)) > len(values):
            return number
    return len(lines)


def _rows(phrases: list[Phrase], width: int) -> list[tuple[int, list[str]]]:
    """Return rows and the lines where they begin.

    Cells over several columns have a row of their own above the heads of these. Another cell stands
    in the first of the rows that it is as high as. Nothing where words are above such a cell, and
    below.
    """
    levels, rest = _levels(phrases)
    rows = [["" for _ in range(width)] for _ in range(len(levels) + 1)]
    lowest = {
        column: number
        for number, level in enumerate(levels)
        for phrase in level
        for column in phrase.over
    }
    for number, level in enumerate(levels):
        for phrase in level:
            is_title = len(level) == 1 and len(phrase.over) >= width - 1
            for column in phrase.over[:1] if is_title else phrase.over:
                rows[number][column] = plain(phrase.text)
    if any(
        phrase.line < levels[lowest[phrase.over[0]]][0].line
        for phrase in rest
        if phrase.over[0] in lowest
    ):
        return []
    below = {phrase.text for phrase in rest if phrase.over[0] in lowest}
    for phrase in rest:
        column = phrase.over[0]
        is_lower = column not in lowest and rows[0][column] and phrase.text in below
        row = len(levels) if is_lower else lowest.get(column, -1) + 1
        rows[row][column] = f"{rows[row][column]} {plain(phrase.text)}".strip()
    starts = [level[0].line for level in levels]
    last = max((phrase.line for phrase in rest), default=0)
    return [(line, row) for line, row in zip([*starts, last], rows, strict=True) if any(row)]


def _levels(phrases: list[Phrase]) -> tuple[list[list[Phrase]], list[Phrase]]:
    """Return the cells over several columns, those beside each other together, and the others.

    To the first of them belong the lines above it that stand alone.
    """
    lines = [list(own) for _, own in groupby(phrases, lambda phrase: phrase.line)]
    alone = [own[0] for own in takewhile(lambda own: len(own) == 1, lines)]
    while alone and len(alone[-1].over) == 1:
        alone.pop()
    levels = [[reduce(_joined, alone)]] if alone else []
    rest: list[Phrase] = []
    before = len(alone) - 1
    for own in lines[len(alone) :]:
        above = levels[-1] if levels and before == own[0].line - 1 else []
        further = [_next_line(phrase, own) for phrase in above]
        taken = {id(phrase) for phrase in further if phrase is not None}
        if taken:
            pairs = zip(above, further, strict=True)
            levels[-1] = [one if below is None else _joined(one, below) for one, below in pairs]
            before = own[0].line
        left = [phrase for phrase in own if id(phrase) not in taken]
        wide = [phrase for phrase in left if len(phrase.over) > 1]
        rest += [phrase for phrase in left if len(phrase.over) == 1]
        if wide:
            levels.append(wide)
            before = own[0].line
    return levels, rest


def _joined(above: Phrase, below: Phrase) -> Phrase:
    over = sorted({*above.over, *below.over})
    return replace(above, words=[*above.words, *below.words], over=over)


def _next_line(above: Phrase, own: list[Phrase]) -> Phrase | None:
    """Return the only phrase of a line below a cell, if it is centred there."""
    below = [phrase for phrase in own if not set(above.over).isdisjoint(phrase.over)]
    if len(below) != 1 or not set(above.over).issuperset(below[0].over):
        return None
    shift = above.left + above.right - below[0].left - below[0].right
    return below[0] if abs(shift) <= 2 * SHIFT else None
