"""What stands together in the lines of a table's header, and over which columns."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from s3sync_dagster.extraction.pdf.grids import Word

_BLANK = 0.35
"""Between words of one cell, in heights of the line."""
_WIDE_BLANK = 0.6
"""The same, in a line of which a word stands over two columns itself."""
OVER = 1.0
"""Points of a column that a word stands over."""
SHIFT = 2.5
"""Points by which words stand off where they are set below each other."""
_CENTRED = 0.3
"""Of a line's height, by which a cell stands off the middle of the columns below it."""

Columns = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of a line that are of one cell."""

    words: list[Word]
    line: int
    over: list[int]
    """Columns that it stands over."""

    @property
    def text(self) -> str:
        """Its words, with blanks."""
        return " ".join(word.text for word in self.words)

    @property
    def left(self) -> float:
        """Points from the page's left edge to its first letter."""
        return min(word.left for word in self.words)

    @property
    def right(self) -> float:
        """Points from the page's left edge to the end of its last letter."""
        return max(word.left + word.width for word in self.words)


def phrases_in(line: list[Word], number: int, columns: Columns) -> Iterator[Phrase]:
    """Yield what stands together in a line, by the blanks between its words."""
    is_wide = any(len(over_columns([word], columns)) > 1 for word in line)
    start = 0
    for end in range(1, len(line) + 1):
        if end < len(line):
            before, after = line[end - 1], line[end]
            gap = (after.left - before.left - before.width) / max(1.0, before.height)
            if gap <= (_WIDE_BLANK if is_wide else _BLANK):
                continue
        words = line[start:end]
        yield Phrase(
            words, number, over_columns(words, columns) or [nearest_column(words, columns)]
        )
        start = end


def over_columns(words: list[Word], columns: Columns) -> list[int]:
    """Return the columns that words of a line stand over."""
    left, right = words[0].left, words[-1].left + words[-1].width
    return [
        number
        for number, (start, end) in enumerate(columns)
        if min(right, end) - max(left, start) > OVER
    ]


def nearest_column(words: list[Word], columns: Columns) -> int:
    """Return the column that is nearest to the middle of words."""
    middle = (words[0].left + words[-1].left + words[-1].width) / 2
    gaps = [max(left - middle, middle - right, 0.0) for left, right in columns]
    return gaps.index(min(gaps))


def by_cell(phrases: list[Phrase], columns: Columns, *, may_touch: bool) -> list[Phrase]:
    """Return phrases of one cell each: words near each other may be heads of several columns."""
    phrases = _spread(phrases, columns)
    heads = {phrase.over[0] for phrase in phrases if len(phrase.over) == 1}
    by_line = Counter(phrase.line for phrase in phrases)
    out: list[Phrase] = []
    for phrase in phrases:
        is_wide = any(len(over_columns([word], columns)) > 1 for word in phrase.words)
        parts = [] if is_wide or len(phrase.over) == 1 else _by_column(phrase, columns)
        are_heads = (
            may_touch
            and len(parts) == len(phrase.over)
            and all(_is_aligned(part, columns) for part in parts)
        )
        is_title = by_line[phrase.line] == 1 and len(by_line) > 1
        is_above = is_title or heads.issuperset(phrase.over)
        out += parts if parts and (are_heads or not is_above) else [phrase]
    return out


def _spread(phrases: list[Phrase], columns: Columns) -> list[Phrase]:
    """Return phrases of which one that is centred over heads below it stands over all of these."""
    out: list[Phrase] = []
    for phrase in phrases:
        lower = [one for one in phrases if one.line > phrase.line and len(one.over) == 1]
        wide = list(columns)
        for one in lower:
            left, right = wide[one.over[0]]
            wide[one.over[0]] = (min(left, one.left), max(right, one.right))
        taken = {i for one in out if one.line == phrase.line for i in one.over}
        taken |= {i for one in phrases if one.line == phrase.line for i in one.over}
        below = {one.over[0] for one in lower} - (taken - set(phrase.over))
        out.append(replace(phrase, over=_centred(phrase, wide, below)))
    return out


def _centred(phrase: Phrase, columns: Columns, below: set[int]) -> list[int]:
    """Return the fewest columns below a phrase that it is centred over, its own where none are."""
    first, last = phrase.over[0], phrase.over[-1]
    if not below.issuperset(phrase.over) or _is_aligned(phrase, columns):
        return phrase.over
    ranges = [
        range(start, end + 1)
        for start in range(first + 1)
        for end in range(last, len(columns))
        if below.issuperset(range(start, end + 1))
    ]
    middle, shift = (phrase.left + phrase.right) / 2, _CENTRED * phrase.words[0].height
    for over in sorted(ranges, key=len):
        if abs((columns[over[0]][0] + columns[over[-1]][1]) / 2 - middle) <= shift:
            return list(over)
    return phrase.over


def _by_column(phrase: Phrase, columns: Columns) -> list[Phrase]:
    return [
        replace(phrase, words=list(words), over=[column])
        for column, words in groupby(phrase.words, lambda word: nearest_column([word], columns))
    ]


def _is_aligned(phrase: Phrase, columns: Columns) -> bool:
    """Return whether words begin, end or are centred as what stands below them."""
    left, right = columns[phrase.over[0]][0], columns[phrase.over[-1]][1]
    start, end = phrase.left, phrase.right
    shifts = (start - left, end - right, (start + end - left - right) / 2)
    return min(map(abs, shifts)) <= SHIFT
