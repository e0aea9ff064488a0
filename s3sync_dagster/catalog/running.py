"""Whether a batch still has its keys: asked in the transaction that depends on it."""

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import batches
from s3sync_dagster.model.errors import LeaseLost


def is_running(database: Database, tx: sa.Connection, token: str, source_id: str) -> bool:
    """Lock a source; returns whether the batch is at work until the transaction ends."""
    database.lock_source(tx, source_id)
    query = sa.select(batches.c.state).where(batches.c.token == token)
    if not database.sqlite:
        query = query.with_for_update()
    return tx.execute(query).scalar_one_or_none() == "running"


def require_running(database: Database, tx: sa.Connection, token: str, source_id: str) -> None:
    """Raise ``LeaseLost`` unless the batch is at work until the transaction ends."""
    if not is_running(database, tx, token, source_id):
        raise LeaseLost("Another batch took over; this one stops.")
