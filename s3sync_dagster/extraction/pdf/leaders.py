"""Dots that lead from a name to its page."""

import re
from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.grids import Word

PAGE = re.compile(r"\d{1,4}|(?=[ivxl])(?:xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
"""A number of a page; small Roman ones stand before a book's first chapter."""
_LED = re.compile(rf"(?P<name>.*?)(?P<dots>[.·…]*)(?P<page>{PAGE.pattern})")
_DOTS = ".·…"
_MIN_DOTS = 3


def without_leaders(line: Sequence[Word]) -> list[Word]:
    """Return a line without the dots between its name and its page, as it is without such.

    Dots may stand in words of their own, at the name's end and before the page. Dots elsewhere
    stay, so that a line with two runs of them is told by these. A full stop at the name's end is
    one of the dots, from which nothing tells it.
    """
    found = _LED.fullmatch(line[-1].text)
    if found is None or found["name"] and not found["dots"]:
        return [*line]
    dots, rest = found["dots"], [*line[:-1]]
    if found["name"]:
        rest.append(_part(line[-1], 0, len(found["name"])))
    else:
        while rest and not rest[-1].text.strip(_DOTS):
            dots += rest.pop().text
        if rest:
            name = rest[-1].text.rstrip(_DOTS)
            dots += rest[-1].text[len(name) :]
            rest[-1] = _part(rest[-1], 0, len(name))
    if not rest or len(dots.replace("…", "...")) < _MIN_DOTS:
        return [*line]
    return [*rest, _part(line[-1], len(line[-1].text) - len(found["page"]), len(line[-1].text))]


def _part(word: Word, start: int, end: int) -> Word:
    """Return some letters of a word, where they stand if all are as wide."""
    letter = word.width / len(word.text)
    return word._replace(
        text=word.text[start:end],
        left=word.left + word.width - letter * (len(word.text) - start),
        width=letter * (end - start),
    )
