"""Whether a page's text layer is proven to be no text: letters that a font maps to wrong ones.

Layout analysis suspects pages too, but it takes Arabic and Korean for garbled, so this decides.
"""

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]{3,}")
_VOWEL = re.compile(r"[aeiouy]")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{6}")
_MIXED = re.compile(r"[a-z][A-Z]+[a-z]|[^\W\d_]\d|\d[^\W\d_]")
_ORDINARY = re.compile(
    r"[A-Z]?[bcdfghjklmnpqrstvwxz]{0,4}[aeiouy](?:[bcdfghjklmnpqrstvwxz]{0,5}[aeiouy])*"
    r"[bcdfghjklmnpqrstvwxz]{0,5}"
)
"""Most words: nothing of what makes them odd, told by one look."""
_MIN_WORDS = 20
"""Of Latin letters; fewer prove nothing."""
_MAX_ODD_WORDS = 0.45
"""On 645 pages of 281 foreign PDFs the good ones have up to .36 (bad scans), those of wrongly
mapped fonts .46 to .81."""
_MAX_STRANGE = 0.05
_MAX_STRANGE_IN_OTHER_SCRIPTS = 0.3
"""Share of control and private characters; many scripts are set in fonts that use some."""


_STRANGE = re.compile("[\x00\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\uffff]")
"""Control characters but pdfium's hyphens, private ones, and what stands for no character."""


def count_strange(text: str) -> int:
    """Return how many characters are none of any script."""
    return len(_STRANGE.findall(text))


def is_garbled(text: str, *, strange: int) -> bool:
    """Return whether a page's text is proven to be none; False for what only looks odd.

    ``strange`` is what ``count_strange`` says of it before control characters were taken out.
    """
    words = [word for word in _WORD.findall(text) if word.isascii() or _is_latin(word)]
    is_odd = len(words) >= _MIN_WORDS and _are_odd(words)
    if not strange and not is_odd:
        return False
    letters = sum(map(str.isalpha, text))
    is_latin = sum(map(len, words)) > letters / 2
    allowed = _MAX_STRANGE if is_latin or not letters else _MAX_STRANGE_IN_OTHER_SCRIPTS
    if strange > allowed * (len("".join(text.split())) + strange):
        return True
    return is_latin and is_odd


def _are_odd(words: Sequence[str]) -> bool:
    """Return whether too many words are none of any language; text proves it is some halfway."""
    most = _MAX_ODD_WORDS * len(words)
    odd = 0
    for left, word in zip(range(len(words), 0, -1), words, strict=True):
        if odd + left <= most:
            return False
        odd += _is_odd(word)
    return odd > most


def _is_odd(word: str) -> bool:
    """Return whether a word is none of any Latin language: no vowel, or six consonants in a row."""
    if _ORDINARY.fullmatch(word):
        return False
    plain = word
    if not word.isascii():
        parts = unicodedata.normalize("NFKD", word)
        plain = "".join(letter for letter in parts if not unicodedata.combining(letter))
    low = plain.lower()
    return not _VOWEL.search(low) or bool(_CONSONANTS.search(low) or _MIXED.search(plain))


def _is_latin(word: str) -> bool:
    return all(ord(letter) < 0x250 for letter in word)
