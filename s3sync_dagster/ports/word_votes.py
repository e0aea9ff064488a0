"""Whether a question is of a language whose texts have pieces, by the records that have its words.

Short words tell that of a question in a sentence; most have none. Where texts of several languages
stand together, those that have pieces would come first by what their words share with the words of
a question in another language, whose own texts count for their words alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import pairwise

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


def are_asked(
    database: sqlite3.Connection, words: Sequence[str], *, seen: bytes | None = None
) -> bool:
    """Tell whether the words of a question are mostly of records that have pieces.

    A word that no record has speaks for them: its pieces are all that finds it.

    Args:
        database: has the table ``words`` and the segments of pieces.
        words: of the question, as FTS5 asks for them; those that have pieces.
        seen: by the numbers of records, ``MAY`` or 0; None: all may be seen. Others have no vote.
    """
    met = [_some(database, word, seen) for word in words]
    numbers = {number for some in met for _, part in some for number in part}
    if not numbers:
        return True
    there = _with_pieces(database, numbers)
    return sum(_share(some, there) for some in met) >= LEAST * len(met)


def _share(some: Some, there: set[int]) -> float:
    """Return how many of the records with a word have pieces, as a share."""
    all_of_them = sum(weight for weight, _ in some)
    if not all_of_them:
        return 1.0
    with_pieces = (weight * len(there.intersection(part)) / len(part) for weight, part in some)
    return sum(with_pieces) / all_of_them


def _some(database: sqlite3.Connection, word: str, seen: bytes | None) -> Some:
    """Return records that have a word from all over the file, the same ones each time.

    A stretch counts as many as it would have at the distances of those that are looked at.
    """
    only = "" if seen is None else _SEEN
    query = f"SELECT rowid FROM words WHERE words MATCH :word {only} AND rowid BETWEEN :a AND :b "

    def found(a: int, b: int, most: int, order: str = "ASC") -> list[int]:
        values = {"word": word, "seen": seen, "a": a, "b": b, "most": most}
        rows = database.execute(f"{query} ORDER BY rowid {order} LIMIT :most", values)
        return [number for (number,) in rows.fetchall()]

    first = found(0, _END, LOOKED_AT + 1)
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
