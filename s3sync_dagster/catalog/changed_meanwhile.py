"""Keys whose object changed while a batch worked on an older version of it."""

from collections.abc import Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import batches, documents, objects
from s3sync_dagster.model.source import DeleteMode, Source


def ask_for_overtaken(
    database: Database,
    tx: sa.Connection,
    token: str,
    source: Source,
    there: Sequence[str],
    *,
    gone: Sequence[str],
    now: float,
) -> None:
    """Ask again for keys that a listing told news of while the batch had them.

    A listing asks for nothing that is being worked on and looks as it was known: the worker may
    all the same have read another version in between, or have written what the listing found
    gone before there was anything to remove.

    Args:
        database: gives the dialect.
        tx: an open transaction that has settled the keys.
        token: the batch that settled them.
        source: its source.
        there: keys whose object the batch has found, or left alone.
        gone: keys whose object it has found gone, which now shows where nothing else was told.
        now: the time.
    """
    began = sa.select(batches.c.created_at).where(batches.c.token == token).scalar_subquery()
    changed, left = list[str](), list[str]()
    for part in groups(there):
        here = (objects.c.source_id == source.id, objects.c.object_key.in_(part))
        changed += tx.execute(
            sa.select(objects.c.object_key).where(
                *here,
                objects.c.gone.is_(False),
                objects.c.seen_at > began,
                objects.c.outcome.is_not(None),
                objects.c.outcome_etag != objects.c.etag,
            )
        ).scalars()
        if source.mode is DeleteMode.MIRROR:
            left += tx.execute(
                sa.select(objects.c.object_key)
                .join(
                    documents,
                    sa.and_(
                        documents.c.source_id == objects.c.source_id,
                        documents.c.object_key == objects.c.object_key,
                    ),
                )
                .where(*here, objects.c.gone)
                .distinct()
            ).scalars()
    for part in groups(gone):
        changed += tx.execute(
            sa.select(objects.c.object_key).where(
                objects.c.source_id == source.id,
                objects.c.object_key.in_(part),
                objects.c.gone.is_(False),
            )
        ).scalars()
    insert_automatic(database, tx, source.id, changed, trigger="listing", now=now)
    insert_automatic(database, tx, source.id, left, trigger="listing", kind="remove", now=now)
