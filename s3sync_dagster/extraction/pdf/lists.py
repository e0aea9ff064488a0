"""Lists whose bullets layout analysis took for a column of their own."""

import re
from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.text_layer import plain

_BULLETS = re.compile(r"(?:[•·‣◦▪■□●○➢✓\uf000-\uf0ff]\s*)+")


def are_bullets(text: str) -> bool:
    """Return whether a text is nothing but bullets."""
    return _BULLETS.fullmatch(text.strip()) is not None


def find_lists(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which bullets and the text beside them are list items."""
    out: list[Block] = []
    for block in blocks:
        items = _items(out[-1], block, words) if out and block.kind == "paragraph" else []
        if items:
            out.pop()
        out.extend(items or [block])
    return out


def _items(bullets: Block, beside: Block, words: Sequence[Word]) -> list[Block]:
    if bullets.kind != "paragraph" or not are_bullets(bullets.text):
        return []
    left = bullets.left + bullets.width
    if beside.left < left or abs(beside.top - bullets.top) > bullets.height:
        return []
    bottom = beside.top + beside.height + 1
    row = [word for word in words if beside.top - 1 <= word.middle <= bottom]
    starts = sorted(word.top for word in row if bullets.left - 1 <= word.left < left)
    texts: list[list[Word]] = [[] for _ in starts]
    for line in lines_of([word for word in row if beside.left - 1 <= word.left]):
        above = sum(start <= line[0].middle for start in starts)
        if not above:
            return []
        texts[above - 1] += line
    if not all(texts):
        return []
    return [
        Block(
            kind="list_item",
            text=plain(" ".join(word.text for word in text)),
            top=start,
            height=text[-1].top + text[-1].height - start,
            left=bullets.left,
            width=beside.left + beside.width - bullets.left,
        )
        for start, text in zip(starts, texts, strict=True)
    ]
