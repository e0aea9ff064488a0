"""Columns of prose that layout analysis takes for a table, as where rules part them: text again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.styles import BOLD, Piece, by_line

_MAX_COLUMNS = 3
_MIN_CELL_WORDS = 80
"""Of a cell that is a column's text; cells of tables, also long ones, hold a few lines."""
_MIN_SHARE = 0.7
"""Of a table's words that stand in such cells."""
_MAX_GAP = 0.6
"""Between lines of one paragraph, in heights of a line."""
_SAME_SIZE = 0.5


def part_prose(blocks: list[Block], pieces: Sequence[Piece]) -> list[Block]:
    """Return blocks in which each column of such a table is text, one after the other.

    A table stays where the page's letters are not all in its columns.
    """
    out: list[Block] = []
    for block in blocks:
        found = _texts(block, pieces) if block.kind == "table" and _is_prose(block.rows) else []
        is_whole = bool(found) and _letters(found) == _letters([block])
        out.extend(found if is_whole else [block])
    return out


def _is_prose(rows: list[list[str]]) -> bool:
    width = max(map(len, rows), default=0)
    if not 1 < width <= _MAX_COLUMNS or {len(row) for row in rows} != {width}:
        return False
    counts = [[len(cell.split()) for cell in row] for row in rows]
    long = sum(n for row in counts for n in row if n >= _MIN_CELL_WORDS)
    every = all(max(column) >= _MIN_CELL_WORDS for column in zip(*counts, strict=True))
    return every and long >= _MIN_SHARE * sum(map(sum, counts))


def _texts(block: Block, pieces: Sequence[Piece]) -> list[Block]:
    found: list[Block] = []
    edges = [left for left, _ in block.columns[1:]] or _gaps(block, pieces)
    bounds = [block.left - 2, *edges, block.left + block.width + 2]
    for left, right in pairwise(bounds):
        inside = [
            piece
            for piece in pieces
            if piece.text.strip()
            and left <= piece.left + piece.width / 2 < right
            and block.top - 2 <= piece.middle <= block.top + block.height + 2
        ]
        found += _paragraphs([*by_line(inside)])
    return found


def _gaps(block: Block, pieces: Sequence[Piece]) -> list[float]:
    """Return where the second of two columns begins, nothing where no white parts them."""
    if len(block.rows[0]) != 2:
        return []
    middle = block.left + block.width / 2
    inside = [p for p in pieces if block.top <= p.middle <= block.top + block.height]
    right = [p.left for p in inside if p.left >= middle - block.width * 0.1]
    return [min(right)] if right else []


def _paragraphs(lines: list[list[Piece]]) -> Iterator[Block]:
    gathered: list[list[Piece]] = []
    for line in lines:
        if gathered and not _goes_on(gathered[-1], line):
            yield _block(gathered)
            gathered = []
        gathered.append(line)
    if gathered:
        yield _block(gathered)


def _goes_on(above: list[Piece], line: list[Piece]) -> bool:
    one, other = above[-1], line[0]
    gap = other.top - one.top - one.height
    same = abs(one.size - other.size) <= _SAME_SIZE
    bold = [all(piece.weight >= BOLD for piece in pieces) for pieces in (above, line)]
    return same and bold[0] == bold[1] and gap <= _MAX_GAP * one.height


def _block(lines: list[list[Piece]]) -> Block:
    text = ""
    for line in lines:
        words = " ".join(piece.text.strip() for piece in line)
        if text[-1:] == "-" and text[-2:-1].isalpha() and words[:1].islower():
            text = text[:-1] + words
        else:
            text = f"{text} {words}".strip()
    inside = [piece for line in lines for piece in line]
    left, top = min(p.left for p in inside), min(p.top for p in inside)
    return Block(
        kind="paragraph",
        text=text,
        top=top,
        left=left,
        width=max(p.left + p.width for p in inside) - left,
        height=max(p.top + p.height for p in inside) - top,
    )


def _letters(blocks: Sequence[Block]) -> Counter[str]:
    texts = (part for block in blocks for part in (block.text, *(c for r in block.rows for c in r)))
    return Counter(letter for text in texts for letter in text if letter.isalnum())
