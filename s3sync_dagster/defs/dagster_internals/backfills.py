"""Which assets a backfill works on: Dagster's filter of backfills is a private type."""

from collections.abc import Collection

import dagster as dg


def is_backfilled(instance: dg.DagsterInstance, assets: Collection[dg.AssetKey]) -> bool:
    """Return whether a backfill of the assets goes on, or one that does not name its assets."""
    # 50 CPU-ms: every load of the definitions comes by here, and hardly one gets this far.
    from dagster._core.execution.backfill import (  # noqa: PLC0415
        BulkActionsFilter,
        BulkActionStatus,
    )

    working = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=working))
    return any(
        not backfill.asset_selection or not set(assets).isdisjoint(backfill.asset_selection)
        for backfill in backfills
    )
