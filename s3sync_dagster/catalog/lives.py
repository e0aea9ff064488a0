"""Lives of sources that ended, as rows: written where one ends, read by whoever meets its id."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.rows import source_of
from s3sync_dagster.catalog.tables import collections, deleted_sources, lives, sources
from s3sync_dagster.core.declaration import Declaration
from s3sync_dagster.core.lives import Life, Lives, Place
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source

LATE_SECONDS = 7 * 86_400.0
"""No worker is late by more. What names a source that ended before may be another installation's,
which has had one of that name since."""
REMEMBER_SECONDS = 400 * 86_400.0
"""Hardly a copy of Chroma is older that somebody puts back."""
KEPT = sa.union(
    sa.select(deleted_sources.c.id).where(deleted_sources.c.keeps_records.is_(True)),
    sa.select(lives.c.source_id).where(lives.c.kept.is_(True)),
)
"""Ids of sources whose records were to stay, of one life or another."""


def end_life(tx: sa.Connection, row: sa.Row[Any], *, now: float) -> None:
    """Note where a source had its records, in the transaction that ends it.

    What is old is forgotten, but for what was to stay. Where a life before was the same it is noted
    once.

    Args:
        tx: an open transaction.
        row: of the source.
        now: the time.
    """
    old = sa.and_(lives.c.kept.is_(False), lives.c.ended_at < now - REMEMBER_SECONDS)
    tx.execute(lives.delete().where(old))
    if (life := _life_of(tx, row)) is None:
        return
    known = tx.execute(sa.select(lives).where(lives.c.source_id == row.id)).all()
    same = [one.id for one in known if _life(one) == life]
    tx.execute(lives.delete().where(lives.c.id.in_(same)))
    tx.execute(
        lives.insert().values(
            source_id=row.id,
            ended_at=now,
            kept=life.kept,
            # Its own one first: that is where it may go on (``kept_in_place``).
            places=sorted(life.places, key=lambda one: (one != own_place(source_of(row)), one)),
            bucket_name=life.bucket_name,
            path_prefix=life.path_prefix,
            chroma=life.chroma,
            name=None if row.origin == "catalog" else row.name,
            moved_to=life.moved_to,
            deleted=life.moved_to is None,
        )
    )


def lives_that_ended(tx: sa.Connection, *, of: str | None = None) -> dict[str, Lives]:
    """Return the lives of sources that ended, by their ids; ``of``: of one id alone.

    One that was moved is there as long as a mode keeps documents of it, which may be for good; one
    whose records are to stay, until nothing else is left of it. Of what a catalog has forgotten
    that was put back from a copy nobody knows whether it is kept, too. Where it is not known what a
    person has kept, nothing is told of any life of that id.
    """
    found: dict[str, list[Life]] = defaultdict(list)
    leaving: dict[str, Life] = {}
    ends = sa.or_(
        sources.c.deleting == "keep",
        sa.and_(sources.c.moved_to.is_not(None), sources.c.looked_through.is_(None)),
    )
    its_own = sa.true() if of is None else sources.c.id == of
    for row in tx.execute(sa.select(sources).where(ends, its_own)).all():
        if (life := _life_of(tx, row)) is not None:
            leaving[row.id] = life
    kept_somewhere = sa.select(deleted_sources.c.id).where(
        deleted_sources.c.keeps_records.is_(True),
        deleted_sources.c.id.not_in(sa.select(lives.c.source_id).where(lives.c.kept.is_(True))),
    )
    # One that is there with the id of one that ended was declared so by an earlier version.
    there = lives.c.source_id.in_(sa.select(sources.c.id))
    known = sa.select(lives).where(
        lives.c.source_id.not_in(kept_somewhere), sa.or_(lives.c.kept.is_(True), sa.not_(there))
    )
    if of is not None:
        known = known.where(lives.c.source_id == of)
    for row in tx.execute(known.order_by(lives.c.id)):
        found[row.source_id].append(_life(row))
    return {
        name: Lives(ended=found[name], leaving=leaving.get(name)) for name in {**leaving, **found}
    }


def ended_lately(
    tx: sa.Connection, source_ids: Collection[str], *, at: str, now: float
) -> dict[str, Lives]:
    """Return which of these sources have been no more for a while, and took their records along.

    Args:
        tx: an open transaction.
        source_ids: of which it is asked.
        at: id of the source that met them, at its Chroma.
        now: the time.
    """
    if not source_ids:
        return {}
    found: dict[str, list[Life]] = {}
    for row in tx.execute(*_gone(list(source_ids), now - LATE_SECONDS)):
        some = found.setdefault(row.gone, [])
        some += [] if row.source_id is None else [_life(row)]
    if not found:
        return {}
    declared = sa.select(sources.c.declared).where(sources.c.id == at)
    chroma = _chroma(tx.execute(declared).scalar_one_or_none())
    return {name: Lives(ended=some).at(chroma) for name, some in found.items()}


@built_once
def _gone(source_ids: Sequence[str], since: float) -> Any:
    return (
        sa.select(deleted_sources.c.id.label("gone"), *lives.c)
        .outerjoin(lives, lives.c.source_id == deleted_sources.c.id)
        .where(
            deleted_sources.c.id.in_(source_ids),
            deleted_sources.c.keeps_records.is_(False),
            deleted_sources.c.deleted_at >= since,
        )
    )


def own_place(source: Source) -> Place:
    """Return a source's own collection."""
    return (source.tenant, source.database_name, source.collection_name)


def _life(row: sa.Row[Any]) -> Life:
    return Life(
        places=frozenset(map(tuple, row.places)),
        bucket_name=row.bucket_name,
        path_prefix=row.path_prefix,
        kept=row.kept,
        chroma=row.chroma,
        moved_to=row.moved_to,
    )


def _life_of(tx: sa.Connection, row: sa.Row[Any]) -> Life | None:
    """Return the life of a source that is there; None where its row is another version's."""
    try:
        source = source_of(row)
    except InvalidSetting:
        return None
    place = (collections.c.tenant, collections.c.database_name, collections.c.collection_name)
    known = tx.execute(sa.select(*place).where(collections.c.source_id == source.id)).all()
    return Life(
        places=frozenset({own_place(source), *map(tuple, known)}),
        bucket_name=source.place.identity().bucket_name,
        path_prefix=source.place.path_prefix,
        kept=row.deleting == "keep",
        chroma=_chroma(row.declared),
        moved_to=row.moved_to,
    )


def _chroma(declared: dict[str, Any] | None) -> str | None:
    said = Declaration.from_json(declared)
    return None if said is None else said.chroma
