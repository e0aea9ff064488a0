"""Lines of which dots lead to a value, such as entries of a table of contents: rows of a table.

Layout analysis makes paragraphs of them, with all the dots, or takes the values for texts of their
own after all the names.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, lines_of
from s3sync_dagster.extraction.pdf.rows import is_value
from s3sync_dagster.extraction.pdf.table_lines import words_of_texts
from s3sync_dagster.extraction.pdf.text_layer import plain

_DOTS = re.compile(r"(?:\.\s?){5,}|(?:…\s?){2,}")
_MARKS = ("....", ". . .", "……")
_PAGE = re.compile(r"[ivxlcIVXLC]{1,7}|[A-Z]{1,2}[-.]?\d{1,4}")
"""Numbers of pages besides those that are values anywhere."""
_MARK_APART = re.compile(r"(?<=\d) \.(?=\s|$)")
_MIN_ROWS = 3
_MIN_SHARE = 0.6
"""Of the lines of a block that dots lead from."""
_MAX_GAP = 6.0
"""From the last dot to a value, in heights of the line."""
_KINDS = ("paragraph", "list_item", "heading", "code", "table")


def find_led(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which lines with dots before a value are the rows of a table, without dots.

    A line without dots above one is the beginning of its name. Values that are blocks of their own
    go with their names.
    """
    texts = (text for block in blocks for row in ([block.text], *block.rows) for text in row)
    if not any(mark in text for text in texts for mark in _MARKS):
        return blocks
    own = words_of_texts(blocks, words)
    found: dict[int, tuple[list[list[str]], set[int]]] = {}
    for place, block in enumerate(blocks):
        rows, taken = _rows(place, own) if block.kind in _KINDS else ([], set[int]())
        if block.kind == "table" and len(rows) != len([*lines_of(own[place])]):
            continue  # a header above values
        if rows:
            found[place] = rows, taken
    values = set[int]().union(*(taken for _, taken in found.values()))
    for place in values:
        said = sum(place in taken for _, taken in found.values())
        if place in found or said != 1 or blocks[place].kind not in _KINDS:
            return blocks
    return _with_tables(blocks, found, values)


def _rows(place: int, own: list[list[Word]]) -> tuple[list[list[str]], set[int]]:
    """Return the rows of a block, and the blocks in which their values are; else nothing."""
    lines = list(lines_of(own[place]))
    rows: list[list[str]] = []
    beside: dict[int, int] = defaultdict(int)
    before = ""
    for line in lines:
        text = plain(" ".join(word.text for word in line))
        dots = [*_DOTS.finditer(text)]
        start = text[: dots[0].start()].strip() if dots else ""
        if not any(map(str.isalnum, start)):
            before = f"{before} {text}".strip()
            continue
        values = text[dots[-1].end() :].split()
        for value, other in () if values else _values_beside(place, line[-1], own):
            values.append(value)
            beside[other] += 1
        if not values or not all(map(_is_short, values)):
            return [], set()
        name = _MARK_APART.sub(".", f"{before} {start}".strip())
        rows.append([name, *values])
        before = ""
    if before or len(rows) < _MIN_SHARE * len(lines):
        return [], set()
    whole = all(count == len([*lines_of(own[other])]) for other, count in beside.items())
    return (rows, {*beside}) if whole else ([], set())


def _is_short(value: str) -> bool:
    return is_value(value) or _PAGE.fullmatch(value) is not None


def _values_beside(place: int, dots: Word, own: list[list[Word]]) -> list[tuple[str, int]]:
    """Return the words that follow the last dot in other blocks, and which these are."""
    found: list[tuple[float, float, str, int]] = []
    for other, inside in enumerate(own):
        line = [word for word in inside if abs(word.middle - dots.middle) <= dots.height / 2]
        if other != place and line:
            line.sort(key=lambda word: word.left)
            end = line[-1].left + line[-1].width
            found.append((line[0].left, end, plain(" ".join(w.text for w in line)), other))
    out: list[tuple[str, int]] = []
    edge = dots.left + dots.width
    for left, end, text, other in sorted(found):
        if -dots.height <= left - edge <= _MAX_GAP * dots.height:
            out.append((text, other))
            edge = end
    return out


def _with_tables(
    blocks: list[Block], found: dict[int, tuple[list[list[str]], set[int]]], values: set[int]
) -> list[Block]:
    out: list[Block] = []
    run: list[int] = []
    for place in (*range(len(blocks)), len(blocks)):
        if place in found:
            run.append(place)
            continue
        if place in values:
            continue
        if run:
            out += _table([(blocks[one], found[one]) for one in run], blocks)
            run = []
        if place < len(blocks):
            out.append(blocks[place])
    return out


def _table(
    run: list[tuple[Block, tuple[list[list[str]], set[int]]]], blocks: list[Block]
) -> list[Block]:
    """Return the table of blocks that follow each other, these themselves where it is too short."""
    every_row = [row for _, (rows, _) in run for row in rows]
    width = max(map(len, every_row))
    rows = [[*row, *[""] * (width - len(row))] for row in every_row]
    inside = [block for block, _ in run]
    beside = [blocks[place] for _, (_, taken) in run for place in sorted(taken)]
    if len(rows) < _MIN_ROWS:
        return [*inside, *beside]
    every = (*inside, *beside)
    top, left = min(one.top for one in every), min(one.left for one in every)
    return [
        Block(
            kind="table",
            rows=rows,
            first_row=rows[0],
            top=top,
            left=left,
            height=max(one.top + one.height for one in every) - top,
            width=max(one.left + one.width for one in every) - left,
        )
    ]
