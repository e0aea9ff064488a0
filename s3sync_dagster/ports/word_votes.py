"""Whether a question is of a language whose texts have pieces, by the records that have its words.

Short words tell that of a question in a sentence; most have none. Where texts of several languages
stand together, those that have pieces would come first by what their words share with the words of
a question in another language, whose own texts count for their words alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from s3sync_dagster.ports.word_memory import WordMemory

LOOKED_AT = 100
"""Records with a word that are looked at, at most."""
STRETCHES = 10
"""Where more have it: as many from each of so many parts of their numbers. Records of one folder or
one time stand together, so the first ones and the last are no sample of all."""
LEAST = 0.5
"""Share of them that has pieces, over all words, from which on these are asked for."""

Some = list[tuple[float, list[int]]]
"""Numbers of records that have a word, with how many they stand for."""

_SEEN = "AND substr(:seen, rowid + 1, 1) = x'01'"
_END = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Voters:
    """The records that say whether the pieces of a question's words are asked for."""

    database: sqlite3.Connection
    """Has the table ``words`` and the segments of pieces."""
    memory: WordMemory
    name: str = ""
    """Tells the file and the reader from all others of the memory."""
    touched: int
    """Rows of the file that were changed, since it was made."""
    records: int
    """That there are."""
    seen: bytes | None = None
    """By the numbers of records, ``MAY`` or 0; None: all may be seen. Others have no vote."""
    count: Callable[[str], int] | None = None
    """Tells how many of those that may be seen have a word; None: that is not at hand. Where they
    are few, all records with the word are gone through for them."""

    def are_asked(self, words: Sequence[str]) -> bool:
        """Tell whether the words of a question are mostly of records that have pieces.

        A word that no record has speaks for them: its pieces are all that finds it. What is
        remembered may be of before, as counts of words may be.

        Args:
            words: of the question, as FTS5 asks for them; those that have pieces.
        """
        shares: dict[str, float] = {}
        met: dict[str, Some] = {}
        for word in words:
            share = self.memory.share_of(self._name_of(word), self.touched, self.records)
            if share is None:
                met[word] = self._some(word)
            else:
                shares[word] = share
        there = _with_pieces(
            self.database, {one for some in met.values() for _, p in some for one in p}
        )
        for word, some in met.items():
            shares[word] = _share(some, there)
            self.memory.keep_share(self._name_of(word), shares[word], self.touched)
        return sum(shares.values()) >= LEAST * len(shares)

    def _name_of(self, word: str) -> str:
        return f"{self.name}\n{word}"

    def _some(self, word: str) -> Some:
        most = LOOKED_AT + 1
        if self.count is not None:
            most = min(most, self.count(word))
        return _some(self.database, word, self.seen, most) if most else []


def _share(some: Some, there: set[int]) -> float:
    """Return how many of the records with a word have pieces, as a share."""
    all_of_them = sum(weight for weight, _ in some)
    if not all_of_them:
        return 1.0
    with_pieces = (weight * len(there.intersection(part)) / len(part) for weight, part in some)
    return sum(with_pieces) / all_of_them


def _some(database: sqlite3.Connection, word: str, seen: bytes | None, most: int) -> Some:
    """Return records that have a word from all over the file, the same ones each time.

    Only the first ``most``, where that is no more than all that are looked at. A stretch counts as
    many as it would have at the distances of those that are looked at.
    """
    only = "" if seen is None else _SEEN
    query = f"SELECT rowid FROM words WHERE words MATCH :word {only} AND rowid BETWEEN :a AND :b "

    def found(a: int, b: int, most: int, order: str = "ASC") -> list[int]:
        values = {"word": word, "seen": seen, "a": a, "b": b, "most": most}
        rows = database.execute(f"{query} ORDER BY rowid {order} LIMIT :most", values)
        return [number for (number,) in rows.fetchall()]

    first = found(0, _END, most)
    if len(first) <= LOOKED_AT:
        return [(len(first), first)] if first else []
    low, [high] = first[0], found(0, _END, 1, "DESC")
    bounds = [low + (high + 1 - low) * n // STRETCHES for n in range(STRETCHES + 1)]
    each = LOOKED_AT // STRETCHES
    some: Some = []
    for a, b in pairwise(bounds):
        part = found(a, b - 1, each)
        if len(part) == each:
            some.append((each * (b - a) / (part[-1] - a + 1), part))
        elif part:
            some.append((len(part), part))
    return some


def _with_pieces(database: sqlite3.Connection, numbers: set[int]) -> set[int]:
    """Return those of some records that have pieces."""
    if not numbers:
        return set()
    import numpy as np

    wanted = np.zeros(max(numbers) + 1, bool)
    wanted[list(numbers)] = True
    found: set[int] = set()
    segments = database.execute(
        "SELECT numbers FROM piece_segments WHERE first <= ?", (max(numbers),)
    )
    for (stored,) in segments:
        places = np.frombuffer(stored, np.uint32)
        places = places[(places > 0) & (places < len(wanted))]
        found.update(places[wanted[places]].tolist())
    return found
