"""How many objects and documents of a kind there are, without a look at each.

Triggers of the database keep that (migration 0026), in the transaction that changes the rows:
no statement of any version can forget to. Nobody else writes these tables, and who copies a
catalog leaves them out: they are no part of ``tables.metadata``.
"""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import documents, metadata, objects

kept = sa.MetaData(naming_convention=metadata.naming_convention)
object_counts = sa.Table(
    "object_counts",
    kept,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("gone", sa.Boolean, primary_key=True),
    sa.Column("skip_reason", sa.Text, primary_key=True),  # here and below "" for nothing
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
document_counts = sa.Table(
    "document_counts",
    kept,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("phase", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("chunks", sa.BigInteger, nullable=False),
    sa.Column("text_bytes", sa.BigInteger, nullable=False),
)

_Counts = dict[tuple[Any, ...], tuple[int, ...]]


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(column, "")


def _counted() -> dict[sa.Table, Any]:
    """Return for each table the statement that counts all rows."""
    one, two = objects.c, documents.c
    kinds = (one.source_id, one.gone, _text(one.skip_reason), _text(one.outcome), _text(one.reason))
    papers = (two.source_id, two.phase, _text(two.fingerprint))
    sums = (sa.func.count(), sa.func.sum(two.chunks), sa.func.sum(two.text_bytes))
    return {
        object_counts: sa.select(*kinds, sa.func.count()).group_by(*kinds),
        document_counts: sa.select(*papers, *sums).group_by(*papers),
    }


@again_after_collisions
class KeptCounts:
    """The counts held against a look at each row: a second or two for a million."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def sound(self) -> bool:
        """Return whether all counts are what their rows are."""
        with self._db.write() as tx:
            return self._are_sound(tx)

    def mend(self) -> bool:
        """Count anew where they are not; returns whether they were not. Who writes waits."""
        with self._db.write() as tx:
            if self._are_sound(tx):
                return False
            for table, count in _counted().items():
                tx.execute(table.delete())
                tx.execute(table.insert().from_select(list(table.columns), count))
            return True

    def _are_sound(self, tx: sa.Connection) -> bool:
        if not self._db.sqlite:  # there a transaction that writes is alone
            tx.execute(sa.text("LOCK TABLE objects, documents IN SHARE ROW EXCLUSIVE MODE"))
        for table, count in _counted().items():
            size = len(table.primary_key.columns)
            kept = tx.execute(sa.select(table))
            if _by_kind(kept, size) != _by_kind(tx.execute(count), size):
                return False
        return True


def _by_kind(rows: Any, size: int) -> _Counts:
    return {tuple(row[:size]): tuple(map(int, row[size:])) for row in rows}
