"""Counting words, to see whether a reader lost any."""

import re
import unicodedata
from collections import Counter

_WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
"""A word, or one character of scripts that do not part words."""

_ONE_SCRIPT = re.compile(r"[^\W_]+")
"""The same where no script stands that does not part words, by a pattern that is found sooner."""
_UNPARTED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_PAIR = re.compile(r"([^\W\d_]+) (?=([^\W\d_]+))")
_BEGINNING = re.compile(r"[^\W\d_]+(?:\s+\S+){0,4}")
_LONG_WORD = re.compile(r"[^\W_]{3,}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_JOINED = re.compile(r"[^\W\d_]{4,60}")
MIN_SHARE = 0.5
"""Of the characters that are not blanks, what stands in words of three letters or more."""


def words_of(text: str) -> Counter[str]:
    """Return how often each word occurs; case, ligatures and widths do not matter."""
    return Counter(_words(text))


def in_order(text: str) -> str:
    """Return the words of a text with single blanks between them, alike as ``words_of`` has it."""
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    folded = _folded(text)
    form = _ONE_SCRIPT if folded.isascii() or not _UNPARTED.search(folded) else _WORD
    return form.findall(folded)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def lost_words(wanted: Counter[str], found: Counter[str]) -> int:
    """Return how many of the wanted words are missing."""
    return (wanted - found).total()


def word_recall(wanted: str, found: str) -> float:
    """Return the share of the wanted text's words that the other text has, 1.0 for no words."""
    words = words_of(wanted)
    return 1.0 if not words else 1.0 - lost_words(words, words_of(found)) / words.total()


def is_text(text: str) -> bool:
    """Return whether a reader of pictures found words, not what it sees in photographs."""
    return share_in_words(text) >= MIN_SHARE


def share_in_words(text: str) -> float:
    """Return the share of a text's characters, without blanks, that stand in words of three."""
    inside = sum(len(word[0]) for word in _LONG_WORD.finditer(text))
    return inside / len("".join(text.split())) if inside else 0.0


def join_split_words(text: str, reference: Counter[str]) -> str:
    """Return text in which words stand whole that a reader parted at a ligature.

    ``ef ficient`` is one word where the reference has ``efficient`` and one of the parts is none of
    its words.
    """

    def joined(pair: re.Match[str]) -> str:
        whole = pair[1] + pair[2]
        whole = whole.lower() if whole.isascii() else _folded(whole)
        if whole not in reference:
            return pair[0]
        parts = words_of(f"{pair[1]} {pair[2]}")
        return pair[0] if parts.keys() <= reference.keys() else pair[1]

    return _PAIR.sub(joined, text)


def part_joined_words(text: str, lost: Counter[str], reference: str) -> str:
    """Return text in which two lost words stand apart that a reader joined at a line's end.

    It takes the dash there for a hyphen: ``typewriters—`` and ``reflects`` became one word. The
    mark between them is the reference's.
    """
    starts = tuple({word[:2] for word in lost})

    def parted(word: re.Match[str]) -> str:
        if not word[0].casefold().startswith(starts):
            return word[0]
        for place in range(1, len(word[0])):
            first, second = word[0][:place], word[0][place:]
            if lost[_folded(first)] and lost[_folded(second)]:
                between = re.search(rf"\b{first}([^\w\s]?)\s+{second}\b", reference)
                if between:
                    return f"{first}{between[1]} {second}"
        return word[0]

    return _JOINED.sub(parted, text)


def restore_beginning(text: str, page_text: str) -> str:
    """Return text with the letters that a reader dropped before a ligature at its beginning.

    ``ficient`` and ``f icient`` are ``Efficient`` where the page has that word before the same
    words, and only that.
    """
    for candidate in (text, text.replace(" ", "", 1)):
        start = _BEGINNING.match(candidate)
        if not start:
            continue
        words = r"\s+".join(map(re.escape, start[0].split()))
        missing = set(re.findall(rf"(?<!\w)([^\W\d_]{{1,3}}){words}", page_text))
        if len(missing) == 1:
            return missing.pop() + candidate
    return text
