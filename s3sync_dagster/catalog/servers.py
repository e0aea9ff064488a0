"""Which server was asked for a source that names none: the environment of a process decides it."""

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import documents, objects, sources


@again_after_collisions
class Servers:
    """The column ``asked_server`` of sources."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def asked(self, source_id: str) -> str | None:
        """Return the server that was asked last; empty: AWS. None: it is not known."""
        query = sa.select(sources.c.asked_server).where(sources.c.id == source_id)
        with self._db.read() as tx:
            return tx.execute(query).scalar_one_or_none()

    def remember(self, source_id: str, server: str) -> None:
        """Store which server is asked from now on."""
        with self._db.write() as tx:
            tx.execute(
                sources.update().where(sources.c.id == source_id).values(asked_server=server)
            )

    def written_last(self, source_id: str, *, limit: int) -> dict[str, str]:
        """Return keys and etags of the objects that were indexed last, as far as they are there.

        Where none is, those that a listing missed, which the guard holds back: an emptied bucket
        lets nobody take another one for it.
        """
        missed = objects.c.missed_listing_id != 0
        query = (
            sa.select(documents.c.object_key, documents.c.etag, missed.label("missed"))
            .join(
                objects,
                sa.and_(
                    objects.c.source_id == documents.c.source_id,
                    objects.c.object_key == documents.c.object_key,
                ),
            )
            .where(
                documents.c.source_id == source_id,
                documents.c.etag.is_not(None),
                documents.c.phase != "removing",
                sa.not_(objects.c.gone),
            )
            .order_by(missed, documents.c.indexed_at.desc())
            .limit(limit)
        )
        with self._db.read() as tx:
            rows = tx.execute(query).all()
        return {row.object_key: row.etag for row in rows if row.missed == rows[0].missed}
