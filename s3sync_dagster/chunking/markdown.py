"""Markdown's possible cuts, found by a scanner of its block structure in one pass over the lines.

A scanner instead of the grammar: several times faster, and nothing in it can hang or crash.
"""

import re
from dataclasses import dataclass
from typing import Literal

from s3sync_dagster.chunking.outline import ROOT, Outline, Scope
from s3sync_dagster.chunking.text import BLANK_LINE, LINE

DEPTH_COST = (0.0, 0.0, 0.15, 0.35, 0.6, 0.9, 1.2, 1.5)
"""Cost of a cut by depth of the section."""
SECTION_BONUS = 0.4
AFTER_HEADING = 4.0
AFTER_COLON = 0.5
BETWEEN_ITEMS = 0.3
INSIDE_FENCE = 1.5
BETWEEN_ROWS = 1.5
MAX_NESTING = 12
_TITLE_BYTES = 400

BlockKind = Literal[
    "heading", "paragraph", "fence", "table", "list", "quote", "code", "front", "html"
]

Line = tuple[int, int, int]
"""Begin of the line, begin of its content behind quote marks and indentation, end with newline."""


@dataclass(slots=True)
class Block:
    """A run of lines that belong together."""

    kind: BlockKind
    first: int
    """Index of the first line."""
    level: int = 0
    """Of a heading; of a list item's content the columns it is indented."""
    title: str = ""


_START = re.compile(
    rb"[ ]{0,3}(?:(?P<atx>\#{1,6})(?=[ \t\r\n]|$)"
    rb"|(?P<fence>`{3,}(?=[^`\n]*(?:\n|$))|~{3,})"
    rb"|(?P<quote>>)"
    rb"|(?P<rule>(?:\*[ \t]*){3,}(?=\r?\n|$)|(?:_[ \t]*){3,}(?=\r?\n|$)|(?:-[ \t]*){3,}(?=\r?\n|$))"
    rb"|(?P<item>[-+*]|\d{1,9}[.)])(?=[ \t\r\n]|$)"
    rb"|(?P<html><(?:!--|script\b|pre\b|style\b|textarea\b)))",
    re.IGNORECASE,
)
_INDENTED = re.compile(rb" {4}|[ ]{0,3}\t")
_SETEXT = re.compile(rb"[ ]{0,3}(=+|-+)[ \t]*\r?\n?$")
_DELIMITER_ROW = re.compile(
    rb"[ ]{0,3}\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+\r?\n?$"
)
_HTML_END = {
    b"<!--": b"-->", b"<script": b"</script>", b"<pre": b"</pre>", b"<style": b"</style>",
    b"<textarea": b"</textarea>",
}  # fmt: skip
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def outline_markdown(data: bytes, limit: int) -> Outline:
    """Return the possible cuts of Markdown; blocks above the limit are opened."""
    outline = Outline()
    lines = _lines(data)
    _Scanner(data, limit, outline).open_blocks(lines, len(data))
    return outline


def _lines(data: bytes) -> list[Line]:
    lines: list[Line] = []
    start = 0
    find = data.find
    while True:
        end = find(b"\n", start) + 1
        if end == 0:
            break
        lines.append((start, start, end))
        start = end
    if start < len(data):
        lines.append((start, start, len(data)))
    return lines


class _Scanner:
    def __init__(self, data: bytes, limit: int, outline: Outline) -> None:
        self.data = data
        self.limit = limit
        self.outline = outline

    def open_blocks(
        self, lines: list[Line], end: int, *, scope: Scope = ROOT, depth: int = 0, base: float = 0.0
    ) -> None:
        """Allow cuts before the blocks of ``lines``, and inside those that do not fit."""
        blocks = self.scan(lines, front_matter=depth == 0)
        outline = self.outline
        sections: list[tuple[int, Scope]] = []
        enclosing = scope
        glue = 0.0
        for number, block in enumerate(blocks):
            start = lines[block.first][0]
            after = blocks[number + 1].first if number + 1 < len(blocks) else len(lines)
            stop = lines[after][0] if after < len(lines) else end
            if block.kind == "heading":
                while sections and sections[-1][0] >= block.level:
                    sections.pop()
                level = len(sections) + 1
                cost = DEPTH_COST[min(level, 7)] - SECTION_BONUS
                enclosing = (sections[-1][1] if sections else scope).inner("heading", block.title)
                sections.append((block.level, enclosing))
            else:
                cost = DEPTH_COST[min(len(sections) + 1, 7)]
            # Without a heading of their own, headings of several sections would end in glue.
            outline.allow(start, base + cost + glue, enclosing)
            if block.kind == "heading":
                glue = AFTER_HEADING
            else:
                text = self.data[max(start, stop - 16) : stop].rstrip()
                glue = AFTER_COLON if text.endswith(b":") else 0.0
            if stop - start > self.limit:
                self.open_block(
                    block, lines[block.first : after], stop, enclosing, depth, base + cost
                )

    def open_block(
        self, block: Block, lines: list[Line], end: int, scope: Scope, depth: int, base: float
    ) -> None:
        """Allow cuts inside one block that is larger than the limit."""
        if block.kind == "list" and depth < MAX_NESTING:
            self.open_list(lines, end, scope, depth, max(base, 0.0))
        elif block.kind == "quote" and depth < MAX_NESTING:
            inner = [(s, self.after_quote(c, e), e) for s, c, e in lines]
            self.open_blocks(
                inner, end, scope=scope, depth=depth + 1, base=max(base, 0.0) + BETWEEN_ITEMS
            )
        elif block.kind == "table":
            self.open_table(lines, scope, max(base, 0.0))
        elif block.kind in ("fence", "code", "html", "front"):
            if block.kind == "fence":
                first = lines[0]
                opening = self.data[first[1] : first[2]].decode("utf-8", "replace").strip()
                scope = scope.inner("fence", opening[:120])
                self.outline.allow(lines[0][0], base, scope)
            self.open_lines(lines, scope, max(base, 0.0) + INSIDE_FENCE)

    def open_lines(self, lines: list[Line], scope: Scope, base: float) -> None:
        blank = False
        last = len(lines) - 1
        for number, (start, content, end) in enumerate(lines):
            if self.blank(content, end):
                blank = True
                continue
            if number:
                extra = AFTER_HEADING if number in (1, last) else 0.0  # the fence's own lines
                self.outline.allow(start, base + (BLANK_LINE if blank else LINE) + extra, scope)
            blank = False

    def open_table(self, lines: list[Line], scope: Scope, base: float) -> None:
        header = (lines[0][0], lines[1][2])
        repeat = header[1] - header[0] <= self.limit // 3
        for number, (start, content, end) in enumerate(lines[2:]):
            if self.blank(content, end):
                break
            extra = AFTER_HEADING if number == 0 else 0.0
            self.outline.allow(start, base + BETWEEN_ROWS + extra, scope)
            if repeat:
                self.outline.headers[start] = header

    def open_list(self, lines: list[Line], end: int, scope: Scope, depth: int, base: float) -> None:
        starts: list[tuple[int, int]] = []  # line index, columns of the content
        width = 0
        for number, (_, content, stop) in enumerate(lines):
            if self.blank(content, stop):
                continue
            if not starts or self.indent(content, stop) < width:
                match = _START.match(self.data, content, stop)
                if match is not None and match.lastgroup == "item":
                    width = self.item_width(content, stop, match.end("item"))
                    starts.append((number, width))
        for item, (first, columns) in enumerate(starts):
            after = starts[item + 1][0] if item + 1 < len(starts) else len(lines)
            stop = lines[after][0] if after < len(lines) else end
            self.outline.allow(lines[first][0], base + BETWEEN_ITEMS, scope)
            if stop - lines[first][0] > self.limit:
                inner = [(s, self.dedent(c, e, columns), e) for s, c, e in lines[first:after]]
                s, c, e = lines[first]
                inner[0] = (s, min(c + columns, e), e)
                self.open_blocks(
                    inner, stop, scope=scope, depth=depth + 1, base=base + 2 * BETWEEN_ITEMS
                )

    # --- what a line is ---------------------------------------------------------------------

    def scan(self, lines: list[Line], *, front_matter: bool) -> list[Block]:
        """Return the blocks of ``lines``; blank lines belong to the block before them."""
        data = self.data
        blocks: list[Block] = []
        count = len(lines)
        i = 0
        if front_matter:
            i = self.front_matter_end(lines)
            if i:
                blocks.append(Block("front", 0))
        paragraph = -1  # index of its first line
        while i < count:
            _, content, end = lines[i]
            if self.blank(content, end):
                paragraph = -1
                i += 1
                continue
            match = _START.match(data, content, end)
            kind = match.lastgroup if match is not None else None
            if paragraph >= 0:
                setext = (
                    _SETEXT.match(data, content, end)
                    if data[content : content + 4].lstrip()[:1] in (b"=", b"-")
                    else None
                )
                if setext is not None:
                    level = 1 if setext.group(1)[:1] == b"=" else 2
                    blocks[-1] = Block(
                        "heading",
                        paragraph,
                        level,
                        self.title(lines[paragraph][1], lines[i - 1][2]),
                    )
                    paragraph = -1
                    i += 1
                    continue
                interrupts = kind is not None and (
                    match is None
                    or kind != "item"
                    or self.interrupts(match.group("item"), content, end)
                )
                if not interrupts:
                    if self.is_table(lines, i) and i != paragraph:
                        blocks.append(Block("table", i))
                        i = self.table_end(lines, i)
                        paragraph = -1
                    else:
                        i += 1
                    continue
            paragraph = -1
            if kind is None or match is None:
                if _INDENTED.match(data, content, end):
                    blocks.append(Block("code", i))
                    i = self.indented_end(lines, i)
                elif self.is_table(lines, i):
                    blocks.append(Block("table", i))
                    i = self.table_end(lines, i)
                else:
                    blocks.append(Block("paragraph", i))
                    paragraph = i
                    i += 1
            elif kind == "atx":
                title = self.title(match.end(), end)
                blocks.append(Block("heading", i, len(match.group("atx")), title))
                i += 1
            elif kind == "fence":
                blocks.append(Block("fence", i))
                i = self.fence_end(lines, i, match.group("fence"))
            elif kind == "quote":
                blocks.append(Block("quote", i))
                i = self.quote_end(lines, i)
            elif kind == "item":
                blocks.append(Block("list", i))
                i = self.list_end(lines, i)
            elif kind == "html":
                blocks.append(Block("html", i))
                i = self.html_end(lines, i, match.group("html").lower())
            else:  # a rule
                blocks.append(Block("paragraph", i))
                i += 1
        return blocks

    def blank(self, content: int, end: int) -> bool:
        """Tell whether a line has nothing behind its quote marks and indentation."""
        return content >= end or self.data[content:end].isspace()

    def indent(self, content: int, end: int) -> int:
        """Return the columns of blanks at the beginning of a line's content."""
        columns = 0
        for byte in self.data[content:end]:
            if byte == 32:
                columns += 1
            elif byte == 9:
                columns += 4 - columns % 4
            else:
                break
        return columns

    def dedent(self, content: int, end: int, columns: int) -> int:
        seen = 0
        while content < end and seen < columns and self.data[content] in b" \t":
            seen += 1 if self.data[content] == 32 else 4 - seen % 4
            content += 1
        return content

    def item_width(self, content: int, end: int, marker_end: int) -> int:
        blanks = self.indent(marker_end, end)
        if not 1 <= blanks <= 4:
            blanks = 1
        return marker_end - content + blanks

    def interrupts(self, marker: bytes, content: int, end: int) -> bool:
        """Tell whether a list item may end a paragraph: not when empty or numbered above 1."""
        if marker[:-1] not in (b"", b"1"):
            return False
        return not self.blank(self.data.index(marker, content) + len(marker), end)

    def title(self, start: int, end: int) -> str:
        text = self.data[start : min(end, start + _TITLE_BYTES)].decode("utf-8", "ignore")
        text = " ".join(_LINK.sub(r"\1", text).split())
        return re.sub(r"\s#+$", "", text).strip("# ").replace("`", "").strip("*_ ")[:120]

    def after_quote(self, content: int, end: int) -> int:
        match = re.compile(rb"[ ]{0,3}> ?").match(self.data, content, end)
        return match.end() if match else content

    # --- where a block ends -----------------------------------------------------------------

    def front_matter_end(self, lines: list[Line]) -> int:
        if not lines or self.data[: lines[0][2]].rstrip() not in (
            b"---",
            b"+++",
            b"\xef\xbb\xbf---",
        ):
            return 0
        mark = self.data[lines[0][0] : lines[0][2]].rstrip()[-3:]
        for i in range(1, min(len(lines), 400)):
            start, _, end = lines[i]
            if self.data[start:end].rstrip() in (mark, b"..."):
                return i + 1
        return 0

    def fence_end(self, lines: list[Line], i: int, mark: bytes) -> int:
        char = mark[:1]
        for j in range(i + 1, len(lines)):
            _, content, end = lines[j]
            text = self.data[content:end]
            if char in text[: len(mark) + 3]:
                text = text.strip()
                if len(text) >= len(mark) and not text.strip(char):
                    return j + 1
        return len(lines)

    def is_table(self, lines: list[Line], i: int) -> bool:
        if i + 1 >= len(lines):
            return False
        _, content, end = lines[i + 1]
        row = self.data[content:end]
        if b"-" not in row or _DELIMITER_ROW.match(row) is None:
            return False
        header = self.data[lines[i][1] : lines[i][2]]
        return (b"|" in header or b"|" in row) and _cells(header) == _cells(row)

    def table_end(self, lines: list[Line], i: int) -> int:
        j = i + 2
        while j < len(lines):
            _, content, end = lines[j]
            if self.blank(content, end) or _START.match(self.data, content, end):
                break
            j += 1
        return j

    def indented_end(self, lines: list[Line], i: int) -> int:
        last = i
        for j in range(i + 1, len(lines)):
            _, content, end = lines[j]
            if self.blank(content, end):
                continue
            if _INDENTED.match(self.data, content, end) is None:
                break
            last = j
        return last + 1

    def quote_end(self, lines: list[Line], i: int) -> int:
        j = i + 1
        while j < len(lines):
            _, content, end = lines[j]
            if self.blank(content, end):
                break
            match = _START.match(self.data, content, end)
            if match is not None and match.lastgroup != "quote":
                break
            j += 1
        return j

    def list_end(self, lines: list[Line], i: int) -> int:
        """Return the line after a list: not indented, no item, behind a blank or a block."""
        _, content, end = lines[i]
        match = _START.match(self.data, content, end)
        width = self.item_width(content, end, match.end("item")) if match else 2
        mark = self.list_mark(match.group("item")) if match else b"-"
        blank = False
        fence: bytes | None = None
        j = i + 1
        while j < len(lines):
            _, content, end = lines[j]
            if self.blank(content, end):
                blank = True
                j += 1
                continue
            indent = self.indent(content, end)
            if indent < width:
                fence = None
                match = _START.match(self.data, content, end)
                kind = match.lastgroup if match else None
                if match and kind == "item" and self.list_mark(match.group("item")) == mark:
                    width = self.item_width(content, end, match.end("item"))
                elif kind is not None or blank:
                    return j
            elif fence is None:
                inner = _START.match(self.data, self.dedent(content, end, width), end)
                if inner is not None and inner.lastgroup == "fence":
                    fence = inner.group("fence")
            elif self.data[content:end].strip().startswith(fence):
                fence = None
            blank = False
            j += 1
        return j

    def list_mark(self, marker: bytes) -> bytes:
        """Return what tells one list from the next: the bullet, or the sign behind the number."""
        return marker[-1:]

    def html_end(self, lines: list[Line], i: int, opening: bytes) -> int:
        close = _HTML_END[opening]
        for j in range(i, len(lines)):
            _, content, end = lines[j]
            if close in self.data[content:end].lower():
                return j + 1
        return len(lines)


def _cells(row: bytes) -> int:
    row = row.strip().replace(rb"\|", b"")
    return row.count(b"|") + 1 - row.startswith(b"|") - (len(row) > 1 and row.endswith(b"|"))
