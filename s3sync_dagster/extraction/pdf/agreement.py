"""Headings seen over a whole document: lines that are numbered or set as its other headings are.

A page alone does not tell ``I. INTRODUCTION`` in the body's letters from an item of a list, but the
document does: ``II.`` and ``III.`` stand in the same letters, with text between them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.titles import (
    MAX_WORDS,
    NUMBERED,
    SENTENCE_END,
    is_capital,
    is_no_heading,
    is_title,
    without_start,
)

_NUMBER = re.compile(
    r"(?P<digits>(?:\d{1,2}|[A-Z](?=\.\d))(?:\.\d{1,2})*)(?P<end>[.)]?)\s+|(?P<letters>[IVXLC]+|[A-Z])\.\s+"
)
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_MIN_CHAIN = 3
"""Numbers in a row that prove each other."""
_MIN_TEXT_WORDS = 12
"""Between two of them; items of a list follow each other, or hold their text."""
_MIN_ALIKE = 3
"""Headings in the same letters, which make a line in such letters one."""
_LARGE = 1.3
"""Of a title's letters and the body's."""
_MIN_SHARE = 0.6
"""Of the lines in these letters that are headings already."""
Style = tuple[str, float]


@dataclass(frozen=True, slots=True)
class _Numbered:
    page: int
    place: int
    style: Style
    title: str
    value: int
    """The last part of its number."""
    above: tuple[int, ...]
    """The parts before."""
    words_before: int
    """Words of text in the document up to it."""


def agree(pages: Sequence[list[Block]], lines: Counter[Style], *, body: Style) -> None:
    """Make headings of the lines that the document's other headings prove to be some.

    ``lines`` counts all lines of the document by font and size; ``body`` is running text's.
    """
    chains = _chains(pages)
    proven = [one for found in chains for one in found]
    capitals = _in_capitals(chains)
    for one in sorted(proven, key=lambda one: (one.page, one.place), reverse=True):
        _promote(pages[one.page], one.place, one.title, level=len(one.above) + 1)
    alike = _styles_of_headings(pages, lines, body=body)
    for blocks in pages:
        for place, block in enumerate(blocks):
            text = block.text.strip("* ")
            level = alike.get(block.style) if block.style else None
            level = level or (
                capitals.get(block.style) if block.style and is_capital(text) else None
            )
            if level and block.kind == "paragraph" and _may_be(text) and is_title(text):
                _promote(blocks, place, text, level=level)
    _without_labels(pages, body=body)


def _without_labels(pages: Sequence[list[Block]], *, body: Style) -> None:
    """Make text of headings in letters in which no heading of the document heads any text.

    They are labels in figures. Titles in large letters may stand above what is no text.
    """
    labels: dict[Style, list[Block]] = defaultdict(list)
    heading: set[Style] = set()
    title = next((block for block in pages[0] if block.kind == "heading"), None) if pages else None
    for blocks in pages:
        heads = True  # the text goes on on the next page
        for block in reversed([block for block in blocks if block.kind != "rule"]):
            if block.kind == "heading" and block.style is not None:
                if heads or block is title or NUMBERED.match(block.text):
                    heading.add(block.style)
                labels[block.style].append(block)
            elif block.kind != "heading":
                is_long = len(block.text.split()) >= _MIN_TEXT_WORDS
                heads = block.kind != "paragraph" or block.is_entry or is_long
    for style in labels.keys() - heading:
        if style[1] < _LARGE * body[1]:
            for block in labels[style]:
                block.kind, block.level = "paragraph", 0


def _chains(pages: Sequence[list[Block]]) -> list[list[_Numbered]]:
    """Return rows of numbered lines in the same letters that count on, with text between them."""
    waiting: dict[tuple[Style, str, tuple[int, ...]], list[_Numbered]] = defaultdict(list)
    done: list[list[_Numbered]] = []
    for key, one in _numbered(pages):
        row = waiting[key]
        if row and one.value == row[-1].value + 1:
            if one.words_before - row[-1].words_before >= _MIN_TEXT_WORDS:
                row.append(one)
            else:
                row.clear()
        elif one.value == 1:
            done.append(list(row))
            row[:] = [one]
    done += waiting.values()
    return [row for row in done if len(row) >= _MIN_CHAIN]


def _in_capitals(chains: Sequence[Sequence[_Numbered]]) -> dict[Style, int]:
    """Return the letters in which numbered headings are capitals, with their level.

    ``REFERENCES`` and ``APPENDIX`` stand beside these without a number.
    """
    return {
        row[0].style: len(row[0].above) + 1
        for row in chains
        if all(is_capital(_NUMBER.sub("", one.title, count=1)) for one in row)
    }


def _numbered(
    pages: Sequence[list[Block]],
) -> list[tuple[tuple[Style, str, tuple[int, ...]], _Numbered]]:
    found: list[tuple[tuple[Style, str, tuple[int, ...]], _Numbered]] = []
    words = 0
    for page, blocks in enumerate(pages):
        for place, block in enumerate(blocks):
            text = _line(block)
            number = _NUMBER.match(text) if block.style and _may_be(text) else None
            if number and is_title(text[number.end() :]):
                parts = _parts(number)
                style = block.style or ("", 0.0)
                one = _Numbered(page, place, style, text, parts[-1], parts[:-1], words)
                found.append(((style, _form(number), parts[:-1]), one))
                words += len(block.text.split()) if block.first_line else 0
            else:
                words += len(block.text.split())
    return found


def _line(block: Block) -> str:
    if block.first_line:
        return block.first_line
    text = block.text.strip("* ")
    return f"{block.marker} {text}" if block.kind == "list_item" and block.ordered else text


def _form(number: re.Match[str]) -> str:
    if number["digits"]:
        return "1" + (number["end"] or "")
    return "I" if len(number["letters"]) > 1 or number["letters"] in "IVX" else "A"


def _parts(number: re.Match[str]) -> tuple[int, ...]:
    if number["digits"]:
        first, *others = number["digits"].split(".")
        return (int(first) if first.isdigit() else -ord(first), *map(int, others))
    letters = number["letters"]
    if _form(number) == "A":
        return (ord(letters) - ord("A") + 1,)
    values = [_ROMAN[letter] for letter in letters]
    later = [*values[1:], 0]
    return (sum(-v if v < after else v for v, after in zip(values, later, strict=True)),)


def _styles_of_headings(
    pages: Sequence[list[Block]], lines: Counter[Style], *, body: Style
) -> dict[Style, int]:
    """Return the letters in which lines are headings, with the level of most of these."""
    levels: dict[Style, Counter[int]] = defaultdict(Counter)
    for block in (block for blocks in pages for block in blocks):
        if block.kind == "heading" and block.style:
            levels[block.style][block.level] += 1
    return {
        style: counted.most_common(1)[0][0]
        for style, counted in levels.items()
        if counted.total() >= max(_MIN_ALIKE, _MIN_SHARE * lines[style])
        and style != body
        and style[1] >= body[1]
    }


def _may_be(text: str) -> bool:
    return (
        0 < len(text.split()) <= MAX_WORDS
        and not SENTENCE_END.search(text)
        and not is_no_heading(text)
        and "*" not in text
    )


def _promote(blocks: list[Block], place: int, title: str, *, level: int) -> None:
    block = blocks[place]
    if block.first_line:
        start = block.first_line.removeprefix(block.marker).strip()
        rest = without_start(block.text, start)
        if rest is None:
            return
        step = min(14.0, block.height / 2)
        below = replace(block, kind="paragraph", text=rest, marker="", first_line="", style=None)
        below.top, below.height = block.top + step, block.height - step
        block.height, block.first_line = step, ""
        blocks.insert(place + 1, below)
    if block.kind != "heading":
        block.kind, block.text, block.level = "heading", title, min(6, level)
