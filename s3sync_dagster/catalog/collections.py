"""Collections that a source writes to: which one of its name each was, and how far it was checked.

A collection that was deleted and made anew has another id; what stands in the catalog about the one
before says nothing about it.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collection_places import (
    as_looked_at,
    collection_of,
    documents_there,
    holders_of,
    id_as_known,
    row_of,
)
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.compared import when_compared
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.doubted import ask_untold
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import document_of, is_due
from s3sync_dagster.catalog.tables import collections, documents, objects
from s3sync_dagster.catalog.unclean import DOCUMENTS_AND_OBJECTS, is_mirror, rests
from s3sync_dagster.core.state import (
    ABSENT,
    RECOVERED,
    RESTORED,
    CheckCursor,
    DocumentState,
    KnownCollection,
)
from s3sync_dagster.model.document import Metadata

DOCUMENTS_AT_ONCE = 500
"""In one transaction, which is to end within 100 ms."""


@again_after_collisions
class CollectionRows:
    """The table ``collections``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_source(self, source_id: str) -> list[KnownCollection]:
        """Return the collections that a source has written to."""
        with self._db.read() as tx:
            return [collection_of(row) for row in tx.execute(*_of_source(source_id))]

    def meet(
        self, source_id: str, met: KnownCollection, *, emptied: bool = False, seconds: float = 3600
    ) -> int | None:
        """Note which collection was met; documents that were not written to it are untrusted.

        They are asked for again, and count as pending until they are written whole. Documents from
        before ids were kept are taken to be in the collection that is met first.

        Args:
            source_id: the source.
            met: the collection; its id is ``ABSENT`` where there is none of that name.
            emptied: it is the same collection, but its records are gone.
            seconds: to go on for; what is left follows at the next call.

        Returns:
            How many documents lost their trust; None where that goes on at the next call.
        """
        with self._db.read() as tx:  # of a batch's collections nearly all are known
            if not emptied and id_as_known(tx, source_id, met) == met.collection_id:
                return 0
        until = self._db.clock.monotonic() + seconds
        distrusted = 0
        while True:
            with self._db.write() as tx:
                if not self._db.has_source(tx, source_id):
                    return distrusted
                number, done = self._meet_part(tx, source_id, met, emptied=emptied)
            distrusted += number
            if done:
                return distrusted
            if self._db.clock.monotonic() >= until:
                return None

    def forget_unused(self, source_id: str, place: KnownCollection) -> bool:
        """Forget a collection in which the source has nothing; returns whether it had nothing."""
        there = sa.exists().where(*documents_there(source_id, place))
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            return bool(
                tx.execute(collections.delete().where(row_of(source_id, place), ~there)).rowcount
            )

    def records(self, source_id: str, place: KnownCollection) -> int:
        """Return how many records the source's trusted documents have in a collection."""
        with self._db.read() as tx:
            return int(
                tx.execute(
                    sa.select(sa.func.coalesce(sa.func.sum(documents.c.chunks), 0)).where(
                        *documents_there(source_id, place), documents.c.phase == "clean"
                    )
                ).scalar_one()
            )

    def due_for_check(
        self, source_id: str, *, interval_seconds: float
    ) -> list[tuple[KnownCollection, CheckCursor]]:
        """Return the collections of which a part is to be held against the catalog now."""
        following = collections.c.checked_at + interval_seconds
        due = is_due(following, now=self._db.now(), at_most=interval_seconds)
        with self._db.read() as tx:
            rows = tx.execute(
                sa.select(collections).where(collections.c.source_id == source_id, due)
            ).all()
        return [
            (
                collection_of(row),
                CheckCursor(document=row.checked_document, record=row.checked_record),
            )
            for row in rows
        ]

    def checked(
        self, source_id: str, place: KnownCollection, cursor: CheckCursor, *, at: float
    ) -> None:
        """Note how far the rolling check has come, and when; 0: the rest is due at once."""
        with self._db.write() as tx:
            tx.execute(
                collections.update()
                .where(row_of(source_id, place))
                .values(
                    checked_document=cursor.document, checked_record=cursor.record, checked_at=at
                )
            )

    def to_check(
        self, source_id: str, place: KnownCollection, *, from_id: int, limit: int
    ) -> list[DocumentState]:
        """Return the trusted documents of a collection from a row id on.

        Also those that lost their trust and that no work on their object gives it back to, where
        the collection is the one that they were written to, as far as is known.
        """
        with self._db.read() as tx:
            resting = sa.and_(
                rests(mirror=is_mirror(tx, source_id)),
                documents.c.batch_token.is_(None),
                documents.c.collection_id.in_(
                    [place.collection_id, f"{RESTORED}{place.collection_id}"]
                ),
            )
            return [
                document_of(row)
                for row in tx.execute(
                    sa.select(documents)
                    .select_from(DOCUMENTS_AND_OBJECTS)
                    .where(
                        *documents_there(source_id, place),
                        sa.or_(documents.c.phase == "clean", resting),
                        documents.c.id >= from_id,
                    )
                    .order_by(documents.c.id)
                    .limit(limit)
                )
            ]

    def holders(self, place: KnownCollection, document_ids: Sequence[str]) -> list[DocumentState]:
        """Return the documents, of whichever source, that have these ids in a collection."""
        with self._db.read() as tx:
            return holders_of(tx, place, document_ids)

    def trust_again(
        self,
        source_id: str,
        place: KnownCollection,
        states: Sequence[DocumentState],
        *,
        etags: Mapping[int, str] = MappingProxyType({}),
    ) -> int:
        """Make documents clean whose every record was found as it was written; returns how many.

        ``etags``: of the bytes of which they are, by their ids, where these were forgotten.

        One that anybody has worked on since it was looked at stays as it is, and so does one that
        this catalog never wrote whole. So do all where the source knows another collection of that
        name by now. Where objects say who may read, what a restored catalog has is kept back until
        somebody has looked at what they carry by now.
        """
        trusted = 0
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            if id_as_known(tx, source_id, place) not in (None, place.collection_id):
                return 0
            as_ever = when_compared(tx, source_id)
            for one in states:
                trusted += tx.execute(
                    documents.update()
                    .where(
                        *as_looked_at(source_id, place, one),
                        documents.c.batch_token.is_(None),
                        sa.or_(documents.c.fingerprint.is_not(None), documents.c.digests != b""),
                        documents.c.etag == one.etag,
                        documents.c.high_water == one.high_water,
                    )
                    .values(
                        phase="clean",
                        etag=etags.get(one.id, one.etag),
                        fingerprint=sa.func.coalesce(documents.c.fingerprint, ""),
                        high_water=documents.c.chunks,
                        collection_id=place.collection_id,
                        withheld=as_ever,
                    )
                ).rowcount
            ask_untold(tx, source_id, [one.id for one in states])
        return trusted

    def doubt(
        self,
        source_id: str,
        place: KnownCollection,
        said: Sequence[tuple[DocumentState, Metadata]],
    ) -> int:
        """Keep documents from readers whose records name others than a restored catalog does.

        What they say was said after the backup, nobody knows by whom: as of documents that were
        read back from records, an owner is to say it again.

        Args:
            source_id: the source.
            place: the collection.
            said: documents as they were looked at, each with metadata that say what its records do.

        Returns:
            How many; one that anybody has worked on since stays as it is.
        """
        doubted = 0
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            for one, metadata in said:
                doubted += tx.execute(
                    documents.update()
                    .where(
                        *as_looked_at(source_id, place, one),
                        documents.c.etag.is_not_distinct_from(one.etag),
                    )
                    .values(metadata=dict(metadata), withheld=RECOVERED, said=sa.null())
                ).rowcount
        return doubted

    def keep(
        self,
        source_id: str,
        place: KnownCollection,
        left: Sequence[tuple[DocumentState, str]],
    ) -> int:
        """Have a mode keep texts that are not as the catalog has them, or that it does not know.

        They count as read back from their records (``core.kept_text``).

        Args:
            source_id: the source.
            place: the collection.
            left: documents as they were looked at, each with the version that its records are of.

        Returns:
            How many; one that anybody has worked on since stays as it is.
        """
        kept = 0
        if not left:
            return kept
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            for one, etag in left:
                kept += tx.execute(
                    documents.update()
                    .where(
                        *as_looked_at(source_id, place, one),
                        documents.c.batch_token.is_(None),
                        documents.c.etag.is_not_distinct_from(one.etag),
                        sa.or_(
                            documents.c.fingerprint.is_not(None),
                            documents.c.etag.is_distinct_from(etag),
                        ),
                    )
                    .values(fingerprint=None, etag=etag)
                ).rowcount
        return kept

    def _meet_part(
        self, tx: sa.Connection, source_id: str, met: KnownCollection, *, emptied: bool
    ) -> tuple[int, bool]:
        """Do what one transaction may; returns how many it distrusts, and whether that was all."""
        known = id_as_known(tx, source_id, met)
        if known == met.collection_id and not emptied:
            return 0, True
        if known is None and met.collection_id != ABSENT and not emptied:
            if self._believe(tx, source_id, met):
                return 0, False
        elif number := self._distrust(tx, source_id, met, emptied=emptied):
            return number, False
        # Only now, so that a call that was cut off is made whole by the next one.
        tx.execute(
            self._db.insert(collections)
            .values(
                source_id=source_id,
                tenant=met.tenant,
                database_name=met.database_name,
                collection_name=met.collection_name,
                collection_id=met.collection_id,
            )
            .on_conflict_do_update(
                index_elements=list(collections.primary_key.columns),
                set_={
                    "collection_id": met.collection_id,
                    "checked_document": 0,
                    "checked_record": 0,
                },
            )
        )
        return 0, True

    def _believe(self, tx: sa.Connection, source_id: str, met: KnownCollection) -> int:
        part = (
            sa.select(documents.c.id)
            .where(*documents_there(source_id, met), documents.c.collection_id.is_(None))
            .limit(DOCUMENTS_AT_ONCE)
        )
        return tx.execute(
            documents.update()
            .where(documents.c.id.in_(part))
            .values(collection_id=met.collection_id)
        ).rowcount

    def _distrust(
        self, tx: sa.Connection, source_id: str, met: KnownCollection, *, emptied: bool
    ) -> int:
        elsewhere = documents.c.collection_id.is_distinct_from(met.collection_id)
        rows = tx.execute(
            sa.select(documents.c.id, documents.c.object_key)
            .where(
                *documents_there(source_id, met),
                documents.c.phase == "clean",
                sa.true() if emptied else elsewhere,
            )
            .limit(DOCUMENTS_AT_ONCE)
        ).all()
        if not rows:
            return 0
        keys = sorted({row.object_key for row in rows})
        tx.execute(
            documents.update()
            .where(documents.c.id.in_([row.id for row in rows]))
            .values(phase="writing")
        )
        tx.execute(
            objects.update()
            .where(
                objects.c.source_id == source_id,
                objects.c.object_key.in_(keys),
                objects.c.outcome == "indexed",
            )
            .values(outcome=None)
        )
        now = self._db.now()
        insert_automatic(self._db, tx, source_id, keys, trigger="retry", now=now)
        return len(rows)


@built_once
def _of_source(source_id: str) -> sa.Select[Any]:
    here = sa.select(collections).where(collections.c.source_id == source_id)
    return here.order_by(*collections.primary_key.columns)
