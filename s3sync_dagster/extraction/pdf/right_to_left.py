"""Arabic and Hebrew pages, whose letters and lines PDF readers mix up."""

import ctypes
import re
from typing import Any

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
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
    come as alef and lam. Such letters have the same place on the page. ``layer`` is the text page
    of which ``text`` is the whole.
    """
    from pypdfium2 import raw

    if not _RIGHT_TO_LEFT.search(text) or layer.count_chars() != len(text):
        return text
    letters = list(text)
    x, y = ctypes.c_double(), ctypes.c_double()
    start, before = 0, None
    for i in range(len(text) + 1):
        place = None
        # A vowel sign has the place of the letter that it belongs to, and stays behind it.
        if i < len(text) and text[i].isalpha() and _RIGHT_TO_LEFT.match(text[i]):
            raw.FPDFText_GetCharOrigin(layer, i, x, y)
            place = (x.value, y.value)
        if place is None or place != before:
            letters[start:i] = reversed(letters[start:i]) if before else letters[start:i]
            start = i
        before = place
    return "".join(letters)
