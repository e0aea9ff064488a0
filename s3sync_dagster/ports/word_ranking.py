"""The best records by words, by BM25, without a look at every record that has a common word.

FTS5 scores each record that has any word of a question, and most have a common one. Here the rare
words say first which records may be among the best; only those are scored by the common ones too.
What comes of it is what scoring all of them gives, where that is proven with ``MOST_SCORED``
records: one with common words alone, as good as the best with a rare one, is passed over beyond.
"""

from __future__ import annotations

import functools
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
MOST_SCORED = 30_000
"""Records that are scored to prove that no other is better: about 50 ms of CPU."""

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

    @functools.cache
    def best(expression: str) -> Scored:
        return database.execute(_BEST, (expression, bm25, limit)).fetchall()

    def most(some: Counted) -> float:
        """The score of a record that is full of these words."""
        return sum((K1 + 1) * idf(records, number) for _, number in some)

    ordered = sorted(words, key=lambda word: word[1])
    chosen = _first_split(ordered, limit)
    if chosen < len(ordered):
        # Who has none of the words that choose has to score less than the last one found.
        found = best(_any_of(ordered[:chosen]))
        reached = found[-1][1] if len(found) == limit else 0.0
        scored = sum(number for _, number in ordered[:chosen])
        while chosen < len(ordered) and most(ordered[chosen:]) >= reached:
            scored += ordered[chosen][1]
            if len(found) == limit and scored > MOST_SCORED:
                break
            chosen += 1
    return _united(best, ordered, chosen, records)[:limit]


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
        if chosen >= limit and chosen + number > MOST_SCORED:
            return place
        chosen += number
        if chosen >= ROOM * limit:
            return place + 1
    return len(ordered)


def _united(best: Callable[[str], Scored], ordered: Counted, split: int, records: int) -> Scored:
    """Return the best of the records that have one of the first ``split`` words.

    One question asks for these words alone; the other for records that have common ones besides,
    with the scores of all. Each record's greater score is its own.
    """
    rare = _any_of(ordered[:split])
    scores = dict(best(rare))
    telling = [word for word in ordered[split:] if idf(records, word[1]) > LEAST_IDF]
    if telling:  # what more than half of the records have adds nothing to a score
        for number, score in best(f"({rare}) AND ({_any_of(telling)})"):
            scores[number] = max(score, scores.get(number, 0.0))
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _any_of(words: Counted) -> str:
    return " OR ".join(word for word, _ in words)
