"""Markdown's block structure, found by one pass over the lines: CommonMark with GitHub's tables."""

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

BlockKind = Literal[
    "heading", "paragraph", "fence", "table", "list", "quote", "code", "front", "html"
]

Line = tuple[int, int, int]
"""Begin of the line, begin of its content behind quote marks and indentation, end with newline."""

_TITLE_BYTES = 400
_TITLE_CHARACTERS = 120
_FRONT_MATTER_LINES = 400


@dataclass(frozen=True, slots=True)
class Block:
    """A run of lines that belong together; blank lines belong to the block before them."""

    kind: BlockKind
    first: int
    """Index of the first line."""
    level: int = 0
    """Of a heading, 1 to 6."""
    title: str = ""


# Possessive where two parts could share blanks: hostile lines stay linear.
_START = re.compile(
    rb"[ ]{0,3}(?:(?P<atx>\#{1,6})(?=[ \t\r\n]|$)"
    rb"|(?P<wiki>=(?:[ ]?=){0,5}+)[ \t]*+(?=[^=\s])[^\n]*?[^=\s][ \t]*+(?P=wiki)[ \t]*+(?=\r?\n|$)"
    rb"|(?P<fence>`{3,}(?=[^`\n]*(?:\n|$))|~{3,})"
    rb"|(?P<quote>>)"
    rb"|(?P<rule>(?:\*[ \t]*+){3,}+(?=\r?\n|$)|(?:_[ \t]*+){3,}+(?=\r?\n|$)"
    rb"|(?:-[ \t]*+){3,}+(?=\r?\n|$))"
    rb"|(?P<item>[-+*]|\d{1,9}[.)])(?=[ \t\r\n]|$)"
    rb"|(?P<html><(?:!--|\?|!\[CDATA\[|![a-z]|(?:script|pre|style|textarea)(?=[\s>]|$)))"
    rb"|(?P<tag></?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col"
    rb"|colgroup|dd|details|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame"
    rb"|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes"
    rb"|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr"
    rb"|track|ul)(?=\s|/?>|$)))",
    re.IGNORECASE,
)
_TAG_LINE = re.compile(rb"[ ]{0,3}</?[A-Za-z][A-Za-z0-9-]*+(?:\s[^<>]*+)?/?>[ \t]*+\r?\n?$")
_INDENTED = re.compile(rb" {4}| {0,3}\t")
_SETEXT = re.compile(rb"[ ]{0,3}(=++|-++)[ \t]*+\r?\n?$")
_DELIMITER_ROW = re.compile(
    rb"[ ]{0,3}\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+\r?\n?$"
)
_QUOTE = re.compile(rb"[ ]{0,3}> ?")
_LAST_BLANK = 32
"""No byte above the space is blank."""
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_HTML_END = {
    b"<!--": b"-->", b"<?": b"?>", b"<![cdata[": b"]]>", b"<script": b"</script>",
    b"<pre": b"</pre>", b"<style": b"</style>", b"<textarea": b"</textarea>",
}  # fmt: skip
"""What ends raw HTML; other declarations end with ``>``."""
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") | frozenset(
    range(128, 256)
)
"""A line that begins with one of these bytes starts no block but a paragraph or a table."""


def split_lines(data: bytes) -> list[Line]:
    """Return the lines of a document."""
    ends = list(accumulate(len(line) + 1 for line in data.split(b"\n")))
    if ends[-1] > len(data):  # nothing, or a line without newline, follows the last newline
        ends.pop()
    if data and data[-1] != 10:
        ends.append(len(data))
    return list(zip((0, *ends), (0, *ends), ends, strict=False))


class BlockScanner:
    """Finds the blocks of a run of lines."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lazy: set[int] = set()
        """Where lines start that go on with the paragraph of a list item or quote without its
        indentation or mark: they begin no table."""

    def scan(self, lines: list[Line], *, front_matter: bool) -> list[Block]:
        """Return the blocks of ``lines`` in order, not looking into lists and quotes."""
        data = self.data
        blocks: list[Block] = []
        i = 0
        if front_matter and (i := self._front_matter_end(lines)):
            blocks.append(Block("front", 0))
        paragraph = -1  # index of the first line of the paragraph that is open
        while i < len(lines):
            _, content, end = lines[i]
            if content >= end:
                paragraph = -1
                i += 1
                continue
            plain = data[content] in _PLAIN
            if not plain and self.is_blank(content, end):
                paragraph = -1
                i += 1
                continue
            match = None if plain else _START.match(data, content, end)
            if paragraph >= 0 and not (match and self._interrupts(match, end)):
                underline = None if plain else _SETEXT.match(data, content, end)
                if underline is not None:
                    level = 1 if underline.group(1)[:1] == b"=" else 2
                    title = self._title(lines[paragraph][1], lines[i - 1][2])
                    blocks[-1] = Block("heading", paragraph, level, title)
                    paragraph = -1
                elif self._is_table(lines, i):
                    blocks.append(Block("table", i))
                    i = self._table_end(lines, i) - 1
                    paragraph = -1
                i += 1
                continue
            marked = match or _INDENTED.match(data, content, end)
            if not marked and not _TAG_LINE.match(data, content, end):
                is_table = self._is_table(lines, i)
                blocks.append(Block("table" if is_table else "paragraph", i))
                paragraph = -1 if is_table else i
                i = self._table_end(lines, i) if is_table else i + 1
                continue
            block, i = self._block(lines, i, match)
            blocks.append(block)
            paragraph = -1
        return blocks

    def _block(self, lines: list[Line], i: int, match: re.Match[bytes] | None) -> tuple[Block, int]:
        """Return the block that begins at line ``i`` with its mark, and the line after it."""
        if match is None:
            _, content, end = lines[i]
            if _INDENTED.match(self.data, content, end):
                return Block("code", i), self._indented_end(lines, i)
            return Block("html", i), self._blank_after(lines, i)
        kind = match.lastgroup
        if kind == "atx":
            title = self._title(match.end(), lines[i][2])
            return Block("heading", i, len(match.group("atx")), title), i + 1
        if kind == "wiki":  # no Markdown, and what else but a heading is a line like this?
            marks = match.group("wiki")
            title = self._title(match.end("wiki"), match.end() - _trailing(match.group(), marks))
            return Block("heading", i, marks.count(b"="), title), i + 1
        if kind == "fence":
            return Block("fence", i), self._fence_end(lines, i, match.group("fence"))
        if kind == "quote":
            return Block("quote", i), self._quote_end(lines, i)
        if kind == "item":
            return Block("list", i), self._list_end(lines, i)
        if kind == "html":
            return Block("html", i), self._html_end(lines, i, match.group("html").lower())
        if kind == "tag":
            return Block("html", i), self._blank_after(lines, i)
        return Block("paragraph", i), i + 1  # a rule

    # --- what a line is ---------------------------------------------------------------------

    def is_blank(self, content: int, end: int) -> bool:
        """Tell whether a line has nothing behind its quote marks and indentation."""
        if content >= end:
            return True
        return self.data[content] <= _LAST_BLANK and self.data[content:end].isspace()

    def indent(self, content: int, end: int) -> int:
        """Return the columns of blanks at the begin of a line's content."""
        if content >= end or self.data[content] > _LAST_BLANK:
            return 0
        columns = 0
        for position in range(content, end):
            byte = self.data[position]
            if byte == 32:
                columns += 1
            elif byte == 9:
                columns += 4 - columns % 4
            else:
                break
        return columns

    def dedent(self, content: int, end: int, columns: int) -> int:
        """Return the begin of a line's content behind so many columns of blanks, or less."""
        seen = 0
        while content < end and seen < columns and self.data[content] in b" \t":
            seen += 1 if self.data[content] == 32 else 4 - seen % 4
            content += 1
        return content

    def unquote(self, content: int, end: int) -> int:
        """Return the begin of a line's content behind its quote mark."""
        match = _QUOTE.match(self.data, content, end)
        return match.end() if match else content

    def item_width(self, content: int, end: int) -> int:
        """Return the columns from a line's begin to its list item's content; 0 for no item."""
        match = _START.match(self.data, content, end)
        if match is None or match.lastgroup != "item":
            return 0
        blanks = self.indent(match.end("item"), end)
        return match.end("item") - content + (blanks if 1 <= blanks <= 4 else 1)

    def _interrupts(self, match: re.Match[bytes], end: int) -> bool:
        """Tell whether a block may end a paragraph: a list not when empty or numbered above 1."""
        if match.lastgroup != "item":
            # A row of dashes under a paragraph is its underline, not a rule.
            return match.lastgroup != "rule" or _SETEXT.match(self.data, match.start(), end) is None
        if match.group("item")[:-1] not in (b"", b"1"):
            return False
        return not self.is_blank(match.end("item"), end)

    def _title(self, start: int, end: int) -> str:
        text = self.data[start : min(end, start + _TITLE_BYTES)].decode("utf-8", "ignore")
        if "](" in text:
            text = _LINK.sub(r"\1", text)
        text = " ".join(text.split())
        if text.endswith("#"):  # closing marks, when they stand alone
            bare = text.rstrip("#")
            text = bare if bare[-1:] in ("", " ") else text
        return text.replace("`", "").strip("*_ ")[:_TITLE_CHARACTERS]

    # --- where a block ends -----------------------------------------------------------------

    def _front_matter_end(self, lines: list[Line]) -> int:
        first = self.data[: lines[0][2]].rstrip().removeprefix(b"\xef\xbb\xbf") if lines else b""
        if first not in (b"---", b"+++"):
            return 0
        for i, (start, _, end) in enumerate(lines[1:_FRONT_MATTER_LINES], 1):
            if self.data[start:end].rstrip() == first:
                return i + 1
        return 0

    def _fence_end(self, lines: list[Line], i: int, mark: bytes) -> int:
        data = self.data
        for j in range(i + 1, len(lines)):
            _, content, end = lines[j]
            found = data.find(mark, content, min(end, content + len(mark) + 3))
            if found >= 0 and not data[content:end].strip().strip(mark[:1]):
                return j + 1
        return len(lines)

    def _is_table(self, lines: list[Line], i: int) -> bool:
        if i + 1 >= len(lines):
            return False
        start, content, end = lines[i + 1]
        if content >= end or self.data[content] not in b"|:- \t":
            return False
        if _DELIMITER_ROW.match(self.data, content, end) is None:
            return False
        if lines[i][0] in self.lazy or start in self.lazy:
            return False
        header = self.data[lines[i][1] : lines[i][2]]
        row = self.data[content:end]
        return (b"|" in header or b"|" in row) and _cells(header) == _cells(row)

    def _table_end(self, lines: list[Line], i: int) -> int:
        j = i + 2
        while j < len(lines):
            _, content, end = lines[j]
            if (
                self.is_blank(content, end)
                or _START.match(self.data, content, end)
                or _INDENTED.match(self.data, content, end)
            ):
                break
            j += 1
        return j

    def _indented_end(self, lines: list[Line], i: int) -> int:
        last = i
        for j in range(i + 1, len(lines)):
            _, content, end = lines[j]
            if self.is_blank(content, end):
                continue
            if _INDENTED.match(self.data, content, end) is None:
                break
            last = j
        return last + 1

    def _quote_end(self, lines: list[Line], i: int) -> int:
        lazy = False
        for j in range(i, len(lines)):
            _, content, end = lines[j]
            if self.is_blank(content, end):
                return j
            inner = self.unquote(content, end)
            if inner == content and not (lazy and _START.match(self.data, content, end) is None):
                return j
            lazy = self._may_continue(_START.match(self.data, inner, end), inner, end)
        return len(lines)

    def _may_continue(self, match: re.Match[bytes] | None, content: int, end: int) -> bool:
        """Tell whether the paragraph of a line may go on without its quote mark or indentation."""
        if match is None:
            return not self.is_blank(content, end)
        return match.lastgroup in ("item", "quote")

    def _list_end(self, lines: list[Line], i: int) -> int:
        """Return the line after a list: less indented, no item of it, and no lazy text."""
        data = self.data
        _, content, end = lines[i]
        mark = self._list_mark(content, end)
        width = 1_000
        lazy = False
        fence = b""
        for j in range(i, len(lines)):
            _, content, end = lines[j]
            if self.is_blank(content, end):
                lazy = False
                continue
            if self.indent(content, end) >= width:
                inner = self.dedent(content, end, width)
            elif self._list_mark(content, end) == mark:
                width = self.item_width(content, end)
                inner = min(content + width, end)
                fence = b""
            elif not lazy or _START.match(data, content, end):
                return j
            else:
                inner = self.dedent(content, end, width)
            if fence:
                if data[inner:end].strip().startswith(fence):
                    fence = b""
                lazy = False
                continue
            if inner < end and data[inner] in _PLAIN:
                lazy = True
                continue
            match = _START.match(data, inner, end)
            if match is not None and match.lastgroup == "fence":
                fence = match.group("fence")
            lazy = self._may_continue(match, inner, end)
        return len(lines)

    def _list_mark(self, content: int, end: int) -> bytes:
        """Return what tells one list from the next: the bullet, or the sign behind the number."""
        match = _START.match(self.data, content, end)
        if match is None or match.lastgroup != "item":
            return b""
        return match.group("item")[-1:]

    def _html_end(self, lines: list[Line], i: int, opening: bytes) -> int:
        close = _HTML_END.get(opening, b">")
        for j in range(i, len(lines)):
            _, content, end = lines[j]
            if close in self.data[content:end].lower():
                return j + 1
        return len(lines)

    def _blank_after(self, lines: list[Line], i: int) -> int:
        while i < len(lines) and not self.is_blank(lines[i][1], lines[i][2]):
            i += 1
        return i


def _trailing(line: bytes, marks: bytes) -> int:
    """Return the bytes of the closing marks and the blanks behind them."""
    return len(marks) + len(line) - len(line.rstrip())


def _cells(row: bytes) -> int:
    row = row.strip().replace(rb"\|", b"")
    return row.count(b"|") + 1 - row.startswith(b"|") - (len(row) > 1 and row.endswith(b"|"))
