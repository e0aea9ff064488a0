"""How much of a known text a reader gives, 0 to 1; structure counts where the truth has some."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from s3sync_dagster.extraction.words import words_of

_WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
_MAX_WORDS = 20_000
"""Of which the order is looked at."""
_MARKUP = re.compile(
    r"<!--.*?-->|<[/!]?[a-zA-Z][^<>]*>|!?\[([^\[\]]*)\]\([^()\s]*\)|&(?:amp|lt|gt|nbsp);"
)
_TABLE_LINE = re.compile(r"^\s*\|(.+)\|\s*$", re.MULTILINE)
_RULER = re.compile(r"[|\s:+-]+")
_HEADING = re.compile(r"^#{1,6}[ ]+(.+)$", re.MULTILINE)
_SECTION_NUMBER = re.compile(r"\W*(?:\d+|[A-Z](?=\.\d))(?:\.\d+)*")
_SELDOM_NAMED = re.compile(
    r"\W*(?:[\dA-Z]{1,3}[.\s]+)?(?:abstract|summary|(?:table of )?contents|key ?words|index terms"
    r"|general terms|categories and subject descriptors|ccs concepts|acm reference format"
    r"|acknowledge?ments?|references|bibliography)\W*",
    re.IGNORECASE,
)
_HTML_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL | re.IGNORECASE)
_HTML_CELL = re.compile(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scores:
    """What one reader gives of one file."""

    recall: float
    """Share of the truth's words that are there."""
    precision: float
    """Share of the words there that are the truth's."""
    order: float
    """Longest common sequence of the words that both have, as share of these."""
    cells: float | None
    """F1 of the pairs of neighbours in tables: a cell and the one to its right."""
    headings: float | None
    """F1 of the headings' words, level aside."""


NOTHING = Scores(0.0, 0.0, 0.0, 0.0, 0.0)


def score(truth: str, found: str) -> Scores:
    plain_truth, plain_found = _plain(truth), _plain(found)
    wanted, given = words_of(plain_truth), words_of(plain_found)
    common = wanted & given
    return Scores(
        recall=common.total() / max(1, wanted.total()),
        precision=common.total() / max(1, given.total()),
        order=_order(plain_truth, plain_found, common),
        cells=_f1(_pairs(truth), _pairs(found)),
        headings=_f1(_headings(truth), _headings(found)),
    )


def _plain(markdown: str) -> str:
    text = _MARKUP.sub(lambda found: f" {found[1] or ''} ", markdown)
    return text.replace("\\", "")


def _sequence(text: str, common: Counter[str]) -> list[str]:
    left = Counter(common)
    out: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if len(out) == _MAX_WORDS:
            break
        if left[word] > 0:
            left[word] -= 1
            out.append(word)
    return out


def _order(truth: str, found: str, common: Counter[str]) -> float:
    one, other = _sequence(truth, common), _sequence(found, common)
    return longest_common(one, other) / max(1, min(len(one), len(other)))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common sequence (Hyyrö's bits, one integer a row)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(one)) - 1
    row = whole
    for word in other:
        both = row & places.get(word, 0)
        row = (row + both) | (row - both)
    return len(one) - (row & whole).bit_count()


def _pairs(markdown: str) -> Counter[str]:
    rows = [
        re.split(r"(?<!\\)\|", line)
        for line in _TABLE_LINE.findall(markdown)
        if not _RULER.fullmatch(line)
    ]
    rows += [_HTML_CELL.findall(row) for row in _HTML_ROW.findall(markdown)]
    found: Counter[str] = Counter()
    for row in rows:
        cells = [" ".join(words_of(_plain(cell))) for cell in row]
        filled = [cell for cell in cells if cell]
        found.update(f"{a} | {b}" for a, b in pairwise(filled))
        if len(filled) == 1:
            found[filled[0]] += 1
    return found


def _headings(markdown: str) -> Counter[str]:
    lines = (" ".join(words_of(_plain(line))) for line in _HEADING.findall(markdown))
    return Counter(line for line in lines if line)


def named_headings(truth: str, found: str) -> float | None:
    """Return F1 of headings where the truth is a file's own outline, which leaves some out.

    What outlines hardly ever name counts neither way: the document's title, its abstract,
    references and the like, and sections deeper than the deepest that the outline numbers.
    """
    wanted = _headings(truth)
    depth = max((_depth(line) for line in _HEADING.findall(truth)), default=0)
    lines = _HEADING.findall(found)
    judged = [
        line
        for place, line in enumerate(lines)
        if _headings(f"# {line}") & wanted
        or not (place == 0 or _SELDOM_NAMED.fullmatch(line) or (depth and _depth(line) > depth))
    ]
    return _f1(wanted, _headings("\n".join(f"# {line}" for line in judged)))


def _depth(heading: str) -> int:
    number = _SECTION_NUMBER.match(heading)
    return number[0].count(".") + 1 if number else 0


def _f1(wanted: Counter[str], given: Counter[str]) -> float | None:
    """Return the harmonic mean of recall and precision, None where nothing is wanted."""
    if not wanted:
        return None
    return 2 * (wanted & given).total() / (wanted.total() + given.total())
