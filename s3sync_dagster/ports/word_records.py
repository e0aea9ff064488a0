"""What the word index has of documents and their records: written, taken away, found by ids."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from s3sync_dagster.core.record_limits import CONTRACT_KEYS, RESERVED_PREFIXES
from s3sync_dagster.core.rights import SOURCE
from s3sync_dagster.ports.word_forms import long_words_of, searchable
from s3sync_dagster.ports.word_postings import add_pieces, remove_pieces

if TYPE_CHECKING:
    from s3sync_dagster.engine.hybrid import DocumentVersion
    from s3sync_dagster.engine.ports import StoredRecord

PLACE_KEYS = ("document_key", "title", "heading_path", "symbol")
"""Of a record's metadata: words that say where a chunk stands, and often not in its own text."""
_LAST_GIVEN = "SELECT coalesce((SELECT value FROM state WHERE name = 'given'), 0)"
LONGEST_READER = 1024
"""Characters of a text that may name a group: those of tokens have 256 at most."""


def last_given(database: sqlite3.Connection) -> int:
    """Return the highest number that a record was ever given; 0: none was.

    Raises:
        sqlite3.DatabaseError: what is noted is none.
    """
    found = database.execute(_LAST_GIVEN).fetchone()[0]
    if not isinstance(found, int):
        raise sqlite3.DatabaseError("the last number is damaged")
    return found


def replace_documents(
    database: sqlite3.Connection,
    documents: Sequence[DocumentVersion],
    stored: Mapping[str, StoredRecord],
) -> None:
    """Index documents with those of their records that there are, in place of what was indexed.

    A document whose readers are others gets another number, and its records too; one that has more
    records gets another number: what was noted of a number stays true.
    """
    known = _known(database, [document.document_id for document in documents])
    numbers = {name: _record_numbers(database, document) for name, (document, _) in known.items()}
    remove_documents(database, list(known))
    given = itertools.count(last_given(database) + 1)
    found: list[tuple[int, int, StoredRecord]] = []
    for one in documents:
        records = [stored[name] for name in one.record_ids() if name in stored]
        readers = readers_of(records[0].metadata if records else {})
        number, before = known.get(one.document_id, (None, ""))
        kept = numbers.get(one.document_id, {})
        if readers != before:
            kept = {}
        if any(record.id not in kept for record in records):
            number = None
        named = [kept[one.id] if one.id in kept else next(given) for one in records]
        written = database.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (number, one.document_id, one.version, one.part, readers, *_span(named)),
        )
        document: int = written.fetchone()[0]
        found += [(number, document, record) for number, record in zip(named, records, strict=True)]
    _add(database, sorted(found, key=lambda one: one[0]))
    database.execute("INSERT OR REPLACE INTO state VALUES ('given', ?)", (next(given) - 1,))


def remove_documents(database: sqlite3.Connection, document_ids: Sequence[str]) -> None:
    """Take documents and their records out."""
    gone: list[int] = []
    for document, _ in _known(database, document_ids).values():
        found = database.execute("SELECT number FROM records WHERE document = ?", (document,))
        numbers = found.fetchall()
        gone += [number for (number,) in numbers]
        database.executemany("DELETE FROM words WHERE rowid = ?", numbers)
        database.execute("DELETE FROM records WHERE document = ?", (document,))
        database.execute("DELETE FROM documents WHERE number = ?", (document,))
    remove_pieces(database, gone)


def stands(database: sqlite3.Connection, document: DocumentVersion) -> bool:
    """Tell whether a document is indexed as it is."""
    query = "SELECT version, part FROM documents WHERE id = ?"
    found = database.execute(query, (document.document_id,)).fetchone()
    return found == (document.version, document.part)


def numbers_of(database: sqlite3.Connection, ids: Sequence[str]) -> list[tuple[str, int]]:
    """Return those of these records that are indexed; they are found by their documents."""
    documents = {one for name in ids for one in (name, name.rpartition("-")[0])}
    return database.execute(
        "SELECT id, number FROM records WHERE id IN (SELECT value FROM json_each(?)) AND document "
        "IN (SELECT number FROM documents WHERE id IN (SELECT value FROM json_each(?)))",
        (json.dumps(list(ids)), json.dumps(list(documents))),
    ).fetchall()


def place_of(metadata: Mapping[str, Any]) -> str:
    """Return the key, title, headings and symbol of a chunk, a line each."""
    found = (metadata.get(key) for key in PLACE_KEYS)
    return "\n".join(value for value in found if isinstance(value, str))


def readers_of(metadata: Mapping[str, Any]) -> str:
    """Return as JSON whatever may say who reads a document: its source and names of people's own.

    Which of them do, the catalog says at each question (``core.rights``); no name of the system's
    does.
    """
    named = {
        key: value
        for key, value in metadata.items()
        if key not in CONTRACT_KEYS and not key.startswith(RESERVED_PREFIXES)
    }
    found = {key: some for key, value in named.items() if (some := _groups(value))}
    if SOURCE in metadata:
        found[SOURCE] = metadata[SOURCE]
    return json.dumps(found, sort_keys=True)


def _groups(value: Any) -> list[str]:
    values = cast("Iterable[Any]", value) if isinstance(value, list | tuple) else (value,)
    return [one for one in values if isinstance(one, str) and len(one) <= LONGEST_READER]


def _known(database: sqlite3.Connection, document_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return the numbers of those of these documents that are indexed, and their readers."""
    found = database.execute(
        "SELECT id, number, readers FROM documents WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(document_ids)),),
    )
    return {name: (number, readers) for name, number, readers in found}


def _span(numbers: Sequence[int]) -> tuple[int | None, int | None]:
    """Return the first and the last of numbers in a row; nothing, where they are not."""
    in_a_row = bool(numbers) and max(numbers) - min(numbers) + 1 == len(numbers)
    return (min(numbers), max(numbers)) if in_a_row else (None, None)


def _record_numbers(database: sqlite3.Connection, document: int) -> dict[str, int]:
    """Return the numbers of a document's records."""
    query = "SELECT id, number FROM records WHERE document = ?"
    return dict(database.execute(query, (document,)).fetchall())


def _add(database: sqlite3.Connection, records: Sequence[tuple[int, int, StoredRecord]]) -> None:
    """Index records with their numbers and those of their documents, in order.

    FTS5 writes out what it has in memory before a number that is less than the last one.
    """
    rows = [(number, record, searchable(record.document or "")) for number, _, record in records]
    database.executemany(
        "INSERT INTO records VALUES (?, ?, ?)",
        [(number, record.id, document) for number, document, record in records],
    )
    database.executemany(
        "INSERT INTO words (rowid, text, place) VALUES (?, ?, ?)",
        [(number, text, searchable(place_of(record.metadata))) for number, record, text in rows],
    )
    add_pieces(
        database, [(number, found) for number, _, text in rows if (found := long_words_of(text))]
    )
