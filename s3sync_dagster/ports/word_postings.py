"""Which records have a piece of a word, and how often: lists in segments of the word index's file.

A question by pieces has dozens of lists, each of up to a third of the records: FTS5 takes 160 ns
for each record of a list, numpy a few. A segment is never added to: a write makes one of its own,
and small ones are merged, so that what a write costs does not grow with the index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.ports.word_forms import PIECE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_PLACES = 2**16
"""Records of a segment: a place in it takes two bytes."""
MERGED = 8
"""Segments of about one size become one."""
SLICE = 2000
"""Pieces that are merged at once, in memory."""
MOST_TIMES = 255
"""That a piece is counted in a record."""
_BLANK = ord(" ")

SCHEMA = """
CREATE TABLE piece_segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, last INTEGER NOT NULL,
    places INTEGER NOT NULL, records INTEGER NOT NULL, numbers BLOB NOT NULL, lengths BLOB NOT NULL
);
CREATE TABLE piece_lists (
    segment INTEGER NOT NULL, piece INTEGER NOT NULL, once BLOB NOT NULL, often BLOB NOT NULL,
    times BLOB NOT NULL, UNIQUE (segment, piece)
);
"""
"""A record has a place in its segment; ``numbers`` (four bytes each, 0: taken away) and ``lengths``
(four bytes, in pieces) are by place. A list has the places of records that have the piece ``once``
and those that have it more ``often``, two bytes each, and how many ``times``, one byte. It has a
row number: in a table that SQLite orders by a key, two fifths of the pages stay empty."""


def pieces_in(words: str) -> tuple[Array, Array]:
    """Return the pieces of words with blanks between, and where each begins.

    A piece is a number of 48 bits, twelve for each character: two scripts beyond the first 4,096
    characters may share some.
    """
    import numpy as np

    codes = np.frombuffer(words.encode("utf-32-le"), np.uint32)
    if len(codes) < PIECE:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    inside = codes != _BLANK
    letters = (codes ^ codes >> 12) & 0xFFF
    pairs, inside = letters[:-1] << 12 | letters[1:], inside[:-1] & inside[1:]
    begins = np.flatnonzero(inside[:-2] & inside[2:])
    return pairs[begins].astype(np.uint64) << 24 | pairs[begins + 2], begins


def add_pieces(database: sqlite3.Connection, texts: Sequence[tuple[int, str]]) -> None:
    """Index the pieces of records: their numbers in order, and their words with blanks between."""
    for start in range(0, len(texts), MOST_PLACES):
        _add(database, texts[start : start + MOST_PLACES])
    if texts:
        _tidy(database)


def remove_pieces(database: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Take records out: their places stay, and tell of nobody, until their segment is rewritten."""
    import numpy as np

    if not numbers:
        return
    found = database.execute(
        "SELECT number, numbers FROM piece_segments WHERE first <= ? AND last >= ?",
        (max(numbers), min(numbers)),
    ).fetchall()
    for segment, stored in found:
        of_places = np.frombuffer(stored, np.uint32).copy()
        gone = np.isin(of_places, np.array(numbers, np.uint32))
        if gone.any():
            of_places[gone] = 0
            database.execute(
                "UPDATE piece_segments SET numbers = ?, records = ? WHERE number = ?",
                (of_places.tobytes(), int(np.count_nonzero(of_places)), segment),
            )
    _tidy(database)


def _add(database: sqlite3.Connection, texts: Sequence[tuple[int, str]]) -> None:
    import numpy as np

    pieces, begins = pieces_in(" ".join(words for _, words in texts))
    ends = np.cumsum([len(words) + 1 for _, words in texts])
    places = np.searchsorted(ends, begins, side="right")
    lengths = np.bincount(places, minlength=len(texts)).astype(np.uint32)
    found = np.sort(pieces << 16 | places.astype(np.uint64))
    starts = np.flatnonzero(np.r_[len(found) > 0, found[1:] != found[:-1]])
    times = np.minimum(np.diff(starts, append=len(found)), MOST_TIMES).astype(np.uint8)
    segment = _new_segment(database, np.array([one for one, _ in texts], np.uint32), lengths)
    found = found[starts]
    _write_lists(database, segment, found >> 16, (found & 0xFFFF).astype(np.uint16), times)


def _new_segment(database: sqlite3.Connection, numbers: Array, lengths: Array) -> int:
    row = (int(numbers.min()), int(numbers.max()), len(numbers), len(numbers))
    written = database.execute(
        "INSERT INTO piece_segments (first, last, places, records, numbers, lengths) "
        "VALUES (?, ?, ?, ?, ?, ?) RETURNING number",
        (*row, numbers.tobytes(), lengths.tobytes()),
    )
    return written.fetchone()[0]


def _write_lists(
    database: sqlite3.Connection, segment: int, pieces: Array, places: Array, times: Array
) -> None:
    """Write the lists of a segment, or some of them.

    Args:
        database: to write to.
        segment: whose they are.
        pieces: one for each record that has it, in order.
        places: of these records, in order for each piece.
        times: that they have it.
    """
    import numpy as np

    if not len(pieces):
        return
    starts = np.flatnonzero(np.r_[True, pieces[1:] != pieces[:-1]])
    alone = times == 1
    ones = np.r_[0, np.cumsum(alone)][np.r_[starts, len(pieces)]]
    more = np.r_[starts, len(pieces)] - ones
    once, often = places[alone].tobytes(), places[~alone].tobytes()
    counted = times[~alone].tobytes()
    bounds = zip(*(one.tolist() for one in (ones, ones[1:], more, more[1:])), strict=False)
    database.executemany(
        "INSERT INTO piece_lists VALUES (?, ?, ?, ?, ?)",
        (
            (segment, piece, once[2 * a : 2 * b], often[2 * c : 2 * d], counted[c:d])
            for piece, (a, b, c, d) in zip(pieces[starts].tolist(), bounds, strict=True)
        ),
    )


def _tidy(database: sqlite3.Connection) -> None:
    """Merge segments of about one size, and rewrite those of which most records are gone."""
    while True:
        by_size: dict[int, list[tuple[int, int]]] = {}
        found = database.execute("SELECT number, places, records FROM piece_segments ORDER BY 1")
        for segment, places, records in found.fetchall():
            if 2 * records < places:
                _rewrite(database, [segment])
                break
            by_size.setdefault((places.bit_length() - 1) // 3, []).append((segment, records))
        else:
            merged = next((one for one in map(_mergeable, by_size.values()) if one), None)
            if merged is None:
                return
            _rewrite(database, merged)


def _mergeable(segments: Sequence[tuple[int, int]]) -> list[int]:
    """Return those of some segments, each with its records, that become one."""
    if len(segments) < MERGED:
        return []
    total = 0
    for place, (_, records) in enumerate(segments[:MERGED]):
        total += records
        if total > MOST_PLACES:
            return [segment for segment, _ in segments[:place]] if place > 1 else []
    return [segment for segment, _ in segments[:MERGED]]


def _rewrite(database: sqlite3.Connection, segments: Sequence[int]) -> None:
    """Put what there is in some segments into a new one."""
    import numpy as np

    numbers: list[Array] = []
    lengths: list[Array] = []
    for segment in segments:
        row = database.execute(
            "SELECT numbers, lengths FROM piece_segments WHERE number = ?", (segment,)
        ).fetchone()
        numbers.append(np.frombuffer(row[0], np.uint32))
        lengths.append(np.frombuffer(row[1], np.uint32))
    before = np.concatenate(numbers)
    there = before != 0
    if there.any():
        # Records stand by their numbers, whatever order their segments were written in.
        order = np.argsort(before[there], kind="stable")
        moved = np.full(len(before), -1, np.int64)
        moved[np.flatnonzero(there)[order]] = np.arange(len(order))
        kept = np.concatenate(lengths)[there][order]
        new = _new_segment(database, before[there][order], kept)
        firsts = np.cumsum([0, *(len(one) for one in numbers)]).tolist()
        for bounds in _slices(database, segments):
            parts = [
                _lists_between(database, segment, bounds, moved[first:])
                for segment, first in zip(segments, firsts, strict=False)
            ]
            pieces, places, times = (np.concatenate(one) for one in zip(*parts, strict=True))
            order = np.argsort(pieces << 16 | places)
            _write_lists(database, new, pieces[order], places[order], times[order])
    for segment in segments:
        database.execute("DELETE FROM piece_lists WHERE segment = ?", (segment,))
        database.execute("DELETE FROM piece_segments WHERE number = ?", (segment,))


def _slices(database: sqlite3.Connection, segments: Sequence[int]) -> list[tuple[int, int]]:
    pieces: set[int] = set()
    for segment in segments:
        found = database.execute("SELECT piece FROM piece_lists WHERE segment = ?", (segment,))
        pieces.update(piece for (piece,) in found)
    ordered = sorted(pieces)
    parts = [ordered[start : start + SLICE] for start in range(0, len(ordered), SLICE)]
    return [(part[0], part[-1]) for part in parts]


def _lists_between(
    database: sqlite3.Connection, segment: int, bounds: tuple[int, int], moved: Array
) -> tuple[Array, Array, Array]:
    """Return pieces, new places and times of the lists between two pieces."""
    import numpy as np

    rows = database.execute(
        "SELECT piece, once, often, times FROM piece_lists "
        "WHERE segment = ? AND piece BETWEEN ? AND ?",
        (segment, *bounds),
    ).fetchall()
    pieces = np.array([row[0] for row in rows], np.uint64)
    once, often, times = (b"".join(row[at] for row in rows) for at in (1, 2, 3))
    sizes = [len(row[1]) // 2 for row in rows], [len(row[3]) for row in rows]
    of_pieces = np.concatenate([np.repeat(pieces, one) for one in sizes])
    places = moved[np.frombuffer(once + often, np.uint16)]
    counted = np.r_[np.ones(len(once) // 2, np.uint8), np.frombuffer(times, np.uint8)]
    there = places >= 0
    return of_pieces[there], places[there].astype(np.uint16), counted[there]
