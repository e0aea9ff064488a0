"""How many requests of a tenant wait, and how many of those that have ended are kept.

A request is a row with up to 16 KiB of metadata, and who asks without end must not fill the
catalog of all tenants.
"""

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import invocations, sources
from s3sync_dagster.model.invocation import ENDED, Trigger


def waiting_requests(database: Database, tenant: str, *, most: int) -> int:
    """Return how many requests of a tenant wait to be worked on; no more than ``most`` are counted.

    By the index of what waits: what listings have found, which may be millions, is passed over.
    """
    own = sa.select(sources.c.id).where(sources.c.tenant == tenant)
    some = (
        sa.select(sa.literal(1))
        .where(
            invocations.c.source_id.in_(own),
            invocations.c.status == "pending",
            invocations.c.priority == Trigger.API.priority,
            invocations.c.trigger == Trigger.API.value,
        )
        .limit(most)
        .subquery()
    )
    with database.read() as tx:
        return tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def prune_requests(database: Database, *, most: int) -> int:
    """Delete requests of each tenant that have ended, but the newest ``most``. Returns how many."""
    with database.read() as tx:
        tenants = list(tx.execute(sa.select(sources.c.tenant).distinct()).scalars())
    return sum(_prune(database, tenant, most) for tenant in tenants)


def _prune(database: Database, tenant: str, most: int) -> int:
    ended = sa.and_(
        invocations.c.tenant == tenant,
        sa.not_(invocations.c.automatic),
        invocations.c.status.in_(ENDED),
    )
    newest = sa.select(invocations.c.created_at).where(ended)
    with database.read() as tx:
        oldest = tx.execute(
            newest.order_by(invocations.c.created_at.desc()).limit(1).offset(most - 1)
        ).scalar()
    if oldest is None:
        return 0
    return database.delete_in_parts(
        invocations.c.id, sa.and_(ended, invocations.c.created_at < oldest)
    )
