"""Events of many keys in one go: one event a key is dear, a group of them is not."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    generate_event_batch_id,
)

T = TypeVar("T")


def log_together(
    context: dg.OpExecutionContext,
    events: Sequence[dg.AssetMaterialization] | Sequence[dg.AssetObservation],
) -> None:
    """Log what happened to assets; the storage takes it in one transaction where it can."""
    step = context.get_step_execution_context()
    for event, batch in _numbered(events):
        if isinstance(event, dg.AssetMaterialization):
            DagsterEvent.asset_materialization(step, event, batch)
        else:
            DagsterEvent.asset_observation(step, event, batch)


def plan_partitions(
    context: dg.OpExecutionContext, partitions: Sequence[tuple[dg.AssetKey, str]]
) -> None:
    """Log that this run was to materialise these partitions.

    For Dagster a partition has failed when it was planned in a run that failed and has no later
    materialisation.
    """
    from s3sync_dagster.defs.dagster_internals.sqlite_storage import (  # noqa: PLC0415 (runs only)
        BatchingEventLog,
    )

    together = isinstance(context.instance.event_log_storage, BatchingEventLog)
    for (asset_key, partition), batch in _numbered(partitions):
        context.instance.report_dagster_event(
            DagsterEvent.build_asset_materialization_planned_event(
                context.job_name,
                str(context.op_handle),
                AssetMaterializationPlannedData(
                    asset_key, partition=partition, partitions_subset=None
                ),
            ),
            context.run_id,
            batch_metadata=batch if together else None,  # Postgres takes this kind singly
        )


def _numbered(events: Sequence[T]) -> Iterator[tuple[T, DagsterEventBatchMetadata]]:
    """Yield events with what makes Dagster store them together."""
    name, last = generate_event_batch_id(), len(events) - 1
    for place, event in enumerate(events):
        yield event, DagsterEventBatchMetadata(name, place == last)
