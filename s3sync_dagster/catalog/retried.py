"""What a retry asks for: the requests of its keys that failed, and nothing that waits already."""

from collections.abc import Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import invocations, is_live
from s3sync_dagster.model.invocation import InvocationStatus, Trigger

OLDEST_FIRST = (invocations.c.number, invocations.c.created_at, invocations.c.id)
"""The order of one key's invocations: the times are those of clocks, and only for what was asked
for in one statement, or before there were numbers."""
NEWEST_FIRST = tuple(column.desc() for column in OLDEST_FIRST)


def failed_requests(
    database: Database, source_id: str, keys: Sequence[str]
) -> dict[str, list[str]]:
    """Return the ids of each key's requests that have failed since, the oldest first.

    Of each collection the last word. What a listing tried in between, which is the newest
    invocation of a key then, asked for none of them; but once anything was done with the
    object they are over: what they say of its readers may have been taken back by then. What was
    asked for before a request ends no later: a batch takes all that waits of a key.
    """
    found: dict[str, list[str]] = {}
    with database.read() as tx:
        for part in groups(keys):
            these = sa.and_(
                invocations.c.source_id == source_id, invocations.c.object_key.in_(part)
            )
            done = (
                sa.select(
                    invocations.c.object_key,
                    sa.func.max(invocations.c.number).label("number"),
                )
                .where(these, invocations.c.status == InvocationStatus.COMPLETE.value)
                .group_by(invocations.c.object_key)
                .subquery()
            )
            place = sa.func.row_number().over(
                partition_by=(invocations.c.object_key, invocations.c.target_collection_name),
                order_by=NEWEST_FIRST,
            )
            newest = (
                sa.select(
                    invocations.c.id,
                    invocations.c.object_key,
                    invocations.c.status,
                    *OLDEST_FIRST[:-1],
                    place.label("place"),
                )
                .outerjoin(done, done.c.object_key == invocations.c.object_key)
                .where(
                    these,
                    invocations.c.trigger == Trigger.API.value,
                    invocations.c.status != InvocationStatus.CANCELLED.value,
                    sa.or_(done.c.object_key.is_(None), invocations.c.number > done.c.number),
                )
                .subquery()
            )
            order = [newest.c[column.name] for column in OLDEST_FIRST]
            query = sa.select(newest.c.id, newest.c.object_key).where(
                newest.c.place == 1, newest.c.status == InvocationStatus.FAILED.value
            )
            for row in tx.execute(query.order_by(newest.c.object_key, *order)):
                found.setdefault(row.object_key, []).append(row.id)
    return found


def asked_anew(database: Database, source_id: str, keys: Sequence[str]) -> set[str]:
    """Return those keys that are asked for already, by somebody who waits for no other time.

    A retry has asked for them, or a request did, and nobody but requests ever has.
    """
    other = invocations.alias("other")
    by_others = sa.exists().where(
        other.c.source_id == invocations.c.source_id,
        other.c.object_key == invocations.c.object_key,
        other.c.trigger != Trigger.API.value,
    )
    request = invocations.c.trigger == Trigger.API.value
    found = set[str]()
    with database.read() as tx:
        for part in groups(keys):
            query = sa.select(invocations.c.object_key).where(
                invocations.c.source_id == source_id,
                invocations.c.object_key.in_(part),
                is_live,
                sa.or_(
                    invocations.c.status == InvocationStatus.PROCESSING.value,
                    invocations.c.next_attempt_at <= database.now(),
                ),
                sa.or_(invocations.c.force, sa.and_(request, sa.not_(by_others))),
                sa.not_(invocations.c.automatic),
            )
            found.update(tx.execute(query).scalars())
    return found
