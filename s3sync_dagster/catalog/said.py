"""What was asked of documents and cannot be written yet, kept with the documents."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.quotas import room_for_documents
from s3sync_dagster.catalog.rows import document_of, groups, looked_through
from s3sync_dagster.catalog.tables import documents, has_records, objects
from s3sync_dagster.core.closing import Closing
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import UNSEEN
from s3sync_dagster.core.targets import as_it_is_to_be, said_of_readers, word_on
from s3sync_dagster.core.vouching import names_any
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.source import AutoSync, Source


def keep_said(
    database: Database, tx: sa.Connection, source: Source, closings: Mapping[str, Closing]
) -> None:
    """Keep what ended requests have asked for, as their keys end.

    Args:
        database: of the catalog.
        tx: an open transaction.
        source: the batch's.
        closings: by key.
    """
    for closing in closings.values():
        for one, said in closing.said.items():
            tx.execute(
                documents.update()
                .where(
                    documents.c.source_id == source.id,
                    documents.c.id == one,
                    documents.c.phase != "removing",
                )
                .values(said=sa.null() if said is None else asdict(said))
            )
    # Records of it that a restored catalog does not know may say who reads them.
    withheld = None if looked_through(tx, source.id) is None else UNSEEN
    begun = [
        to_be_written(
            source,
            key,
            collection_name=one.collection_name,
            document_id=document_id(key, custom_id=one.custom_id, id_prefix=source.id_prefix),
            custom_id=one.custom_id,
            metadata=one.metadata,
            withheld=withheld,
            owner=one.owner,
        )
        for key, closing in sorted(closings.items())
        for one in closing.begun
    ]
    room = room_for_documents(database, tx, source.tenant) if begun else None
    if begun[:room]:
        tx.execute(database.insert(documents).values(begun[:room]).on_conflict_do_nothing())


def keep_words(
    tx: sa.Connection, source: Source, forgotten: Sequence[sa.Row[Any]]
) -> set[str | None]:
    """Keep what was asked of documents whose records are gone, where none stands in their place.

    Their objects have bytes for now that give no text: the next ones that do are written so.

    Args:
        tx: an open transaction that has just deleted their rows.
        source: theirs.
        forgotten: the rows.

    Returns the custom ids that are theirs still.
    """
    held = set[str | None]()
    last = {
        (one.object_key, one.collection_name): one
        for one in sorted(map(document_of, forgotten), key=lambda one: one.id)
        if word_on(one) is not None
    }
    for (key, name), one in last.items():
        others = sa.select(documents.c.id).where(
            documents.c.source_id == source.id,
            documents.c.object_key == key,
            documents.c.tenant == one.tenant,
            documents.c.database_name == one.database_name,
            documents.c.collection_name == name,
        )
        if tx.execute(others.limit(1)).first() is None:
            row = to_be_written(
                source,
                key,
                id=one.id,  # by which the end of its key may say more of it
                collection_name=name,
                document_id=one.document_id,
                custom_id=one.custom_id,
                metadata=one.metadata,
                withheld=None if one.vouched else said_of_readers(one),
                owner=one.owner,
                said=sa.null() if one.said is None else asdict(one.said),
            )
            tx.execute(documents.insert().values(row))
            held.add(one.custom_id)
    return held


def end_words(tx: sa.Connection, source: Source, gone: Collection[str]) -> set[str]:
    """Forget what was asked of objects that are gone by now, where no record is left of it.

    But not who may read the document that the source makes by itself when such an object is back:
    an owner may have closed what the path opens.

    Args:
        tx: an open transaction that has settled the keys.
        source: theirs.
        gone: keys that have ended so.

    Returns the custom ids that are free now.
    """
    freed = set[str]()
    keys = source.reader_keys
    is_gone = (
        sa.select(objects.c.object_key)
        .where(
            objects.c.source_id == documents.c.source_id,
            objects.c.object_key == documents.c.object_key,
            objects.c.gone,
        )
        .correlate(documents)
        .exists()
    )
    words = (
        documents.c.source_id == source.id,
        documents.c.phase == "writing",
        documents.c.batch_token.is_(None),
        documents.c.etag.is_not(None),
        sa.not_(has_records),
    )
    for part in groups(gone):
        query = sa.select(documents).where(*words, documents.c.object_key.in_(part), is_gone)
        for row in tx.execute(query).all():
            told, here = as_it_is_to_be(document_of(row)), documents.c.id == row.id
            freed.update([row.custom_id] if row.custom_id is not None else [])
            plain = document_id(row.object_key, custom_id=None, id_prefix=source.id_prefix)
            if not (
                source.auto_sync is AutoSync.DIRECT
                and row.collection_name == source.collection_name
                and names_any(told.metadata, keys)
                and (row.document_id == plain or not _is_taken(tx, row, plain))
            ):
                tx.execute(documents.delete().where(here))
                continue
            tx.execute(
                documents.update()
                .where(here)
                .values(
                    custom_id=None,
                    document_id=plain,
                    metadata={name: told.metadata[name] for name in keys if name in told.metadata},
                    owner=told.owner,
                    said=sa.null(),
                    withheld=None if told.vouched else row.withheld,
                )
            )
    return freed


def _is_taken(tx: sa.Connection, row: sa.Row[Any], name: str) -> bool:
    query = sa.select(documents.c.id).where(
        documents.c.tenant == row.tenant,
        documents.c.database_name == row.database_name,
        documents.c.collection_name == row.collection_name,
        documents.c.document_id == name,
    )
    return tx.execute(query).first() is not None


def to_be_written(
    source: Source, key: str, *, metadata: Metadata, etag: str = "", **values: Any
) -> dict[str, Any]:
    """Return the row of a document that has no records yet, and stays until it can be written."""
    return {
        "source_id": source.id,
        "object_key": key,
        "tenant": source.tenant,
        "database_name": source.database_name,
        "metadata": dict(metadata),
        "phase": "writing",
        "etag": etag,
        "digests": b"",
        "metadata_keys": [],
        **values,
    }
