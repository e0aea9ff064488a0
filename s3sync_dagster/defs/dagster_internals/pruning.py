"""Old runs and old reports of checks leave; what keys and checks show stays.

A batch run is 335 KB on SQLite.
"""

import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from s3sync_dagster.core.naming import SOURCE_TAG

KEEP_RUNS = 1000
"""Runs of this code location's sources that stay, whatever their age. Of more the oldest go, those
that failed last: their keys show FAILED till then."""
MINIMUM_AGE = timedelta(hours=1)
"""A younger run may belong to a backfill that still counts it."""
RUNS_A_CALL = 100
KEEP_EVALUATIONS_DAYS = 3
"""Of the checks that ``dispatch`` reports, up to two a minute for a source at work."""


def prune_runs(
    instance: dg.DagsterInstance,
    names: Collection[str],
    *,
    keep_runs: int = KEEP_RUNS,
    budget_seconds: float = 10.0,
    now: datetime | None = None,
) -> int:
    """Delete finished runs of these sources beyond ``keep_runs``; returns how many.

    Works on Dagster's SQL storages; runs in another storage are left alone.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage) or not names:
        return 0
    now = now or datetime.now(UTC)
    started, pruned = time.monotonic(), 0
    tags = {SOURCE_TAG: list(names)}
    excess = instance.get_runs_count(RunsFilter(tags=tags)) - keep_runs
    for status in (DagsterRunStatus.SUCCESS, DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE):
        if excess <= 0:
            break
        for record in instance.get_run_records(
            RunsFilter(tags=tags, statuses=[status], created_before=now - MINIMUM_AGE),
            limit=min(RUNS_A_CALL, excess),
            ascending=True,
        ):
            if time.monotonic() - started > budget_seconds:
                return pruned
            _delete_run(instance, storage, record.dagster_run.run_id)
            pruned += 1
            excess -= 1
    return pruned


def prune_evaluations(
    instance: dg.DagsterInstance, assets: Collection[dg.AssetKey], *, now: datetime | None = None
) -> int:
    """Delete old reports of these sources' checks, but the latest of each; returns how many."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage) or not assets:
        return 0
    before = (now or datetime.now(UTC)).replace(tzinfo=None) - timedelta(days=KEEP_EVALUATIONS_DAYS)
    keys = [asset.to_string() for asset in assets]
    checks, events = AssetCheckExecutionsTable, SqlEventLogStorageTable
    later = checks.alias("later")
    old = sa.and_(
        checks.c.asset_key.in_(keys),
        checks.c.run_id == RUNLESS_RUN_ID,
        checks.c.evaluation_event_timestamp < before,
        sa.exists().where(
            later.c.asset_key == checks.c.asset_key,
            later.c.check_name == checks.c.check_name,
            later.c.id > checks.c.id,
        ),
    )
    with storage.index_connection() as connection:
        told = sa.select(checks.c.evaluation_event_storage_id).where(old)
        connection.execute(events.delete().where(events.c.id.in_(told)))
        deleted = connection.execute(checks.delete().where(old)).rowcount
    if deleted and isinstance(storage, SqliteEventLogStorage):
        # Events without a run stand in a file of their own, which nobody reads.
        with storage.run_connection(RUNLESS_RUN_ID) as connection:
            connection.execute(
                events.delete().where(
                    events.c.asset_key.in_(keys),
                    events.c.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION.value,
                    events.c.timestamp < before,
                )
            )
    return deleted


def _delete_run(instance: dg.DagsterInstance, storage: SqlEventLogStorage, run_id: str) -> None:
    """Delete a run with its log, but the latest materialisation of each partition.

    ``DagsterInstance.delete_run`` takes those along: the keys would look never indexed.
    """
    events = SqlEventLogStorageTable
    later = events.alias("later")
    kept = sa.and_(
        events.c.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value,
        ~sa.exists().where(
            later.c.asset_key == events.c.asset_key,
            later.c.dagster_event_type == events.c.dagster_event_type,
            later.c.partition == events.c.partition,
            later.c.id > events.c.id,
        ),
    )
    with storage.index_connection() as connection:
        connection.execute(events.delete().where(events.c.run_id == run_id, ~kept))
    if isinstance(storage, SqliteEventLogStorage):
        shard = Path(storage.path_for_shard(run_id))
        for path in (shard, *shard.parent.glob(f"{shard.name}-*")):
            path.unlink(missing_ok=True)
    instance.run_storage.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
