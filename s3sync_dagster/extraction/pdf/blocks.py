"""Blocks of a PDF page to Markdown."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

_MIN_LINE_WORDS = 5
_MAX_CELL_WORDS = 4
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0590-\u08ff]")


@dataclass(slots=True, kw_only=True)
class Block:
    """A piece of a page's layout."""

    kind: str
    """``paragraph``, ``heading``, ``list_item``, ``table``, ``code`` or ``rule``."""
    text: str = ""
    level: int = 0
    """Of a heading 1 to 6; of a list item its indent, which grows with depth but is no depth."""
    marker: str = ""
    ordered: bool = False
    rows: list[list[str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    goes_on: bool = False
    """True for the rest of the table that ends the page before."""
    first_row: list[str] = field(default_factory=list)
    """Header of a table, also of one that goes on."""
    top: float = 0.0
    """Points from the page's upper edge."""
    height: float = 0.0
    left: float = 0.0
    """Points from the page's left edge."""
    width: float = 0.0
    columns: list[tuple[float, float]] = field(default_factory=list)
    """Left and right edges of a table's columns, where they are known."""
    tops: list[float] = field(default_factory=list)
    """Upper edges of a table's rows, where they are known."""
    is_entry: bool = False
    """True in a table of contents."""
    is_parted: bool = False
    """True for a line with wide white between some of its words."""
    style: tuple[str, float] | None = None
    """Font and size of a single line, where they are known."""
    first_line: str = ""
    """Of a numbered list item, where it may head the text that goes on below it."""


def blocks_to_markdown(blocks: list[Block]) -> str:
    """Return a page's Markdown."""
    pieces: list[str] = []
    indents: list[int] = []
    for i, block in enumerate(blocks):
        if block.kind == "rule":
            continue
        if block.kind != "list_item":
            indents.clear()
            pieces.append("\n".join(_lines(block)) + "\n\n")
            continue
        while indents and indents[-1] > block.level:
            indents.pop()
        if not indents or indents[-1] < block.level:
            indents.append(block.level)
        pieces.append(_item(block, depth=len(indents) - 1))
        following = blocks[i + 1].kind if i + 1 < len(blocks) else ""
        if following != "list_item":
            pieces[-1] += "\n"
    return "".join(pieces).strip("\n")


def join_tables(pages: list[list[Block]]) -> set[int]:
    """Mark tables that go on at the top of the next page; return the indices of such next pages.

    A header row that is repeated there is dropped.
    """
    continued: set[int] = set()
    for number in range(1, len(pages)):
        before, after = pages[number - 1], pages[number]
        if not (before and after and before[-1].kind == after[0].kind == "table"):
            continue
        head, rows = before[-1].rows, after[0].rows
        if not head or not rows or {len(row) for row in head} != {len(row) for row in rows}:
            continue
        after[0].goes_on = True
        if rows[0] == before[-1].first_row:
            rows = rows[1:]
        after[0].first_row = before[-1].first_row
        after[0].rows = rows
        continued.add(number)
    return continued


def part_columns(blocks: list[Block]) -> list[Block]:
    """Return blocks in which lines of a text column are no cells of the table beside it.

    In a page of two columns the reader may take both for one table. Such lines are long, go on in
    lower case and are as many as the rows.
    """
    out: list[Block] = []
    for block in blocks:
        side = _text_side(block.rows) if block.kind == "table" else None
        if side is None:
            out.append(block)
            continue
        cut = slice(1, None) if side == 0 else slice(None, -1)
        words = " ".join(row[side] for row in block.rows)
        rows = [row[cut] for row in block.rows]
        table = replace(block, rows=rows, first_row=rows[0], columns=block.columns[cut])
        column = Block(kind="paragraph", text=words, top=block.top, height=block.height)
        if len(block.columns) == len(block.rows[0]):
            column.left, right = block.columns[side]
            column.width = right - column.left
            table.left = table.columns[0][0]
            table.width = table.columns[-1][1] - table.left
        out.extend((column, table) if side == 0 else (table, column))
    return out


def _text_side(rows: list[list[str]]) -> int | None:
    """Return 0 or -1 for a first or last column that is running text, else None."""
    if len(rows) < 3 or any(len(row) < 3 for row in rows):
        return None
    for side, others in ((0, slice(1, None)), (-1, slice(None, -1))):
        cells = [row[side] for row in rows]
        neighbours = [len(cell.split()) for row in rows for cell in row[others]]
        long = sum(len(cell.split()) >= _MIN_LINE_WORDS for cell in cells)
        going_on = sum(cell[:1].islower() for cell in cells)
        if min(long, going_on) >= len(rows) * 0.6 and max(neighbours) <= _MAX_CELL_WORDS:
            return side
    return None


def _lines(block: Block) -> Iterator[str]:
    if block.kind == "table" and block.rows:
        width = max(map(len, block.rows))
        rows = [row + [""] * (width - len(row)) for row in block.rows]
        if not block.goes_on:
            yield _row(rows.pop(0))
            yield "|" + " - |" * width
        yield from map(_row, rows)
    elif block.kind == "heading":
        yield "#" * min(6, max(1, block.level)) + " " + _one_line(block.text)
    elif block.kind == "code" and not _is_prose(block):
        yield "```"
        yield from block.lines or [block.text]
        yield "```"
    else:
        yield block.text if block.text.strip() else "\n".join(block.lines)


def _is_prose(block: Block) -> bool:
    """Return whether liteparse took a script of even widths (CJK, Arabic) for code, or nothing."""
    text = block.text or "".join(block.lines)
    letters = sum(map(str.isalpha, text))
    return letters == 0 or len(_WIDE.findall(text)) > letters / 3


def _item(block: Block, *, depth: int) -> str:
    marker = "-"
    if block.ordered:
        number = re.match(r"\(?(\d{1,9})", block.marker)
        marker = f"{number[1]}." if number else f"- {block.marker}"
    # liteparse takes the bullet's own font for emphasis of the words after it.
    words = re.sub(r"^\*(?!\*)([^*]+)\*(?!\*)", r"\1", _one_line(block.text))
    return "    " * depth + f"{marker} {words}\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
