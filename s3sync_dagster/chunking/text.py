"""Cuts inside text without structure: paragraphs, lines, sentences, clauses, words, characters."""

import re
from collections.abc import Iterator

from s3sync_dagster.chunking.anchors import anchored_cut

BLANK_LINE = 0.3
LINE = 1.0
SENTENCE = 1.6
CLAUSE = 4.0
SPACE = 6.0
CHARACTER = 9.0

# Possessive: hostile blanks stay linear.
_LINE_BREAK = re.compile(rb"(?:\r\n?+|\n)((?:[ \t\x0b\x0c]*+(?:\r\n?+|\n))*+)")
_BLANK_START = re.compile(rb"[ \t\x0b\x0c]*+[\r\n]")
_SENTENCE_END = re.compile(
    rb"(?:[.!?][\"')\]]*|\xe3\x80\x82|\xef\xbc\x81|\xef\xbc\x9f)[ \t]+"  # ASCII marks, then 。！？
    rb"|\xe3\x80\x82|\xef\xbc\x81|\xef\xbc\x9f"
)
_CLAUSE_END = re.compile(rb"[;:,][ \t]+|\xe3\x80\x81|\xef\xbc\x8c")
_SPACE = re.compile(rb"[ \t\x0b\x0c]+|[,;|&]")


def text_cuts(data: bytes, start: int, end: int, limit: int) -> Iterator[tuple[int, float]]:
    """Yield positions and costs inside ``data[start:end]`` that leave no gap above ``limit``."""
    last = start
    long_line = limit // 4
    for position, cost in _line_cuts(data, start, end):
        if position - last > long_line:
            yield from _line_inside(data, last, position, limit)
        yield position, cost
        last = position
    if end - last > long_line:
        yield from _line_inside(data, last, end, limit)


def _line_cuts(data: bytes, start: int, end: int) -> list[tuple[int, float]]:
    """Return the beginnings of lines that are not blank."""
    breaks = _LINE_BREAK.finditer(data, start, end)
    cuts = [(found.end(), BLANK_LINE if found[1] else LINE) for found in breaks]
    if cuts and cuts[-1][0] == end:
        cuts.pop()
    if cuts and _BLANK_START.match(data, start, end):
        cuts[0] = (cuts[0][0], BLANK_LINE)
    return cuts


def _line_inside(data: bytes, start: int, end: int, limit: int) -> Iterator[tuple[int, float]]:
    """Yield cuts inside one long line: sentences, and finer ones only where a gap needs them."""
    last = start
    for match in _SENTENCE_END.finditer(data, start, end):
        position = match.end()
        if position >= end:
            break
        if position - last > limit:
            yield from _forced(data, last, position, limit)
        yield position, SENTENCE
        last = position
    if end - last > limit:
        yield from _forced(data, last, end, limit)


def _forced(data: bytes, start: int, end: int, limit: int) -> Iterator[tuple[int, float]]:
    """Yield cuts inside a sentence longer than ``limit``: clauses, words, at last characters."""
    grain = max(1, limit // 16)
    for pattern, cost in ((_CLAUSE_END, CLAUSE), (_SPACE, SPACE)):
        cuts = [match.end() for match in pattern.finditer(data, start, end) if match.end() < end]
        if cuts and max(b - a for a, b in zip([start, *cuts], [*cuts, end], strict=True)) <= limit:
            for position in _thinned([*cuts, end], start, grain, limit):
                yield position, cost
            return
    last = start
    spaces = (match.end() for match in _SPACE.finditer(data, start, end))
    for position in (*spaces, end):
        while position - last > limit:
            last = _character_cut(data, last, limit)
            yield last, CHARACTER
        if position < end and position - last >= grain:
            yield position, SPACE
            last = position


def _character_cut(data: bytes, start: int, limit: int) -> int:
    """Return where to cut text without blanks: in the last quarter, at the same content again."""
    position = anchored_cut(data, start + limit - max(1, limit // 4), start + limit)
    return character_start(data, position, start)


def _thinned(cuts: list[int], start: int, grain: int, limit: int) -> Iterator[int]:
    """Yield cuts at least ``grain`` apart where that leaves no gap above ``limit``."""
    last = before = start
    for position in cuts:
        if position - last > limit:
            yield before
            last = before
        if position - last >= grain and position != cuts[-1]:
            yield position
            last = position
        before = position


def character_start(data: bytes, position: int, low: int) -> int:
    """Return the last position up to ``position`` that is neither in a character nor in a CRLF."""
    while position > low + 1 and position < len(data) and inside_character(data, position):
        position -= 1
    return position


def inside_character(data: bytes, position: int) -> bool:
    """Tell whether a cut at ``position`` would break a UTF-8 sequence or a CRLF."""
    byte = data[position]
    return byte & 0xC0 == 0x80 or (byte == 10 and data[position - 1] == 13)
