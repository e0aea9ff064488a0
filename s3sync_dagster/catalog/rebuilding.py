"""Documents when a catalog or a collection is lost: what is read back, what stays lost."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.collection_places import as_looked_at
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.lives import KEPT
from s3sync_dagster.catalog.recovered import store_beside
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.tables import (
    documents,
    has_records,
    invocations,
    is_live,
    objects,
)
from s3sync_dagster.core.document_targets import word_on
from s3sync_dagster.core.state import DocumentState, KnownCollection
from s3sync_dagster.engine.rebuilding import RecoveredDocument
from s3sync_dagster.model.source import DeleteMode, Source

_NOT_ITS_OWN_FAULT = sa.or_(
    objects.c.reason.like("chroma\\_%", escape="\\"),
    objects.c.reason.in_(
        ["index_damaged", "collection_refuses", "model_refuses", "record_ids_taken"]
    ),
)
"""Failures that the bucket has no part in: the object can be read, and a new collection may take
it."""


@again_after_collisions
class Rebuilding:
    """What stays of the table ``documents`` when a catalog or a collection is lost."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def kept_owners(self) -> set[str]:
        """Return the ids of deleted sources whose records were to stay."""
        with self._db.read() as tx:
            return set(tx.execute(KEPT).scalars())

    def not_written_again(self, source: Source) -> list[DocumentState]:
        """Return documents of the source's collection that nothing would write again now.

        Their objects are gone and the mode keeps them, or are archived, left out, empty or not to
        be read; in append mode also those whose objects have other bytes by now. What a listing
        lets go is none of them, in the one mode that lets anything go.
        """
        goes = sa.false() if source.mode is not DeleteMode.MIRROR else _is_let_go()
        with self._db.read() as tx:
            rows = tx.execute(
                sa.select(documents)
                .where(
                    *_of_collection(source),
                    documents.c.phase != "removing",
                    has_records,
                    sa.not_(_exists(objects, *_to_be_read(source))),
                    sa.not_(goes),
                )
                .order_by(documents.c.object_key)
            )
            return [document_of(row) for row in rows]

    def to_be_read(self, source: Source, keys: Collection[str]) -> set[str]:
        """Return those of these keys whose objects are there and taken, and failed not alone."""
        found = set[str]()
        with self._db.read() as tx:
            for part in groups(keys):
                query = sa.select(objects.c.object_key).where(
                    objects.c.source_id == source.id,
                    objects.c.object_key.in_(part),
                    *_is_to_be_read(),
                )
                found.update(tx.execute(query).scalars())
        return found

    def without_successor(self, before: Source, after: Source) -> list[tuple[str, str]]:
        """Return (collection, object key) of documents of a source that another one has not.

        Not of the same object under the same custom id, in its own collection, with the bytes that
        it was written of, or those that the object has by now where the mode follows these.
        """
        other = documents.alias()
        follows = other.c.etag == documents.c.etag
        if DeleteMode.APPEND not in (before.mode, after.mode):
            now = sa.select(objects.c.etag).where(
                objects.c.source_id == after.id, objects.c.object_key == other.c.object_key
            )
            follows = sa.or_(follows, other.c.etag == now.scalar_subquery())
        same = sa.select(other.c.id).where(
            other.c.source_id == after.id,
            other.c.collection_name == after.collection_name,
            other.c.object_key == documents.c.object_key,
            other.c.custom_id.is_not_distinct_from(documents.c.custom_id),
            other.c.phase == "clean",
            follows,
            documents.c.collection_name == before.collection_name,
        )
        with self._db.read() as tx:
            rows = tx.execute(
                sa.select(documents.c.collection_name, documents.c.object_key)
                .where(
                    documents.c.source_id == before.id,
                    documents.c.phase != "removing",
                    has_records,
                    sa.not_(same.correlate(documents).exists()),
                )
                .order_by(documents.c.object_key)
            )
            return [(row.collection_name, row.object_key) for row in rows]

    def let_go(
        self,
        source: Source,
        found: Sequence[RecoveredDocument],
        *,
        collection_name: str,
        collection_id: str,
    ) -> int:
        """Add documents that are to go once others of their objects are whole; returns how many.

        The catalog does not have them, and has the others.

        Raises ``NotFound`` for a source that is deleted.
        """
        return store_beside(
            self._db,
            source,
            found,
            collection_name=collection_name,
            collection_id=collection_id,
        )

    def give_way(
        self, source: Source, place: KnownCollection, states: Sequence[DocumentState]
    ) -> int:
        """Have documents be removed of which there is no record any more; returns how many.

        Their objects have got others since the backup. What anybody has worked on since it was
        looked at stays, and what an owner has asked for in vain.
        """
        gone = 0
        with self._db.write() as tx:
            self._db.lock_source(tx, source.id)
            for one in states:
                gone += tx.execute(
                    documents.update()
                    .where(
                        *as_looked_at(source.id, place, one),
                        documents.c.batch_token.is_(None),
                        documents.c.said.is_(None),
                    )
                    .values(phase="removing")
                ).rowcount
        return gone

    def gone_with_collection(self, source: Source, states: Sequence[DocumentState]) -> None:
        """Note that documents have lost their records with the collection, for good.

        What was asked of one by a request, or nobody knows by whom, stays, without records, until
        it can be written; the others follow from their objects, when those come back.
        """
        with self._db.write() as tx:
            self._db.lock_source(tx, source.id)
            for part in groups([one.id for one in states]):
                here = sa.and_(*_of_collection(source), documents.c.id.in_(part))
                rows = map(document_of, tx.execute(sa.select(documents).where(here)))
                unsaid = [one.id for one in rows if word_on(one) is None]
                tx.execute(documents.delete().where(documents.c.id.in_(unsaid)))
                tx.execute(
                    documents.update()
                    .where(here)
                    .values(
                        phase="writing",
                        batch_token=None,
                        chunks=0,
                        high_water=0,
                        digests=b"",
                        metadata_keys=[],
                    )
                )


def _of_collection(source: Source) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        documents.c.source_id == source.id,
        documents.c.tenant == source.tenant,
        documents.c.database_name == source.database_name,
        documents.c.collection_name == source.collection_name,
    )


def _to_be_read(source: Source) -> tuple[sa.ColumnElement[bool], ...]:
    if source.mode is DeleteMode.APPEND:
        return (*_is_to_be_read(), objects.c.etag == documents.c.etag)
    return _is_to_be_read()


def _is_to_be_read() -> tuple[sa.ColumnElement[bool], ...]:
    failed_elsewhere = sa.and_(objects.c.outcome == "failed", _NOT_ITS_OWN_FAULT)
    return (
        objects.c.gone.is_(False),
        objects.c.missed_listing_id == 0,
        objects.c.skip_reason.is_(None),
        sa.or_(objects.c.outcome.is_(None), objects.c.outcome == "indexed", failed_elsewhere),
    )


def _is_let_go() -> sa.ColumnElement[bool]:
    """Return what holds for documents whose removal waits and is evidence, or not needed as such.

    What an event told of an object that is there, or that was seen since, takes nothing away.
    """
    return _exists(
        invocations,
        is_live,
        invocations.c.kind == "remove",
        objects.c.source_id == documents.c.source_id,
        objects.c.object_key == documents.c.object_key,
        sa.or_(objects.c.gone, invocations.c.told_count == objects.c.told_count),
    )


def _exists(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    same = sa.and_(
        table.c.source_id == documents.c.source_id,
        table.c.object_key == documents.c.object_key,
    )
    return sa.select(table.c.source_id).where(same, *conditions).correlate(documents).exists()
