"""How the keys of a batch end: what becomes of their invocations and objects."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import invocations, objects
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.model.invocation import Result

NO_NEWS = 2**31 - 1
"""More than can have been told of any object."""


def _update(table: sa.Table, *where: Any, columns: str, **values: Any) -> sa.Update:
    """Return one UPDATE for many rows, whose parameters are named like columns, after ``b_``."""
    told: dict[str, Any] = {name: sa.bindparam(f"b_{name}") for name in columns.split()}
    return table.update().where(*where).values({**values, **told})


_TRIED = {"attempts": invocations.c.attempts + 1}
_HELD = invocations.c.batch_token == sa.bindparam("b_token")
_LEASED = (_HELD, invocations.c.object_key == sa.bindparam("b_key"))
_WAIT = _update(invocations, *_LEASED, columns="begun next_attempt_at reason error", **_TRIED)
_END = _update(
    invocations,
    *_LEASED,
    columns="status result reason error batch_token begun finished_at",
    **_TRIED,
)
_REFUSE = _update(
    invocations,
    _HELD,
    invocations.c.id == sa.bindparam("b_id"),
    columns="status reason error batch_token begun finished_at",
    **_TRIED,
)
_HERE = (
    objects.c.source_id == sa.bindparam("b_source"),
    objects.c.object_key == sa.bindparam("b_key"),
)
_GONE = _update(
    objects,
    *_HERE,
    columns="reason",
    gone=sa.case((objects.c.told_count > sa.bindparam("b_told"), objects.c.gone), else_=True),
    outcome=None,
    error=None,
    next_retry_at=None,
)
# What failed shows also on an object that is gone: its removal waits for its time.
_SHOWN = _update(
    objects,
    *_HERE,
    sa.or_(objects.c.gone.is_(False), sa.bindparam("b_outcome") == "failed"),
    columns="outcome fingerprint reason error retry_class next_retry_at",
    outcome_etag=sa.func.coalesce(sa.bindparam("b_etag", type_=sa.Text()), objects.c.etag),
)


def settle_keys(
    tx: sa.Connection, token: str, source_id: str, outcomes: Sequence[KeyOutcome], *, now: float
) -> None:
    """End the invocations of keys and let their objects show how it ended."""
    _settle_refused(tx, token, outcomes, now=now)
    waiting = [one for one in outcomes if one.result is Result.PENDING]
    ended = [one for one in outcomes if one.result is not Result.PENDING]
    if waiting:  # the batch's end returns them to pending
        tx.execute(
            _WAIT,
            [
                {
                    "b_token": token,
                    "b_key": one.key,
                    "b_begun": False,
                    "b_next_attempt_at": one.next_at or 0,
                    "b_reason": one.reason,
                    "b_error": one.error,
                }
                for one in waiting
            ],
        )
    if not ended:
        return
    tx.execute(
        _END,
        [
            {
                "b_token": token,
                "b_key": one.key,
                "b_status": one.status.value,
                "b_result": one.result.value if one.result.done else None,
                "b_reason": one.reason,
                "b_error": one.error,
                "b_batch_token": None,
                "b_begun": False,
                "b_finished_at": now,
            }
            for one in ended
        ],
    )
    _settle_objects(tx, source_id, ended)


def _settle_objects(tx: sa.Connection, source_id: str, ended: Sequence[KeyOutcome]) -> None:
    # Only a finding that the object is gone says anything about ``gone``: a listing may have
    # found that out while the batch was at work, and its removal is waiting. The finding itself
    # says nothing about what was told since: ``ask_for_overtaken`` has that looked at.
    gone = [
        {
            "b_source": source_id,
            "b_key": one.key,
            "b_reason": one.reason,
            "b_told": NO_NEWS if one.told_count is None else one.told_count,
        }
        for one in ended
        if one.gone
    ]
    if gone:
        tx.execute(_GONE, gone)
    there = [
        {
            "b_source": source_id,
            "b_key": one.key,
            "b_outcome": one.outcome,
            "b_etag": one.etag,
            "b_fingerprint": one.fingerprint,
            "b_reason": one.reason,
            "b_error": one.error,
            "b_retry_class": one.retry_class,
            "b_next_retry_at": one.next_at,
        }
        for one in ended
        if not one.gone
    ]
    if there:
        tx.execute(_SHOWN, there)


def _settle_refused(
    tx: sa.Connection, token: str, outcomes: Sequence[KeyOutcome], *, now: float
) -> None:
    rows = [
        {
            "b_token": token,
            "b_id": invocation_id,
            "b_status": "failed",
            "b_reason": "record_ids_taken",
            "b_error": message,
            "b_batch_token": None,
            "b_begun": False,
            "b_finished_at": now,
        }
        for one in outcomes
        for invocation_id, message in one.refused.items()
    ]
    if rows:
        tx.execute(_REFUSE, rows)
