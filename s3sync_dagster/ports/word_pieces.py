"""The best records by words and by pieces of words, without a look at all that have a piece.

What a record scores costs the more, the more pieces are asked for, and a question has dozens. So
the rarest ones alone say which records are among the best by pieces, where all are in many.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from itertools import accumulate

from s3sync_dagster.ports.word_ranking import (
    COMMON,
    DIGITS,
    Counted,
    Scored,
    any_of,
    best_by_words,
)

DEEPEST = 1000
"""Records of each table whose scores are added, where a question has pieces too."""
LEADING = 6
"""Of what all pieces of a question are in, the part that the rarest ones are in which choose the
records; ``COMMON`` at least."""

_BEST_PIECES = """
SELECT rowid, -rank FROM pieces WHERE pieces MATCH ? ORDER BY rank, rowid LIMIT ?
"""


def best_by_both(
    database: sqlite3.Connection,
    telling: Counted,
    pieces: Counted,
    *,
    records: int,
    bm25: str,
    weight: float,
    limit: int,
) -> Scored:
    """Return rowids and scores of the best by words and by pieces, best first.

    Args:
        database: has the tables ``words`` and ``pieces``.
        telling: words of the question that tell records apart, with how many have each.
        pieces: of its words, at least one that a record has.
        records: in the table.
        bm25: the ranking function of words with its weights.
        weight: of a piece, beside a word.
        limit: records at most.
    """
    depth = max(DEEPEST, limit)
    by_words: Scored = []
    if telling:
        by_words = best_by_words(database, telling, records, bm25=bm25, limit=depth)
    scores = {number: score for number, score in by_words if score}
    by_pieces = dict(_best_by_pieces(database, pieces, [*scores], depth=depth))
    added = {one: scores.get(one, 0.0) + weight * score for one, score in by_pieces.items()}
    if len(by_words) == depth:  # there are others, which may be the best by pieces
        behind = by_words[-1][1]
        reached = nlargest(limit, [*(scores | added).values()])[-1]
        unscored = [
            one for one, score in added.items() if one not in scores and score + behind >= reached
        ]
        asked = [("words", any_of(telling), 1.0)] if unscored else []
        for number, score in scores_of(database, unscored, asked, bm25=bm25).items():
            added[number] += score
    found = [(number, round(score, DIGITS)) for number, score in (scores | added).items()]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def scores_of(
    database: sqlite3.Connection,
    numbers: Sequence[int],
    tables: Iterable[tuple[str, str, float]],
    *,
    bm25: str,
) -> dict[int, float]:
    """Return the sums of records' BM25 in tables, each with its expression and weight.

    One statement a table: each one counts all the records that have its words. The ``+`` keeps
    SQLite from asking FTS5 for one record after the other, which would count them each time.
    """
    scores: dict[int, float] = {}
    for table, expression, weight in tables:
        found = database.execute(
            f"SELECT rowid, -rank FROM {table} WHERE {table} MATCH ? AND rank MATCH ? "
            "AND +rowid IN (SELECT value FROM json_each(?))",
            (expression, bm25 if table == "words" else "bm25()", json.dumps(list(numbers))),
        )
        for number, score in found:
            scores[number] = scores.get(number, 0.0) + weight * round(score, DIGITS)
    return {number: round(score, DIGITS) for number, score in scores.items()}


def leading(
    numbers: Sequence[int], found_by: Callable[[int], Scored], *, depth: int
) -> tuple[int, Scored]:
    """Return how many of the rarest pieces choose records, and those that they choose.

    Where they are in fewer records than are wanted, more pieces choose, too.

    Args:
        numbers: of records that have each piece, rarest first.
        found_by: the best by so many of the pieces.
        depth: records that are wanted.
    """
    most = max(COMMON, sum(numbers) // LEADING)
    chosen = max(1, sum(upto <= most for upto in accumulate(numbers)))
    while len(found := found_by(chosen)) < depth and chosen < len(numbers):
        chosen = min(2 * chosen, len(numbers))
    return chosen, found


def _best_by_pieces(
    database: sqlite3.Connection, pieces: Counted, known: Sequence[int], *, depth: int
) -> Scored:
    """Return what pieces count in the best records by them, and in those that are known."""
    ordered = sorted(pieces, key=lambda piece: (piece[1], piece[0]))

    def best(chosen: int) -> Scored:
        found = database.execute(_BEST_PIECES, (any_of(ordered[:chosen]), depth))
        return [(number, round(score, DIGITS)) for number, score in found]

    chosen, found = leading([number for _, number in ordered], best, depth=depth)
    all_chose = chosen == len(ordered)
    numbers = {*known, *(number for number, _ in found)}
    if all_chose and (len(found) < depth or len(numbers) == len(found)):
        return found
    asked = [("pieces", any_of(ordered), 1.0)]
    return [*scores_of(database, [*numbers], asked, bm25="bm25()").items()]
