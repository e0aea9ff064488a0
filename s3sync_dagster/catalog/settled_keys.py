"""How the keys of a batch end: what becomes of their invocations and objects."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import invocations, objects
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.model.invocation import Result

NO_NEWS = 2**31 - 1
"""More than can have been told of any object."""


def settle_keys(
    tx: sa.Connection, token: str, source_id: str, outcomes: Sequence[KeyOutcome], *, now: float
) -> None:
    """End the invocations of keys and let their objects show how it ended."""
    _settle_refused(tx, token, outcomes, now=now)
    waiting = [one for one in outcomes if one.result is Result.PENDING]
    ended = [one for one in outcomes if one.result is not Result.PENDING]
    leased = sa.and_(
        invocations.c.batch_token == sa.bindparam("b_token"),
        invocations.c.object_key == sa.bindparam("b_key"),
    )
    if waiting:  # the batch's end returns them to pending
        _many(
            tx,
            invocations.update().where(leased).values(attempts=invocations.c.attempts + 1),
            ("begun", "next_attempt_at", "reason", "error"),
            [
                {
                    "token": token,
                    "key": one.key,
                    "begun": False,
                    "next_attempt_at": one.next_at or 0,
                    "reason": one.reason,
                    "error": one.error,
                }
                for one in waiting
            ],
        )
    if not ended:
        return
    _many(
        tx,
        invocations.update().where(leased).values(attempts=invocations.c.attempts + 1),
        ("status", "result", "reason", "error", "batch_token", "begun", "finished_at"),
        [
            {
                "token": token,
                "key": one.key,
                "status": one.status.value,
                "result": one.result.value if one.result.done else None,
                "reason": one.reason,
                "error": one.error,
                "batch_token": None,
                "begun": False,
                "finished_at": now,
            }
            for one in ended
        ],
    )
    _settle_objects(tx, source_id, ended)


def _settle_objects(tx: sa.Connection, source_id: str, ended: Sequence[KeyOutcome]) -> None:
    # Only a finding that the object is gone says anything about ``gone``: a listing may have
    # found that out while the batch was at work, and its removal is waiting. The finding itself
    # says nothing about what was told since: ``ask_for_overtaken`` has that looked at.
    here = sa.and_(objects.c.source_id == source_id, objects.c.object_key == sa.bindparam("b_key"))
    gone = [
        {
            "b_key": one.key,
            "b_reason": one.reason,
            "b_told": NO_NEWS if one.told_count is None else one.told_count,
        }
        for one in ended
        if one.gone
    ]
    if gone:
        tx.execute(
            objects.update()
            .where(here)
            .values(
                gone=sa.case(
                    (objects.c.told_count > sa.bindparam("b_told"), objects.c.gone), else_=True
                ),
                outcome=None,
                reason=sa.bindparam("b_reason"),
                error=None,
                next_retry_at=None,
            ),
            gone,
        )
    names = ("outcome", "fingerprint", "reason", "error", "retry_class", "next_retry_at")
    there = [
        {
            "key": one.key,
            "outcome": one.outcome,
            "etag": one.etag,
            "fingerprint": one.fingerprint,
            "reason": one.reason,
            "error": one.error,
            "retry_class": one.retry_class,
            "next_retry_at": one.next_at,
        }
        for one in ended
        if not one.gone
    ]
    if there:
        # What failed shows also on an object that is gone: its removal waits for its time.
        statement = (
            objects.update()
            .where(here, sa.or_(objects.c.gone.is_(False), sa.bindparam("b_outcome") == "failed"))
            .values(
                outcome_etag=sa.func.coalesce(
                    sa.bindparam("b_etag", type_=sa.Text()), objects.c.etag
                )
            )
        )
        _many(tx, statement, names, there)


def _settle_refused(
    tx: sa.Connection, token: str, outcomes: Sequence[KeyOutcome], *, now: float
) -> None:
    rows = [
        {
            "token": token,
            "id": invocation_id,
            "status": "failed",
            "reason": "record_ids_taken",
            "error": message,
            "batch_token": None,
            "begun": False,
            "finished_at": now,
        }
        for one in outcomes
        for invocation_id, message in one.refused.items()
    ]
    if rows:
        _many(
            tx,
            invocations.update()
            .where(
                invocations.c.batch_token == sa.bindparam("b_token"),
                invocations.c.id == sa.bindparam("b_id"),
            )
            .values(attempts=invocations.c.attempts + 1),
            ("status", "reason", "error", "batch_token", "begun", "finished_at"),
            rows,
        )


def _many(
    tx: sa.Connection,
    statement: sa.Update,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Execute one UPDATE for many rows; parameters are named like columns, after ``b_``."""
    tx.execute(
        statement.values({name: sa.bindparam(f"b_{name}") for name in columns}),
        [{f"b_{name}": value for name, value in row.items()} for row in rows],
    )
