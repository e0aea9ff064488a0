"""Headings of plain text: underlined titles, as in reStructuredText, and ``== Wiki ==``."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from s3sync_dagster.chunking.markdown import AFTER_HEADING, DEPTH_COST, SECTION_BONUS
from s3sync_dagster.chunking.outline import ROOT, Outline, Scope

MAX_TITLE_BYTES = 200
# Possessive: hostile blanks and marks stay linear.
_UNDERLINE = re.compile(rb"^([=\-~^\"'`#*+])\1{2,}+[ \t]*+\r?$", re.MULTILINE)
_WIKI = re.compile(
    rb"^[ ]?(?P<marks>=(?:[ ]?=){0,5}+)[ \t]*+(?=[^=\s])"
    rb"(?P<title>[^\n]*?[^=\s])[ \t]*+(?P=marks)[ \t]*+\r?$",
    re.MULTILINE,
)
_BLANKS = re.compile(rb"(?:[ \t]*+\r?\n)*+")


class _Title(NamedTuple):
    start: int
    end: int
    """Where the text under it begins."""
    style: bytes
    """What is under it, and over it where there is such a line; the marks of a wiki."""
    text: str


def outline_titles(data: bytes) -> Outline:
    """Return the possible cuts of text: before its titles, and hardly behind them."""
    outline = Outline()
    styles: dict[bytes, int] = {}
    sections: list[tuple[int, Scope]] = []
    for title in sorted([*_underlined(data), *_wiki(data)]):
        # The marks of a wiki tell their level, lines what their order of appearance makes of them.
        marks = title.style.count(b"=") if title.style.startswith(b"wiki") else 0
        level = marks or styles.setdefault(title.style, len(styles) + 1)
        while sections and sections[-1][0] >= level:
            sections.pop()
        scope = (sections[-1][1] if sections else ROOT).inner("heading", title.text)
        sections.append((level, scope))
        cost = DEPTH_COST[min(len(sections), 7)] - SECTION_BONUS
        outline.allow(title.start, cost, scope)
        if title.end < len(data):
            outline.allow(title.end, cost + AFTER_HEADING, scope)
    return outline


def _underlined(data: bytes) -> Iterator[_Title]:
    """Yield lines that stand alone over a line of one sign, at least as long as they are."""
    for under in _UNDERLINE.finditer(data):
        start = data.rfind(b"\n", max(0, under.start() - MAX_TITLE_BYTES), under.start() - 1) + 1
        if start == 0 and under.start() > MAX_TITLE_BYTES:
            continue
        line = data[start : under.start()].decode("utf-8", "replace").rstrip()
        above_start = data.rfind(b"\n", 0, max(0, start - 1)) + 1
        above = data[above_start:start].strip()
        mark = under[0][:1]
        over = bool(above) and above == under[0].strip()
        alone = start == 0 or over or not above
        wide = len(under[0].strip()) >= len(line.strip())
        if not line.strip() or not alone or not wide or (line[0].isspace() and not over):
            continue
        if not any(one.isalnum() for one in line):
            continue
        yield _Title(
            above_start if over else start,
            _behind(data, under.end()),
            mark * (2 if over else 1),
            " ".join(line.split()),
        )


def _wiki(data: bytes) -> Iterator[_Title]:
    for found in _WIKI.finditer(data):
        if found.end("title") - found.start("title") <= MAX_TITLE_BYTES:
            text = " ".join(found["title"].decode("utf-8", "replace").split())
            end = _behind(data, found.end())
            yield _Title(found.start(), end, b"wiki" + found["marks"], text)


def _behind(data: bytes, position: int) -> int:
    """Return the begin of the next line that is not blank."""
    found = _BLANKS.match(data, position)
    return found.end() if found else position
