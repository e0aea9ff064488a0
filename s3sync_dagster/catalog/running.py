"""Whether a batch still has its keys: asked in the transaction that depends on it."""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import batches
from s3sync_dagster.model.errors import LeaseLost


def is_running(database: Database, tx: sa.Connection, token: str, source_id: str) -> bool:
    """Lock a source; returns whether the batch is at work until the transaction ends."""
    database.lock_source(tx, source_id)
    state = tx.execute(*_state_of(token, locks=not database.sqlite)).scalar_one_or_none()
    return state == "running"


@built_once
def _state_of(token: str, *, locks: bool) -> sa.Select[Any]:
    query = sa.select(batches.c.state).where(batches.c.token == token)
    return query.with_for_update() if locks else query


def require_running(database: Database, tx: sa.Connection, token: str, source_id: str) -> None:
    """Raise ``LeaseLost`` unless the batch is at work until the transaction ends."""
    if not is_running(database, tx, token, source_id):
        raise LeaseLost("Another batch took over; this one stops.")
