"""What ``dispatch`` does now and then: the cheap checks of each source, and old rows and runs."""

import json
from collections.abc import Mapping, Sequence

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from s3sync_dagster.catalog.kept_requests import prune_requests
from s3sync_dagster.core.naming import SOURCE_TAG, asset_path
from s3sync_dagster.core.patience import is_due
from s3sync_dagster.defs.check_reports import report_checks
from s3sync_dagster.defs.loaded_sensors import LoadedSensors
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.rolling_check import check_some
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source

CHECK_SECONDS = 60.0
SILENT_SECONDS = 300.0
"""Without an event for so long, a run that holds no batch has no worker."""
PRUNE_SECONDS = 3600.0
NOTE_SECONDS = 600.0
BUDGET_SECONDS = 5.0
"""For the checks of all sources; those that are left come a minute later."""
BATCH_ROWS_SECONDS = 7 * 86_400.0
INVOCATION_ROWS_SECONDS = 30 * 86_400.0
MOST_REQUESTS = 1_000_000
"""Of a tenant, that have ended: no time ends what people and programs asked for."""
AUDIT_ROWS_SECONDS = 365 * 86_400.0
MOST_AUDIT_ROWS = 1_000_000
"""Of a tenant's owners, and as many of its members: a program may write a million in an hour."""
HOUR_ROWS_SECONDS = 31 * 86_400.0
UPLOAD_BYTES_SECONDS = 86_400.0
"""Of an upload that came to no end: a crash left them."""


def keep_minutes(
    runtime: Runtime,
    instance: dg.DagsterInstance,
    sources: Sequence[Source],
    *,
    cursor: str | None,
    sensors: LoadedSensors,
) -> tuple[list[str], str | None]:
    """Report checks and look at records once a minute, note for charts, prune once an hour.

    Returns:
        Notes and the new cursor.
    """
    turns: dict[str, float] = json.loads(cursor) if cursor else {}
    now = runtime.parts.clock.now().timestamp()
    notes: list[str] = []
    if not _is_turn(turns, "checked", CHECK_SECONDS, now=now):
        return notes, cursor
    turns["checked"] = int(now)
    orphans = report_orphans(runtime, instance, sources)
    if orphans:
        notes.append(f"reported {orphans} runs without a worker as failed")
    reported = report_checks(runtime, instance, sources)
    if reported:
        notes.append(f"reported {reported} checks")
    notes += check_records(runtime, sources)
    if _is_turn(turns, "noted", NOTE_SECONDS, now=now):
        turns["noted"] = int(now)
        note_hours(runtime, sources)
    if _is_turn(turns, "pruned", PRUNE_SECONDS, now=now):
        turns["pruned"] = int(now)
        catalog = runtime.parts.catalog
        catalog.batches.prune(older_than_seconds=BATCH_ROWS_SECONDS)
        catalog.invocations.prune(older_than_seconds=INVOCATION_ROWS_SECONDS)
        prune_requests(catalog.database, most=MOST_REQUESTS)
        catalog.audit.prune(older_than_seconds=AUDIT_ROWS_SECONDS, most=MOST_AUDIT_ROWS)
        catalog.hours.prune(older_than_seconds=HOUR_ROWS_SECONDS)
        catalog.uploads.prune(older_than_seconds=UPLOAD_BYTES_SECONDS)
        # Dagster's storages: what only loads the definitions does not need them.
        from s3sync_dagster.defs.dagster_internals.pruning import (  # noqa: PLC0415
            prune_evaluations,
            prune_runs,
        )
        from s3sync_dagster.defs.dagster_internals.tick_pruning import prune_ticks  # noqa: PLC0415

        pruned = prune_runs(instance, [source.name for source in sources])
        prune_evaluations(instance, [dg.AssetKey(asset_path(source)) for source in sources])
        prune_ticks(instance, sensors)
        if pruned:
            notes.append(f"pruned {pruned} old runs")
            turns["pruned"] = 0  # there may be more of them
    return notes, json.dumps(turns)


def _is_turn(turns: Mapping[str, float], name: str, seconds: float, *, now: float) -> bool:
    return is_due(turns.get(name, 0.0) + seconds, now=now, at_most=seconds)


def note_hours(runtime: Runtime, sources: Sequence[Source]) -> None:
    """Note for the charts of the console how sources are; the rest has its turn the next time."""
    catalog, clock = runtime.parts.catalog, runtime.parts.clock
    started, ordered = clock.monotonic(), list(sources)
    clock.random.shuffle(ordered)
    for source in ordered:
        if clock.monotonic() - started > BUDGET_SECONDS:
            break
        catalog.hours.note(source.id, catalog.views.counts(source.id))


def check_records(runtime: Runtime, sources: Sequence[Source]) -> list[str]:
    """Hold some records of sources whose time has come against the catalog; returns notes.

    What cannot be looked at is due again a minute later, and costs the others nothing.
    """
    parts, per_day = runtime.parts, runtime.parts.settings.checked_records_per_day
    notes: list[str] = []
    if not per_day:
        return notes
    started = parts.clock.monotonic()
    ordered = list(sources)
    parts.clock.random.shuffle(ordered)  # with many sources each gets its turn
    for source in ordered:
        if parts.clock.monotonic() - started > BUDGET_SECONDS:
            break
        if parts.catalog.sources.paused(source.id):
            continue
        try:
            check_some(
                source,
                catalog=parts.catalog,
                collections=runtime.chroma.open,
                clock=parts.clock,
                records_per_day=per_day,
                log=notes.append,
            )
        except S3SyncError as error:
            notes.append(f"{source.name}: records could not be looked at: {error.message}")
    return notes


def report_orphans(
    runtime: Runtime, instance: dg.DagsterInstance, sources: Sequence[Source]
) -> int:
    """Report runs as failed whose worker went down with its host; returns how many.

    Such a run looks started for ever and keeps its place among the runs at work. Runs of ours
    log a line a minute.
    """
    now, reported = runtime.parts.clock.now().timestamp(), 0
    at_work = {row.run_id for row in runtime.parts.catalog.batches.live() if row.run_id}
    working = RunsFilter(
        tags={SOURCE_TAG: [source.name for source in sources]},
        statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING],
    )
    for record in instance.get_run_records(working, limit=100) if sources else ():
        run = record.dagster_run
        if run.run_id in at_work:
            continue  # the batch's lease tells better
        last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        told = last[0].timestamp if last else record.create_timestamp.timestamp()
        if now - told > SILENT_SECONDS:
            instance.report_run_failed(run, "s3sync: no sign of life; its worker is gone")
            reported += 1
    return reported
