"""Places of keys in Dagster where a source was moved: both have one set of partitions.

A place is counted once, when one of them gets it; what has a place may yet have to be told.
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import ROWS_A_PART
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import has_place, objects
from s3sync_dagster.core.shards import FIRST_SHARD

_before = objects.alias("before")
_has_place_before = sa.or_(_before.c.partition_added.is_(True), _before.c.shard.is_not(None))
_same_name = _before.c.partition_key == objects.c.partition_key


def inherited(
    tx: sa.Connection, source_id: str, keys: Sequence[str], before: Collection[str]
) -> dict[str, int]:
    """Return the shards that keys have by the name of a source before.

    Args:
        tx: an open transaction.
        source_id: of the new source.
        keys: its object keys.
        before: ids of the sources in whose place it stands.
    """
    found: dict[str, int] = {}
    for part in groups(keys) if before else ():
        query = sa.select(
            objects.c.object_key, sa.func.coalesce(_before.c.shard, FIRST_SHARD)
        ).join(_before, _same_name)
        mine = objects.c.source_id == source_id, objects.c.object_key.in_(part)
        rows = tx.execute(query.where(*mine, _before.c.source_id.in_(before), _has_place_before))
        found.update((key, shard) for key, shard in rows)
    return found


def take_places(tx: sa.Connection, before_id: str, source_id: str) -> bool:
    """Give a part of the places that a source before has to the new one, of keys that both know.

    Returns:
        False once it has none left.
    """
    theirs = objects.c.source_id == before_id
    query = sa.select(objects.c.partition_key).where(theirs, has_place).limit(ROWS_A_PART)
    names = tx.execute(query).scalars().all()
    for part in groups(names):
        its = sa.and_(_before.c.source_id == before_id, _has_place_before, _same_name)
        bare = sa.and_(objects.c.partition_added.is_(False), objects.c.shard.is_(None))
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, objects.c.partition_key.in_(part), bare)
            .values(
                shard=sa.select(_before.c.shard).where(its).scalar_subquery(),
                partition_added=sa.select(_before.c.partition_added).where(its).scalar_subquery(),
            )
        )
        give_up_places(tx, [before_id], part)
    return bool(names)


def give_up_places(tx: sa.Connection, source_ids: Collection[str], names: Sequence[str]) -> None:
    """Forget the places of partitions, by the names that at most fit into one statement."""
    mine = objects.c.source_id.in_(source_ids), objects.c.partition_key.in_(names)
    tx.execute(objects.update().where(*mine).values(partition_added=False, shard=None))
