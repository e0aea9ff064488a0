"""Pages of plain lines, such as those from right to left: their headings, by size and by name."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block, blocks_to_markdown
from s3sync_dagster.extraction.pdf.names import with_names
from s3sync_dagster.extraction.pdf.styles import body_size
from s3sync_dagster.extraction.pdf.tags import Name
from s3sync_dagster.extraction.pdf.text_layer import plain

_MIN_RATIO = 1.2
"""Of a heading's size and the body's."""
_MAX_WORDS = 12
_SENTENCE_END = (".", ",", ";", ":", "!", "?", "؟", "،", "؛")
_MIN_LETTERS = 3
_NUMBERED = re.compile(r"\s*-?\d{1,2}(?:[-.]\d{1,2})*[-.)]?\s+[^\W\d]")
"""A heading's number, not one of a list, whose next line has one too."""


def with_headings(page: Any, layer: Any, text: str, names: Sequence[Name]) -> str:
    """Return a page's plain text with its headings marked; the page is pdfium's, with its text.

    The same text where its lines are not those of the page.
    """
    lines = text.split("\n")
    sizes = list(_sizes(layer)) if page.get_rotation() == 0 else []
    if len(sizes) != len(lines):
        sizes = [Counter() for _ in lines]
    together = sum(sizes, Counter[float]())
    body = body_size(together, together)
    blocks = [_block(line, size, body) for line, size in zip(lines, sizes, strict=True)]
    for i, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        around = (*lines[max(0, i - 1) : i], *lines[i + 1 : i + 2])
        is_lone = _NUMBERED.match(line) and not any(map(_NUMBERED.match, around))
        if is_lone and body and min(size, default=0.0) >= body and _is_title(line):
            blocks[i] = Block(kind="heading", text=line.strip(), level=3)
    blocks = with_names(blocks, names)
    if all(block.kind == "paragraph" for block in blocks):
        return text
    parts: list[str] = []
    for is_text, group in groupby(blocks, lambda block: block.kind == "paragraph"):
        if is_text:
            parts.append("\n".join(block.text for block in group).strip("\n"))
        else:
            parts += [blocks_to_markdown([block]) for block in group]
    return "\n\n".join(part for part in parts if part.strip())


def _block(line: str, sizes: Counter[float], body: float | None) -> Block:
    shown = line.strip()
    if body and _is_title(shown) and min(sizes, default=0.0) >= _MIN_RATIO * body:
        level = 1 if min(sizes) >= 1.7 * body else 2
        return Block(kind="heading", text=shown, level=level)
    return Block(kind="paragraph", text=line)


def _is_title(line: str) -> bool:
    is_short = 0 < len(line.split()) <= _MAX_WORDS and not line.rstrip().endswith(_SENTENCE_END)
    return is_short and sum(map(str.isalpha, line)) >= _MIN_LETTERS


def _sizes(layer: Any) -> Iterator[Counter[float]]:
    """Yield how many characters each line of a page has in each size."""
    from pypdfium2 import raw

    text = layer.get_text_range()
    if layer.count_chars() == len(text):
        start = 0
        for line in text.split("\n"):
            if plain(line) or not line.strip("\r"):
                yield Counter(
                    round(raw.FPDFText_GetFontSize(layer, start + i), 1)
                    for i, letter in enumerate(line)
                    if not letter.isspace()
                )
            start += len(line) + 1
