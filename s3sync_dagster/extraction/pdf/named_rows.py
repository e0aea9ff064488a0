"""Names of rows that layout analysis makes text beside a table of values: its first column."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.rows import (
    body_of,
    distance_of_rows,
    has_places,
    is_value,
    words_by_row,
)
from s3sync_dagster.extraction.pdf.table_lines import row_beside
from s3sync_dagster.extraction.pdf.text_layer import plain

_TEXT = ("paragraph", "heading", "list_item")
_MIN_ROWS = 3
_MIN_VALUES = 0.8
"""Share of the first cells below the header that are values in a table without names."""
_MIN_NAMED = 0.8
"""Share of the rows that have a line of text beside them, and of the lines that have a row."""
_MAX_GAP = 3.2
"""Distances of rows between two pieces of a table; labels are in between."""
_SHIFT = 3.0
"""Points by which columns of one table may differ."""

_Row = tuple[float, list[str]]


def find_names(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which the text to the left of values is the first column of their table."""
    out = list(blocks)
    for pieces in _tables(blocks):
        beside = [block for block in out if _is_beside(block, pieces)]
        table = _named(pieces, beside, words) if beside else None
        if table is not None:
            place = next(i for i, block in enumerate(out) if block is pieces[0])
            out[place] = table
            gone = {id(block) for block in (*pieces[1:], *beside)}
            out = [block for block in out if id(block) not in gone]
    return out


def _tables(blocks: list[Block]) -> Iterator[list[Block]]:
    """Yield the pieces of each table of values, from above."""
    found = [block for block in blocks if has_places(block) and _has_values_only(block)]
    pieces: list[Block] = []
    for block in sorted(found, key=lambda block: (block.left // 50, block.top)):
        if pieces and not _goes_on(pieces[-1], block):
            yield pieces
            pieces = []
        pieces.append(block)
    if pieces:
        yield pieces


def _has_values_only(table: Block) -> bool:
    first = [row[0] for row in body_of(table)]
    return bool(first) and sum(map(is_value, first)) >= _MIN_VALUES * len(first)


def _goes_on(table: Block, rest: Block) -> bool:
    gap = rest.top - table.tops[-1]
    return (
        len(table.columns) == len(rest.columns)
        and 0 < gap <= _MAX_GAP * distance_of_rows([table, rest])
        and len(body_of(rest)) == len(rest.rows)
        and all(
            min(abs(one[0] - other[0]), abs(one[1] - other[1])) <= _SHIFT
            for one, other in zip(table.columns, rest.columns, strict=True)
        )
    )


def _is_beside(block: Block, pieces: list[Block]) -> bool:
    """Return whether text stands to the left of a table, between its top and its end.

    A label between its rows may reach over its first column.
    """
    pitch = distance_of_rows(pieces)
    first, second = pieces[0].columns[:2]
    end = pieces[-1].top + pieces[-1].height
    return (
        block.kind in _TEXT
        and block.left < first[0]
        and block.left + block.width < second[0]
        and block.top >= pieces[0].top - pitch / 2
        and block.top + block.height <= end + pitch / 2
    )


def _named(pieces: list[Block], beside: list[Block], words: Sequence[Word]) -> Block | None:
    """Return a table with its names, None where the text is not these."""
    names = _words_in(beside, words, edge=pieces[0].columns[0][0])
    if names is None:
        return None
    rows = [row for piece in pieces for row in zip(piece.tops, piece.rows, strict=True)]
    known = set(names)
    own = [
        [word for word in found if word not in known]
        for piece in pieces
        for found in words_by_row(piece, words)
    ]
    body = len(rows) - sum(len(body_of(piece)) for piece in pieces)
    if len(rows) - body < _MIN_ROWS or len(own) != len(rows) or not all(own):
        return None
    middles = [sorted({round(word.middle, 1) for word in found}) for found in own]
    lines = list(lines_of(names))
    places = [row_beside(line[0], middles) for line in lines]
    named = {place for place in places if place is not None and place >= body}
    edge = min(word.left for found in own[body:] for word in found)
    if any(
        line[-1].left + line[-1].width > edge
        for line, place in zip(lines, places, strict=True)
        if place in named
    ):
        return None
    if len(named) < _MIN_NAMED * (len(rows) - body) or len(named) < len(lines) / 2:
        return None
    out: list[_Row] = [(top, ["", *row]) for top, row in rows]
    extra: list[_Row] = []
    for line, place in zip(lines, places, strict=True):
        text = plain(" ".join(word.text for word in line))
        if place is None and body and line[0].top < middles[body - 1][-1]:
            place = body - 1  # the header's corner
        if place is None:
            extra.append((line[0].top, [text, *[""] * len(pieces[0].columns)]))
        else:
            out[place][1][0] = f"{out[place][1][0]} {text}".strip()
    out = sorted([*out, *extra], key=lambda row: row[0])
    left = min(word.left for word in names)
    right = max(word.left + word.width for word in names)
    table, last = pieces[0], pieces[-1]
    texts = [row for _, row in out]
    return replace(
        table,
        rows=texts,
        first_row=texts[0],
        tops=[top for top, _ in out],
        columns=[(left, right), *table.columns],
        left=left,
        width=table.left + table.width - left,
        height=last.top + last.height - table.top,
    )


def _words_in(beside: list[Block], words: Sequence[Word], *, edge: float) -> list[Word] | None:
    """Return the words of texts, None where others than values stand there."""
    found: list[Word] = []
    for block in beside:
        right, end = block.left + block.width + 1, block.top + block.height + 1
        inside = [
            word
            for word in words
            if block.left - 1 <= word.left + word.width / 2 <= right
            and block.top - 1 <= word.middle <= end
            and not (word.left >= edge - 1 and is_value(word.text))
        ]
        there = sorted(plain("".join(word.text for word in inside)))
        if there != sorted("".join(block.text.replace("*", "").split())):
            return None
        found += inside
    return found
