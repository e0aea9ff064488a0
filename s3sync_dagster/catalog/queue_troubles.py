"""Why queues cannot be read: told by who reads them, for whoever looks at their sources."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.core.state import QueueTrouble
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source


@again_after_collisions
class QueueTroubles:
    """The column ``queue_trouble`` of sources."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(self, among: Sequence[Source]) -> dict[str, QueueTrouble]:
        """Return what is known against the queues of sources, by source id.

        Nothing of a queue that a source had before it was given another one.
        """
        urls = {one.id: one.place.queue_url for one in among}
        kept = self._kept(urls)
        return {name: one for name, one in kept.items() if one.queue_url == urls[name]}

    def note(self, among: Sequence[Source], error: S3SyncError | None) -> None:
        """Store what became of a look into the queue of sources; None: it could be read.

        What is told already is not written again: a queue is asked once a second.
        """
        known = self._kept([one.id for one in among])
        now = self._db.now()
        for one in among:
            before, trouble, url = known.get(one.id), None, one.place.queue_url or ""
            if error is not None:
                trouble = QueueTrouble(
                    queue_url=url,
                    reason=error.reason,
                    message=error.message,
                    since=before.since if before and before.queue_url == url else now,
                )
            if trouble == before:
                continue
            with self._db.write() as tx:
                tx.execute(
                    sources.update()
                    .where(sources.c.id == one.id)
                    .values(queue_trouble=sa.null() if trouble is None else asdict(trouble))
                )

    def _kept(self, ids: Iterable[str]) -> dict[str, QueueTrouble]:
        found: dict[str, QueueTrouble] = {}
        query = sa.select(sources.c.id, sources.c.queue_trouble)
        with self._db.read() as tx:
            for some in groups(ids):
                for row in tx.execute(query.where(sources.c.id.in_(some))):
                    if row.queue_trouble is not None:
                        found[row.id] = QueueTrouble(**row.queue_trouble)
        return found
