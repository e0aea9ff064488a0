"""The id of a source that begins where one of its name ended."""

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.deleted_sources import SWEEPER
from s3sync_dagster.catalog.lives import own_place
from s3sync_dagster.catalog.tables import deleted_sources, documents, lives, sources
from s3sync_dagster.core.writers import successor_id
from s3sync_dagster.model.source import Source

_FOLLOW = 100
"""Lives of a source in one place of which each has an id that follows from the one before."""


def id_of_next_life(database: Database, tx: sa.Connection, source: Source) -> str:
    """Return the id of a source of code that is declared now.

    That of its name, unless one had it that ended: whoever reads records tells them apart by the
    id alone. What a person has kept of one that stood in the same place is its own again, with the
    id of that; whichever follows else, follows from the place, as that of a source that was moved.
    """
    if _is_new(tx, source.id):
        return source.id
    if (kept := kept_in_place(tx, source)) is not None:
        return kept
    name = source.id
    for _ in range(_FOLLOW):
        name = successor_id(name, source)
        if _is_new(tx, name):
            return name
    return database.clock.uuid()


def kept_in_place(tx: sa.Connection, source: Source) -> str | None:
    """Return the id of a life that a person has kept just where a source of its name is to be.

    It goes on: what ended is forgotten.
    """
    of_name = sa.or_(lives.c.name == source.name, lives.c.source_id == source.id)
    kept = sa.select(lives).where(
        lives.c.kept.is_(True), of_name, lives.c.source_id.not_in(sa.select(sources.c.id))
    )
    bucket, prefix = source.place.identity().bucket_name, source.place.path_prefix
    there = (own_place(source), bucket, prefix)
    for row in tx.execute(kept.order_by(lives.c.id.desc())).all():
        if (tuple(row.places[0]), row.bucket_name, row.path_prefix) == there:
            tx.execute(lives.delete().where(lives.c.id == row.id))
            _is_there_again(tx, row.source_id)
            return row.source_id
    return None


def _is_new(tx: sa.Connection, source_id: str) -> bool:
    met = sa.union_all(
        sa.select(sources.c.id).where(sources.c.id == source_id),
        sa.select(deleted_sources.c.id).where(deleted_sources.c.id == source_id),
        sa.select(lives.c.source_id).where(lives.c.source_id == source_id),
    )
    return tx.execute(met).first() is None


def _is_there_again(tx: sa.Connection, source_id: str) -> None:
    """Forget the end of a source: what a late worker left of it is its own, nobody sweeps it."""
    tx.execute(deleted_sources.delete().where(deleted_sources.c.id == source_id))
    tx.execute(
        documents.update()
        .where(documents.c.source_id == source_id, documents.c.batch_token == SWEEPER)
        .values(batch_token=None)
    )
