"""Words of one collection in a SQLite file: BM25 over FTS5, following the collection.

It follows by versions of documents: no writer has to tell it anything, and a crash costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s3sync_dagster.engine.hybrid import DocumentVersion, Scored
from s3sync_dagster.ports.word_both import best_by_both, words_that_lift
from s3sync_dagster.ports.word_file import WordFile
from s3sync_dagster.ports.word_forms import asked_by_pieces, match_words, voters
from s3sync_dagster.ports.word_memory import ALL_RECORDS, WordMemory
from s3sync_dagster.ports.word_pieces import PieceScores, piece_scores, scores_of
from s3sync_dagster.ports.word_ranking import (
    DIGITS,
    any_of,
    best_by_words,
    parted,
    score_of_all,
)
from s3sync_dagster.ports.word_readers import ReaderWords
from s3sync_dagster.ports.word_records import (
    last_given,
    numbers_of,
    remove_documents,
    replace_documents,
    stands,
)
from s3sync_dagster.ports.word_votes import Voters

if TYPE_CHECKING:
    from s3sync_dagster.core.rights import Rights
    from s3sync_dagster.engine.ports import CollectionPort, StoredRecord
    from s3sync_dagster.ports.word_ranking import Scored as Numbered

FETCH_RECORDS = 1000
WRITE_RECORDS = 16_000
WRITE_CHARACTERS = 16 * 1024**2
"""In one transaction, whichever comes first: each commit has FTS5 write out what it has, and the
texts are in memory until then."""
MOST_NUMBERS = 5_000_000
NUMBERS_A_RECORD = 10
"""Once more numbers were given, and that many for each record that there is, all is numbered anew:
a question takes ten bytes for each of them, and no number is given twice."""
PLACE_WEIGHT = 1.0
"""Of a word there beside one of the text. Chosen by measurement (docs/chroma.md)."""


class FtsWordIndex:
    """A ``WordIndex`` in one file. Several processes may use it; one thread per object."""

    def __init__(self, path: Path, memory: WordMemory | None = None) -> None:
        """Open the file, made anew where it is missing, damaged or of another layout.

        Args:
            path: of the file.
            memory: what this process knows of it from questions before.
        """
        self._path = path
        self._memory = memory or WordMemory()
        self._last_counted: tuple[tuple[str, int, int], list[tuple[str, int]], int] | None = None
        self._stated_of: str | None = None
        self._file = WordFile(path, made_anew=self._memory.forget)

    def search(self, text: str, *, limit: int, among: Sequence[str] | None = None) -> list[Scored]:
        """Return ids of records with words of ``text`` and their BM25, best first.

        Equal ones stand in the order in which they were first written, so a shorter list is the
        beginning of a longer one.

        Args:
            text: the question.
            limit: records at most.
            among: the only records that are ranked; None: all.
        """
        if not match_words(text) or (among is not None and not among):
            return []
        with self._file.guarded(), self._file.snapshot():
            if among is not None:
                return self._ranked_among(text, among)[:limit]
            pieces = self._pieces_of(text)
            if pieces is not None:
                return self._by_both(text, pieces, limit=limit)
            words, records = self._counted(text)
            found = best_by_words(self._database, words, records, bm25=_bm25(), limit=limit)
            return [(self._id_of(number), score) for number, score in found]

    def scores(self, text: str, ids: Sequence[str]) -> list[Scored]:
        """Return those of these records that have words of ``text``, with their BM25."""
        if not ids or not match_words(text):
            return []
        with self._file.guarded(), self._file.snapshot():
            numbers = numbers_of(self._database, ids)
            first = next(self._scored(text, [number for _, number in numbers]), None)
            scores = first or {}
            return [(name, scores[number]) for name, number in numbers if scores.get(number)]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of these records whose words are indexed."""
        with self._file.guarded(), self._file.snapshot():
            return {name for name, _ in numbers_of(self._database, ids)}

    def ceiling(self, text: str) -> float:
        """Return the BM25 of a record that is full of all words of ``text``; 0 without words."""
        with self._file.guarded(), self._file.snapshot():
            return score_of_all(*self._counted(text))

    def seen_by(self, rights: Rights) -> ReaderWords:
        """Return the words of what a reader may see; closed with this."""
        return ReaderWords(self._file, self._memory, rights, bm25=_bm25())

    def state(self) -> str | None:
        """Return the state of the collection that it is in line with; None: not known."""
        with self._file.guarded():
            self._stated_of = self.file_id()
            return self._file.state("collection")

    def file_id(self) -> str:
        """Return what tells the file from the one that was here before."""
        with self._file.guarded():
            return self._file.state("file")

    def follow(
        self,
        collection: CollectionPort,
        documents: Iterable[DocumentVersion],
        *,
        parts: Sequence[int] | None = None,
        state: str | None = None,
    ) -> int:
        """Bring the index in line with the documents that exist; return how many had changed.

        Each step is a transaction of its own: what was done before a crash stays done.

        Args:
            collection: where changed records are read.
            documents: all that there are in ``parts``.
            parts: of the collection; all others are as they were. None: all of it is looked at.
            state: tells this state of the collection from all others, read before ``documents``;
                kept for ``state()`` unless another process changes the file meanwhile.

        Raises:
            Unavailable: the file was emptied since ``state()`` was asked, so that ``parts`` are not
                all that it lacks (``word_index_damaged``); the next call says so.
        """
        wanted = {document.document_id: document for document in documents}
        self._number_anew()
        self._begin_anew_for(collection)
        with self._file.guarded():
            changes, file = self._file.state("changes") or 0, self._file.state("file")
            known = self._known(parts)
        if parts is not None and self._stated_of not in (None, file):
            raise self._file.emptied()
        gone = [name for name in known if name not in wanted]
        changed = [
            document
            for name, document in wanted.items()
            if document.version is not None and known.get(name) != (document.version, document.part)
        ]
        if gone:
            with self._file.transaction():
                remove_documents(self._database, gone)
            changes += 1
        for part, stored in _read_with(collection, changed):
            with self._file.transaction():
                # Another process may have followed meanwhile.
                new = [one for one in part if not stands(self._database, one)]
                replace_documents(self._database, new, stored)
            changes += 1
        if state is not None:
            self._keep(state, changes, of=file)
        return len(gone) + len(changed)

    def wake(self) -> bool:
        """Have the collection looked at before the next question; return whether that rested."""
        return self._memory.wake(time.monotonic())

    def another(self) -> FtsWordIndex:
        """Open the file once more, for another thread."""
        return FtsWordIndex(self._path, self._memory)

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
                remove_documents(self._database, [name for (name,) in names])
            self._database.execute(f"PRAGMA application_id = {mark}")

    def _number_anew(self) -> None:
        """Empty a file most of whose numbers stand for nothing: a question pays for each."""
        with self._file.guarded():
            given = last_given(self._database)
            if given <= MOST_NUMBERS or given <= NUMBERS_A_RECORD * self.count():
                return
        self._file.begin_anew()

    def _by_both(self, text: str, pieces: PieceScores, *, limit: int) -> list[Scored]:
        """Add the scores of words and of pieces; what has words alone that most have is behind."""
        words, records = self._counted(text)
        telling, rest = parted(words, records)

        def by_words(depth: int) -> Numbered:
            if not telling:
                return []
            return best_by_words(self._database, telling, records, bm25=_bm25(), limit=depth)

        def words_of(numbers: Sequence[int], reached: float) -> dict[int, float]:
            return words_that_lift(
                self._database, telling, records, pieces, numbers, reached, bm25=_bm25()
            )

        found = best_by_both(by_words, pieces, words_of, limit=limit)
        if rest and len(found) < limit:
            most = len(found) + limit
            alone = best_by_words(self._database, rest, records, bm25=_bm25(), limit=most)
            listed = {number for number, _ in found}
            found += [one for one in alone if one[0] not in listed]
        return [(self._id_of(number), score) for number, score in found[:limit]]

    def _ranked_among(self, text: str, ids: Sequence[str]) -> list[Scored]:
        """Return those of these records that have words of a question, in the order of all."""
        names = {number: name for name, number in numbers_of(self._database, ids)}
        ranked: list[Scored] = []
        for scores in self._scored(text, list(names)):
            ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
            ranked += [(names.pop(number), score) for number, score in ordered if number in names]
        return ranked

    def _scored(self, text: str, numbers: Sequence[int]) -> Iterator[dict[int, float]]:
        """Yield what a question counts in records, those that it counts anything in.

        By words that tell records apart, and by pieces; behind them by words that most records
        have (``parted``). What no record has is left out.
        """
        words, records = self._counted(text)
        telling, rest = parted(words, records)
        pieces = self._pieces_of(text)
        for some, beside in ((telling, pieces), (rest, None)):
            asked = any(number for _, number in some)
            if not asked and beside is None:
                continue
            scores: dict[int, float] = {}
            if asked:
                scores = scores_of(self._database, numbers, any_of(some), bm25=_bm25())
            if beside is not None:
                for number, counted in beside.among(numbers).items():
                    scores[number] = round(scores.get(number, 0.0) + counted, DIGITS)
            if asked or scores:
                yield scores

    def _pieces_of(self, text: str) -> PieceScores | None:
        """Return what the pieces of a question count; None: no record has one, or none is asked."""
        words, weight = asked_by_pieces(text)
        touched = self._file.state("touched") or 0
        asked = Voters(
            database=self._database,
            memory=self._memory,
            name=self.file_id(),
            touched=touched,
            records=self._count_of(ALL_RECORDS, touched),
        )
        if not words or not asked.are_asked(voters(text)):
            return None
        return piece_scores(self._database, words, weight)

    def _id_of(self, number: int) -> str:
        found = self._database.execute("SELECT id FROM records WHERE number = ?", (number,))
        return found.fetchone()[0]

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

    def _keep(self, state: str, changes: int, *, of: str) -> None:
        """Remember the state, unless somebody else changed the file since it was looked at."""
        if self._file.state("collection") == state:
            return
        with self._file.guarded():
            self._database.execute(
                "INSERT OR REPLACE INTO state SELECT 'collection', ? "
                "WHERE coalesce((SELECT value FROM state WHERE name = 'changes'), 0) = ? "
                "AND (SELECT value FROM state WHERE name = 'file') = ?",
                (state, changes, of),
            )

    def _known(self, parts: Sequence[int] | None) -> dict[str, tuple[str, int | None]]:
        """Return versions and parts of the indexed documents, of some parts or of all."""
        query = "SELECT id, version, part FROM documents"
        if parts is not None:
            query += " WHERE part IN (SELECT value FROM json_each(?))"
        values = () if parts is None else (json.dumps(list(parts)),)
        found = self._database.execute(query, values)
        return {name: (version, part) for name, version, part in found}


def _bm25() -> str:
    return f"bm25(1.0, {PLACE_WEIGHT})"


def _mark_of(collection_id: str) -> int:
    """Return what tells collections apart in SQLite's header: 31 bits, never 0."""
    return int.from_bytes(hashlib.sha256(collection_id.encode()).digest()[:4]) % (2**31 - 1) + 1


def _read_with(
    collection: CollectionPort, documents: Sequence[DocumentVersion]
) -> Iterator[tuple[list[DocumentVersion], dict[str, StoredRecord]]]:
    """Yield documents with their records, as many as a transaction is to write."""
    part: list[DocumentVersion] = []
    stored: dict[str, StoredRecord] = {}
    characters = 0
    for some in _by_records(documents, FETCH_RECORDS):
        ids = [name for document in some for name in document.record_ids()]
        read = collection.get(ids, documents=True)
        part += some
        stored |= read
        characters += sum(len(record.document or "") for record in read.values())
        if len(stored) >= WRITE_RECORDS or characters >= WRITE_CHARACTERS:
            yield part, stored
            part, stored, characters = [], {}, 0
    if part:
        yield part, stored


def _by_records(documents: Sequence[DocumentVersion], most: int) -> Iterator[list[DocumentVersion]]:
    """Yield documents in groups of about so many records."""
    part: list[DocumentVersion] = []
    records = 0
    for document in documents:
        part.append(document)
        records += 1 if document.count is None else document.count
        if records >= most:
            yield part
            part, records = [], 0
    if part:
        yield part
