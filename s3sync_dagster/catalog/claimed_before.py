"""Documents of a source that was moved, while somebody has them in his hands to delete them."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import document_of, groups, is_due
from s3sync_dagster.catalog.tables import documents, sources
from s3sync_dagster.core.state import DocumentState

MOVER = "mover"
"""Stands as the batch of a document that leaves in favour of its successor: nobody takes its record
ids over meanwhile."""
MOVER_FOR_GOOD = "mover, for good"
"""The same, of one that goes whatever stands in its place: nothing has to."""
MOVERS = (MOVER, MOVER_FOR_GOOD)
LEAVING_SECONDS = 120.0
"""So long one process has the right to delete what it has claimed of a source before."""


def take_right(tx: sa.Connection, before_id: str, *, now: float) -> bool:
    """Take the right to delete documents of a source before; False: another process has it."""
    mine = tx.execute(
        sources.update()
        .where(sources.c.id == before_id, _is_free(now))
        .values(leaving_until=now + LEAVING_SECONDS)
    )
    return bool(mine.rowcount)


def left_claimed(tx: sa.Connection, before_id: str, *, now: float) -> list[DocumentState] | None:
    """Return what was claimed in favour of successors, and left; None: somebody is at it."""
    here = (documents.c.source_id == before_id, documents.c.batch_token == MOVER)
    claimed = [document_of(row) for row in tx.execute(sa.select(documents).where(*here))]
    free = sa.select(sources.c.id).where(sources.c.id == before_id, _is_free(now))
    return claimed if not claimed or tx.execute(free).first() else None


def _is_free(now: float) -> sa.ColumnElement[bool]:
    return is_due(sources.c.leaving_until, now=now, at_most=LEAVING_SECONDS)


def give_back(
    database: Database, source_id: str, before_id: str, ids: Sequence[int], whole: Collection[int]
) -> bool:
    """Let documents be what they were before they were claimed; False: another process is at it.

    Args:
        database: the catalog's.
        source_id: of the new source.
        before_id: of the one before.
        ids: of the documents; one that is not claimed any more stays as it is.
        whole: those of them all of whose records are there. What of the others somebody has deleted
            nobody knows.
    """
    with database.write() as tx:
        database.lock_sources(tx, {source_id, before_id})
        if not take_right(tx, before_id, now=database.now()):
            return False
        for phase, some in (
            ("clean", [one for one in ids if one in whole]),
            ("writing", [one for one in ids if one not in whole]),
        ):
            for part in groups(some):
                tx.execute(
                    documents.update()
                    .where(documents.c.id.in_(part), documents.c.batch_token == MOVER)
                    .values(phase=phase, batch_token=None)
                )
        tx.execute(sources.update().where(sources.c.id == before_id).values(leaving_until=0))
    return True


def are_claimed(tx: sa.Connection, ids: Sequence[int]) -> bool:
    """Return whether all of these documents are still on their way out."""
    query = sa.select(sa.func.count()).where(
        documents.c.id.in_(ids), documents.c.batch_token.in_(MOVERS)
    )
    return tx.execute(query).scalar_one() == len(ids)
