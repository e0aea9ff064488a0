"""Whether rows of a backup's catalog can be read, and others numbered after them.

What they say is taken as it is. A number at the end of all numbers, though, has a table take no
more rows, and a time that is none, or a text of no letters, has nobody read it again.
"""

import sqlite3
from collections import deque
from collections.abc import Iterator

from s3sync_dagster.model.errors import FixConfiguration

LAST_NUMBER, ROOM = 2**31 - 1, 100_000_000
"""Of rows that the database numbers, by Postgres's type, and how many more there have to be."""
_FIRST_TIME, _LAST_TIME = -62_135_596_800, 253_402_300_800
"""The years 1 to 9999, in seconds since 1970: what a file may have as its time. The last moment of
them, which stands for "never", is no other number than the end itself."""
_NUMBERED = "sqlite_sequence"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
_COLUMNS = 'SELECT name, upper(type), "notnull", pk FROM pragma_table_xinfo(?)'
_TEXT = "typeof({0}) = 'text'"
_FITS = {
    "TEXT": _TEXT,
    "VARCHAR(32)": _TEXT,
    "JSON": _TEXT,
    "BLOB": "typeof({0}) = 'blob'",
    "BOOLEAN": "typeof({0}) = 'integer' AND {0} IN (0, 1)",
    "BIGINT": "typeof({0}) = 'integer'",
    "SMALLINT": "typeof({0}) = 'integer' AND abs({0}) < 32768",
    "INTEGER": f"typeof({{0}}) = 'integer' AND {{0}} BETWEEN {-LAST_NUMBER} AND {LAST_NUMBER}",
    "DOUBLE": f"typeof({{0}}) = 'real' AND {{0}} BETWEEN {_FIRST_TIME} AND {_LAST_TIME}",
}
"""What a value has to be, by the type that its column is declared with. All of those with a
fraction are times or spans of time."""
_NEXT_TO_COME = f"typeof({{0}}) = 'integer' AND {{0}} BETWEEN 0 AND {LAST_NUMBER - ROOM}"


def require_usable_rows(ours: sqlite3.Connection, given: sqlite3.Connection) -> None:
    """Look at all rows of the tables that this program makes.

    Args:
        ours: a catalog that this program has made.
        given: one with the same tables; it may have more.

    Raises:
        FixConfiguration: a value is none of its column's (``backup_damaged``).
    """
    for (table,) in ours.execute(_TABLES).fetchall():
        columns = ours.execute(_COLUMNS, (table,)).fetchall()
        unfit = " OR ".join(_unfit(columns) if table != _NUMBERED else _unfit_sequences())
        if given.execute(f'SELECT 1 FROM "{table}" WHERE {unfit} LIMIT 1').fetchone():
            raise _unusable(table)
        texts = ", ".join(f'"{name}"' for name, kind, _, _ in columns if _FITS.get(kind) == _TEXT)
        if texts:
            try:
                deque(given.execute(f'SELECT {texts} FROM "{table}"'), maxlen=0)
            except sqlite3.OperationalError:  # no UTF-8
                raise _unusable(table) from None


def _unfit(columns: list[tuple[str, str, int, int]]) -> Iterator[str]:
    keys = sum(bool(key) for *_, key in columns)
    for name, kind, filled, key in columns:
        numbered = kind == "INTEGER" and key and keys == 1
        fits = (_NEXT_TO_COME if numbered else _FITS[kind]).format(f'"{name}"')
        yield f"NOT ({fits})" if filled else f'("{name}" IS NOT NULL AND NOT ({fits}))'


def _unfit_sequences() -> Iterator[str]:
    yield f"NOT ({_NEXT_TO_COME.format('seq')})"
    yield "typeof(name) <> 'text'"
    yield f"name IN (SELECT name FROM {_NUMBERED} GROUP BY name HAVING count(*) > 1)"


def _unusable(table: str) -> FixConfiguration:
    return FixConfiguration(
        f"The table {table!r} of the backup's catalog has values that no such table has: take "
        "another backup. Nothing was changed.",
        reason="backup_damaged",
    )
