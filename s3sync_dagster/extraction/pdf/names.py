"""Headings that a PDF names itself: bookmarks and tags, found again among a page's blocks."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.right_to_left import is_right_to_left
from s3sync_dagster.extraction.pdf.tags import Name
from s3sync_dagster.extraction.pdf.titles import around, without_start

_MAX_BOOKMARKS = 20_000
_MAX_NAMES = 200
"""Of one page; each is looked for among all its blocks."""
_MAX_WORDS = 20
"""Of a name; where a tag says more, it is a paragraph in a heading's style."""
_MIN_LETTERS = 3
_MAX_ABOVE = 40.0
"""Points above a heading to which its bookmark leads."""
_NUMBER = re.compile(r"^(?:\d+(?:\.\d+)*|[IVX]{1,5}|[A-Z])(?:[.)]\s*|\s+)")
_NO_LETTER = re.compile(r"[\W_]+")
_TEXT = ("heading", "paragraph", "list_item")


def outline_names(pdf: Any) -> dict[int, list[Name]]:
    """Return the bookmarks of a document by the index of the page to which they lead."""
    from pypdfium2 import raw

    found: dict[int, list[Name]] = defaultdict(list)
    for bookmark in islice(pdf.get_toc(), _MAX_BOOKMARKS):
        goal = bookmark.get_dest()
        number = goal.get_index() if goal else None
        if number is None:
            continue
        mode, place = goal.get_view()
        top = place[1] if mode == raw.PDFDEST_VIEW_XYZ and len(place) > 1 else None
        text = " ".join(bookmark.get_title().split())
        found[number].append(Name(text, min(6, bookmark.level + 1), top or None))
    return found


def with_names(blocks: list[Block], names: Sequence[Name]) -> list[Block]:
    """Return blocks in which the named lines are headings of the named level.

    A name may be a block, the last of two lines, or words inside a paragraph; where a bookmark
    is such words, it has to lead there. Names that are not found change nothing.
    """
    for name in names[:_MAX_NAMES]:
        if len(letters_of(name.text)) >= _MIN_LETTERS and len(name.text.split()) <= _MAX_WORDS:
            blocks = _whole(blocks, name) or _part(blocks, name) or blocks
    return blocks


def letters_of(text: str) -> str:
    """Return the letters and digits of a text alone, in one case and one form."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text).casefold())


def _whole(blocks: list[Block], name: Name) -> list[Block]:
    wanted = _keys(name.text)
    fits = [
        (i, size)
        for i, block in enumerate(blocks)
        if block.kind in _TEXT
        for size in (1, 2, 3)
        if _keys(" ".join(map(_text, blocks[i : i + size]))) & wanted
        and all(one.kind in _TEXT for one in blocks[i : i + size])
    ]
    if not fits:
        return []
    place, size = min(fits, key=lambda fit: (_distance(blocks[fit[0]], name), fit[1]))
    parts = blocks[place : place + size]
    left = min(part.left for part in parts)
    bottom = max(part.top + part.height for part in parts)
    heading = replace(
        parts[0],
        kind="heading",
        text=" ".join(_text(part).strip("* ") for part in parts),
        level=name.level,
        left=left,
        width=max(part.left + part.width for part in parts) - left,
        height=bottom - parts[0].top,
    )
    return [*blocks[:place], heading, *blocks[place + size :]]


def _part(blocks: list[Block], name: Name) -> list[Block]:
    for i, block in enumerate(blocks):
        if block.kind not in ("paragraph", "heading") or not _leads_to(name, block):
            continue
        found = _cut(block, name)
        if found is None:
            continue
        before, title, after = found
        if before and (name.top is not None or not re.match(r"[^\W\d_a-z]", after or "A")):
            continue  # words of a sentence
        pieces = (
            replace(block, kind="paragraph", text=before, level=0),
            replace(block, kind="heading", text=title, level=name.level),
            replace(block, kind="paragraph", text=after, level=0),
        )
        return [*blocks[:i], *(piece for piece in pieces if piece.text), *blocks[i + 1 :]]
    return []


def _cut(block: Block, name: Name) -> tuple[str, str, str] | None:
    """Return what stands before a name, the name with its number, and what stands after it."""
    number = _NUMBER.match(block.text.lstrip("* "))
    for title in (name.text, f"{number[0].strip()} {name.text}" if number else name.text):
        rest = without_start(block.text, title)
        if rest is not None:
            return "", title, rest
    parts = around(block.text, name.text) if block.kind == "paragraph" else None
    return (parts[0].strip(), name.text, parts[1].strip()) if parts else None


def _leads_to(name: Name, block: Block) -> bool:
    return name.is_exact or (name.top is not None and _distance(block, name) == 0)


def _distance(block: Block, name: Name) -> float:
    """Return points from where a bookmark leads to a block, 0 where that is not known or near."""
    if name.top is None:
        return 0.0
    gap = block.top - name.top
    return 0.0 if -block.height / 2 <= gap <= _MAX_ABOVE else abs(gap)


def _text(block: Block) -> str:
    return f"{block.marker} {block.text}" if block.kind == "list_item" else block.text


@lru_cache(maxsize=4096)
def _keys(text: str) -> frozenset[str]:
    """Return the letters of a text, with its number and without."""
    plain = text.strip("* ")
    keys = {letters_of(plain), letters_of(_NUMBER.sub("", plain))}
    if is_right_to_left(plain):  # a tag has the letters of a ligature in another order
        keys = {"".join(sorted(key)) for key in keys}
    return frozenset(key for key in keys if len(key) >= _MIN_LETTERS)
