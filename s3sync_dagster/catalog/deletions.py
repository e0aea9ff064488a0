"""Deletions of records that no document has: which of them began, and never came to their end."""

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import document_of
from s3sync_dagster.catalog.tables import collections, documents
from s3sync_dagster.core.state import DocumentState, KnownCollection

CUT_OFF_SECONDS = 600.0
"""Who deletes for so long has died at it: a request to Chroma has a minute, and so has a step."""


class Deletions:
    """Who dies at one tells no document that grew into it meanwhile: the next look does."""

    _db: Database

    def begin_deletion(self, place: KnownCollection) -> float | None:
        """Note that records are deleted there; return since when, None where others are at it."""
        now = self._db.now()
        with self._db.write() as tx:
            noted = tx.execute(
                collections.update()
                .where(*_there(place), collections.c.deleting_since.is_(None))
                .values(deleting_since=now)
            )
            return now if noted.rowcount else None

    def end_deletion(self, place: KnownCollection, since: float | None) -> None:
        """Note that those who grew into it are told."""
        if since is None:
            return
        with self._db.write() as tx:
            tx.execute(
                collections.update()
                .where(*_there(place), collections.c.deleting_since == since)
                .values(deleting_since=None)
            )

    def cut_off(self, source_id: str, known: KnownCollection) -> list[DocumentState] | None:
        """Return a source's documents that were written since one began that never ended.

        None: it may go on.
        """
        since = known.deleting_since
        if since is None or self._db.now() < since + CUT_OFF_SECONDS:
            return None
        written = sa.or_(documents.c.indexed_at >= since, documents.c.batch_token.is_not(None))
        here = (
            documents.c.source_id == source_id,
            documents.c.tenant == known.tenant,
            documents.c.database_name == known.database_name,
            documents.c.collection_name == known.collection_name,
            documents.c.phase != "removing",
        )
        with self._db.read() as tx:
            rows = tx.execute(sa.select(documents).where(*here, written)).all()
            return [document_of(row) for row in rows]

    def end_cut_off(self, source_id: str, known: KnownCollection) -> None:
        """Note that a source's documents of ``cut_off`` are told."""
        with self._db.write() as tx:
            tx.execute(
                collections.update()
                .where(
                    *_there(known),
                    collections.c.source_id == source_id,
                    collections.c.deleting_since == known.deleting_since,
                )
                .values(deleting_since=None)
            )


def _there(place: KnownCollection) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        collections.c.tenant == place.tenant,
        collections.c.database_name == place.database_name,
        collections.c.collection_name == place.collection_name,
    )
