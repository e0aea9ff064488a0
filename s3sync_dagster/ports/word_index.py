"""Words of one collection in a SQLite file: BM25 over FTS5, following the collection.

It follows by versions of documents: no writer has to tell it anything, and a crash costs nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.hybrid import DocumentVersion, Scored
from s3sync_dagster.ports.word_file import WordFile
from s3sync_dagster.ports.word_forms import (
    match_expression,
    match_pieces,
    match_words,
    pieces_of,
    searchable,
)
from s3sync_dagster.ports.word_memory import ALL_RECORDS, WordMemory
from s3sync_dagster.ports.word_ranking import DIGITS, K1, any_of, best_by_words, idf, parted

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import CollectionPort, StoredRecord

FETCH_RECORDS = 1000
DEEPEST = 2000
"""Records of each table whose scores are added, where a question has pieces too."""
PLACE_KEYS = ("document_key", "title", "heading_path", "symbol")
"""Of a record's metadata: words that say where a chunk stands, and often not in its own text."""
PLACE_WEIGHT = 1.0
"""Of a word there beside one of the text. Chosen by measurement (docs/chroma.md)."""

_SEARCH_BOTH = """
SELECT records.id, round(sum(score), 9) AS fit FROM (
    SELECT * FROM (
        SELECT rowid AS number, -rank AS score FROM words
        WHERE words MATCH :words AND rank MATCH :bm25 ORDER BY rank, rowid LIMIT :depth
    )
    UNION ALL
    SELECT * FROM (
        SELECT rowid AS number, -rank * :weight AS score FROM pieces
        WHERE pieces MATCH :pieces ORDER BY rank, rowid LIMIT :depth
    )
)
JOIN records USING (number) GROUP BY number ORDER BY fit DESC, number LIMIT :limit
"""


class FtsWordIndex:
    """A ``WordIndex`` in one file. Several processes may use it; one thread per object."""

    def __init__(self, path: Path, memory: WordMemory | None = None) -> None:
        """Open the file, made anew where it is missing, damaged or of another layout.

        Args:
            path: of the file.
            memory: what this process knows of it from questions before.
        """
        self._memory = memory or WordMemory()
        self._last_counted: tuple[tuple[str, int, int], list[tuple[str, int]], int] | None = None
        self._file = WordFile(path, made_anew=self._memory.forget)

    def search(self, text: str, *, limit: int) -> list[Scored]:
        """Return ids of records with words of ``text`` and their BM25, best first.

        Equal ones stand in the order in which they were first written, so a shorter list is the
        beginning of a longer one.
        """
        if not match_words(text):
            return []
        with self._file.guarded(), self._file.snapshot():
            pieces, weight = match_pieces(text)
            if pieces and self._has_any(pieces):
                return self._by_both(text, pieces, weight, limit=limit)
            words, records = self._counted(text)
            found = best_by_words(self._database, words, records, bm25=_bm25(), limit=limit)
            return [(self._id_of(number), score) for number, score in found]

    def scores(self, text: str, ids: Sequence[str]) -> list[Scored]:
        """Return those of these records that have words of ``text``, with their BM25."""
        if not ids or not match_words(text):
            return []
        with self._file.guarded(), self._file.snapshot():
            words, records = self._counted(text)
            pieces, weight = match_pieces(text)
            if pieces and self._has_any(pieces):
                asked = [("words", match_expression(text), 1.0), ("pieces", pieces, weight)]
            else:  # by the words that tell it apart; where no record has one, by the others
                telling, rest = parted(words, records)
                some = telling if any(number for _, number in telling) else rest
                asked = [("words", any_of(some), 1.0)]
            numbers = self._numbers_of(ids)
            scores = self._scores_of([number for _, number in numbers], asked)
            return [(name, scores[number]) for name, number in numbers if scores.get(number)]

    def ceiling(self, text: str) -> float:
        """Return the BM25 of a record that is full of all words of ``text``; 0 without words."""
        with self._file.guarded(), self._file.snapshot():
            words, records = self._counted(text)
        return sum((K1 + 1) * idf(records, number) for _, number in words)

    def has(self, state: str) -> bool:
        """Tell whether nothing changed since it was in line with this state of the collection."""
        with self._file.guarded():
            return self._file.state("collection") == state

    def follow(
        self,
        collection: CollectionPort,
        documents: Iterable[DocumentVersion],
        *,
        state: str | None = None,
    ) -> int:
        """Bring the index in line with the documents that exist; return how many had changed.

        Each step is a transaction of its own: what was done before a crash stays done.

        Args:
            collection: where changed records are read.
            documents: all that there are.
            state: tells this state of the collection from all others, read before ``documents``;
                kept for ``has`` unless another process changes the file meanwhile.
        """
        wanted = {document.document_id: document for document in documents}
        self._begin_anew_for(collection)
        with self._file.guarded():
            changes = self._file.state("changes") or 0
            known = dict(self._database.execute("SELECT id, version FROM documents").fetchall())
        gone = [name for name in known if name not in wanted]
        changed = [
            document
            for name, document in wanted.items()
            if document.version is not None and known.get(name) != document.version
        ]
        if gone:
            with self._file.transaction():
                self._remove(gone)
            changes += 1
        for part in _by_records(changed):
            self._index(collection, part)
            changes += 1
        if state is not None:
            self._keep(state, changes)
        return len(gone) + len(changed)

    def wake(self) -> bool:
        """Have the collection looked at before the next question; return whether that rested."""
        return self._memory.wake(time.monotonic())

    def count(self) -> int:
        """Return the number of indexed records."""
        return self._database.execute("SELECT count(*) FROM records").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def _database(self) -> sqlite3.Connection:
        return self._file.database  # another one after damage

    def _begin_anew_for(self, collection: CollectionPort) -> None:
        """Forget what was indexed of another collection of the same name."""
        mark = _mark_of(collection.id)
        with self._file.guarded():
            known = self._file.pragma("application_id")
        if known == mark:
            return
        with self._file.transaction():
            if known:  # 0: from before, when no file told whose it was
                names = self._database.execute("SELECT id FROM documents").fetchall()
                self._remove([name for (name,) in names])
            self._database.execute(f"PRAGMA application_id = {mark}")

    def _by_both(self, text: str, pieces: str, weight: float, *, limit: int) -> list[Scored]:
        """Add the scores of words and of pieces."""
        return self._database.execute(
            _SEARCH_BOTH,
            {
                "words": match_expression(text),
                "bm25": _bm25(),
                "pieces": pieces,
                "weight": weight,
                "depth": max(DEEPEST, limit),
                "limit": limit,
            },
        ).fetchall()

    def _has_any(self, pieces: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM pieces WHERE pieces MATCH ? LIMIT 1", (pieces,)
        )
        return found.fetchone() is not None

    def _id_of(self, number: int) -> str:
        found = self._database.execute("SELECT id FROM records WHERE number = ?", (number,))
        return found.fetchone()[0]

    def _numbers_of(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Return those of these records that are indexed; they are found by their documents."""
        documents = {one for name in ids for one in (name, name.rpartition("-")[0])}
        return self._database.execute(
            "SELECT id, number FROM records WHERE id IN (SELECT value FROM json_each(?)) "
            "AND document_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)), json.dumps(list(documents))),
        ).fetchall()

    def _scores_of(
        self, numbers: Sequence[int], tables: Sequence[tuple[str, str, float]]
    ) -> dict[int, float]:
        """Return the sums of records' BM25 in tables, each with its expression and weight.

        One statement a table: each one counts all the records that have its words. The ``+`` keeps
        SQLite from asking FTS5 for one record after the other, which would count them each time.
        """
        scores: dict[int, float] = {}
        for table, expression, weight in tables:
            bm25 = _bm25() if table == "words" else "bm25()"
            found = self._database.execute(
                f"SELECT rowid, -rank FROM {table} WHERE {table} MATCH ? AND rank MATCH ? "
                "AND +rowid IN (SELECT value FROM json_each(?))",
                (expression, bm25, json.dumps(list(numbers))),
            )
            for number, score in found:
                scores[number] = scores.get(number, 0.0) + weight * score
        return {number: round(score, DIGITS) for number, score in scores.items()}

    def _counted(self, text: str) -> tuple[list[tuple[str, int]], int]:
        """Return the words of a question with how many records have each, and all records."""
        known = (text, self._database.total_changes, self._file.pragma("data_version"))
        if self._last_counted is None or self._last_counted[0] != known:
            touched = self._file.state("touched") or 0
            words = [(word, self._count_of(word, touched)) for word in match_words(text)]
            self._last_counted = known, words, self._count_of(ALL_RECORDS, touched)
        return self._last_counted[1], self._last_counted[2]

    def _count_of(self, word: str, touched: int) -> int:
        number = self._memory.count_of(word, touched)
        if number is None:
            if word == ALL_RECORDS:
                number = self.count()
            else:
                query = "SELECT count(*) FROM words WHERE words MATCH ?"
                number = int(self._database.execute(query, (word,)).fetchone()[0])
            self._memory.keep_count(word, number, touched)
        return number

    def _keep(self, state: str, changes: int) -> None:
        """Remember the state, unless somebody else changed the file since it was looked at."""
        if self._file.state("collection") == state:
            return
        with self._file.guarded():
            self._database.execute(
                "INSERT OR REPLACE INTO state SELECT 'collection', ? "
                "WHERE coalesce((SELECT value FROM state WHERE name = 'changes'), 0) = ?",
                (state, changes),
            )

    def _index(self, collection: CollectionPort, documents: Sequence[DocumentVersion]) -> None:
        ids = [name for document in documents for name in document.record_ids()]
        stored = collection.get(ids, documents=True)
        with self._file.transaction():
            # Another process may have followed meanwhile.
            changed = [one for one in documents if self._version_of(one) != one.version]
            numbers = self._numbers([document.document_id for document in changed])
            self._remove([document.document_id for document in changed])
            self._database.executemany(
                "INSERT INTO documents VALUES (?, ?)",
                [(document.document_id, document.version) for document in changed],
            )
            self._add(
                [
                    (document.document_id, stored[name])
                    for document in changed
                    for name in document.record_ids()
                    if name in stored
                ],
                numbers,
            )

    def _version_of(self, document: DocumentVersion) -> str | None:
        query = "SELECT version FROM documents WHERE id = ?"
        found = self._database.execute(query, (document.document_id,)).fetchone()
        return None if found is None else found[0]

    def _numbers(self, document_ids: Sequence[str]) -> defaultdict[str, int]:
        """Return the numbers of documents' records, and a new one for whatever is asked for."""
        query = "SELECT coalesce(max(number), 0) FROM records"
        last: int = self._database.execute(query).fetchone()[0]
        numbers = defaultdict[str, int](itertools.count(last + 1).__next__)
        query = "SELECT id, number FROM records WHERE document_id = ?"
        for name in document_ids:
            numbers.update(self._database.execute(query, (name,)))
        return numbers

    def _add(self, records: Sequence[tuple[str, StoredRecord]], numbers: Mapping[str, int]) -> None:
        """Index records with the ids of their documents; what is written again keeps its place."""
        rows = [
            (numbers[record.id], name, record, searchable(record.document or ""))
            for name, record in records
        ]
        rows.sort(key=lambda row: row[0])
        self._database.executemany(
            "INSERT INTO records VALUES (?, ?, ?)",
            [(number, record.id, name) for number, name, record, _ in rows],
        )
        self._database.executemany(
            "INSERT INTO words (rowid, text, place) VALUES (?, ?, ?)",
            [
                (number, text, searchable(place_of(record.metadata)))
                for number, _, record, text in rows
            ],
        )
        self._database.executemany(
            "INSERT INTO pieces (rowid, text) VALUES (?, ?)",
            [(number, found) for number, _, _, text in rows if (found := pieces_of(text))],
        )

    def _remove(self, document_ids: Sequence[str]) -> None:
        for name in document_ids:
            stored = self._database.execute(
                "SELECT rowid, text FROM words WHERE rowid IN "
                "(SELECT number FROM records WHERE document_id = ?)",
                (name,),
            ).fetchall()
            for number, text in stored:
                self._database.execute("DELETE FROM words WHERE rowid = ?", (number,))
                if pieces := pieces_of(text):  # not stored: the table forgets what it is told
                    self._database.execute(
                        "INSERT INTO pieces (pieces, rowid, text) VALUES ('delete', ?, ?)",
                        (number, pieces),
                    )
            self._database.execute("DELETE FROM records WHERE document_id = ?", (name,))
            self._database.execute("DELETE FROM documents WHERE id = ?", (name,))


def _bm25() -> str:
    return f"bm25(1.0, {PLACE_WEIGHT})"


def place_of(metadata: Mapping[str, Any]) -> str:
    """Return the key, title, headings and symbol of a chunk, a line each."""
    found = (metadata.get(key) for key in PLACE_KEYS)
    return "\n".join(value for value in found if isinstance(value, str))


def _mark_of(collection_id: str) -> int:
    """Return what tells collections apart in SQLite's header: 31 bits, never 0."""
    return int.from_bytes(hashlib.sha256(collection_id.encode()).digest()[:4]) % (2**31 - 1) + 1


def _by_records(documents: Sequence[DocumentVersion]) -> Iterator[list[DocumentVersion]]:
    """Yield documents in groups of about ``FETCH_RECORDS`` records."""
    part: list[DocumentVersion] = []
    records = 0
    for document in documents:
        part.append(document)
        records += 1 if document.count is None else document.count
        if records >= FETCH_RECORDS:
            yield part
            part, records = [], 0
    if part:
        yield part
