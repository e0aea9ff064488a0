"""Object keys as partitions: told to Dagster before their run, taken back after a removal."""

from collections.abc import Sequence

import dagster as dg

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.defs.dagster_internals.backfills import is_backfilled
from s3sync_dagster.model.source import Source

PARTITIONS_A_CALL = 5000
"""SQLite builds differ in how many variables a statement may have."""
DROPPED_A_CALL = 200
"""Dagster deletes partitions one by one: 2 to 13 ms each."""


def partitions_name(source_name: str) -> str:
    """Return the name of a source's dynamic partitions."""
    return f"s3_{source_name}"


def add_partitions(
    catalog: Catalog, instance: dg.DagsterInstance, source: Source, keys: Sequence[str]
) -> int:
    """Tell Dagster of keys that it does not know yet; returns how many there were."""
    names = catalog.work.partitions_to_add(source.id, keys)
    for start in range(0, len(names), PARTITIONS_A_CALL):
        part = names[start : start + PARTITIONS_A_CALL]
        instance.add_dynamic_partitions(partitions_name(source.name), part)
        catalog.work.partitions_added(source.id, part, added=True)
    return len(names)


def drop_partitions(catalog: Catalog, instance: dg.DagsterInstance, source: Source) -> int:
    """Take partitions back whose object and records are gone; returns how many.

    Not while a batch or a backfill of the source works: Dagster resolves ranges of partitions
    when a run starts, and one that has lost its end fails.
    """
    gone = catalog.work.partitions_to_drop(source.id, limit=DROPPED_A_CALL)
    if not gone or catalog.batches.live(source_id=source.id):
        return 0
    if is_backfilled(instance, dg.AssetKey(["s3", source.name])):
        return 0
    for name in gone:
        instance.delete_dynamic_partition(partitions_name(source.name), name)
    catalog.work.partitions_added(source.id, gone, added=False)
    return len(gone)
