"""What the catalog knows of documents, to be read."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collection_places import holders_of
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.deleted_sources import (
    being_cleared,
    claim_left_behind,
    is_left_behind,
)
from s3sync_dagster.catalog.exchanged_ids import Rings
from s3sync_dagster.catalog.heirs import heirs_of
from s3sync_dagster.catalog.listing_end import blocked_listing
from s3sync_dagster.catalog.lives import ended_lately, lives_that_ended
from s3sync_dagster.catalog.moves import predecessors
from s3sync_dagster.catalog.object_rows import objects_there, sidecars_known
from s3sync_dagster.catalog.removals import (
    went_lately,
)
from s3sync_dagster.catalog.rows import document_of, groups, looked_through
from s3sync_dagster.catalog.successions import that_follow
from s3sync_dagster.catalog.tables import (
    documents,
    has_records,
    sources,
)
from s3sync_dagster.core.handed_on_ids import Place
from s3sync_dagster.core.lives import NONE_ENDED, Lives
from s3sync_dagster.core.standing import Heir
from s3sync_dagster.core.state import RESTORED, DocumentState, KnownCollection, ObjectState
from s3sync_dagster.model.source import Source


@again_after_collisions
class DocumentRows:
    """Documents as they are known; nothing here changes any."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def removal_blocked(self, source_id: str) -> bool:
        """Return whether the guard holds a listing of the source until a person approves it."""
        with self._db.read() as tx:
            return blocked_listing(tx, source_id) is not None

    def listing_asked(self, source_id: str) -> bool:
        """Return whether a listing of the source is asked for, as by a restore, and not whole."""
        query = sa.select(sources.c.id).where(sources.c.id == source_id, sources.c.list_due_at < 0)
        with self._db.read() as tx:
            return tx.execute(query).first() is not None

    def may_have_forgotten(self, source_id: str, collection_name: str) -> bool:
        """Return whether a collection may have records that a restored catalog does not know."""
        with self._db.read() as tx:
            names = looked_through(tx, source_id)
        return names is not None and (not names or collection_name in names)

    def objects_there(self, source_id: str, keys: Sequence[str]) -> dict[str, ObjectState | None]:
        """Return what is known of these objects, without those that are known not to be there."""
        with self._db.read() as tx:
            return objects_there(tx, source_id, keys)

    def sidecars_known(self, source: Source) -> bool:
        """Return whether all that the sidecars of a source ask for is known."""
        with self._db.read() as tx:
            return sidecars_known(tx, source)

    def of_source(
        self, source_id: str, *, after_id: int = 0, limit: int = 1000
    ) -> list[DocumentState]:
        """Return documents of a source by row id, a page at a time."""
        with self._db.read() as tx:
            return [document_of(row) for row in tx.execute(*_of_source(source_id, after_id, limit))]

    def count(self, source_id: str) -> int:
        """Return how many documents with records a source has that are not being removed."""
        with self._db.read() as tx:
            return tx.execute(
                sa.select(sa.func.count())
                .select_from(documents)
                .where(
                    documents.c.source_id == source_id,
                    documents.c.phase != "removing",
                    has_records,
                )
            ).scalar_one()

    def of_key(self, source_id: str, object_key: str) -> list[DocumentState]:
        """Return the documents of one object."""
        with self._db.read() as tx:
            return [document_of(row) for row in tx.execute(*_of_key(source_id, object_key))]

    def removed_by_heads(self, source_id: str) -> int:
        """Return how many documents went lately that nothing but HEADs told to be gone."""
        with self._db.read() as tx:
            return tx.execute(
                sa.select(went_lately(self._db.now())).where(sources.c.id == source_id)
            ).scalar_one()

    def collections(self, source_id: str) -> list[tuple[str, str, str]]:
        """Return (tenant, database, collection) of all documents of a source."""
        with self._db.read() as tx:
            return [
                (row.tenant, row.database_name, row.collection_name)
                for row in tx.execute(
                    sa.select(
                        documents.c.tenant, documents.c.database_name, documents.c.collection_name
                    )
                    .where(documents.c.source_id == source_id)
                    .distinct()
                )
            ]

    def left_behind(self, *, after_id: int = 0, limit: int = 200) -> list[DocumentState]:
        """Return documents that a late worker wrote after the end of its source, to be removed.

        Those behind ``after_id``, in the order of ids.

        Their ids are nobody else's from here on until they are forgotten.
        """
        with self._db.read() as tx:  # asked at each tick, and nearly always in vain
            if not is_left_behind(tx):
                return []
        with self._db.write() as tx:
            return claim_left_behind(tx, after_id=after_id, limit=limit)

    def being_cleared(
        self, source: Source, collection_name: str, document_ids: Sequence[str]
    ) -> set[str]:
        """Return which record ids belong to sources whose records are being taken away."""
        with self._db.read() as tx:
            return being_cleared(tx, source, collection_name, document_ids)

    def rings_closed(
        self, source: Source, asked: Mapping[str, Collection[Place]]
    ) -> dict[str, set[Place]]:
        """Return what keys close a ring by asking for: others have failed of an id in turn."""
        with self._db.read() as tx:
            return Rings(tx, source).closed(asked)

    def written_by(
        self,
        source: Source,
        collection_name: str,
        document_ids: Sequence[str],
        *,
        collection_id: str,
    ) -> dict[str, str]:
        """Return the ids of the sources that wrote documents to this very collection, by theirs."""
        place = (source.tenant, source.database_name, collection_name)
        here = [collection_id, f"{RESTORED}{collection_id}"]
        found: dict[str, str] = {}
        with self._db.read() as tx:
            for part in groups(document_ids):
                rows = tx.execute(*_written(*place, part, here))
                found |= {row.document_id: row.source_id for row in rows}
        return found

    def may_write_over(self, source_id: str, owners: Collection[str]) -> Mapping[str, Lives | None]:
        """Return which sources' records this one may write over, where it has their ids.

        Those of sources in whose place it stands (None: wherever they are), and, for a while, of
        those that are no more, what was of lives that took their records along: what names them
        was written late, or not written anew when it was said to be.
        """
        with self._db.read() as tx:
            before = predecessors(tx, source_id)
            ended = ended_lately(tx, owners, at=source_id, now=self._db.now())
            return {**ended, **{one: None for one in owners if one in before}}

    def ended(self) -> dict[str, Lives]:
        """Return the lives of sources that ended, by their ids."""
        with self._db.read() as tx:
            return lives_that_ended(tx)

    def lives(self, source_id: str) -> Lives:
        """Return the lives of one id that ended."""
        with self._db.read() as tx:
            return lives_that_ended(tx, of=source_id).get(source_id, NONE_ENDED)

    def heirs(self, source_ids: Collection[str]) -> dict[str, Heir]:
        """Return who has the objects of sources by now that ended; absent: it is not known."""
        with self._db.read() as tx:
            return heirs_of(tx, source_ids)

    def that_follow(
        self, source: Source, before: Source, *, limit: int = 200
    ) -> list[DocumentState]:
        """Return the documents in whose favour those of a source before would leave next."""
        with self._db.read() as tx:
            return that_follow(tx, source, before, limit=limit)

    def holders(self, place: KnownCollection, document_ids: Sequence[str]) -> list[DocumentState]:
        """Return the documents, of whichever source, that have these ids in a collection."""
        with self._db.read() as tx:
            return holders_of(tx, place, document_ids)


@built_once
def _of_source(source_id: str, after_id: int, limit: int) -> sa.Select[Any]:
    here = (documents.c.source_id == source_id, documents.c.id > after_id)
    return sa.select(documents).where(*here).order_by(documents.c.id).limit(limit)


@built_once
def _of_key(source_id: str, object_key: str) -> sa.Select[Any]:
    return sa.select(documents).where(
        documents.c.source_id == source_id, documents.c.object_key == object_key
    )


@built_once
def _written(
    tenant: str,
    database_name: str,
    collection_name: str,
    document_ids: Sequence[str],
    collection_ids: Sequence[str],
) -> Any:
    return sa.select(documents.c.document_id, documents.c.source_id).where(
        documents.c.tenant == tenant,
        documents.c.database_name == database_name,
        documents.c.collection_name == collection_name,
        documents.c.document_id.in_(document_ids),
        documents.c.collection_id.in_(collection_ids),
        documents.c.etag.is_not(None),
    )
