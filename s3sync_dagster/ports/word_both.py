"""The best records by words and by pieces together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest

from s3sync_dagster.ports.word_memory import DRIFT
from s3sync_dagster.ports.word_pieces import PieceScores, scores_of
from s3sync_dagster.ports.word_ranking import DIGITS, K1, Counted, Scored, any_of, idf

DEEPEST = 100
"""Records that are asked for by words, where a question has pieces too; twice the hits at least:
the last one says how few others are looked at."""
SCORED = 13
"""Records that FTS5 goes by while it scores one."""


def best_by_both(
    by_words: Callable[[int], Scored],
    pieces: PieceScores,
    words_of: Callable[[Sequence[int], float], Mapping[int, float]],
    *,
    limit: int,
) -> Scored:
    """Return rowids and scores of the best by words and pieces together, best first.

    What words count is asked for the best by them, and for those that pieces may lift beside the
    last one of these: so the best are those of a look at all.

    Args:
        by_words: gives the best records by words, at most so many.
        pieces: what they count.
        words_of: gives what words count in those of some records that reach a score with them.
        limit: records at most, for the scores to be whole: behind them are others.
    """
    depth = max(DEEPEST, 2 * limit)
    found = {number: score for number, score in by_words(depth) if score}
    last = min(found.values()) if len(found) >= depth else 0.0
    scores = {number: score + pieces.of(number) for number, score in found.items()}
    if last:
        reached = nlargest(limit, scores.values())[-1] - 10.0**-DIGITS
        scores |= {one: pieces.of(one) for one in pieces.above(reached, but=found)}
        others = pieces.above(reached - last, but=found)
        for number, score in words_of(others, reached).items() if others else ():
            scores[number] = score + pieces.of(number)
    else:
        scores |= {one: pieces.of(one) for one in pieces.best(limit) if one not in found}
    rounded = [(number, round(score, DIGITS)) for number, score in scores.items()]
    return sorted(rounded, key=lambda one: (-one[1], one[0]))


def words_that_lift(
    database: sqlite3.Connection,
    words: Counted,
    records: int,
    pieces: PieceScores,
    numbers: Sequence[int],
    reached: float,
    *,
    bm25: str,
) -> dict[int, float]:
    """Return what words count in those of some records that reach a score with them.

    Common words that lift none of these so far alone are asked for where rarer ones stand beside
    them, and only if these leave too little: FTS5 goes through all records that have such a word.

    Args:
        database: has the table ``words``.
        words: of the question, rarest first.
        records: in the table.
        pieces: what they count.
        numbers: of the records.
        reached: by words and pieces together.
        bm25: the ranking function with its weights.
    """
    highest = pieces.most_of(numbers)
    rest, split = 0.0, len(words)
    while split:
        most = rest + (K1 + 1) * (idf(records, words[split - 1][1]) + DRIFT)
        if highest + most >= reached:
            break
        rest, split = most, split - 1
    rarer, common = words[:split], words[split:]
    scored = min(len(numbers), sum(number for _, number in rarer))
    if not common or SCORED * scored > sum(number for _, number in common):
        return scores_of(database, numbers, any_of(words), bm25=bm25)
    if not rarer:
        return {}
    scores = scores_of(database, numbers, any_of(rarer), bm25=bm25)
    scores = {one: n for one, n in scores.items() if n + pieces.of(one) + rest >= reached}
    if not scores:
        return {}
    both = f"({any_of(rarer)}) AND ({any_of(common)})"
    return scores | scores_of(database, list(scores), both, bm25=bm25)
