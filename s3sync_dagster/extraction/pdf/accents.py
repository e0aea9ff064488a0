"""Accents that a PDF draws as letters of their own: TeX's ``Schr¨odinger`` and others' ``Rene´``.

Only their places tell to which letter they belong; nobody searches for the two apart.
"""

import ctypes
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block

_COMBINING = {
    "`": "\u0300",
    "´": "\u0301",
    "ˆ": "\u0302",
    "˜": "\u0303",
    "¯": "\u0304",
    "˘": "\u0306",
    "˙": "\u0307",
    "¨": "\u0308",
    "˚": "\u030a",
    "˝": "\u030b",
    "ˇ": "\u030c",
    "¸": "\u0327",
    "˛": "\u0328",
}
_ACCENTS = "".join(_COMBINING)
_WITH_DOT = {"ı": "i", "ȷ": "j"}
"""Letters that stand without their dots below an accent."""
_ACCENT = re.compile(f"[{_ACCENTS}]")
_WORD = re.compile(rf"[^\W\d_{_ACCENTS}]*(?:[{_ACCENTS}][^\W\d_{_ACCENTS}]*)+")
_MIN_SHARED = 0.5
"""Share of an accent's width above its letter or below it; quotes stand beside theirs."""


def accented_words(text: str, layer: Any) -> dict[str, str]:
    """Return the words of a page with accents apart, and how they are written.

    ``layer`` is the text page of which ``text`` is the whole.
    """
    found: dict[str, str] = {}
    if not _ACCENT.search(text) or max(text) > "\uffff":
        return found
    for start, end in _places(text):
        word, written = text[start:end], _written(layer, text, start, end)
        if written != word:
            found[word] = written
    return found


def compose(text: str, words: Mapping[str, str]) -> str:
    """Return text with some words written otherwise, where they stand whole."""
    if not words:
        return text
    parts: list[str] = []
    done = 0
    for start, end in _places(text):
        word = text[start:end]
        parts += (text[done:start], words.get(word, word))
        done = end
    return "".join((*parts, text[done:]))


def compose_blocks(blocks: list[Block], words: Mapping[str, str]) -> None:
    """Write some words of blocks otherwise."""
    for block in blocks if words else ():
        block.text = compose(block.text, words)
        block.first_line = compose(block.first_line, words)
        block.lines = [compose(line, words) for line in block.lines]
        block.rows = [[compose(cell, words) for cell in row] for row in block.rows]
        block.first_row = block.rows[0] if block.rows else []


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the words with an accent, from which they are looked for.

    A pattern that begins with letters tries each letter of a page.
    """
    end = 0
    for accent in _ACCENT.finditer(text):
        start = accent.start()
        if start < end:
            continue
        while start > end and text[start - 1].isalpha():
            start -= 1
        word = _WORD.match(text, start)
        if word:
            end = word.end()
            yield start, end


def _written(layer: Any, text: str, start: int, end: int) -> str:
    letters = list(text[start:end])
    for place, accent in enumerate(letters):
        if accent not in _COMBINING:
            continue
        beside = [one for one in (place - 1, place + 1) if 0 <= one < len(letters)]
        box = _sides(layer, start + place)
        shared = {one: _shared(box, _sides(layer, start + one)) for one in beside}
        for one in sorted(beside, key=lambda one: -shared[one]):
            base = _WITH_DOT.get(letters[one], letters[one])
            whole = unicodedata.normalize("NFC", base + _COMBINING[accent])
            if shared[one] >= _MIN_SHARED and len(whole) == 1:
                letters[one], letters[place] = whole, ""
                break
    return "".join(letters)


def _shared(accent: tuple[float, float], letter: tuple[float, float]) -> float:
    """Return the share of an accent's width that a letter has too."""
    left, right = accent
    both = min(right, letter[1]) - max(left, letter[0])
    return both / (right - left) if right > left else 0.0


def _sides(layer: Any, place: int) -> tuple[float, float]:
    """Return the left and right of a character's ink."""
    from pypdfium2 import raw

    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    index = raw.FPDFText_GetCharIndexFromTextIndex(layer, place)
    raw.FPDFText_GetCharBox(layer, index, left, right, bottom, top)
    return left.value, right.value
