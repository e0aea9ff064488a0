"""Blocks of a PDF page to Markdown."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

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
    top: float = 0.0
    """Points from the page's upper edge."""
    height: float = 0.0


def blocks_to_markdown(blocks: list[Block], *, without: Collection[int] = ()) -> str:
    """Return a page's Markdown, without the blocks at some indices."""
    pieces: list[str] = []
    indents: list[int] = []
    for i, block in enumerate(blocks):
        if i in without or block.kind == "rule":
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


def _lines(block: Block) -> Iterator[str]:
    if block.kind == "table" and block.rows:
        width = max(map(len, block.rows))
        rows = [row + [""] * (width - len(row)) for row in block.rows]
        yield _row(rows[0])
        yield "|" + " - |" * width
        yield from map(_row, rows[1:])
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
    return "    " * depth + f"{marker} {_one_line(block.text)}\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
