"""Sources that are moved: the new one takes the name, the one before stands until it may go."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import ROWS_A_PART, Database
from s3sync_dagster.catalog.rows import source_of
from s3sync_dagster.catalog.sources import require_possible, row_values
from s3sync_dagster.catalog.tables import documents, invocations, listings, objects, sources
from s3sync_dagster.core.moving import Succession
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.source import DeleteMode, Source


@again_after_collisions
class Moves:
    """Rows of ``sources`` whose ``moved_to`` names another one."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, name: str) -> Source:
        """Let a source be what its code declares; returns it, under an id of its own.

        One transaction: before it there is the source as it was, after it the new one has the
        name, and the one before waits under another name for its deletion, without work.

        Raises:
            NotFound: no source has this name.
            Conflict: its code declares nothing else (``nothing_to_move``), it is being deleted, or
                another source has that address already.
        """
        now = self._db.now()
        with self._db.write() as tx:
            self._db.lock_places(tx)
            row = tx.execute(sa.select(sources).where(sources.c.name == name)).first()
            if row is None:
                raise NotFound(f"No source {name!r} in the catalog.", reason="source_not_found")
            if row.wanted is None or row.deleting is not None:
                raise Conflict(
                    f"The source {name!r} is what its code declares, or is being deleted: there "
                    "is nothing to move.",
                    reason="nothing_to_move",
                )
            new = replace(Source.from_json(row.wanted), id=self._db.clock.uuid())
            before = replace(source_of(row), name=f"{name} (moved, {row.id})")
            self._db.lock_source(tx, row.id)
            tx.execute(
                sources.update()
                .where(sources.c.id == row.id)
                .values(
                    **row_values(before)
                    # Its address is free: a change of the id_prefix alone leaves it as it was.
                    | {"bucket_name": f"{row.bucket_name} (moved, {row.id})"},
                    origin="moved",
                    moved_to=new.id,
                    paused=True,
                    wanted=sa.null(),
                    updated_at=now,
                )
            )
            tx.execute(sources.update().where(sources.c.moved_to == row.id).values(moved_to=new.id))
            require_possible(tx, new)
            tx.execute(
                sources.insert().values(
                    id=new.id,
                    origin=row.origin,
                    paused=row.paused,
                    created_at=now,
                    updated_at=now,
                    **row_values(new),
                )
            )
        return new

    def left_by(self, source_id: str) -> list[Source]:
        """Return the sources in whose place this one stands, which wait for their deletion."""
        query = sa.select(sources).where(sources.c.moved_to == source_id)
        with self._db.read() as tx:
            rows = tx.execute(query.order_by(sources.c.created_at)).all()
        return [source_of(row) for row in rows]

    def successors(self) -> set[str]:
        """Return the ids of sources in whose place another one stood that is not gone yet."""
        query = sa.select(sources.c.moved_to).where(sources.c.moved_to.is_not(None))
        with self._db.read() as tx:
            return set(tx.execute(query).scalars())

    def succession(self, source: Source, before: Source) -> Succession:
        """Return how far a source has come in the place of the one before."""
        theirs = documents.alias("theirs")
        own = sa.and_(
            documents.c.collection_name == before.collection_name,
            theirs.c.collection_name == source.collection_name,
        )
        followed = sa.exists().where(
            theirs.c.source_id == source.id,
            theirs.c.object_key == documents.c.object_key,
            theirs.c.phase == "clean",
            sa.or_(own, theirs.c.collection_name == documents.c.collection_name),
        )
        failed = sa.exists().where(
            objects.c.source_id == source.id,
            objects.c.object_key == documents.c.object_key,
            objects.c.outcome == "failed",
            objects.c.gone.is_(False),
        )
        live = sa.exists().where(
            invocations.c.source_id == source.id,
            invocations.c.object_key == documents.c.object_key,
            invocations.c.status.in_(["pending", "processing"]),
        )
        unread = sa.exists().where(
            objects.c.source_id == source.id,
            objects.c.object_key == documents.c.object_key,
            objects.c.outcome.is_(None),
            objects.c.skip_reason.is_(None),
            objects.c.gone.is_(False),
        )
        half = sa.exists().where(
            theirs.c.source_id == source.id,
            theirs.c.object_key == documents.c.object_key,
            theirs.c.phase == "writing",
        )
        unfinished = sa.or_(unread, half)
        # Ids are made of the key and the id_prefix: in one collection they are the same records.
        of_before = sa.select(objects.c.object_key).where(objects.c.source_id == before.id)
        taken = (
            documents.c.source_id == source.id,
            documents.c.phase == "clean",
            documents.c.object_key.in_(of_before),
        )
        stands = (documents.c.source_id == before.id, documents.c.phase != "removing")
        alone = (*stands, sa.not_(followed))
        asked = documents.c.owner == "request"
        rests = (*alone, sa.not_(asked), sa.not_(live))
        listed = (listings.c.source_id == source.id, listings.c.state == "complete")
        newest = (
            sa.select(listings.c.left_out).where(*listed).order_by(listings.c.id.desc()).limit(1)
        )
        with self._db.read() as tx:

            def count(table: sa.Table, *conditions: Any) -> int:
                query = sa.select(sa.func.count()).select_from(table).where(*conditions)
                return tx.execute(query).scalar_one()

            left_out = tx.execute(newest).scalar_one_or_none()
            return Succession(
                listed=left_out is not None,
                left_out=left_out or 0,
                keeps={before.mode, source.mode} != {DeleteMode.MIRROR},
                working=count(documents, *alone, live),
                unfinished=count(documents, *rests, sa.not_(failed), unfinished),
                left=count(documents, *stands),
                taken=count(documents, *taken) if _same_records(source, before) else 0,
                failed=count(documents, *rests, failed),
                asked=count(documents, *alone, asked),
                gone=count(documents, *rests, sa.not_(failed), sa.not_(unfinished)),
            )

    def hand_over(self, before_id: str, source_id: str) -> bool:
        """Give objects that only the source before had to the new one, as gone.

        Dagster has one set of partitions for both; it takes back what is of objects that are gone.

        Returns:
            False while a document that was taken over is not written: its records still say that
            they are of the source before, which has to be known until they do not.
        """
        while True:
            with self._db.write() as tx:
                self._db.lock_sources(tx, {before_id, source_id})
                mine = objects.alias("mine")
                known = sa.select(mine.c.object_key).where(mine.c.source_id == source_id)
                names = sa.select(mine.c.partition_key).where(mine.c.source_id == source_id)
                part = (
                    sa.select(objects.c.object_key)
                    .where(
                        objects.c.source_id == before_id,
                        objects.c.partition_added,
                        objects.c.object_key.not_in(known),
                        objects.c.partition_key.not_in(names),
                    )
                    .limit(ROWS_A_PART)
                )
                keys = tx.execute(part).scalars().all()
                if not keys:
                    unwritten = sa.select(documents.c.id).where(*_unwritten(source_id)).limit(1)
                    return tx.execute(unwritten).first() is None
                tx.execute(
                    objects.update()
                    .where(objects.c.source_id == before_id, objects.c.object_key.in_(keys))
                    .values(
                        source_id=source_id,
                        gone=True,
                        told_number=0,
                        sequencer=None,
                        missed_listing_id=0,
                        first_missed_listing_id=0,
                    )
                )


def _same_records(source: Source, before: Source) -> bool:
    return all(
        getattr(source, name) == getattr(before, name)
        for name in ("tenant", "database_name", "collection_name", "id_prefix")
    )


def _unwritten(source_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        documents.c.source_id == source_id,
        documents.c.phase == "writing",
        documents.c.etag.is_(None),
    )


def predecessors(tx: sa.Connection, source_id: str) -> set[str]:
    """Return the ids of sources whose record ids are this one's to take over."""
    query = sa.select(sources.c.id).where(sources.c.moved_to == source_id)
    return set(tx.execute(query).scalars())
