"""Headings that layout analysis takes for rows of a table: the table begins below them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.contents_pages import contents_area, is_entry, may_be_contents
from s3sync_dagster.extraction.pdf.standing_out import main_size
from s3sync_dagster.extraction.pdf.styles import BOLD, MIN_RATIO, Piece, by_line, lines_in
from s3sync_dagster.extraction.pdf.titles import (
    MAX_WORDS,
    SENTENCE_END,
    count_words,
    is_no_heading,
    level_of,
    without_start,
)

_NUMBER = re.compile(r"(?:\d{1,2}|[A-Z](?=\.))(?:\.\d{1,2})*\.?\s+(?=[^\W\d_])")
_MAX_BLANK = 4.0
"""Between a number and its title, and between words, in heights of a line."""
_MIN_LARGER = 1.05
"""Of a bold title's letters and the body's; a bold row of a table is no larger."""
_MAX_BOLD = 0.3
"""Share of the bold letters in a table's other rows; in a bold table a bold row is none."""


def part_headed(blocks: list[Block], pieces: Sequence[Piece], *, body: float) -> list[Block]:
    """Return blocks in which numbered headings are no rows of tables."""
    if not any(map(_may_be_headed, blocks)):
        return blocks
    area = None
    if may_be_contents(pieces):
        area = contents_area([*by_line([piece for piece in pieces if piece.text.strip()])])
    if area is not None:
        return blocks
    return [part for block in blocks for part in _parts(block, pieces, body=body)]


def _may_be_headed(block: Block) -> bool:
    """Return whether a row of a table begins with a number and a word; others need no look."""
    return block.kind == "table" and any(
        _NUMBER.match(" ".join(cell for cell in row if cell.strip())) for row in block.rows
    )


def _parts(block: Block, pieces: Sequence[Piece], *, body: float) -> list[Block]:
    if not _may_be_headed(block):
        return [block]
    lines = lines_in(block, pieces)
    letters = [sum(len(piece.text) for piece in line) for line in lines]
    bold = [sum(len(p.text) for p in line if p.weight >= BOLD) for line in lines]

    def are_others_bold(place: int) -> bool:
        return sum(bold) - bold[place] > _MAX_BOLD * (sum(letters) - letters[place])

    heads = [
        line
        for place, line in enumerate(lines)
        if _is_heading(line, body, is_bold=are_others_bold(place))
    ]
    out: list[Block] = []
    rest = block
    for line in heads:
        cut = _cut(rest, line)
        if cut is None:
            continue
        above, heading, below = cut
        out += [*above, heading]
        if below is None:
            return out
        rest = below
    return [*out, *_as_found(rest)] if out else [block]


def _is_heading(line: Sequence[Piece], body: float, *, is_bold: bool) -> bool:
    text = _text(line)
    if not _NUMBER.match(text) or count_words(text) > MAX_WORDS or is_entry(line):
        return False
    if is_no_heading(text) or SENTENCE_END.search(text):
        return False
    gaps = (b.left - a.left - a.width for a, b in pairwise(line))
    if any(gap > _MAX_BLANK * line[0].height for gap in gaps):
        return False
    title = [piece for piece in line if any(map(str.isalpha, piece.text))]
    ratio = main_size(line) / body
    all_bold = all(piece.weight >= BOLD for piece in title)
    return ratio >= MIN_RATIO or (all_bold and (ratio >= _MIN_LARGER or not is_bold))


def _cut(table: Block, line: Sequence[Piece]) -> tuple[list[Block], Block, Block | None] | None:
    """Return what stands above a heading in a table, the heading, and the table below it."""
    text = _text(line)
    for number, row in enumerate(table.rows):
        rest = without_start(" ".join(cell for cell in row if cell.strip()), text)
        if rest is None:
            continue
        top, end = line[0].top, line[0].top + line[0].height
        rows = table.rows[number + 1 :]
        tops = table.tops[number + 1 :] if len(table.tops) == len(table.rows) else []
        if rest:
            rows = [_without(row, text), *rows]
            tops = [end, *tops] if tops or not rows[1:] else []
        above = [replace(table, rows=table.rows[:number], tops=table.tops[:number])]
        above[0].height = max(1.0, top - table.top)
        above[0].first_row = above[0].rows[0] if number else []
        heading = replace(
            table,
            kind="heading",
            text=text,
            level=level_of(text),
            rows=[],
            first_row=[],
            columns=[],
            tops=[],
            top=top,
            left=line[0].left,
            width=line[-1].left + line[-1].width - line[0].left,
            height=line[0].height,
        )
        if not rows:
            return _as_found(above[0]), heading, None
        below = replace(table, rows=rows, tops=tops, first_row=rows[0], top=end)
        below.height = max(1.0, table.top + table.height - end)
        return _as_found(above[0]), heading, below
    return None


def _without(row: list[str], text: str) -> list[str]:
    """Return a row without the words with which it begins."""
    out = list(row)
    for place, cell in enumerate(row):
        if not cell.strip():
            continue
        rest = without_start(cell, text)
        if rest is not None:
            out[place] = rest
            return out
        after = without_start(text, cell)
        if after is None:
            return out
        out[place], text = "", after
    return out


def _as_found(table: Block) -> list[Block]:
    """Return a table as text where each of its rows is one cell, nothing where it has no rows."""
    if not table.rows:
        return []
    filled = [[cell for cell in row if cell.strip()] for row in table.rows]
    if any(len(row) > 1 for row in filled):
        return [table]
    text = " ".join(row[0] for row in filled if row)
    plain = replace(table, kind="paragraph", text=text, rows=[], first_row=[], columns=[], tops=[])
    return [plain] if text else []


def _text(line: Sequence[Piece]) -> str:
    return " ".join(" ".join(piece.text for piece in line).split())
