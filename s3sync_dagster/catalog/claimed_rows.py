"""What the rows of claimed documents become: what holds until they are written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import insert_into
from s3sync_dagster.catalog.rows import document_of
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.intent import Intent
from s3sync_dagster.core.kept_text import is_whole_before
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, SIDECAR_OWNER
from s3sync_dagster.core.state import RECOVERED, UNSEEN, DocumentPhase, DocumentState
from s3sync_dagster.core.vouching import NOTHING, names_any, withheld
from s3sync_dagster.model.source import DeleteMode, Source

Row = sa.Row[Any]


class ClaimedRows:
    """The values of rows that a source claims.

    Args:
        source: the claiming one.
        collection: where.
        heir_of: ids of the sources in whose place it stands.
    """

    def __init__(self, source: Source, collection: str, heir_of: Collection[str]) -> None:
        self._source, self._collection, self._heir_of = source, collection, heir_of

    def refreshed(self, intent: Intent, row: Row) -> dict[str, Any]:
        """Return the parameters of the UPDATE of a row that is claimed, named after ``b_``."""
        own = self.is_own(intent, row)
        return {
            "b_etag": self._etag(intent, row),
            "b_fingerprint": row.fingerprint if own else None,
            "b_chunks": row.chunks if own else 0,
            "b_digests": row.digests if own and self._says_as_before(intent, row) else b"",
            "b_id": row.id,
            "b_object_key": intent.key,
            "b_custom_id": intent.target.custom_id,
            "b_metadata": dict(intent.target.metadata),
            "b_carried": dict(intent.carried),
            "b_owner": intent.target.owner,
            "b_withheld": self._while_written(intent, row),
            "b_collection_id": intent.collection_id,
            "b_written_as": self._written_as(intent, row),
            "b_high_water": max(row.high_water, row.chunks, intent.count, intent.found),
            "b_metadata_keys": sorted(
                {*row.metadata_keys, *intent.metadata_keys, *intent.found_keys}
            ),
        }

    def _etag(self, intent: Intent, row: Row) -> str | None:
        """Return of which bytes a document counts until it is written; empty: of no known ones.

        Of what is taken over counts what may be left of it, and that it was whole: the guard weighs
        its records like all others. What was on its way out had been judged, but for what a sidecar
        let go that was rewritten; where the mode keeps texts, another object's is none of these:
        who cannot be written would have the id for good. There, what the source in whose place this
        one stands had of the key is what it was until the first write over it, as if it were read
        back.
        """
        own = self.is_own(intent, row)
        keeps = self._source.mode is not DeleteMode.MIRROR
        if row.phase == "removing" and not own:
            of_another = keeps and row.object_key != intent.key
            judged = of_another or not row.owner.startswith((SIDECAR_OWNER, KEPT_OWNER))
            return None if judged or row.etag is None else ""
        if not row.etag:
            return row.etag
        if own:
            kept = bool(row.fingerprint or row.high_water)  # or handed on without a record
        else:
            kept = keeps and self.is_inherited(intent, row) and is_whole_before(document_of(row))
        return row.etag if kept else ""

    def _written_as(self, intent: Intent, row: Row) -> list[str]:
        names = {*(row.written_as or ()), *intent.found_as, row.source_id}
        return sorted(names - {self._source.id})

    def _says_as_before(self, intent: Intent, row: Row) -> bool:
        """Return whether the digests hold: else what a write never reached would pass for it."""
        before = (row.custom_id, dict(row.metadata), dict(row.carried))
        return before == (
            intent.target.custom_id,
            dict(intent.target.metadata),
            dict(intent.carried),
        )

    def _while_written(self, intent: Intent, row: Row) -> str | None:
        """Return what holds for the records that were there as for those that will be."""
        after = withheld(intent.target, self._source)
        tells_else = self.tells_else(intent, row)
        if row.withheld == after and not tells_else:
            return after
        told = names_any({**row.metadata, **intent.target.metadata}, self._source.reader_keys)
        nothing = (row.withheld or NOTHING).startswith("[") and not told and not tells_else
        if row.phase == "clean" and nothing:
            return after  # neither says anything of readers
        return UNSEEN if after is None else NOTHING

    def tells_else(self, intent: Intent, row: Row) -> bool:
        """Return whether a document is to name other readers than its row does, by who may."""
        keys = self._source.reader_keys
        if not keys:
            return False
        if any(row.carried.get(key) != intent.carried.get(key) for key in keys):
            return True
        before, after = row.metadata, intent.target.metadata
        if not intent.target.vouched or not document_of(row).vouched:
            return intent.target.vouched and names_any(after, keys)
        return any(before.get(key) != after.get(key) for key in keys)

    def withheld_of_found(self, intent: Intent) -> str | None:
        """Return the same of a document that is new here: of records that are found say nobody."""
        after = withheld(intent.target, self._source)
        if not intent.found or after == RECOVERED:
            return after
        return UNSEEN if after is None else NOTHING

    def is_own(self, intent: Intent, row: Row) -> bool:
        """Return whether a row is of the very object and source."""
        return row.source_id == self._source.id and row.object_key == intent.key

    def is_followed(self, intent: Intent, row: Row) -> bool:
        """Return whether a document goes on as one of the same key, or this source had it."""
        return row.source_id == self._source.id or self.is_inherited(intent, row)

    def is_inherited(self, intent: Intent, row: Row) -> bool:
        """Return whether a row is of the same key, of a source in whose place this one stands."""
        return row.source_id in self._heir_of and row.object_key == intent.key

    def before(
        self, intent: Intent, by_id: Mapping[str, Row], new: Mapping[str, int]
    ) -> DocumentState | None:
        """Return what a claimed document was before, None where nobody has its row.

        Args:
            intent: of the claim.
            by_id: the rows that had these document ids.
            new: document id -> row id of those that were inserted.
        """
        row = by_id.get(intent.document_id)
        if row is None and intent.document_id not in new:
            return None
        if row is not None and self.is_own(intent, row):
            own = document_of(row)
            return replace(
                own,
                high_water=max(own.high_water, intent.found),
                metadata_keys=tuple(sorted({*own.metadata_keys, *intent.found_keys})),
                written_as=tuple(self._written_as(intent, row)),
            )
        left = () if row is None else tuple(row.metadata_keys)
        etag = intent.found_etag if row is None else self._etag(intent, row)
        return DocumentState(
            id=new[intent.document_id] if row is None else row.id,
            source_id=self._source.id,
            object_key=intent.key,
            tenant=self._source.tenant,
            database_name=self._source.database_name,
            collection_name=self._collection,
            document_id=intent.document_id,
            custom_id=intent.target.custom_id,
            metadata=intent.target.metadata,
            owner=intent.target.owner,
            withheld=withheld(intent.target, self._source),
            phase=DocumentPhase.WRITING,
            etag=etag,
            high_water=max(intent.found, 0 if row is None else max(row.high_water, row.chunks)),
            metadata_keys=tuple(sorted({*left, *intent.found_keys})),
            collection_id=intent.collection_id,
            written_as=intent.found_as if row is None else tuple(self._written_as(intent, row)),
        )


@built_once
def rows_in_place(
    tenant: str,
    database_name: str,
    collection_name: str,
    values: Sequence[str],
    source_id: str,
    *,
    column: sa.Column[str],
    own: bool,
    lock: bool,
) -> sa.Select[Any]:
    """Return the query for documents of a collection, or of one source there, by a column."""
    query = sa.select(documents).where(
        documents.c.tenant == tenant,
        documents.c.database_name == database_name,
        documents.c.collection_name == collection_name,
        column.in_(values),
    )
    query = query.where(documents.c.source_id == source_id) if own else query
    return query.order_by(documents.c.id).with_for_update() if lock else query


@built_once
def insert_new(*, sqlite: bool) -> Any:
    """Return what inserts documents whose ids nobody has."""
    insert = insert_into(documents, sqlite=sqlite).on_conflict_do_nothing()
    return insert.returning(documents.c.id, documents.c.document_id)


_REFRESHED = (
    *("source_id", "object_key", "custom_id", "metadata", "carried", "owner", "high_water"),
    *("metadata_keys", "collection_id", "withheld", "written_as", "batch_token"),
    *("etag", "fingerprint", "chunks", "digests"),
)
REFRESH = (
    documents.update()
    .where(documents.c.id == sa.bindparam("b_id"))
    .values(
        phase="writing",
        said=sa.null(),
        **{name: sa.bindparam(f"b_{name}") for name in _REFRESHED},
    )
)
