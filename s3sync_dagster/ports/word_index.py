"""Words of one collection in a SQLite file: BM25 over FTS5, following the collection.

The file is derived. It follows by versions of documents, so no writer has to tell it anything, a
crash costs nothing, and a file that is damaged or of another layout is made again.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.hybrid import DocumentVersion, Scored
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports.word_forms import (
    match_expression,
    match_pieces,
    match_words,
    pieces_of,
    searchable,
)

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import CollectionPort, StoredRecord

LAYOUT = 2
"""Of the file, and of what stands in it; a file of another one is filled again."""
DAMAGED = "word_index_damaged"
FETCH_RECORDS = 1000
BUSY_SECONDS = 30
K1 = 1.2
"""Of FTS5's BM25: a word that fills a text counts ``K1 + 1`` times its rarity."""
LEAST_IDF = 1e-6
"""Likewise: rarity of a word that more than half of the records have."""
DEEPEST = 2000
"""Records of each table whose scores are added."""
PLACE_KEYS = ("document_key", "title", "heading_path", "symbol")
"""Of a record's metadata: words that say where a chunk stands, and often not in its own text."""
PLACE_WEIGHT = 1.0
"""Of a word there beside one of the text. Chosen by measurement (docs/chroma.md)."""

_SCHEMA = """
CREATE TABLE documents (id TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (number INTEGER PRIMARY KEY, id TEXT NOT NULL, document_id TEXT NOT NULL);
CREATE INDEX records_of_document ON records (document_id);
CREATE VIRTUAL TABLE words USING fts5 (
    text, place, tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE pieces USING fts5 (
    text, content = '', tokenize = 'unicode61 remove_diacritics 2'
);
"""
_SEARCH = """
SELECT records.id, sum(score) FROM (
    SELECT * FROM (
        SELECT rowid AS number, -rank AS score FROM words
        WHERE words MATCH :words AND rank MATCH :bm25 ORDER BY rank LIMIT :depth
    )
    UNION ALL
    SELECT * FROM (
        SELECT rowid AS number, -rank * :weight AS score FROM pieces
        WHERE pieces MATCH :pieces ORDER BY rank LIMIT :depth
    )
)
JOIN records USING (number) GROUP BY number ORDER BY 2 DESC, number LIMIT :limit OFFSET :offset
"""


class FtsWordIndex:
    """A ``WordIndex`` in one file. Several processes may use it; one thread per object."""

    def __init__(self, path: Path) -> None:
        """Open the file, made anew where it is missing, damaged or of another layout."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = self._open()

    def search(self, text: str, *, limit: int, offset: int = 0) -> list[Scored]:
        """Return ids of records with words of ``text`` and their BM25, best first."""
        words = match_expression(text)
        if not words:
            return []
        pieces, weight = match_pieces(text)
        depth = max(DEEPEST, offset + limit)
        with self._guarded():
            return self._database.execute(
                _SEARCH,
                {
                    "words": words,
                    "bm25": f"bm25(1.0, {PLACE_WEIGHT})",
                    "pieces": pieces or words,
                    "weight": weight,
                    "depth": depth,
                    "limit": limit,
                    "offset": offset,
                },
            ).fetchall()

    def ceiling(self, text: str) -> float:
        """Return the BM25 of a record that is full of all words of ``text``; 0 without words."""
        with self._guarded():
            records = self.count()
            found = [
                self._database.execute(
                    "SELECT count(*) FROM words WHERE words MATCH ?", (word,)
                ).fetchone()[0]
                for word in match_words(text)
            ]
        return sum(
            (K1 + 1) * max(LEAST_IDF, math.log((records - n + 0.5) / (n + 0.5))) for n in found
        )

    def follow(self, collection: CollectionPort, documents: Iterable[DocumentVersion]) -> int:
        """Bring the index in line with the documents that exist; return how many had changed.

        Each step is a transaction of its own: what was done before a crash stays done.
        """
        wanted = {document.document_id: document for document in documents}
        self._begin_anew_for(collection)
        with self._guarded():
            known = dict(self._database.execute("SELECT id, version FROM documents").fetchall())
        gone = [name for name in known if name not in wanted]
        changed = [
            document
            for name, document in wanted.items()
            if document.version is not None and known.get(name) != document.version
        ]
        if gone:
            with self._transaction():
                self._remove(gone)
        for part in _by_records(changed):
            self._index(collection, part)
        return len(gone) + len(changed)

    def count(self) -> int:
        """Return the number of indexed records."""
        return self._database.execute("SELECT count(*) FROM records").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _begin_anew_for(self, collection: CollectionPort) -> None:
        """Forget what was indexed of another collection of the same name."""
        mark = _mark_of(collection.id)
        with self._guarded():
            (known,) = self._database.execute("PRAGMA application_id").fetchone()
        if known == mark:
            return
        with self._transaction():
            if known:  # 0: from before, when no file told whose it was
                names = self._database.execute("SELECT id FROM documents").fetchall()
                self._remove([name for (name,) in names])
            self._database.execute(f"PRAGMA application_id = {mark}")

    def _index(self, collection: CollectionPort, documents: Sequence[DocumentVersion]) -> None:
        ids = [name for document in documents for name in document.record_ids()]
        stored = collection.get(ids, documents=True)
        with self._transaction():
            self._remove([document.document_id for document in documents])
            for document in documents:
                self._database.execute(
                    "INSERT INTO documents VALUES (?, ?)", (document.document_id, document.version)
                )
                for name in document.record_ids():
                    if name in stored:
                        self._add(document.document_id, stored[name])

    def _add(self, document_id: str, record: StoredRecord) -> None:
        number = self._database.execute(
            "INSERT INTO records (id, document_id) VALUES (?, ?)", (record.id, document_id)
        ).lastrowid
        text = searchable(record.document or "")
        self._database.execute(
            "INSERT INTO words (rowid, text, place) VALUES (?, ?, ?)",
            (number, text, searchable(place_of(record.metadata))),
        )
        if pieces := pieces_of(text):
            self._database.execute(
                "INSERT INTO pieces (rowid, text) VALUES (?, ?)", (number, pieces)
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

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Generator[None]:
        """Turn errors of SQLite into ours; a damaged file is made anew for the next call."""
        try:
            yield
        except sqlite3.OperationalError:
            raise Unavailable(
                f"the word index {str(self._path)!r} is in use or cannot be written",
                reason="word_index_busy",
            ) from None
        except sqlite3.DatabaseError:
            self._database.close()
            self._database = self._make_anew()
            raise Unavailable(
                f"the word index {str(self._path)!r} was damaged; it is filled again",
                reason=DAMAGED,
            ) from None

    def _open(self) -> sqlite3.Connection:
        database = None
        try:
            database = self._connect()
            if _layout(database) in (0, LAYOUT):
                return self._create(database)
        except sqlite3.OperationalError:
            raise Unavailable(
                f"the word index {str(self._path)!r} is in use or cannot be written",
                reason="word_index_busy",
            ) from None
        except sqlite3.DatabaseError:
            pass  # no database at all: made anew, as one of another layout is
        if database is not None:
            database.close()
        return self._make_anew()

    def _make_anew(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return self._create(self._connect())

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _create(self, database: sqlite3.Connection) -> sqlite3.Connection:
        if _layout(database) == LAYOUT:
            return database
        database.execute("BEGIN IMMEDIATE")
        if _layout(database) == 0:
            for statement in _SCHEMA.strip().split(";\n"):
                database.execute(statement.rstrip(";"))
            database.execute(f"PRAGMA user_version = {LAYOUT}")
        database.execute("COMMIT")
        return database


def place_of(metadata: Mapping[str, Any]) -> str:
    """Return the key, title, headings and symbol of a chunk, a line each."""
    found = (metadata.get(key) for key in PLACE_KEYS)
    return "\n".join(value for value in found if isinstance(value, str))


def _mark_of(collection_id: str) -> int:
    """Return what tells collections apart in SQLite's header: 31 bits, never 0."""
    return int.from_bytes(hashlib.sha256(collection_id.encode()).digest()[:4]) % (2**31 - 1) + 1


def _layout(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


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
