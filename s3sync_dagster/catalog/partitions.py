"""What Dagster was told of keys: their partitions, and in which shard of the source each stands.

A shard is given and committed before Dagster is told, under the source's lock: who tells at the
same time tells the same, and after a crash it is told again. How many partitions a shard has is
kept in the same transactions.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.moves import predecessors
from s3sync_dagster.catalog.places import give_up_places, inherited
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import (
    documents,
    has_place,
    invocations,
    is_live,
    objects,
    shards,
    sources,
)
from s3sync_dagster.core.shards import FIRST_SHARD, PARTITIONS_PER_ASSET, Placement, spread

# None where it stands from before there were shards, or a program of before has told it since.
_shard = sa.func.coalesce(objects.c.shard, FIRST_SHARD)


@again_after_collisions
class Partitions:
    """The columns of ``objects`` that say what Dagster was told, and the table ``shards``."""

    def __init__(self, database: Database, *, most: int = PARTITIONS_PER_ASSET) -> None:
        self._db, self._most = database, most

    def place(
        self, source_id: str, keys: Sequence[str], *, asked_in: int | None = None
    ) -> Placement:
        """Return where keys are shown; those that have no shard yet get one.

        Args:
            source_id: theirs.
            keys: object keys; of those that nobody knows, or that are gone and have no partition,
                nothing is said.
            asked_in: the shard to which somebody has added their partitions already.
        """
        placement, without = self._placed(source_id, keys)
        if not without:
            return placement
        self._give(source_id, without, asked_in=asked_in)
        return self._placed(source_id, keys)[0]

    def added(self, source_id: str, partitions: Sequence[str], *, shard: int) -> None:
        """Note that Dagster knows these partitions of a shard.

        Of those alone that have their place there still: one may have been taken back since it
        was planned, and have no place by now, or another one.
        """
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            for part in groups(partitions):
                here = objects.c.source_id == source_id, objects.c.partition_key.in_(part)
                told = objects.update().where(*here, objects.c.shard == shard)
                tx.execute(told.values(partition_added=True))

    def dropping(self, source_id: str, partitions: Sequence[str]) -> None:
        """Note that Dagster may know these partitions no more: what comes back is told again."""
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            for part in groups(partitions):
                here = objects.c.source_id == source_id, objects.c.partition_key.in_(part)
                tx.execute(
                    objects.update().where(*here).values(partition_added=False, shard=_shard)
                )

    def dropped(self, source_id: str, partitions: Sequence[str]) -> None:
        """Note that Dagster knows these partitions no more: their shards have room again.

        One whose object came back meanwhile keeps its place, and is told again.
        """
        with self._db.write() as tx:
            before = predecessors(tx, source_id)
            self._db.lock_sources(tx, {source_id, *before})
            freed = Counter[int]()
            for part in groups(partitions):
                here = objects.c.source_id == source_id, objects.c.partition_key.in_(part)
                back = *here, has_place, objects.c.gone.is_(False)
                query = sa.select(objects.c.partition_key).where(*back)
                stay = set(tx.execute(query).scalars())
                tx.execute(
                    objects.update().where(*back).values(partition_added=False, shard=_shard)
                )
                leave = [name for name in part if name not in stay]
                here = objects.c.source_id == source_id, objects.c.partition_key.in_(leave)
                query = sa.select(_shard, sa.func.count()).where(*here, has_place).group_by(_shard)
                freed.update(_pairs(tx.execute(query)))
                give_up_places(tx, {source_id, *before}, leave)
            self._count(tx, source_id, {shard: -number for shard, number in freed.items()})

    def to_drop(self, source_id: str, *, limit: int = 500) -> dict[int, list[str]]:
        """Return, by shard, partitions of what is gone and has neither documents nor work."""
        alive = sa.union_all(
            sa.select(documents.c.object_key).where(documents.c.source_id == source_id),
            sa.select(invocations.c.object_key).where(
                invocations.c.source_id == source_id,
                is_live,
            ),
        )
        query = (
            sa.select(_shard, objects.c.partition_key)
            .where(
                objects.c.source_id == source_id,
                objects.c.gone.is_(True),
                has_place,
                objects.c.object_key.not_in(alive),
            )
            .limit(limit)
        )
        with self._db.read() as tx:
            return _by_shard((row[0], row[1]) for row in tx.execute(query))

    def shards(self, source_id: str) -> int:
        """Return how many shards a source has."""
        newest = sa.select(sa.func.max(shards.c.shard)).where(shards.c.source_id == source_id)
        with self._db.read() as tx:
            return tx.execute(newest).scalar_one() or FIRST_SHARD

    def shards_by_name(self) -> dict[str, int]:
        """Return how many shards each source has that has more than one, by its name."""
        query = (
            sa.select(sources.c.name, sa.func.max(shards.c.shard))
            .join(sources, sources.c.id == shards.c.source_id)
            .where(shards.c.shard > FIRST_SHARD)
            .group_by(sources.c.name)
        )
        with self._db.read() as tx:
            return _pairs(tx.execute(query))

    def _placed(self, source_id: str, keys: Sequence[str]) -> tuple[Placement, list[str]]:
        """Return where keys are shown, and those that have yet to get a shard."""
        placed: dict[str, int] = {}
        untold: dict[int, list[str]] = defaultdict(list)
        without: list[str] = []
        with self._db.read() as tx:
            for part in groups(keys):
                for row in tx.execute(
                    sa.select(
                        objects.c.object_key,
                        objects.c.partition_key,
                        objects.c.shard,
                        objects.c.partition_added,
                        objects.c.gone,
                    ).where(objects.c.source_id == source_id, objects.c.object_key.in_(part))
                ):
                    if row.shard is None and not row.partition_added:
                        if not row.gone:
                            without.append(row.object_key)
                        continue
                    shard = placed[row.object_key] = row.shard or FIRST_SHARD
                    if not (row.partition_added or row.gone):
                        untold[shard].append(row.partition_key)
        return Placement(placed, untold), without

    def _give(self, source_id: str, keys: Sequence[str], *, asked_in: int | None) -> None:
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            bare = (
                objects.c.source_id == source_id,
                objects.c.shard.is_(None),
                objects.c.partition_added.is_(False),
                objects.c.gone.is_(False),
            )
            still: list[str] = []
            for part in groups(keys):  # others may have given some of them one meanwhile
                query = sa.select(objects.c.object_key).where(*bare, objects.c.object_key.in_(part))
                still += tx.execute(query.order_by(objects.c.object_key)).scalars()
            found = inherited(tx, source_id, still, predecessors(tx, source_id))
            new = [key for key in still if key not in found]
            if asked_in is not None:
                given = {asked_in: new}
            else:
                counted = sa.select(shards.c.shard, shards.c.partitions)
                has = _pairs(tx.execute(counted.where(shards.c.source_id == source_id)))
                given = spread(new, has, most=self._most)
            self._count(tx, source_id, {shard: len(some) for shard, some in given.items()})
            shard_of = found | {key: shard for shard, some in given.items() for key in some}
            for shard, some in _by_shard((shard, key) for key, shard in shard_of.items()).items():
                for part in groups(some):
                    tx.execute(
                        objects.update()
                        .where(*bare, objects.c.object_key.in_(part))
                        .values(shard=shard)
                    )

    def _count(self, tx: sa.Connection, source_id: str, more: Mapping[int, int]) -> None:
        for shard, number in sorted(more.items()):
            if not number:
                continue
            insert = self._db.insert(shards).values(
                source_id=source_id, shard=shard, partitions=max(number, 0)
            )
            now = shards.c.partitions + number
            tx.execute(
                insert.on_conflict_do_update(
                    index_elements=["source_id", "shard"],
                    # A program of before takes partitions back and counts none.
                    set_={"partitions": sa.case((now < 0, 0), else_=now)},
                )
            )


def _pairs(rows: Any) -> dict[Any, int]:
    return {name: number for name, number in rows}


def _by_shard(pairs: Iterable[tuple[int, str]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for shard, name in pairs:
        found[shard].append(name)
    return dict(found)
