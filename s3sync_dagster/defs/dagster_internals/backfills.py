"""Which assets a backfill works on: Dagster's filter of backfills is a private type."""

import dagster as dg


def is_backfilled(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Return whether a backfill of the asset goes on, or one that does not name its assets."""
    # 50 CPU-ms: every load of the definitions comes by here, and hardly one gets this far.
    from dagster._core.execution.backfill import (  # noqa: PLC0415
        BulkActionsFilter,
        BulkActionStatus,
    )

    working = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=working))
    return any(asset in (backfill.asset_selection or [asset]) for backfill in backfills)
