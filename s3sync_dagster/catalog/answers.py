"""Whether the services that a source needs answer, and what is due as soon as they do again.

An outage of seconds fails whatever was at work, with back-offs of up to an hour; the first key
that is written afterwards makes all of it due.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.tables import invocations, is_live, objects, sources
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.patience import is_due, scout_seconds
from s3sync_dagster.model.invocation import Result

KEYS_AT_ONCE = 5000
ANSWERS_AGAIN = 0.0
_WRITTEN = frozenset({Result.INDEXED, Result.UPDATED})
"""Ends that bucket, model and collection have had a part in."""


def note_answers(
    tx: sa.Connection, source_id: str, outcomes: Sequence[KeyOutcome], *, now: float
) -> None:
    """Note what the ends of keys tell of the services behind them, in an open transaction."""
    if any(one.unanswered for one in outcomes):
        tx.execute(*_unanswered(source_id, now))
    elif any(one.result in _WRITTEN for one in outcomes):
        tx.execute(*_answered(source_id, by_all=True))
    elif any(one.result is Result.REMOVED for one in outcomes):
        # The collection answers: enough where nothing waits for model or bucket.
        tx.execute(*_answered(source_id, by_all=False))


@built_once
def _unanswered(source_id: str, now: float) -> sa.Update:
    since = sources.c.unanswered_at
    first = (sources.c.id == source_id, sa.or_(since.is_(None), since == ANSWERS_AGAIN))
    return sources.update().where(*first).values(unanswered_at=now, scouted_at=now)


@built_once
def _answered(source_id: str, *, by_all: bool) -> sa.Update:
    more = [] if by_all else [sa.not_(one) for one in _wait_for_more(source_id)]
    silent = (sources.c.id == source_id, sources.c.unanswered_at > ANSWERS_AGAIN)
    return sources.update().where(*silent, *more).values(unanswered_at=ANSWERS_AGAIN)


def _wait_for_more(source_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what holds where keys of a source wait for more than the removal of records."""
    pending = sa.exists().where(
        invocations.c.source_id == source_id,
        invocations.c.status == "pending",
        invocations.c.kind == "sync",
    )
    failed = sa.exists().where(
        objects.c.source_id == source_id,
        objects.c.outcome == "failed",
        objects.c.retry_class == "transient",
    )
    return pending, failed


def ask_where_answered(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> int:
    """Make due what waits for services that answer again; returns how many keys.

    Args:
        database: gives the dialect.
        tx: an open transaction that has locked the source.
        source_id: the source.
        now: the time.
    """
    source = tx.execute(*_silence_of(source_id)).one()
    if source.unanswered_at is None:
        return 0
    if source.unanswered_at != ANSWERS_AGAIN:
        pause = scout_seconds(max(now - source.unanswered_at, 0.0))
        if not is_due(source.scouted_at + pause, now=now, at_most=pause):
            return 0
        return _scout(database, tx, source_id, now=now)
    waiting = _hurry(tx, source_id, now=now, limit=KEYS_AT_ONCE)
    failed = _failed(tx, source_id, limit=KEYS_AT_ONCE)
    insert_automatic(database, tx, source_id, failed, trigger="retry", now=now)
    # One pass: what fails again, or is more than that, waits for its own time.
    _forget(tx, source_id)
    return waiting + len(failed)


@built_once
def _silence_of(source_id: str) -> Any:
    return sa.select(sources.c.unanswered_at, sources.c.scouted_at).where(sources.c.id == source_id)


def _scout(database: Database, tx: sa.Connection, source_id: str, *, now: float) -> int:
    here = (invocations.c.source_id == source_id,)
    at_work = sa.select(sa.literal(1)).where(
        *here,
        sa.or_(
            invocations.c.status == "processing",
            sa.and_(invocations.c.status == "pending", invocations.c.next_attempt_at <= now),
        ),
    )
    if tx.execute(at_work.limit(1)).first() is not None:
        return 0  # it will tell
    tx.execute(sources.update().where(sources.c.id == source_id).values(scouted_at=now))
    if _hurry(tx, source_id, now=now, limit=1):
        return 1
    failed = _failed(tx, source_id, limit=1)
    if not failed:  # nothing waits for it
        _forget(tx, source_id)
    return insert_automatic(database, tx, source_id, failed, trigger="retry", now=now)


def _hurry(tx: sa.Connection, source_id: str, *, now: float, limit: int) -> int:
    """Let keys that wait for their next attempt wait no longer."""
    waiting = (
        sa.select(invocations.c.id)
        .where(
            invocations.c.source_id == source_id,
            invocations.c.status == "pending",
            invocations.c.next_attempt_at > now,
        )
        .limit(limit)
    )
    return tx.execute(
        invocations.update().where(invocations.c.id.in_(waiting)).values(next_attempt_at=0)
    ).rowcount


def _failed(tx: sa.Connection, source_id: str, *, limit: int) -> Sequence[str]:
    """Return keys that a service has failed, that wait for their time and are not asked for."""
    asked = sa.select(invocations.c.object_key).where(invocations.c.source_id == source_id, is_live)
    return (
        tx.execute(
            sa.select(objects.c.object_key)
            .where(
                objects.c.source_id == source_id,
                objects.c.outcome == "failed",
                objects.c.retry_class == "transient",
                objects.c.object_key.not_in(asked),
            )
            .order_by(objects.c.next_retry_at)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def _forget(tx: sa.Connection, source_id: str) -> None:
    nothing = {"unanswered_at": None, "scouted_at": None}
    tx.execute(sources.update().where(sources.c.id == source_id).values(nothing))
