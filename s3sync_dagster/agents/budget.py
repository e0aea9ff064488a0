"""Answers of a bounded size: what is cut, and that it is said."""

from collections.abc import Sequence

QUOTE = "| "
"""Before each line of a document's text: nothing in it can pass for ours."""


def shares(sizes: Sequence[int], budget: int) -> list[int]:
    """Return how much of each text fits; short ones leave what they do not need to the others."""
    found = [0] * len(sizes)
    left = max(0, budget)
    for done, place in enumerate(sorted(range(len(sizes)), key=lambda one: sizes[one])):
        found[place] = min(sizes[place], left // (len(sizes) - done))
        left -= found[place]
    return found


def quoted(text: str) -> str:
    """Return a document's text with the mark before each line."""
    return "\n".join(QUOTE + line for line in text.splitlines())


def cut(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, up to the end of a word where one is near."""
    if len(text) <= most:
        return text
    kept = text[:most]
    blank = max(kept.rfind(" "), kept.rfind("\n"))
    return kept[:blank] if blank > 0.8 * most else kept


def line(text: str) -> str:
    """Return a text as one line: what a document says of itself must not look like our answer."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
