"""Headers of tables by the places of their words: cells of several lines, cells over columns.

Layout analysis makes a row of each line of a header, cuts a cell over several columns where these
begin, or says it again in each of them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby, pairwise, takewhile

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.rows import cells_of, has_places, is_value, words_by_row
from s3sync_dagster.extraction.pdf.text_layer import plain
from s3sync_dagster.extraction.words import words_of

_MAX_ROWS = 5
"""Of the layout's rows that are one header."""
_MIN_VALUES = 0.8
"""Share of a column's cells below the header."""
_MANY_COLUMNS = 3
"""Columns of values, with which one row below the header is enough."""
_BLANK = 0.35
"""Between words of one cell, in heights of the line."""
_WIDE_BLANK = 0.6
"""The same, in a line of which a word stands over two columns itself."""
_OVER = 1.0
"""Points of a column that a word stands over."""
_SHIFT = 2.5
"""Points by which words stand off where they are set below each other."""

_Columns = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words of a line that are of one cell."""

    words: list[Word]
    line: int
    over: list[int]
    """Columns that it stands over."""

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def left(self) -> float:
        return min(word.left for word in self.words)

    @property
    def right(self) -> float:
        return max(word.left + word.width for word in self.words)


def mend_heads(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which each cell of a table's header is one, and said once."""
    return [_mended(block, words) if has_places(block) else block for block in blocks]


def _mended(block: Block, words: Sequence[Word]) -> Block:
    own = words_by_row(block, words)
    if not own:
        return block
    edges = _edges(block.columns)
    end = _end_of_head(block.rows, [cells_of(row, edges) for row in own])
    values = _columns_of_values(block.rows[end:])
    is_copied = _is_copied(block.rows[0], own[0])
    if is_copied:
        end = max(end, 1)
    elif not values or (len(values) < _MANY_COLUMNS and len(block.rows) - end <= end):
        return block
    if not end or not _are_said(block.rows[:end], own[:end]):
        return block
    is_ruled = all(abs(after - before) <= _OVER for (_, before), (after, _) in pairwise(edges))
    columns = edges if is_ruled else _columns(edges, block.rows[end:], own[end:])
    if any(before > after + _OVER for (_, before), (after, _) in pairwise(columns)):
        return block
    lines = list(lines_of([word for row in own[:end] for word in row]))
    first = _first_of_values(lines, edges, values) if is_copied else len(lines)
    phrases = [
        phrase
        for number, line in enumerate(lines[:first])
        for phrase in _phrases(line, number, columns)
    ]
    by_cell = _by_cell(phrases, columns, may_touch=not is_ruled)
    is_plain = end == 1 and not is_copied and all(len(phrase.over) == 1 for phrase in by_cell)
    rows = [] if is_plain else _rows(by_cell, len(columns))
    if not rows:
        return block
    tops = [lines[number][0].top for number, _ in rows]
    texts = [texts for _, texts in rows]
    if lines[first:]:
        cells = cells_of([word for line in lines[first:] for word in line], edges)
        texts.append([plain(" ".join(w.text for line in cell for w in line)) for cell in cells])
        tops.append(lines[first][0].top)
    texts += block.rows[end:]
    tops += block.tops[end:]
    return replace(block, rows=texts, first_row=texts[0], tops=tops, columns=columns)


def _edges(columns: Sequence[tuple[float, float]]) -> _Columns:
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


def _columns_of_values(rows: list[list[str]]) -> list[int]:
    found: list[int] = []
    for number, column in enumerate(zip(*rows, strict=True)):
        filled = [cell for cell in column if cell]
        if number and filled and sum(map(is_value, filled)) >= _MIN_VALUES * len(filled):
            found.append(number)
    return found


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


def _columns(edges: _Columns, rows: list[list[str]], own: list[list[Word]]) -> _Columns:
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


def _first_of_values(lines: list[list[Word]], columns: _Columns, values: list[int]) -> int:
    """Return the first line that has a value where all rows below have some."""
    for number, line in enumerate(lines):
        cells = cells_of(line, columns)
        texts = [" ".join(word.text for part in cells[i] for word in part) for i in values]
        if values and 2 * sum(map(is_value, texts)) > len(values):
            return number
    return len(lines)


def _phrases(line: list[Word], number: int, columns: _Columns) -> Iterator[_Phrase]:
    is_wide = any(len(_over([word], columns)) > 1 for word in line)
    start = 0
    for end in range(1, len(line) + 1):
        if end < len(line):
            before, after = line[end - 1], line[end]
            gap = (after.left - before.left - before.width) / max(1.0, before.height)
            if gap <= (_WIDE_BLANK if is_wide else _BLANK):
                continue
        words = line[start:end]
        yield _Phrase(words, number, _over(words, columns) or [_nearest(words, columns)])
        start = end


def _over(words: list[Word], columns: _Columns) -> list[int]:
    left, right = words[0].left, words[-1].left + words[-1].width
    return [
        number
        for number, (start, end) in enumerate(columns)
        if min(right, end) - max(left, start) > _OVER
    ]


def _nearest(words: list[Word], columns: _Columns) -> int:
    middle = (words[0].left + words[-1].left + words[-1].width) / 2
    gaps = [max(left - middle, middle - right, 0.0) for left, right in columns]
    return gaps.index(min(gaps))


def _by_cell(phrases: list[_Phrase], columns: _Columns, *, may_touch: bool) -> list[_Phrase]:
    """Return phrases of one cell each: words near each other may be heads of several columns."""
    heads = {phrase.over[0] for phrase in phrases if len(phrase.over) == 1}
    by_line = Counter(phrase.line for phrase in phrases)
    out: list[_Phrase] = []
    for phrase in phrases:
        is_wide = any(len(_over([word], columns)) > 1 for word in phrase.words)
        parts = [] if is_wide or len(phrase.over) == 1 else _by_column(phrase, columns)
        are_heads = (
            may_touch
            and len(parts) == len(phrase.over)
            and all(_is_aligned(part, columns) for part in parts)
        )
        is_title = by_line[phrase.line] == 1 and len(by_line) > 1
        is_above = is_title or heads.issuperset(phrase.over)
        out += parts if parts and (are_heads or not is_above) else [phrase]
    return out


def _by_column(phrase: _Phrase, columns: _Columns) -> list[_Phrase]:
    return [
        replace(phrase, words=list(words), over=[column])
        for column, words in groupby(phrase.words, lambda word: _nearest([word], columns))
    ]


def _is_aligned(phrase: _Phrase, columns: _Columns) -> bool:
    """Return whether words begin, end or are centred as what stands below them."""
    (left, right), start, end = columns[phrase.over[0]], phrase.left, phrase.right
    shifts = (start - left, end - right, (start + end - left - right) / 2)
    return min(map(abs, shifts)) <= _SHIFT


def _rows(phrases: list[_Phrase], width: int) -> list[tuple[int, list[str]]]:
    """Return rows and the lines where they begin.

    A cell over several columns has a row of its own above their heads. Another cell stands in the
    first of the rows that it is as high as. Nothing where words are above such a cell, and below.
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
            rows[number][phrase.over[0]] = plain(phrase.text)
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


def _levels(phrases: list[_Phrase]) -> tuple[list[list[_Phrase]], list[_Phrase]]:
    """Return the cells over several columns, those beside each other together, and the others.

    To the first of them belong the lines above it that stand alone.
    """
    lines = [list(own) for _, own in groupby(phrases, lambda phrase: phrase.line)]
    alone = [own[0] for own in takewhile(lambda own: len(own) == 1, lines)]
    while alone and len(alone[-1].over) == 1:
        alone.pop()
    levels = [[reduce(_joined, alone)]] if alone else []
    rest: list[_Phrase] = []
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


def _joined(above: _Phrase, below: _Phrase) -> _Phrase:
    over = sorted({*above.over, *below.over})
    return replace(above, words=[*above.words, *below.words], over=over)


def _next_line(above: _Phrase, own: list[_Phrase]) -> _Phrase | None:
    """Return the only phrase of a line below a cell, if it is centred there."""
    below = [phrase for phrase in own if not set(above.over).isdisjoint(phrase.over)]
    if len(below) != 1 or not set(above.over).issuperset(below[0].over):
        return None
    shift = above.left + above.right - below[0].left - below[0].right
    return below[0] if abs(shift) <= 2 * _SHIFT else None
