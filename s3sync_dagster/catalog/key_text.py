"""The column type of object keys: every key that S3 has, in S3's order."""

from typing import Any

import sqlalchemy as sa

_ESCAPE = "\x01"
_NUL, _ITSELF = _ESCAPE + "\x01", _ESCAPE + "\x02"


class KeyText(sa.TypeDecorator[str]):
    """Text in UTF-8 binary order that may hold NUL.

    S3 lists in that order; SQLite compares text so, Postgres only in collation "C". Postgres has
    no NUL in text, S3 has it in keys: one such object must not stop a listing. NUL and the
    escape itself are stored as two characters each, which keeps the order.
    """

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the database's type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.TEXT(collation="C"))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return what is stored."""
        if value is None or ("\x00" not in value and _ESCAPE not in value):
            return value
        return value.replace(_ESCAPE, _ITSELF).replace("\x00", _NUL)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return the key."""
        if value is None or _ESCAPE not in value:
            return value
        return "\x00".join(part.replace(_ITSELF, _ESCAPE) for part in value.split(_NUL))
