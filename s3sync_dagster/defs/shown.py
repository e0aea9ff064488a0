"""Which asset shows a key: that of its shard, whichever asset's run has worked on it."""

from collections.abc import Sequence

import dagster as dg

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.core.naming import asset_path, shard_of
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.defs.dispatching import InstanceRuns
from s3sync_dagster.defs.events import Shown
from s3sync_dagster.engine.dispatching import tell_partitions
from s3sync_dagster.model.source import Source


def of_partitions(context: dg.OpExecutionContext) -> bool:
    """Return whether a person or a backfill launched the run for partitions."""
    return context.has_partition_key or context.has_partition_key_range


def place_keys(
    context: dg.OpExecutionContext, catalog: Catalog, source: Source, keys: Sequence[str]
) -> dict[str, int]:
    """Tell Dagster of keys that it does not know yet; returns the shard of each that has one.

    Whoever launches a partition has added it: what the catalog does not know yet stays there.
    """
    asked_in = _launched(context, source) if of_partitions(context) else None
    runs = InstanceRuns(context.instance)
    return dict(tell_partitions(catalog, runs, source, keys, asked_in=asked_in))


def shown(
    context: dg.OpExecutionContext, catalog: Catalog, source: Source, reports: Sequence[KeyOutcome]
) -> list[Shown]:
    """Return which asset is told of each key.

    A run for partitions answers the asset that it was launched on as well, also where a key has
    its place in another one: a backfill takes a partition of which it hears nothing for failed.
    """
    places = place_keys(context, catalog, source, [report.key for report in reports])
    launched = _launched(context, source)
    assets: dict[int, dg.AssetKey] = {}
    found: list[Shown] = []
    for report in reports:
        shard = places.get(report.key, launched)
        for one in {shard, launched} if of_partitions(context) else {shard}:
            if one not in assets:
                assets[one] = dg.AssetKey(asset_path(source, one))
            found.append((assets[one], report))
    return found


def _launched(context: dg.OpExecutionContext, source: Source) -> int:
    """Return the shard whose asset the step is of; the first one's where dispatch asked."""
    return shard_of(source, context.assets_def.key.path)
