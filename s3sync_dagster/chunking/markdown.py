"""Markdown's possible cuts: between sections and blocks, and inside blocks that do not fit.

The blocks come from a scanner instead of the grammar: several times faster, and nothing in it can
hang or crash.
"""

from dataclasses import dataclass

from s3sync_dagster.chunking.blocks import Block, BlockScanner, Line, split_lines
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
HEADER_SHARE = 3
"""A table's header above a third of the limit is not repeated."""
MAX_NESTING = 12
"""Lists and quotes are opened to this depth."""
_OPENING_CHARACTERS = 120


def outline_markdown(data: bytes, limit: int, *, begins: bool = True) -> Outline:
    """Return the possible cuts of Markdown; blocks above the limit are opened.

    Args:
        data: a document, or a part of one.
        limit: in bytes.
        begins: the document begins here: there may be front matter.
    """
    outline = Outline()
    lines = split_lines(data)
    opener = _Opener(data, limit, outline)
    opener.open_blocks(lines, _Inside(len(data)), front_matter=begins)
    return outline


def goes_on(header: bytes, line: bytes) -> bool:
    """Return whether a line behind a table's header is a row of it."""
    scanner = BlockScanner(header + line)
    return (
        not line.isspace() and len(scanner.scan(split_lines(scanner.data), front_matter=False)) == 1
    )


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where a run of lines stands."""

    end: int
    """Position behind the run's last line."""
    scope: Scope = ROOT
    depth: int = 0
    """Lists and quotes around it."""
    base: float = 0.0
    """Cost of cuts at this place, added to that of their kind."""

    def deeper(self, end: int, cost: float) -> "_Inside":
        return _Inside(end, self.scope, self.depth + 1, self.base + cost)


class _Opener:
    def __init__(self, data: bytes, limit: int, outline: Outline) -> None:
        self.data = data
        self.limit = limit
        self.outline = outline
        self.scanner = BlockScanner(data)

    def open_blocks(
        self, lines: list[Line], inside: _Inside, *, front_matter: bool = False
    ) -> None:
        """Allow cuts before the blocks of ``lines``, and inside those that do not fit."""
        blocks = self.scanner.scan(lines, front_matter=front_matter)
        if inside.depth == 0 and blocks:
            self.outline.last_block = lines[blocks[-1].first][0]
        sections: list[tuple[int, Scope]] = []
        scope = inside.scope
        glue = 0.0
        for number, block in enumerate(blocks):
            start = lines[block.first][0]
            after = blocks[number + 1].first if number + 1 < len(blocks) else len(lines)
            end = lines[after][0] if after < len(lines) else inside.end
            if block.kind == "heading":
                while sections and sections[-1][0] >= block.level:
                    sections.pop()
                outer = sections[-1][1] if sections else inside.scope
                scope = outer.inner("heading", block.title)
                sections.append((block.level, scope))
                cost = DEPTH_COST[min(len(sections), 7)] - SECTION_BONUS
            else:
                cost = DEPTH_COST[min(len(sections) + 1, 7)]
            self.outline.allow(start, inside.base + cost + glue, scope)
            if block.kind == "heading":
                glue = AFTER_HEADING
            else:
                introduces = self.data[max(start, end - 16) : end].rstrip().endswith(b":")
                glue = AFTER_COLON if introduces else 0.0
            if end - start > self.limit:
                place = _Inside(end, scope, inside.depth, max(0.0, inside.base + cost))
                self.open_block(block, lines[block.first : after], place)
            if after == len(lines) and end == len(self.data):
                self.end_with(block, lines[block.first :], _Inside(end, depth=inside.depth))

    def end_with(self, block: Block, lines: list[Line], inside: _Inside) -> None:
        """Note the header of the table in which the document ends, in whatever block."""
        _, content, stop = lines[-1]
        if self.scanner.is_blank(content, stop):
            return
        if block.kind == "table":
            header = self.header_of(lines)
            self.outline.header_at_end = header if self.may_repeat(header) else None
        elif inside.end - lines[0][0] <= self.limit:  # else it was opened
            outline, self.outline = self.outline, Outline()
            self.open_block(block, lines, inside)
            outline.header_at_end = self.outline.header_at_end
            self.outline = outline

    def header_of(self, lines: list[Line]) -> tuple[int, int]:
        """Return where the two lines of a table's header stand."""
        return lines[0][0], lines[1][2]

    def may_repeat(self, header: tuple[int, int]) -> bool:
        """Return whether a header is short enough to stand in each chunk."""
        return header[1] - header[0] <= self.limit // HEADER_SHARE

    def open_block(self, block: Block, lines: list[Line], inside: _Inside) -> None:
        """Allow cuts inside one block that is larger than the limit."""
        if block.kind == "list" and inside.depth < MAX_NESTING:
            self.open_list(lines, inside)
        elif block.kind == "quote" and inside.depth < MAX_NESTING:
            inner = [(s, self.scanner.unquote(c, e), e) for s, c, e in lines]
            self.scanner.lazy |= {s for (s, c, _), (_, i, _) in zip(lines, inner, strict=True)
                                  if c == i}  # fmt: skip
            self.open_blocks(inner, inside.deeper(inside.end, BETWEEN_ITEMS))
        elif block.kind == "table":
            self.open_table(lines, inside)
        elif block.kind == "fence":
            opening = self.data[lines[0][1] : lines[0][2]].decode("utf-8", "replace").strip()
            scope = inside.scope.inner("fence", opening[:_OPENING_CHARACTERS])
            self.outline.allow(lines[0][0], inside.base, scope)
            self.open_lines(lines, scope, inside.base + INSIDE_FENCE)
        elif block.kind in ("code", "html", "front"):
            self.open_lines(lines, inside.scope, inside.base + INSIDE_FENCE)

    def open_lines(self, lines: list[Line], scope: Scope, base: float) -> None:
        """Allow cuts between the lines of a fence; its own lines stay with what is in it."""
        blank = False
        last = len(lines) - 1
        for number, (start, content, end) in enumerate(lines):
            if self.scanner.is_blank(content, end):
                blank = True
                continue
            if number:
                extra = AFTER_HEADING if number in (1, last) else 0.0
                self.outline.allow(start, base + (BLANK_LINE if blank else LINE) + extra, scope)
            blank = False

    def open_table(self, lines: list[Line], inside: _Inside) -> None:
        """Allow cuts between rows, with the header to repeat."""
        header = self.header_of(lines)
        repeat = self.may_repeat(header)
        for number, (start, content, end) in enumerate(lines[2:]):
            if self.scanner.is_blank(content, end):
                break
            extra = AFTER_HEADING if number == 0 else 0.0
            self.outline.allow(start, inside.base + BETWEEN_ROWS + extra, inside.scope)
            if repeat:
                self.outline.headers[start] = header

    def open_list(self, lines: list[Line], inside: _Inside) -> None:
        """Allow cuts between items, and inside those that do not fit."""
        items: list[tuple[int, int]] = []  # index of the first line, columns before the content
        for number, (_, content, end) in enumerate(lines):
            if self.scanner.is_blank(content, end):
                continue
            if not items or self.scanner.indent(content, end) < items[-1][1]:
                width = self.scanner.item_width(content, end)
                if width:
                    items.append((number, width))
        for item, (first, columns) in enumerate(items):
            after = items[item + 1][0] if item + 1 < len(items) else len(lines)
            end = lines[after][0] if after < len(lines) else inside.end
            start, content, stop = lines[first]
            self.outline.allow(start, inside.base + BETWEEN_ITEMS, inside.scope)
            if end - start > self.limit:
                rest = lines[first + 1 : after]
                self.scanner.lazy |= {s for s, c, e in rest if self.scanner.indent(c, e) < columns}
                inner = [(s, self.scanner.dedent(c, e, columns), e) for s, c, e in rest]
                inner.insert(0, (start, min(content + columns, stop), stop))
                self.open_blocks(inner, inside.deeper(end, 2 * BETWEEN_ITEMS))
