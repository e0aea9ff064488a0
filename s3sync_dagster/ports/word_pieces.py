"""The best records by words and by pieces of words, without a look at all that have a piece.

What a record scores costs the more, the more pieces are asked for, and a question has dozens. So
the rarest ones alone say which records are among the best by pieces, where all are in many.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import accumulate

from s3sync_dagster.ports.word_ranking import (
    COMMON,
    DIGITS,
    Counted,
    Scored,
    any_of,
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
    by_words: Callable[[int], Scored],
    by_pieces: Callable[[Sequence[int], int], Mapping[int, float]],
    words_of: Callable[[Sequence[int]], Mapping[int, float]],
    *,
    limit: int,
) -> Scored:
    """Return rowids and scores of the best by words and by pieces, best first.

    Args:
        by_words: gives the best records by words, at most so many.
        by_pieces: gives what pieces count in records that are known, and in so many best by them.
        words_of: gives what words count in records.
        limit: records at most, for the scores to be whole: behind them are others.
    """
    depth = max(DEEPEST, limit)
    found = by_words(depth)
    scores = {number: score for number, score in found if score}
    pieces = by_pieces([*scores], depth)
    scores |= {number: scores.get(number, 0.0) + score for number, score in pieces.items()}
    if len(found) == depth:  # there are others, which may be the best by pieces
        listed = {number for number, _ in found}
        reached = nlargest(limit, scores.values())[-1] - found[-1][1]
        unscored = [one for one in pieces if one not in listed and scores[one] >= reached]
        for number, score in words_of(unscored).items() if unscored else ():
            scores[number] += score
    rounded = [(number, round(score, DIGITS)) for number, score in scores.items()]
    return sorted(rounded, key=lambda one: (-one[1], one[0]))


def best_by_pieces(
    database: sqlite3.Connection, pieces: Counted, known: Sequence[int], *, depth: int
) -> Mapping[int, float]:
    """Return what pieces count in the best records by them, and in those that are known.

    Args:
        database: has the table ``pieces``.
        pieces: of a question, with how many records have each; one has at least one.
        known: records.
        depth: best ones.
    """
    ordered = sorted(pieces, key=lambda piece: (piece[1], piece[0]))

    def best(chosen: int) -> Scored:
        found = database.execute(_BEST_PIECES, (any_of(ordered[:chosen]), depth))
        return [(number, round(score, DIGITS)) for number, score in found]

    chosen, found = leading([number for _, number in ordered], best, depth=depth)
    all_chose = chosen == len(ordered)
    numbers = {*known, *(number for number, _ in found)}
    if all_chose and (len(found) < depth or len(numbers) == len(found)):
        return dict(found)
    return scores_of(database, [*numbers], [("pieces", any_of(ordered), 1.0)], bm25="bm25()")


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


def are_soon_scored(numbers: Sequence[int]) -> bool:
    """Tell whether all records with any piece are few, from how many have each."""
    return sum(numbers) <= COMMON


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
