"""The best records by words, by BM25, without a look at every record that has a common word.

FTS5 scores each record that has any word of a question, and most have a common one. Here the rare
words say first which records may be among the best; only those are scored by the common ones too.
What comes of it is what scoring all of them gives.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence

K1 = 1.2
"""Of FTS5's BM25: a word that fills a text counts ``K1 + 1`` times its rarity."""
LEAST_IDF = 1e-6
"""Likewise: rarity of a word that more than half of the records have."""
ROOM = 4
"""Records with a rare word, for each that is asked for, before common words are left to the end."""
FEW = 2000
"""Records with any word of a question that are simply all scored."""

_BEST = """
SELECT rowid, -rank FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank LIMIT ?
"""

Scored = list[tuple[int, float]]
"""Rowids and scores, best first."""
Counted = Sequence[tuple[str, int]]
"""Words as FTS5 asks for them, and how many records have each."""


def best_by_words(
    database: sqlite3.Connection, words: Counted, records: int, *, bm25: str, limit: int
) -> Scored:
    """Return rowids and scores of the best records, best first, equal ones in their order.

    Args:
        database: has the table ``words``.
        words: of the question, at least one.
        records: in the table.
        bm25: the ranking function with its weights.
        limit: records at most.
    """

    def best(expression: str) -> Scored:
        return database.execute(_BEST, (expression, bm25, limit)).fetchall()

    def most(some: Counted) -> float:
        """The score of a record that is full of these words."""
        return sum((K1 + 1) * idf(records, number) for _, number in some)

    ordered = sorted(words, key=lambda word: word[1])
    split = _first_split(ordered, limit)
    found = _united(best, ordered, split)[:limit]
    if split < len(ordered):
        reached = found[-1][1] if len(found) == limit else 0.0
        # Who has none of the words that choose has to score less than the last one found.
        needed = split
        while needed < len(ordered) and most(ordered[needed:]) >= reached:
            needed += 1
        if needed > split:
            found = _united(best, ordered, needed)[:limit]
    return found


def idf(records: int, number: int) -> float:
    """Return the rarity of a word that ``number`` of the records have, as FTS5 counts it."""
    return max(LEAST_IDF, math.log((records - number + 0.5) / (number + 0.5)))


def _first_split(ordered: Counted, limit: int) -> int:
    """Return how many of the rarest words choose the records at first."""
    total = sum(number for _, number in ordered)
    if total <= FEW:
        return len(ordered)
    chosen = 0
    for place, (_, number) in enumerate(ordered):
        chosen += number
        if chosen >= ROOM * limit:
            return place + 1
    return len(ordered)


def _united(best: Callable[[str], Scored], ordered: Counted, split: int) -> Scored:
    """Return the best of the records that have one of the first ``split`` words.

    One question asks for these words alone; the other for records that have common ones besides,
    with the scores of all. Each record's greater score is its own.
    """
    rare = " OR ".join(word for word, _ in ordered[:split])
    scores = dict(best(rare))
    if split < len(ordered):
        common = " OR ".join(word for word, _ in ordered[split:])
        for number, score in best(f"({rare}) AND ({common})"):
            scores[number] = max(score, scores.get(number, 0.0))
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
