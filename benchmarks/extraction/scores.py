"""Three scores of extracted Markdown against the Markdown that a PDF was made from, 0 to 1.

NID  reading order: similarity of the two word sequences (matching blocks, tables included).
TEDS tables: edit similarity of rows and cells, averaged over the tables of the truth; 0 for a
     table that is not found.
MHS  headings: similarity of the two sequences of headings and the text lengths below them; levels
     do not count.
"""

import difflib
import re
import unicodedata

from s3sync_dagster.extraction.words import words_of

_WORD = re.compile(r"[^\W_]+")
_TABLE = re.compile(r"((?:^\|.*\|[ ]*\n?)+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}[ ]+(.+)$", re.MULTILINE)


def words(markdown: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", markdown).casefold())


def ratio(one: list, other: list) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def nid(truth: str, found: str) -> float:
    return ratio(words(truth), words(found))


def tables(markdown: str) -> list[list[list[str]]]:
    found = []
    for block in _TABLE.findall(markdown):
        rows = [
            [" ".join(words(cell)) for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            for line in block.strip().splitlines()
            if not re.fullmatch(r"[|\s:-]+", line)
        ]
        if rows:
            found.append(rows)
    return found


def table_similarity(one: list[list[str]], other: list[list[str]]) -> float:
    """Return 1 minus the edits (insert, delete or change a cell) per cell of the larger table."""
    costs = [[0.0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if i == j == 0:
                continue
            options = []
            if i:
                options.append(costs[i - 1][j] + len(one[i - 1]) + 1)
            if j:
                options.append(costs[i][j - 1] + len(other[j - 1]) + 1)
            if i and j:
                options.append(costs[i - 1][j - 1] + _row_distance(one[i - 1], other[j - 1]))
            costs[i][j] = min(options)
    size = max(sum(len(row) + 1 for row in table) for table in (one, other))
    return max(0.0, 1.0 - costs[-1][-1] / size)


def _row_distance(one: list[str], other: list[str]) -> float:
    previous = [float(j) for j in range(len(other) + 1)]
    for i, cell in enumerate(one, start=1):
        current = [float(i)]
        for j, candidate in enumerate(other, start=1):
            change = 1.0 - difflib.SequenceMatcher(None, cell, candidate).ratio()
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + change))
        previous = current
    return previous[-1]


def teds(truth: str, found: str) -> float | None:
    wanted, candidates = tables(truth), tables(found)
    if not wanted:
        return None
    scores = []
    for table in wanted:
        best = max(
            range(len(candidates)),
            key=lambda i: table_similarity(table, candidates[i]),
            default=None,
        )
        scores.append(0.0 if best is None else table_similarity(table, candidates.pop(best)))
    return sum(scores) / len(scores)


def mhs(truth: str, found: str) -> float | None:
    wanted = [" ".join(words(heading)) for heading in _HEADING.findall(truth)]
    if not wanted:
        return None
    got = [" ".join(words(heading)) for heading in _HEADING.findall(found)]
    size = max(len(wanted), len(got))
    costs = _row_distance(wanted, got)
    return max(0.0, 1.0 - costs / size)


def recall(truth: str, found: str) -> float:
    wanted = words_of(truth)
    return 1.0 - (wanted - words_of(found)).total() / max(1, wanted.total())
