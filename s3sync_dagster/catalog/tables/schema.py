"""What all tables share: names of constraints, and types of columns."""

from collections.abc import Collection
from typing import Any, cast

import sqlalchemy as sa

from s3sync_dagster.catalog.key_text import KeyText

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Key = KeyText()
Time: sa.Double[float] = sa.Double()


class Word(sa.Text):
    """Text that is one of a few words, which stand as such in what a statement compares.

    SQLite looks at a value that is compared as a partial index's condition compares, such as
    ``phase = ?`` beside ``WHERE phase <> 'clean'``, and so prepares the whole statement anew each
    time it is given one (https://sqlite.org/c3ref/c_dbconfig_defensive.html, ``ENABLE_QPSG``): for
    most that is longer than they run. Values that are none of the words are given as any.
    """

    cache_ok = True

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.words = words

    class comparator_factory(sa.Text.Comparator[str]):  # noqa: N801  (SQLAlchemy's name)
        """Comparisons with the words."""

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            """Compare, see ``sqlalchemy.sql.operators.Operators.operate``."""
            return super().operate(op, *map(self._said, other), **kwargs)

        def _said(self, other: Any) -> Any:
            words = cast("Word", self.type).words
            if isinstance(other, str):
                return sa.text(_quoted(other)) if other in words else other
            if isinstance(other, list | tuple):
                several = list(cast("Collection[Any]", other))
                if several and all(isinstance(one, str) and one in words for one in several):
                    return [sa.literal_column(_quoted(one)) for one in several]
                return several
            return other


def _quoted(word: str) -> str:
    return f"'{word!s}'"
