"""Whether a question is of a language whose texts have pieces, by the records that have its words.

Short words tell that of a question in a sentence; most have none. Where texts of several languages
stand together, those that have pieces would come first by what their words share with the words of
a question in another language, whose own texts count for their words alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

LOOKED_AT = 50
"""Records with a word that are looked at: the first ones, and as many of the last."""
LEAST = 0.5
"""Share of them that has pieces, over all words, from which on these are asked for."""

_SEEN = "AND substr(:seen, rowid + 1, 1) = x'01'"


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
    numbers = {number for some in met for number in some}
    if not numbers:
        return True
    there = _with_pieces(database, numbers)
    votes = [len(some & there) / len(some) if some else 1.0 for some in met]
    return sum(votes) >= LEAST * len(votes)


def _some(database: sqlite3.Connection, word: str, seen: bytes | None) -> set[int]:
    """Return the numbers of the first and of the last records that have a word."""
    only = "" if seen is None else _SEEN
    values = {"word": word, "seen": seen, "most": LOOKED_AT}
    query = "SELECT rowid FROM words WHERE words MATCH :word {} ORDER BY rowid {} LIMIT :most"
    found: set[int] = set()
    for order in ("ASC", "DESC"):
        rows = database.execute(query.format(only, order), values).fetchall()
        found |= {number for (number,) in rows}
    return found


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
