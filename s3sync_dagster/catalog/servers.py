"""Which server was asked for a source that names none: the environment of a process decides it."""

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.identities import same_bucket
from s3sync_dagster.catalog.rows import source_of
from s3sync_dagster.catalog.tables import documents, objects, sources

MOST_NAMES = 8
"""Of one server, that are kept; who was asked under an older one is known by its objects again."""


@again_after_collisions
class Servers:
    """The column ``asked_server`` of sources."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def names(self, source_id: str) -> list[str]:
        """Return under which names the server was asked, the last one first; empty: AWS."""
        with self._db.read() as tx:
            return _names(tx, source_id)

    def remember(self, source_id: str, server: str, *, same: bool) -> None:
        """Store which server is asked from now on.

        Args:
            source_id: of the source.
            server: its name.
            same: it was seen to be the one that has the names of before as well; they are kept.
        """
        with self._db.write() as tx:
            before = _names(tx, source_id) if same else []
            names = [server, *(one for one in before if one != server)][:MOST_NAMES]
            tx.execute(
                sources.update()
                .where(sources.c.id == source_id)
                .values(asked_server="\n".join(names))
            )

    def written_last(self, source_id: str, *, limit: int) -> dict[str, str]:
        """Return keys and etags of the objects that were indexed last, as far as they are there.

        Also those of the sources in whose place it stands, of the same bucket.

        Where none is, those that a listing missed, which the guard holds back, and then those whose
        records a mode keeps: an emptied bucket lets nobody take another one for it.
        """
        # What append mode keeps is of bytes that the object has no more.
        there = sa.and_(sa.not_(objects.c.gone), objects.c.etag != "")
        etag = sa.case((there, objects.c.etag), else_=documents.c.etag).label("etag")
        left = sa.case((objects.c.gone, 2), (objects.c.missed_listing_id != 0, 1), else_=0)
        query = (
            sa.select(documents.c.object_key, etag, left.label("left"))
            .join(
                objects,
                sa.and_(
                    objects.c.source_id == documents.c.source_id,
                    objects.c.object_key == documents.c.object_key,
                ),
            )
            .where(
                documents.c.etag.is_not(None),
                documents.c.phase != "removing",
            )
            .order_by(left, documents.c.indexed_at.desc().nulls_last())
            .limit(limit)
        )
        with self._db.read() as tx:
            mine = documents.c.source_id.in_(_of_same_bucket(tx, source_id))
            rows = tx.execute(query.where(mine)).all()
        return {row.object_key: row.etag for row in rows if row.left == rows[0].left}


def _of_same_bucket(tx: sa.Connection, source_id: str) -> list[str]:
    """Return the ids of a source and of those before it whose objects lie where its do."""
    query = sa.select(sources).where(
        sa.or_(sources.c.id == source_id, sources.c.moved_to == source_id)
    )
    found = {row.id: source_of(row) for row in tx.execute(query)}
    mine = found.get(source_id)
    return [name for name, one in found.items() if mine and same_bucket(one, mine)]


def _names(tx: sa.Connection, source_id: str) -> list[str]:
    query = sa.select(sources.c.asked_server).where(sources.c.id == source_id)
    stored: str | None = tx.execute(query).scalar_one_or_none()
    return [] if stored is None else stored.split("\n")
