"""Tables of contents: names at the left and their pages at the right, as rows.

Dots lead to the pages, or a file draws none, or layout analysis drops them. It then makes
paragraphs of the names alone, and one of all the pages, or none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, cells_in, lines_of
from s3sync_dagster.extraction.pdf.kept_words import LEADERS, keeps_words
from s3sync_dagster.extraction.pdf.leaders import PAGE, without_leaders
from s3sync_dagster.extraction.pdf.table_lines import SHIFT, with_whole_numbers, words_of_texts
from s3sync_dagster.extraction.pdf.text_layer import plain

_LAST = frozenset("0123456789ivxl")
_ENDS_AS_PAGE = re.compile(rf"(?:.*[.·…])?(?:{PAGE.pattern})")
_LABEL = re.compile(r"[A-Z]{0,2}\d{1,3}(?:[.-]\d{1,3})*[.):]?|[A-Z]{1,5}[.)]?")
_DIVISION = re.compile(
    r"(?:PART|BOOK|SECTION|VOLUME|UNIT|TEIL|BUCH|BAND|ABSCHNITT|PARTIE|LIVRE|PARTE|LIBRO)\s+"
    r"(?:\d{1,3}|[IVXL]{1,6}|[A-Z]|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN)\b",
    re.IGNORECASE,
)
_COUNTS = re.compile(r"[a-z]|[a-z]{1,5}[.)]")
_MARK_APART = re.compile(r"(?<=\d) \.(?=\s|$)")
_KINDS = ("paragraph", "heading", "list_item", "code", "table")
_MIN_ENTRIES = 6
"""Below each other; fewer lines with a number are as often something else."""
_MIN_GAP = 1.0
"""Between a name and its page, in heights of the line."""
_MIN_USUAL_GAP = 4.0
_MAX_STEP = 2.8
"""From line to line, in heights."""
_MAX_FIRST_STEP = 2.0
"""The same, from the page's first line; a running head is further away."""
_MIN_SHARE = 0.6
"""Of the lines from the first page to the last that have one."""
_MIN_WIDE = 0.5
"""Share of the width to the pages that a name fills before it goes on below."""
_MAX_OVERLAP = 0.3
"""Of two words of a line, in heights; more, or more between their middles, are lines that mix."""
_YEARS = 1000
"""Contents begin before this page; numbers that are all above are years or amounts."""


def find_contents(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which names and the pages far to their right are the rows of a table.

    The pages end at one edge, with nothing behind them, and do not go back. Blocks stay as they
    are where a line among the entries is of another kind, or a word would be lost.
    """
    if not _may_have_pages(words):
        return blocks
    drawn = [with_whole_numbers(line) for line in lines_of([*words])]
    led = [without_leaders(line) for line in drawn]
    pages = _pages([line[-1] for line in led])
    if len(pages) < _MIN_ENTRIES:
        return blocks
    edge = max(page.left + page.width for page in pages)
    ends = set(pages)
    lines = [one if one[-1] in ends else line for one, line in zip(led, drawn, strict=True)]
    entries = [number for number, line in enumerate(lines) if _is_entry(line, ends)]
    out = blocks
    for run in _runs(entries, lines):
        out = _with_table(out, lines[run[0] : run[-1] + 1], words, edge=edge, above=lines[: run[0]])
    return out if out is blocks or keeps_words(blocks, out, words) else blocks


def _may_have_pages(words: Sequence[Word]) -> bool:
    """Return whether numbers enough end at one edge; without them no line need be made."""
    edges = Counter(
        round((word.left + word.width) / SHIFT)
        for word in words
        if word.text[-1:] in _LAST and _ENDS_AS_PAGE.fullmatch(word.text)
    )
    return any(edges[at - 1] + edges[at] + edges[at + 1] >= _MIN_ENTRIES for at in [*edges])


def _pages(words: Sequence[Word]) -> list[Word]:
    """Return the numbers of pages that end at the edge where most do."""
    by_edge: dict[int, list[Word]] = defaultdict(list)
    for word in words:
        if word.text[-1:] in _LAST and PAGE.fullmatch(word.text):
            by_edge[round((word.left + word.width) / SHIFT)].append(word)
    if not by_edge:
        return []
    most = max(by_edge, key=lambda edge: len(by_edge[edge]))
    return [page for edge in (most - 1, most, most + 1) for page in by_edge.get(edge, ())]


def _is_entry(line: Sequence[Word], pages: set[Word]) -> bool:
    return len(line) > 1 and line[-1] in pages and _gap(line) >= _MIN_GAP and _is_name(line[:-1])


def _is_name(line: Sequence[Word]) -> bool:
    """Return whether words are those of one name, which a label may stand before."""
    text = " ".join(word.text for word in line)
    if LEADERS.search(text) or not any(map(str.isalpha, text)):
        return False
    if any(
        after.left - before.left - before.width < -_MAX_OVERLAP * before.height
        or abs(after.middle - before.middle) > _MAX_OVERLAP * max(before.height, after.height)
        for before, after in pairwise(line)
    ):
        return False
    labels = [*cells_in([*line])][:-1]
    return not labels or len(labels) == 1 and _LABEL.fullmatch(labels[0].text) is not None


def _gap(line: Sequence[Word]) -> float:
    """Return the white before the last word, in its height."""
    before, last = line[-2], line[-1]
    return (last.left - before.left - before.width) / (last.height or 1.0)


def _runs(entries: list[int], lines: list[list[Word]]) -> Iterator[list[int]]:
    """Yield the entries that follow each other, where these are those of contents."""
    run: list[int] = []
    for number, following in pairwise([*entries, -1]):
        run.append(number)
        near = lines[number : following + 1]
        most = _MAX_STEP if number else _MAX_FIRST_STEP
        if (
            following < 0
            or _place(near[-1][-1].text) < _place(near[0][-1].text)
            or any(b[0].middle - a[0].middle > most * b[0].height for a, b in pairwise(near))
        ):
            if _are_contents([lines[one] for one in run], of=run[-1] - run[0] + 1):
                yield run
            run = []


def _are_contents(entries: list[list[Word]], *, of: int) -> bool:
    if len(entries) < max(_MIN_ENTRIES, _MIN_SHARE * of):
        return False
    first, last = entries[0][-1].text, entries[-1][-1].text
    if first == last or _place(first) >= (True, _YEARS):
        return False
    alike = sum(line[0].text.rstrip(".):") == line[-1].text for line in entries)
    if alike > len(entries) / 2:
        return False  # lines of a form, which say their number on both sides
    return median(map(_gap, entries)) >= _MIN_USUAL_GAP


def _place(page: str) -> tuple[bool, int]:
    """Return where a page stands in a book: small Roman numbers come first."""
    if page.isdigit():
        return True, int(page)
    digits = [{"i": 1, "v": 5, "x": 10, "l": 50}[letter] for letter in page]
    less = sum(2 * one for one, after in pairwise(digits) if one < after)
    return False, sum(digits) - less


def _with_table(
    blocks: list[Block],
    lines: list[list[Word]],
    words: Sequence[Word],
    *,
    edge: float,
    above: list[list[Word]],
) -> list[Block]:
    """Return blocks with the lines as a table, as they are where some hold other words too."""
    others = [line for line in lines if not _is_page(line[-1], edge)]
    inside = [word for line in lines for word in line]
    if not all(map(_is_name, others)) or any(
        word.left + word.width > edge + SHIFT for word in inside
    ):
        return blocks
    if (rows := _rows(lines, edge=edge)) is None:
        return blocks
    head = above[-1] if above else []
    if len(head) == 1 and head[0].left <= edge <= head[0].left + head[0].width + 2 * SHIFT:
        inside.append(head[0])
        rows.insert(0, ["", plain(head[0].text)])
    first, last = min(word.middle for word in inside), max(word.middle for word in inside)
    taken: list[Block] = []
    for block, its in zip(blocks, words_of_texts(blocks, words), strict=True):
        among = [first - SHIFT <= word.middle <= last + SHIFT for word in its]
        if not any(among):
            continue
        if not all(among) or block.kind not in _KINDS:
            return blocks
        if block.kind == "table" and _has_pages(block, its, lines[0][-1]):
            return blocks
        taken.append(block)
    if not taken:
        return blocks
    top = min(word.top for word in inside)
    bottom = max(word.top + word.height for word in inside)
    left = min(word.left for word in inside)
    table = Block(
        kind="table",
        rows=rows,
        first_row=rows[0],
        top=top,
        height=bottom - top,
        left=left,
        width=edge - left,
    )
    start, gone = id(taken[0]), {*map(id, taken)}
    gone |= {
        id(one)
        for one in blocks
        if one.kind == "rule" and top < one.top < bottom and one.left + one.width <= edge + SHIFT
    }
    return [table if id(one) == start else one for one in blocks if id(one) not in gone - {start}]


def _has_pages(table: Block, its: list[Word], page: Word) -> bool:
    """Return whether a table has the page in a cell, and no dots before it."""
    if any(LEADERS.search(cell) for row in table.rows for cell in row):
        return False
    right = page.left + page.width
    return any(
        word.top == page.top and abs(word.left + word.width - right) <= SHIFT for word in its
    )


def _rows(lines: list[list[Word]], *, edge: float) -> list[list[str]] | None:
    """Return a row for each entry; a line without a page goes on in its name, or is alone.

    None where a wide one may as well be of the entry above: numbers or indents have to tell.
    """
    left = min(line[0].left for line in lines)
    rows: list[list[str]] = []
    before = ""
    for number, line in enumerate(lines):
        if _is_page(line[-1], edge):
            rows.append([f"{before} {_text(line[:-1])}".strip(), plain(line[-1].text)])
            before = ""
            continue
        text = _text(line)
        above, below = lines[number - 1], lines[number + 1]
        is_left = [one[0].left <= line[0].left + SHIFT for one in lines[number + 1 :][:2]]
        heads = is_left == [False, False]  # entries below it, not the rest of its name
        is_wide = line[-1].left + line[-1].width - left >= _MIN_WIDE * (edge - left)
        if not before and _is_head(line, above, below, edge=edge, by_indent=heads):
            rows.append([text, ""])
            continue
        if not before and is_wide and _DIVISION.match(text) and not _goes_on(below):
            return None
        if _has_label(line) or not _has_label(below[:-1]):
            if is_wide and not before and is_left[0] and not _has_label(line):
                return None
            if before or (is_wide and not heads):
                before = f"{before} {text}".strip()
                continue
        elif not before and line[0].left > above[0].left + SHIFT:
            rows[-1][0] += f" {text}"
            continue
        rows.append([f"{before} {text}".strip(), ""])
        before = ""
    return rows


def _is_head(
    line: list[Word], above: list[Word], below: list[Word], *, edge: float, by_indent: bool
) -> bool:
    """Return whether entries follow a line without a page, not the rest of its name.

    Capitals tell, or what the line calls itself and the labels or the indent of these.
    """
    before, after = (one[:-1] if _is_page(one[-1], edge) else one for one in (above, below))
    if _goes_on(after):
        return False
    is_division = _DIVISION.match(_text(line)) is not None
    if is_division and (by_indent or _has_label(after)):
        return True
    is_apart = is_division or not _in_capitals(before) or line[0].left <= above[0].left + SHIFT
    return is_apart and _in_capitals(line) and not _in_capitals(after, least=1)


def _goes_on(line: Sequence[Word]) -> bool:
    """Return whether a line begins with a small letter, and not with one that counts (``a)``)."""
    first = line[0].text
    return first[:1].islower() and _COUNTS.fullmatch(first) is None


def _in_capitals(line: Sequence[Word], *, least: int = 2) -> bool:
    words = [word.text for word in line if any(map(str.isalpha, word.text))]
    return len(words) >= least and all(map(str.isupper, words))


def _text(line: Sequence[Word]) -> str:
    return _MARK_APART.sub(".", plain(" ".join(word.text for word in line)))


def _is_page(word: Word, edge: float) -> bool:
    return abs(word.left + word.width - edge) <= 2 * SHIFT and bool(PAGE.fullmatch(word.text))


def _has_label(line: Sequence[Word]) -> bool:
    return any(_LABEL.fullmatch(word.text) for word in line[:2])
