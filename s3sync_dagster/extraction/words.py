"""Counting words, to see whether a reader lost any."""

import re
import unicodedata
from collections import Counter

_WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
"""A word, or one character of scripts that do not part words."""

_LONG_WORD = re.compile(r"[^\W_]{3,}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_MIN_SHARE = 0.5
"""Of the characters that are not blanks, what stands in words of three letters or more."""


def words_of(text: str) -> Counter[str]:
    """Return how often each word occurs; case, ligatures and widths do not matter."""
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def lost_words(wanted: Counter[str], found: Counter[str]) -> int:
    """Return how many of the wanted words are missing."""
    return (wanted - found).total()


def word_recall(wanted: str, found: str) -> float:
    """Return the share of the wanted text's words that the other text has, 1.0 for no words."""
    words = words_of(wanted)
    return 1.0 if not words else 1.0 - lost_words(words, words_of(found)) / words.total()


def is_text(text: str) -> bool:
    """Return whether a reader of pictures found words, not what it sees in photographs."""
    words = _LONG_WORD.findall(text)
    return bool(words) and sum(map(len, words)) >= _MIN_SHARE * len("".join(text.split()))
