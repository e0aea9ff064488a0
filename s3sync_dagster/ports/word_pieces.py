"""What pieces of words count in records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3sync_dagster.ports.word_postings import pieces_in
from s3sync_dagster.ports.word_ranking import DIGITS, K1, idf
from s3sync_dagster.ports.word_records import last_given

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

B = 0.75
"""Of BM25, as FTS5 has it: how much longer records count less."""
SHORT = 8
"""Places of a segment for each entry of its lists, from which on the others are left alone."""


@dataclass(frozen=True, slots=True)
class _Lists:
    """Of one segment, the lists of a question's pieces."""

    numbers: Array
    """By place."""
    lengths: Array
    """By place, in pieces."""
    mean: float
    """Of all records that may be seen."""
    may: Array
    """By place: the record is there, and may be seen."""
    pieces: Array
    """Of each list, by its place in the question."""
    once: Array
    once_sizes: Array
    """Of the lists, one behind the other."""
    often: Array
    often_sizes: Array
    times: Array

    def counts(self) -> Array:
        """Return how many records that may be seen each list has."""
        import numpy as np

        if self.may.all():  # the most of what is asked: what it spares is a third of the cost
            return self.once_sizes + self.often_sizes
        once = np.r_[0, np.cumsum(self.may[self.once])][np.cumsum(self.once_sizes)]
        often = np.r_[0, np.cumsum(self.may[self.often])][np.cumsum(self.often_sizes)]
        return np.diff(once + often, prepend=0)

    def score(self, rarities: Array) -> tuple[Array | slice, Array]:
        """Return places, and what the pieces count there, from what each of a list's counts most.

        Few of them where the lists are short: no other place has a piece.
        """
        import numpy as np

        size, of_lists = len(self.numbers), rarities[self.pieces]
        short = SHORT * (len(self.once) + len(self.often)) < size
        places = np.union1d(self.once, self.often) if short else slice(None)
        scores = np.bincount(self.once, np.repeat(of_lists, self.once_sizes), size)[places]
        norms = self._norms(places)
        scores = scores / (1 + norms)
        more = np.repeat(of_lists, self.often_sizes)
        norms = self._norms(self.often) if short else norms[self.often]
        more *= self.times / (self.times + norms)
        return places, scores + np.bincount(self.often, more, size)[places]

    def _norms(self, places: Array | slice) -> Array:
        """Return what BM25 adds to the times that a piece stands there."""
        return K1 * (1 - B + B * self.lengths[places] / self.mean)


class PieceScores:
    """What the pieces of a question count, by the numbers of records."""

    def __init__(self, scores: Array) -> None:
        self._scores = scores

    def of(self, number: int) -> float:
        """Return what they count in a record."""
        return float(self._scores[number]) if number < len(self._scores) else 0.0

    def among(self, numbers: Iterable[int]) -> dict[int, float]:
        """Return those of some records that have any, with what they count."""
        return {number: score for number in numbers if (score := self.of(number))}

    def best(self, limit: int) -> list[int]:
        """Return the best records, those that are equal to the last one too."""
        import numpy as np

        some = self._scores[self._scores > 0]
        if len(some) <= limit:
            return np.flatnonzero(self._scores > 0).tolist()
        return self.above(float(np.partition(some, len(some) - limit)[len(some) - limit]))

    def above(self, least: float, *, but: Iterable[int] = ()) -> list[int]:
        """Return the records in which they count so much, or more, without some."""
        import numpy as np

        there = self._scores >= least
        if least <= 0:
            there &= self._scores > 0
        apart = np.fromiter(but, np.int64)
        there[apart[apart < len(there)]] = False
        return np.flatnonzero(there).tolist()

    def most_of(self, numbers: Sequence[int]) -> float:
        """Return the most that they count in some records, one at least, which all have any."""
        return float(self._scores[numbers].max())


def piece_scores(
    database: sqlite3.Connection, words: str, weight: float, *, seen: bytes | None = None
) -> PieceScores | None:
    """Return what the pieces of words count; None: no record has any.

    Args:
        database: has the lists.
        words: of a question, with blanks between.
        weight: of a piece beside a word.
        seen: by the numbers of records, ``MAY`` or 0; None: all may be seen. How rare a piece is
            and how long texts are is counted among these.

    Raises:
        sqlite3.DatabaseError: a list is damaged.
    """
    import numpy as np

    pieces = np.unique(pieces_in(words)[0]).tolist()
    try:
        found = _lists_of(database, pieces, seen) if pieces else []
        counts = np.zeros(len(pieces))
        for one in found:
            counts[one.pieces] += one.counts()
        if not counts.any():
            return None
        records = sum(int(np.count_nonzero(one.may)) for one in found)
        rarities = np.array([idf(records, int(number)) for number in counts]) * (counts > 0)
        rarities *= weight * (K1 + 1)
        highest = max(int(one.numbers.max()) for one in found)
        if highest > last_given(database):
            raise ValueError("a number that no record has")  # of whatever size: not asked for
        scores = np.zeros(1 + highest)
        for one in found:
            places, counted = one.score(rarities)
            numbers, may = one.numbers[places], one.may[places]
            counted = counted.round(DIGITS)
            # Where a record is gone the place is nobody's.
            scores[numbers if may.all() else numbers[may]] = counted if may.all() else counted[may]
    except (ValueError, IndexError) as error:
        raise sqlite3.DatabaseError("a list of pieces is damaged") from error
    return PieceScores(scores)


def _lists_of(
    database: sqlite3.Connection, pieces: Sequence[int], seen: bytes | None
) -> list[_Lists]:
    import numpy as np

    place_of = {piece: place for place, piece in enumerate(pieces)}
    segments = database.execute("SELECT number, numbers, lengths FROM piece_segments").fetchall()
    numbers = [np.frombuffer(one[1], np.uint32) for one in segments]
    lengths = [np.frombuffer(one[2], np.uint32) for one in segments]
    may = [(one != 0) & _may_see(one, seen) for one in numbers]
    total = sum(int(long[of].sum()) for long, of in zip(lengths, may, strict=True))
    mean = max(1.0, total / max(1, sum(int(np.count_nonzero(one)) for one in may)))
    asked = json.dumps(pieces)
    found: list[_Lists] = []
    for place, (segment, *_) in enumerate(segments):
        rows = database.execute(
            "SELECT piece, once, often, times FROM piece_lists "
            "WHERE segment = ? AND piece IN (SELECT value FROM json_each(?))",
            (segment, asked),
        ).fetchall()
        once, often, times = (b"".join(row[at] for row in rows) for at in (1, 2, 3))
        found.append(
            _Lists(
                numbers=numbers[place],
                lengths=lengths[place],
                mean=mean,
                may=may[place],
                pieces=np.array([place_of[row[0]] for row in rows], np.int64),
                once=np.frombuffer(once, np.uint16),
                once_sizes=np.array([len(row[1]) // 2 for row in rows], np.int64),
                often=np.frombuffer(often, np.uint16),
                often_sizes=np.array([len(row[3]) for row in rows], np.int64),
                times=np.frombuffer(times, np.uint8),
            )
        )
    return found


def _may_see(numbers: Array, seen: bytes | None) -> Array:
    import numpy as np

    if seen is None:
        return np.ones(len(numbers), bool)
    may = np.frombuffer(seen + b"\0", np.uint8)  # the last one stands for those that are newer
    return may[np.minimum(numbers, len(may) - 1)] == 1


def scores_of(
    database: sqlite3.Connection, numbers: Sequence[int], expression: str, *, bm25: str
) -> dict[int, float]:
    """Return the BM25 of words in records.

    One statement: each one counts all the records that have its words. A byte a record: SQLite
    looks longer for a number in a list than FTS5 does for the record.
    """
    import numpy as np

    asked = np.asarray(numbers, np.int64)
    only = np.zeros(1 + int(asked.max(initial=0)), np.uint8)
    only[asked] = 1
    found = database.execute(
        "SELECT rowid, -rank FROM words WHERE words MATCH ? AND rank MATCH ? "
        "AND substr(?, rowid + 1, 1) = x'01'",
        (expression, bm25, only.tobytes()),
    )
    return {number: round(score, DIGITS) for number, score in found}
