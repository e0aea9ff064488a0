"""What Dagster is told of each key, in batches: one event a key is dear, a group of them is not."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    generate_event_batch_id,
)

from s3sync_dagster.core.engine import KeyReport
from s3sync_dagster.model.source import Source

EVENTS_AT_ONCE = 100


def report_keys(
    context: dg.OpExecutionContext,
    asset_key: dg.AssetKey,
    source: Source,
    reports: Sequence[KeyReport],
) -> None:
    """Log a materialisation for each key that did not fail, and the reason for each that did."""
    done: list[dg.AssetMaterialization] = []
    for report in reports:
        if report.state in ("failed", "pending"):
            _report_failure(context, asset_key, report)
        elif report.partition_key is not None:
            done.append(
                dg.AssetMaterialization(
                    asset_key,
                    partition=report.partition_key,
                    description=report.error,
                    metadata=_metadata(report, source),
                )
            )
    for start in range(0, len(done), EVENTS_AT_ONCE):
        _log_together(context, done[start : start + EVENTS_AT_ONCE])


def _report_failure(
    context: dg.OpExecutionContext, asset_key: dg.AssetKey, report: KeyReport
) -> None:
    """Make the partition show FAILED once the run ends in failure, with the reason beside it."""
    if report.state == "failed":
        context.instance.report_dagster_event(
            DagsterEvent.build_asset_materialization_planned_event(
                context.job_name,
                str(context.op_handle),
                AssetMaterializationPlannedData(
                    asset_key, partition=report.partition_key, partitions_subset=None
                ),
            ),
            context.run_id,
        )
    context.log_event(
        dg.AssetObservation(
            asset_key,
            partition=report.partition_key,
            metadata={
                "state": report.state,
                "reason": report.reason or "",
                "error": report.error or "",
            },
        )
    )


def _log_together(
    context: dg.OpExecutionContext, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    if not materializations:
        return
    try:
        step = context.get_step_execution_context()
        batch = generate_event_batch_id()
        last = len(materializations) - 1
        for place, materialization in enumerate(materializations):
            DagsterEvent.asset_materialization(
                step, materialization, DagsterEventBatchMetadata(batch, place == last)
            )
    except (AttributeError, TypeError):  # not public API: a later Dagster may have moved it
        for materialization in materializations:
            context.log_event(materialization)


def _metadata(report: KeyReport, source: Source) -> dict[str, dg.MetadataValue]:
    values: dict[str, dg.MetadataValue] = {
        "state": dg.MetadataValue.text(report.state),
        "object": dg.MetadataValue.text(f"s3://{source.bucket_name}/{report.key}"),
        "chunks": dg.MetadataValue.int(report.chunks),
        "bytes": dg.MetadataValue.int(report.bytes),
    }
    if report.reason:
        values["reason"] = dg.MetadataValue.text(report.reason)
    if report.pages:
        values["pages"] = dg.MetadataValue.int(report.pages)
    if report.etag:
        values["etag"] = dg.MetadataValue.text(report.etag)
    for step, milliseconds in report.ms.items():
        values[f"ms_{step}"] = dg.MetadataValue.float(milliseconds)
    return values
