"""The SQLite file of a word index: its layout, its transactions, what is done when it is damaged.

The file is derived: one that is damaged or of another layout is made again.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.write_ahead import write_ahead
from s3sync_dagster.model.errors import InvalidSetting, Unavailable
from s3sync_dagster.ports.word_postings import SCHEMA as POSTINGS

LAYOUT = 10
"""Of the file, and of what stands in it; a file of another one is filled again."""
DAMAGED = "word_index_damaged"
BUSY_SECONDS = 30
_NOT_NOW = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    )
)
"""What SQLite says of a file that is whole; whatever else it says, the file is not.

``SQLITE_PROTOCOL``: many processes open the log at once, and the others were first each time."""

_CLOSED = frozenset((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM))
"""Of those: another moment changes nothing."""

_SCHEMA = """
CREATE TABLE documents (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, version TEXT NOT NULL,
    part INTEGER, readers TEXT NOT NULL, first INTEGER, last INTEGER
);
CREATE INDEX documents_of_part ON documents (part);
CREATE TABLE records (number INTEGER PRIMARY KEY, id TEXT NOT NULL, document INTEGER NOT NULL);
CREATE INDEX records_of_document ON records (document);
CREATE VIRTUAL TABLE words USING fts5 (
    text, place, tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO words (words, rank) VALUES ('hashsize', 33554432), ('automerge', 16);
CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO state VALUES ('file', hex(randomblob(8)));
"""
"""FTS5 writes out 32 MiB at once and merges sixteen such parts: at a million records a sixth less
to fill than with eight of 8 MiB, and a question is no slower.

``state``: how often the file was changed, what of the collection it is known to have, and what
tells it from the one that was here before. A document's records have the numbers ``first`` to
``last``, or none stand there where they are not in a row. No number is ever given again: what was
noted of it (who may read it) stays true."""

_TORN = """
SELECT 1 FROM documents WHERE typeof(id) <> 'text' OR NOT json_valid(readers)
UNION ALL SELECT 1 FROM records WHERE typeof(id) <> 'text'
UNION ALL SELECT 1 FROM words_docsize WHERE id NOT IN (SELECT number FROM records)
LIMIT 1
"""
"""What no writer leaves. SQLite has no sums of its pages: of a page in another's place, or with
other letters, it gives what stands there."""


def file_of(folder: Path, name: str) -> Path:
    """Return where the words of a collection lie; where they lay in older layouts is emptied.

    Each layout has a file of its own. A program of before, one that runs on while the package is
    upgraded, would write what it takes for words into the file of another one, and call it whole.

    Args:
        folder: of all word indexes.
        name: of the collection's.
    """
    path = folder / f"{name}.{LAYOUT}.db"
    if not path.exists():
        for older in (folder / f"{name}.db", *(folder / f"{name}.{n}.db" for n in range(LAYOUT))):
            try:
                _remove(older)
            except OSError:
                break  # who opens the new one says what is wrong with the folder
    return path


class WordFile:
    """One file, open. Several processes may use it; one thread per object."""

    def __init__(self, path: Path, *, made_anew: Callable[[], None]) -> None:
        """Open the file, made anew where it is missing, damaged or of another layout.

        Args:
            path: of the file.
            made_anew: called when the file is empty.

        Raises:
            Unavailable: the file is in use or cannot be written.
            InvalidSetting: a file stands where its folder belongs.
        """
        self._path = path
        self._made_anew = made_anew
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InvalidSetting(
                f"the folder of words {str(path.parent)!r} is a file, or in one: move it away"
            ) from None
        except OSError:
            raise self._not_writable() from None
        self.database = self._open()

    def pragma(self, name: str) -> int:
        """Return a number that SQLite keeps with the file."""
        return self.database.execute(f"PRAGMA {name}").fetchone()[0]

    def state(self, name: str) -> Any:
        """Return what is noted under a name; None: nothing."""
        found = self.database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """Let all that is read be of one moment, whatever others write meanwhile."""
        self.database.execute("BEGIN")
        try:
            yield
        finally:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Change the file, all or nothing; what it was in line with is no longer known."""
        with self.guarded():
            self.database.execute("BEGIN IMMEDIATE")
            try:
                self.database.execute("DELETE FROM state WHERE name = 'collection'")
                self.database.execute(
                    "INSERT INTO state VALUES ('changes', 1) "
                    "ON CONFLICT (name) DO UPDATE SET value = value + 1"
                )
                before = self.database.total_changes
                yield
                self.database.execute(
                    "INSERT INTO state VALUES ('touched', :rows) "
                    "ON CONFLICT (name) DO UPDATE SET value = value + :rows",
                    {"rows": self.database.total_changes - before},
                )
            except BaseException:
                # Of a full disk SQLite has taken everything back itself.
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")

    @contextmanager
    def guarded(self) -> Generator[None]:
        """Turn errors of SQLite into ours; a damaged file is made anew for the next call."""
        try:
            yield
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            if isinstance(error, sqlite3.DatabaseError):
                if _passes(error):
                    raise self._not_now(error) from None
            elif self._is_whole():
                raise  # a fault of ours: made anew, the file would meet it again
            self.database.close()
            self.database = self._make_anew()
            raise self.emptied() from None

    def emptied(self) -> Unavailable:
        """Return the error for who met damage, or a file that another one has emptied since."""
        return Unavailable(
            f"the word index {str(self._path)!r} was damaged or emptied; it is filled again",
            reason=DAMAGED,
        )

    def begin_anew(self) -> None:
        """Empty the file: nothing is indexed, and numbers begin at 1."""
        with self.guarded():
            self._create(self.database, anew=True)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def _open(self) -> sqlite3.Connection:
        database = None
        try:
            database = self._connect()
            return self._create(database)
        except UnicodeDecodeError:
            pass  # of a name in it: SQLite told of the damage in words that are none
        except sqlite3.DatabaseError as error:
            if _passes(error):
                raise self._not_now(error) from None
            # Else it is no database at all.
        if database is not None:
            database.close()
        return self._make_anew()

    def _not_now(self, error: sqlite3.DatabaseError) -> Unavailable:
        if _code(error) in _CLOSED:
            return self._not_writable()
        return Unavailable(
            f"the word index {str(self._path)!r} is in use, or its disk is full or fails: "
            "try again",
            reason="word_index_busy",
        )

    def _not_writable(self) -> Unavailable:
        return Unavailable(
            f"the word index {str(self._path)!r} cannot be written: let this program write its "
            "folder and what lies in it, or search by vectors alone (dense)",
            reason="word_index_busy",
        )

    def _is_whole(self) -> bool:
        """Tell whether the file is as it was written, once what it gave cannot be read."""
        try:
            checked = self.database.execute("PRAGMA quick_check (1)").fetchone()
            return checked == ("ok",) and self.database.execute(_TORN).fetchone() is None
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return False

    def _make_anew(self) -> sqlite3.Connection:
        """Open another file in place of a damaged one, be it that of who met the damage before."""
        met = self._opened
        try:
            with self._path.with_name(f"{self._path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if met == _file_at(self._path):
                    _remove(self._path)
                return self._create(self._connect())
        except OSError:
            raise self._not_writable() from None
        except sqlite3.DatabaseError as error:
            raise self._not_now(error) from None

    def _connect(self) -> sqlite3.Connection:
        self._opened = _file_at(self._path)
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        write_ahead(database, within_seconds=BUSY_SECONDS)
        self._opened = self._opened or _file_at(self._path)
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _create(self, database: sqlite3.Connection, *, anew: bool = False) -> sqlite3.Connection:
        """Return a connection to a file of this layout; one of another is emptied where it stands.

        Others may have it open: they meet the new layout, and no file is taken away from them.
        """
        if _layout(database) == LAYOUT and not anew:
            return database
        database.execute("BEGIN IMMEDIATE")
        if _layout(database) != LAYOUT or anew:
            self._made_anew()
            _drop_all(database)
            for statement in (_SCHEMA + POSTINGS).strip().split(";\n"):
                database.execute(statement.rstrip(";"))
            database.execute(f"PRAGMA user_version = {LAYOUT}")
            database.execute("PRAGMA application_id = 0")
        database.execute("COMMIT")
        return database


def _drop_all(database: sqlite3.Connection) -> None:
    """Drop all tables, those of FTS5 with what it keeps them in."""
    virtual = "CREATE VIRTUAL%"
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql {} ?"
    for kind in ("LIKE", "NOT LIKE"):
        for (name,) in database.execute(query.format(kind), (virtual,)).fetchall():
            if not name.startswith("sqlite_"):
                database.execute(f'DROP TABLE "{name}"')


def _remove(path: Path) -> None:
    """Remove a file with what SQLite has beside it; who has it open goes on with what it had."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one at its path; None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _layout(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def _passes(error: sqlite3.DatabaseError) -> bool:
    return _code(error) in _NOT_NOW


def _code(error: sqlite3.DatabaseError) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the low byte of an extended code
