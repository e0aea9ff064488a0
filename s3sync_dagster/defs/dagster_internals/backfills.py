"""Which assets a backfill works on: Dagster's filter of backfills is a private type."""

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

_WORKING = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]


def is_backfilled(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Return whether a backfill of the asset goes on, or one that does not name its assets."""
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=_WORKING))
    return any(asset in (backfill.asset_selection or [asset]) for backfill in backfills)
