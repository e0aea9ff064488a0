"""Whether the catalog of a backup is made as this program makes one, and can be gone on with.

Who may write where backups lie writes its schema as well as its rows: by a trigger, an index or a
column of his the audit log would be deleted as it is written, or take nothing any more.
"""

import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.backup import CATALOG
from s3sync_dagster.local.restored_rows import require_usable_rows
from s3sync_dagster.model.errors import FixConfiguration

_WHAT_ACTS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
_WHAT_IS_SEEN = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
_KINDS = "SELECT type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?"
_COLUMNS = 'SELECT name, upper(type), "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
_LISTED = 'SELECT name, "unique", origin, partial FROM pragma_index_list(?)'
_OF_INDEX = "SELECT name, cid, coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno"
_LINKS = 'SELECT "from", "table", "to", on_update, on_delete FROM pragma_foreign_key_list(?)'
_ACTS = re.compile(r"\b(CONFLICT|CASCADE|SET|CHECK|GENERATED|AS|COLLATE|RAISE)\b", re.IGNORECASE)
"""Words of a table that has rows left out, replaced, deleted with others, refused or made up."""
_PLAIN = re.compile(r"'(?:[^']|'')*'|[+-]?\d+(?:\.\d+)?|NULL|TRUE|FALSE", re.IGNORECASE)
"""A default that can be told for each row."""


def require_own_schema(catalog: Path) -> None:
    """Give a catalog the triggers and indexes that this program makes, and no other triggers.

    A later version may have added tables, columns that may be empty, and indexes that only find.

    Raises:
        FixConfiguration: a table does more by itself, or less, or has values that it cannot have
            (``backup_damaged``).
    """
    with tempfile.TemporaryDirectory(dir=catalog.parent) as room:
        made = Path(room) / CATALOG
        with closing(Database(f"sqlite:///{made}")) as database:
            database.migrate()
        with (
            closing(sqlite3.connect(made)) as ours,
            closing(sqlite3.connect(catalog)) as given,
            given,
        ):
            for kind, name in given.execute(_WHAT_IS_SEEN).fetchall():
                given.execute(f"DROP {kind} {_quoted(name)}")
            texts = dict(given.execute(_TABLES).fetchall())
            for table, text in ours.execute(_TABLES).fetchall():
                _require_same(ours, given, table)
                if _acts(texts[table]) - _acts(text):
                    raise _does_more(table)
            require_usable_rows(ours, given)
            _bring_indexes(ours, given)
            for _, text in ours.execute(_WHAT_ACTS).fetchall():
                given.execute(text)


def _require_same(ours: sqlite3.Connection, given: sqlite3.Connection, table: str) -> None:
    """Raise where a table takes other rows than ours does."""
    if given.execute(_KINDS, (table,)).fetchall() != ours.execute(_KINDS, (table,)).fetchall():
        raise _does_more(table)
    wanted = {row[0]: row for row in ours.execute(_COLUMNS, (table,))}
    found = {row[0]: row for row in given.execute(_COLUMNS, (table,))}
    if any(found.get(name) != row for name, row in wanted.items()):
        raise _does_more(table)
    for name in found.keys() - wanted.keys():
        _, _, filled, default, key, hidden = found[name]
        unfit = bool(filled) if default is None else not _PLAIN.fullmatch(default)
        if key or hidden or unfit:
            raise _does_more(table)
    if not set(given.execute(_LINKS, (table,))) <= set(ours.execute(_LINKS, (table,))):
        raise _does_more(table)
    if set(_refusing(given, table)) != set(_refusing(ours, table)):
        raise _does_more(table)


def _refusing(catalog: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    """Yield what refuses rows of a table: keys by their columns, other indexes by their text.

    An index that finds by an expression refuses rows of which that cannot be told.
    """
    texts = dict(catalog.execute(_INDEXES).fetchall())
    for name, unique, origin, partial in catalog.execute(_LISTED, (table,)).fetchall():
        columns = tuple(catalog.execute(_OF_INDEX, (name,)).fetchall())
        plain = all(cid >= -1 and coll == "BINARY" for _, cid, coll in columns)
        if name in texts and (unique or partial or not plain):
            yield (name, _words(texts[name]))
        elif unique:
            yield (origin, columns)


def _bring_indexes(ours: sqlite3.Connection, given: sqlite3.Connection) -> None:
    """Make the indexes that are missing; what finds under the same name is replaced."""
    there = dict(given.execute(_INDEXES).fetchall())
    for name, text in ours.execute(_INDEXES).fetchall():
        if _words(there.get(name, "")) == _words(text):
            continue
        if name in there:
            given.execute(f"DROP INDEX {_quoted(name)}")
        given.execute(text)


def _acts(text: str) -> Counter[str]:
    """Return the words of a table by which it does or refuses something by itself."""
    return Counter(one.upper() for one in _ACTS.findall(text))


def _words(text: str) -> str:
    return " ".join(text.split())


def _quoted(name: object) -> str:
    return f'"{str(name).replace(chr(34), chr(34) * 2)}"'


def _does_more(table: str) -> FixConfiguration:
    return FixConfiguration(
        f"The table {table!r} of the backup's catalog takes other rows than this program's, or "
        "does more by itself: take another backup. Nothing was changed.",
        reason="backup_damaged",
    )
