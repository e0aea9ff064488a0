"""Object keys as partitions: told to Dagster before their run, taken back after a removal."""

import dagster as dg

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.core.naming import asset_path, partitions_name
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.defs.dagster_internals.backfills import is_backfilled
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.source import Source

PARTITIONS_A_CALL = 5000
"""SQLite builds differ in how many variables a statement may have."""
DROPPED_A_CALL = 200
"""Dagster deletes partitions one by one: 2 to 13 ms each."""


def drop_partitions(catalog: Catalog, instance: dg.DagsterInstance, source: Source) -> int:
    """Take partitions back whose object and records are gone; returns how many.

    Not while a batch or a backfill of the source works: Dagster resolves ranges of partitions
    when a run starts, and one that has lost its end fails.
    """
    gone = catalog.partitions.to_drop(source.id, limit=DROPPED_A_CALL)
    if not gone or catalog.batches.live(source_id=source.id):
        return 0
    shards = range(FIRST_SHARD, catalog.partitions.shards(source.id) + 1)
    if is_backfilled(instance, [dg.AssetKey(asset_path(source, shard)) for shard in shards]):
        return 0
    names = [name for some in gone.values() for name in some]
    catalog.partitions.dropping(source.id, names)
    for shard in shards:  # one may have been launched on another asset than its own
        definition = partitions_name(source, shard)
        for name in instance.get_existing_dynamic_partitions(definition, names):
            instance.delete_dynamic_partition(definition, name)
    catalog.partitions.dropped(source.id, names)
    return len(names)


def drop_all_partitions(
    catalog: Catalog,
    instance: dg.DagsterInstance,
    source: Source,
    *,
    until: float,
    clock: Clock,
) -> bool:
    """Take all partitions of a source back until that monotonic time; True when none is left.

    Also of shards that a catalog which was put back from an older copy does not know.
    """
    known, shard = catalog.partitions.shards(source.id), FIRST_SHARD
    while True:
        definition = partitions_name(source, shard)
        names = instance.get_dynamic_partitions(definition)
        if not names and shard > known:
            return True
        for name in names:
            instance.delete_dynamic_partition(definition, name)
            if clock.monotonic() > until:
                return False
        shard += 1
