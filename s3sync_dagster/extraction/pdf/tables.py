"""Tables without rules, which layout analysis cuts to pieces: put together again."""

import re
from dataclasses import replace
from itertools import pairwise

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.lists import are_bullets

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
        for piece in _without_text_above(block, out):
            if not any(add(out, piece) for add in (_goes_on, _is_last_row, _is_last_column)):
                out.append(_with_header(out, piece))
    return out


def row_of(table: Block, block: Block) -> list[str]:
    """Return the cells of a line of text that is a row of the table, none for other text.

    It begins where the table begins, has a word for each column, and numbers where all rows but
    the first have them.
    """
    words = block.text.split()
    if block.kind != "paragraph" or abs(block.left - table.left) > _MAX_SHIFT:
        return []
    columns = list(zip(*table.rows[1:], strict=False))
    if len(words) != len(columns) or block.height > 2 * _LINE_POINTS:
        return []
    numeric = [all(_has_digits([cell]) for cell in column) for column in columns]
    fits = [_has_digits([word]) == is_one for word, is_one in zip(words, numeric, strict=True)]
    return words if any(numeric) and all(fits) else []


def find_rows_over_the_break(pages: list[list[Block]]) -> None:
    """Make a table of the single row with which a page goes on with the table before it."""
    for before, after in pairwise(pages):
        if not before or not after or before[-1].kind != "table":
            continue
        words = row_of(before[-1], after[0])
        if words:
            after[0] = replace(after[0], kind="table", text="", rows=[words], first_row=words)


def _is_last_row(out: list[Block], block: Block) -> bool:
    """Add a line of text to the table before it, where it is its next row."""
    if not out or out[-1].kind != "table" or len(out[-1].rows) < 2:
        return False
    table = out[-1]
    words = row_of(table, block)
    if not words or not _follows(table, block, _pitch(table)):
        return False
    height = block.top + block.height - table.top
    out[-1] = replace(table, rows=[*table.rows, words], height=height)
    return True


def _with_header(out: list[Block], table: Block) -> Block:
    """Return a table that begins with numbers with the line above it, if that is its header."""
    if table.kind != "table" or not table.rows or not out or out[-1].kind != "paragraph":
        return table
    if out[-1].is_parted:
        return table  # its words belong together, not each to a column
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


def _is_last_column(out: list[Block], block: Block) -> bool:
    """Add a text beside the table before it, a word for each row, as its last column."""
    if not out or out[-1].kind != "table" or block.kind != "paragraph":
        return False
    table, words = out[-1], block.text.split()
    same_lines = (
        abs(table.top - block.top) <= _MAX_SHIFT and abs(table.height - block.height) <= _MAX_SHIFT
    )
    is_beside = same_lines and block.left > table.left + table.width
    if not is_beside or len(words) != len(table.rows) or len(words) < 2:
        return False
    rows = [[*row, word] for row, word in zip(table.rows, words, strict=True)]
    width = block.left + block.width - table.left
    out[-1] = replace(table, rows=rows, first_row=rows[0], width=width)
    return True


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


def _without_text_above(block: Block, out: list[Block]) -> list[Block]:
    """Return the table, and before it the line of text that was taken for its first row.

    Where that line ends a sentence that the block before begins, it goes there.
    """
    if block.kind != "table" or len(block.rows) < 3:
        return [block]
    head, rest = block.rows[0], block.rows[1:]
    words = " ".join(" ".join(head).split())
    if not _SENTENCE_END.search(words):
        return [block]
    goes_on = _is_unfinished(out) and words[0].islower()
    is_list = are_bullets(head[0])
    is_odd = is_list or not all(head) or max(map(_word_count, head)) > _MAX_CELL_WORDS
    if not goes_on and (not is_odd or len(words.split()) < _MIN_SENTENCE_WORDS):
        return [block]
    others = [cell for row in rest for cell in row]
    if not all(others) or max(map(_word_count, others)) > _MAX_CELL_WORDS:
        return [block]
    pitch = block.height / len(block.rows)
    table = replace(
        block,
        rows=rest,
        first_row=rest[0],
        top=block.top + pitch,
        height=block.height - pitch,
    )
    if goes_on:
        above = out.pop()
        height = block.top + _LINE_POINTS - above.top
        out.append(replace(above, text=f"{above.text} {words}", height=height))
        return [table]
    bullets, cells = head[0].split(), [cell for cell in head[1:] if cell]
    if not is_list:
        cells = [words]
    elif len(bullets) != len(cells):
        cells = [" ".join(cells)]
    kind = "list_item" if is_list else "paragraph"
    height = min(pitch, _LINE_POINTS)
    return [*(Block(kind=kind, text=one, top=block.top, height=height) for one in cells), table]


def _word_count(cell: str) -> int:
    return len(cell.split())


def _is_unfinished(out: list[Block]) -> bool:
    if not out or out[-1].kind not in ("paragraph", "list_item"):
        return False
    return not _SENTENCE_END.search(out[-1].text.strip())
