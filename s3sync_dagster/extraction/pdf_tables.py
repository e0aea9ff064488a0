"""Tables without rules, which layout analysis cuts to pieces: put together again."""

import re
from dataclasses import replace

from s3sync_dagster.extraction.pdf_blocks import Block

_SENTENCE_END = re.compile(r"[.!?:][\"')\]]?$")
_MAX_CELL_WORDS = 3
_MIN_SENTENCE_WORDS = 4
_MAX_SHIFT = 3.0
"""Points by which the left edges of two pieces may differ."""
_MAX_PITCH = 1.15
"""Between two pieces, in distances from row to row; separate tables are farther apart."""
_MIN_SPREAD = 0.6
"""Share of a table's width that its header takes; a sentence of as many words is shorter."""
_LINE_POINTS = 10.0
"""Height of a line, as good as is needed here."""


def mend_tables(blocks: list[Block]) -> list[Block]:
    """Return blocks in which the pieces of a table are one, and text above it is no row of it."""
    out: list[Block] = []
    for block in blocks:
        for piece in _without_text_above(block):
            if not _goes_on(out, piece):
                out.append(_with_header(out, piece))
    return out


def _with_header(out: list[Block], table: Block) -> Block:
    """Return a table that begins with numbers with the line above it, if that is its header."""
    if table.kind != "table" or not table.rows or not out or out[-1].kind != "paragraph":
        return table
    words = out[-1].text.split()
    fits = len(words) == len(table.rows[0]) and out[-1].width >= table.width * _MIN_SPREAD
    is_head = _has_digits(table.rows[0]) and not _has_digits(words)
    if not fits or not is_head or not _follows(out[-1], table, _pitch(table)):
        return table
    above = out.pop()
    height = table.top + table.height - above.top
    return replace(table, rows=[words, *table.rows], first_row=words, top=above.top, height=height)


def _has_digits(cells: list[str]) -> bool:
    return any(character.isdigit() for cell in cells for character in cell)


def _goes_on(out: list[Block], block: Block) -> bool:
    """Add the rows of a block to the table before it, where they are its next ones."""
    if block.kind != "table" or not out:
        return False
    between: list[list[str]] = []
    place = len(out) - 1
    below = block
    while place >= 0 and out[place].kind == "paragraph" and len(between) < 2:
        words = out[place].text.split()
        if len(words) != len(block.rows[0]) or not _follows(out[place], below, _pitch(block)):
            return False
        between.insert(0, words)
        below = out[place]
        place -= 1
    if place < 0 or out[place].kind != "table":
        return False
    table = out[place]
    widths = {len(row) for row in (*table.rows, *block.rows)}
    aligned = abs(table.left - block.left) <= _MAX_SHIFT
    pitch = min(_pitch(table), _pitch(block))
    if len(widths) != 1 or not aligned or not _follows(table, below, pitch):
        return False
    del out[place:]
    out.append(
        replace(
            table,
            rows=[*table.rows, *between, *block.rows],
            height=block.top + block.height - table.top,
        )
    )
    return True


def _follows(above: Block, below: Block, pitch: float) -> bool:
    gap = below.top - (above.top + above.height)
    return 0 <= gap <= pitch * _MAX_PITCH - _LINE_POINTS


def _pitch(table: Block) -> float:
    """Return the distance from row to row; next to nothing for a table of one row."""
    return (table.height - _LINE_POINTS) / max(1, len(table.rows) - 1)


def _without_text_above(block: Block) -> list[Block]:
    """Return the table, and before it the line of text that was taken for its first row."""
    if block.kind != "table" or len(block.rows) < 3:
        return [block]
    head, rest = block.rows[0], block.rows[1:]
    words = " ".join(" ".join(head).split())
    is_text = len(words.split()) >= _MIN_SENTENCE_WORDS and _SENTENCE_END.search(words)
    is_odd = not all(head) or max(len(cell.split()) for cell in head) > _MAX_CELL_WORDS
    others = [cell for row in rest for cell in row]
    if not is_text or not is_odd or not all(others):
        return [block]
    if max(len(cell.split()) for cell in others) > _MAX_CELL_WORDS:
        return [block]
    pitch = block.height / len(block.rows)
    text = Block(kind="paragraph", text=words, top=block.top, height=min(pitch, _LINE_POINTS))
    table = replace(
        block,
        rows=rest,
        first_row=rest[0],
        top=block.top + pitch,
        height=block.height - pitch,
    )
    return [text, table]
