"""Arabic and Hebrew pages, whose letters and lines PDF readers mix up."""

import ctypes
import re
from typing import Any

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LAM = "\u0644"
_ALEFS = frozenset("\u0622\u0623\u0625\u0627\u0671")
_LETTER = re.compile(r"[^\W\d_]")
_MIN_SHARE = 0.3
"""Of a page's letters, from which on its lines run from right to left."""


def is_right_to_left(text: str) -> bool:
    """Return whether a page's text runs from right to left."""
    if not _RIGHT_TO_LEFT.search(text):
        return False
    letters = len(_LETTER.findall(text))
    return len(_RIGHT_TO_LEFT.findall(text)) > letters * _MIN_SHARE


def in_letter_order(text: str, layer: Any) -> str:
    """Return a page's text with the letters of each ligature in order.

    pdfium turns the line round, and with it the letters that one glyph stands for: lam and alef
    come as alef and lam. Where the file gives such a glyph as one letter, a presentation form, it
    takes that apart itself, in order. Such letters have the same place on the page. ``layer`` is
    the text page of which ``text`` is the whole.
    """
    from pypdfium2 import raw

    if not _RIGHT_TO_LEFT.search(text) or layer.count_chars() != len(text):
        return text
    letters = list(text)
    x, y = ctypes.c_double(), ctypes.c_double()
    groups: list[tuple[int, int]] = []
    start, before = 0, None
    for i in range(len(text) + 1):
        place = None
        # A vowel sign has the place of the letter that it belongs to, and stays behind it.
        if i < len(text) and text[i].isalpha() and _RIGHT_TO_LEFT.match(text[i]):
            raw.FPDFText_GetCharOrigin(layer, i, x, y)
            place = (x.value, y.value)
        if place is None or place != before:
            if before and i - start > 1:
                groups.append((start, i))
            start = i
        before = place
    known = [turned for first, end in groups if (turned := _is_turned(text[first:end])) is not None]
    usually = not known or 2 * sum(known) > len(known)
    for first, end in groups:
        turned = _is_turned(text[first:end])
        if usually if turned is None else turned:
            letters[first:end] = reversed(letters[first:end])
    return "".join(letters)


def _is_turned(glyph: str) -> bool | None:
    """Return whether the letters of one glyph stand the wrong way round, None if they do not say.

    Lam and alef are one glyph, alef and lam never are.
    """
    if len(glyph) != 2 or _LAM not in glyph or _ALEFS.isdisjoint(glyph):
        return None
    return glyph[1] == _LAM
