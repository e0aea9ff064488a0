"""Tables whose cells rules part from each other, read by these rules alone.

Layout analysis reads most of them. It takes some for text, or cuts them: where a cell spans rows or
columns, or holds lines of text, or where each rule is a thin box. Drawn rules leave no doubt.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, cells_in, lines_of
from s3sync_dagster.extraction.pdf.rows import is_value
from s3sync_dagster.extraction.pdf.text_layer import plain

_SAME = 2.5
"""Points by which rules, or both edges of a thin box, are one."""
_MIN_LENGTH = 4.0
_MIN_RULES = 3
"""Of each direction: two rows, two columns."""
_MAX_RULES = 400
"""Of a page; a drawing has more."""
_MAX_PLACES = 4000
"""Of a grid; squared paper has more."""
_MIN_COVERED = 0.8
"""Share of a cell's edge along which a rule is drawn."""
_MIN_FILLED = 0.5
"""Share of a table's cells that have words."""
_MAX_CELL_WORDS = 80
"""Of a cell; a box with more is a frame around text."""
_MIN_PARTED = 2
"""Cells over several columns with wide white between words, or parts of one and one more."""
_TURNED = 1.5
"""Height of a word whose letters stand below each other, in its widths."""
_MIN_TURNED_LETTERS = 3
_MAX_CROSSING = 2.0
"""Points by which a word may stand out of its cell."""


class Rule(NamedTuple):
    """A straight line, in points from the page's upper left corner."""

    place: float
    """Of a level one from above, of an upright one from the left."""
    start: float
    end: float


class Rules(NamedTuple):
    """The level and the upright rules of a page."""

    level: Sequence[Rule] = ()
    upright: Sequence[Rule] = ()


def find_ruled(blocks: list[Block], words: Sequence[Word], rules: Rules) -> list[Block]:
    """Return blocks in which what stands inside a grid of rules is one table.

    A table that the blocks have with the same columns and rows stays theirs. So does all that is
    only partly inside, and what the grid's cells would hold in several rows of values.
    """
    if min(map(len, rules)) < _MIN_RULES or max(map(len, rules)) > _MAX_RULES:
        return blocks
    out = blocks
    for level, upright in _grids(_merged(rules.level), _merged(rules.upright)):
        table = _table(level, upright, words)
        if table is not None:
            out = _with_table(out, table)
    return out


def _merged(rules: Iterable[Rule]) -> list[Rule]:
    """Return rules with those as one that lie on each other or go on."""
    near: list[list[Rule]] = []
    for rule in sorted(rules):
        if near and rule.place - near[-1][0].place <= _SAME:
            near[-1].append(rule)
        else:
            near.append([rule])
    out: list[Rule] = []
    for group in near:
        place = (group[0].place + group[-1].place) / 2
        spans: list[Rule] = []
        for _, start, end in sorted(group, key=lambda rule: rule.start):
            if spans and start <= spans[-1].end + _SAME:
                spans[-1] = spans[-1]._replace(end=max(end, spans[-1].end))
            else:
                spans.append(Rule(place, start, end))
        out += [span for span in spans if span.end - span.start >= _MIN_LENGTH]
    return out


def _grids(level: list[Rule], upright: list[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Return the rules that meet each other, as level and upright ones of each grid."""
    groups = list(range(len(level) + len(upright)))

    def group_of(number: int) -> int:
        while groups[number] != number:
            groups[number] = number = groups[groups[number]]
        return number

    for i, one in enumerate(level):
        for j, other in enumerate(upright, start=len(level)):
            if (
                one.start - _SAME <= other.place <= one.end + _SAME
                and other.start - _SAME <= one.place <= other.end + _SAME
            ):
                groups[group_of(i)] = group_of(j)
    found: dict[int, tuple[list[Rule], list[Rule]]] = defaultdict(lambda: ([], []))
    for number, rule in enumerate((*level, *upright)):
        found[group_of(number)][number >= len(level)].append(rule)
    return [grid for grid in found.values() if min(map(len, grid)) >= _MIN_RULES]


def _places(rules: list[Rule]) -> list[float]:
    out: list[float] = []
    for place in sorted({rule.place for rule in rules}):
        if not out or place - out[-1] > _SAME:
            out.append(place)
    return out


def _along(rules: list[Rule], places: list[float]) -> list[list[Rule]]:
    """Return the rules at each place."""
    return [[rule for rule in rules if abs(rule.place - place) <= _SAME] for place in places]


def _is_drawn(rules: list[Rule], start: float, end: float) -> bool:
    """Return whether one of the rules at a place is drawn along a cell's edge."""
    covered = sum(max(0.0, min(end, rule.end) - max(start, rule.start)) for rule in rules)
    return covered >= _MIN_COVERED * (end - start)


def _table(level: list[Rule], upright: list[Rule], words: Sequence[Word]) -> Block | None:
    """Return the table of a grid: a cell's words in its first row, in each column it spans."""
    rows, columns = _places(level), _places(upright)
    if min(len(rows), len(columns)) < _MIN_RULES or len(rows) * len(columns) > _MAX_PLACES:
        return None
    cells = _cells(rows, columns, level, upright)
    own = _words_by_cell(rows, columns, cells, words) if cells else None
    if not own or not _is_table(cells, own):
        return None
    texts = {
        cell: plain(" ".join(word.text for line in lines_of(inside) for word in line))
        for cell, inside in own.items()
    }
    groups = _columns(cells, own)
    found = [_row(number, row, groups, texts) for number, row in enumerate(cells)]
    shown = [row for row in found if any(row)]
    filled = [number for number in range(len(groups)) if any(row[number] for row in shown)]
    if min(len(shown), len(filled)) < _MIN_RULES - 1:
        return None
    shown = [[row[number] for number in filled] for row in shown]
    edges = [(columns[groups[number][0]], columns[groups[number][-1] + 1]) for number in filled]
    return Block(
        kind="table",
        rows=shown,
        first_row=shown[0],
        top=rows[0],
        height=rows[-1] - rows[0],
        left=columns[0],
        width=columns[-1] - columns[0],
        columns=edges,
    )


def _columns(
    cells: list[list[tuple[int, int]]], own: dict[tuple[int, int], list[Word]]
) -> list[list[int]]:
    """Return the columns, those as one that no row parts and some row spans.

    A header's shade, or a frame in a frame, begins a little beside the rules below it.
    """
    groups: list[list[int]] = []
    for column in range(len(cells[0])):
        pairs = [(row[groups[-1][-1]], row[column]) for row in cells] if groups else []
        spans = any(one == other and one in own for one, other in pairs)
        if spans and not any(one != other and {one, other} <= own.keys() for one, other in pairs):
            groups[-1].append(column)
        else:
            groups.append([column])
    return groups


def _row(
    number: int,
    row: list[tuple[int, int]],
    groups: list[list[int]],
    texts: dict[tuple[int, int], str],
) -> list[str]:
    """Return a row's texts; one over the whole width is said once."""
    if len({*row}) == 1:
        return [texts.get(row[0], "") if row[0][0] == number else "", *[""] * (len(groups) - 1)]
    return [
        " ".join(
            texts[cell]
            for cell in dict.fromkeys(row[column] for column in group)
            if cell in texts and cell[0] == number
        )
        for group in groups
    ]


def _cells(
    rows: list[float], columns: list[float], level: list[Rule], upright: list[Rule]
) -> list[list[tuple[int, int]]]:
    """Return for each place of a grid the first place of its cell; nothing for other shapes."""
    cells = [[(r, c) for c in range(len(columns) - 1)] for r in range(len(rows) - 1)]
    spans: dict[tuple[int, int], set[tuple[int, int]]] = {}
    beside, above = _along(upright, columns), _along(level, rows)
    for r, (top, bottom) in enumerate(pairwise(rows)):
        for c, (left, right) in enumerate(pairwise(columns)):
            first = cells[r][c]
            if c and not _is_drawn(beside[c], top, bottom):
                first = cells[r][c - 1]
            elif r and not _is_drawn(above[r], left, right):
                first = cells[r - 1][c]
            cells[r][c] = first
            spans.setdefault(first, set()).add((r, c))
    for first, places in spans.items():
        height = max(r for r, _ in places) - first[0] + 1
        width = max(c for _, c in places) - first[1] + 1
        if min(c for _, c in places) < first[1] or len(places) != height * width:
            return []
    return cells


def _words_by_cell(
    rows: list[float],
    columns: list[float],
    cells: list[list[tuple[int, int]]],
    words: Sequence[Word],
) -> dict[tuple[int, int], list[Word]]:
    """Return the words inside each cell, nothing where one stands across a rule."""
    own: dict[tuple[int, int], list[Word]] = defaultdict(list)
    for word in words:
        across = word.left + word.width / 2
        if not (rows[0] < word.middle < rows[-1] and columns[0] < across < columns[-1]):
            continue
        row = bisect(rows, word.middle) - 1
        cell = cells[row][bisect(columns, across) - 1]
        end = word.left + word.width - _MAX_CROSSING
        begins = cells[row][max(0, bisect(columns, word.left + _MAX_CROSSING) - 1)]
        ends = cells[row][min(len(columns) - 2, bisect(columns, end) - 1)]
        if word.width > 2 * _MAX_CROSSING and not begins == cell == ends:
            return {}
        own[cell].append(word)
    return own


def _is_table(cells: list[list[tuple[int, int]]], own: dict[tuple[int, int], list[Word]]) -> bool:
    """Return whether a grid's cells hold what a table's do, and not several rows of it."""
    different = {cell for row in cells for cell in row}
    if len(own) < _MIN_FILLED * len(different):
        return False
    if max(map(len, own.values())) > _MAX_CELL_WORDS:
        return False
    if sum(_is_turned(word) for inside in own.values() for word in inside) > len(own):
        return False
    wide = {cell for row in cells for cell in row if row.count(cell) > 1}
    parts = [len([*cells_in(line)]) for cell in wide & {*own} for line in lines_of(own[cell])]
    if max(parts, default=0) > _MIN_PARTED or sum(part > 1 for part in parts) >= _MIN_PARTED:
        return False  # columns that no rule parts
    for row in {row for row, _ in different}:
        inside = [list(lines_of(own[cell])) for cell in different if cell[0] == row and cell in own]
        several = [
            lines
            for lines in inside
            if len(lines) > 1 and all(is_value(" ".join(w.text for w in line)) for line in lines)
        ]
        if several:
            return False  # rows that no rule parts
    return True


def _is_turned(word: Word) -> bool:
    return word.height > _TURNED * word.width and len(word.text) >= _MIN_TURNED_LETTERS


def _with_table(blocks: list[Block], table: Block) -> list[Block]:
    """Return blocks with the table in the place of what is inside it."""
    right, bottom = table.left + table.width, table.top + table.height
    inside: list[Block] = []
    for block in blocks:
        across = min(block.left + block.width, right) - max(block.left, table.left)
        down = min(block.top + block.height, bottom) - max(block.top, table.top)
        if block.kind in ("rule", "figure") and not block.text or min(across, down) <= _SAME:
            continue
        if (
            min(block.left - table.left, right - block.left - block.width) < -2 * _SAME
            or min(block.top - table.top, bottom - block.top - block.height) < -2 * _SAME
        ):
            return blocks
        inside.append(block)
    if not inside or _is_same(inside, table):
        return blocks
    ids = {id(block) for block in inside}
    out: list[Block] = []
    for block in blocks:
        if block is inside[0]:
            out.append(table)
        elif id(block) not in ids:
            out.append(block)
    return out


def _is_same(inside: list[Block], table: Block) -> bool:
    """Return whether layout analysis has the table already."""
    if len(inside) > 1 or inside[0].kind != "table":
        return False
    rows = inside[0].rows
    return len(rows) == len(table.rows) and max(map(len, rows)) == len(table.rows[0])
