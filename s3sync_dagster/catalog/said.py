"""What was asked of documents and cannot be written yet, kept with the documents."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import ROWS_A_PART, Database
from s3sync_dagster.catalog.object_rows import store_objects
from s3sync_dagster.catalog.quotas import room_for_documents
from s3sync_dagster.catalog.rows import document_of, groups, looked_through, source_of
from s3sync_dagster.catalog.tables import documents, has_records, objects, sources
from s3sync_dagster.core.closing import Closing
from s3sync_dagster.core.document_targets import as_it_is_to_be, said_of_readers, word_on
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import RECOVERED, RESTORED, UNSEEN, DocumentState, stood_last
from s3sync_dagster.core.vouching import NOTHING, names_any
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
    if not any(one.begun for one in closings.values()):
        return
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
            collection_id=RESTORED if one.collection_name in closing.waited else None,
        )
        for key, closing in sorted(closings.items())
        for one in closing.begun
    ]
    room = room_for_documents(database, tx, source.tenant)
    if begun[:room]:
        tx.execute(database.insert(documents).values(begun[:room]).on_conflict_do_nothing())
        store_objects(database, tx, source.id, [one["object_key"] for one in begun[:room]])


def keep_words(
    tx: sa.Connection, source: Source, forgotten: Sequence[sa.Row[Any]]
) -> set[str | None]:
    """Keep what was asked of documents whose records are gone, where none stands in their place.

    Their objects have bytes for now that give no text: the next ones that do are written so.

    Args:
        tx: an open transaction that has just deleted their rows.
        source: theirs.
        forgotten: the rows, of each object the one last that stood last.

    Returns the custom ids that are theirs still.
    """
    held = set[str | None]()
    last = {
        (one.object_key, one.collection_name): one
        for one in map(document_of, forgotten)
        if word_on(one) is not None
    }
    for (key, name), one in last.items():
        others = sa.select(documents.c.id).where(
            documents.c.source_id == source.id,
            documents.c.object_key == key,
            documents.c.tenant == one.tenant,
            documents.c.database_name == one.database_name,
            documents.c.collection_name == name,
            sa.or_(documents.c.phase != "removing", documents.c.id > one.id),
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


@built_once
def _words_of_gone(source_id: str, keys: Sequence[str]) -> sa.Select[Any]:
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
    return sa.select(documents).where(
        documents.c.source_id == source_id,
        documents.c.phase == "writing",
        documents.c.batch_token.is_(None),
        documents.c.etag.is_not(None),
        sa.not_(has_records),
        documents.c.object_key.in_(keys),
        is_gone,
    )


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
    for part in groups(gone):
        for row in tx.execute(*_words_of_gone(source.id, part)).all():
            told, here = as_it_is_to_be(document_of(row)), documents.c.id == row.id
            freed.update([row.custom_id] if row.custom_id is not None else [])
            plain = document_id(row.object_key, custom_id=None, id_prefix=source.id_prefix)
            if not (
                _makes_itself(source, row.collection_name)
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
                    metadata=_of_readers(told.metadata, keys),
                    owner=told.owner,
                    said=sa.null(),
                    withheld=None if told.vouched else row.withheld,
                )
            )
    return freed


def hand_on_words(
    database: Database,
    tx: sa.Connection,
    before: Source,
    source: Source,
    left: Sequence[DocumentState],
) -> None:
    """Keep, as ``end_words`` does, who may read what a source makes in the place of one before it.

    Whatever it had of them has taken their word over when it was written; the others' objects
    cannot be read for now, or are gone.

    Args:
        database: of the catalog.
        tx: an open transaction that has locked both.
        before: a source that was moved.
        source: its successor.
        left: documents of before that leave.
    """
    name = source.collection_name
    words = {
        one.object_key: to_be_written(
            source,
            one.object_key,
            collection_name=name,
            document_id=document_id(one.object_key, custom_id=None, id_prefix=source.id_prefix),
            custom_id=None,
            metadata=_of_readers(told.metadata, source.reader_keys),
            withheld=handed_on(one),
            owner=told.owner,
        )
        for one in sorted(left, key=stood_last)
        if (told := word_on(one)) is not None
        and one.collection_name == before.collection_name
        and _makes_itself(source, name)
        and names_any(told.metadata, source.reader_keys)
    }
    for part in groups(words):
        here = (documents.c.source_id == source.id, documents.c.collection_name == name)
        query = sa.select(documents.c.object_key).where(*here, documents.c.object_key.in_(part))
        has = set(tx.execute(query).scalars())
        if new := [words[key] for key in part if key not in has]:
            keys = [one["object_key"] for one in new]
            _make_room(tx, left, {one["document_id"] for one in new}, name)
            tx.execute(database.insert(documents).values(new).on_conflict_do_nothing())
            store_objects(database, tx, source.id, keys, gone=True)


def _make_room(
    tx: sa.Connection, left: Sequence[DocumentState], names: Collection[str], collection_name: str
) -> None:
    """Forget documents that leave whose very ids are handed on; their records are met at the end.

    That of a source is a look for whatever names it and is nobody's (``engine.last_look``).
    """
    ids = [
        one.id
        for one in left
        if one.document_id in names and one.collection_name == collection_name
    ]
    for part in groups(ids):
        tx.execute(documents.delete().where(documents.c.id.in_(part)))


def hand_on_all_words(
    database: Database, tx: sa.Connection, before: sa.Row[Any], *, but: Collection[str]
) -> None:
    """Hand on what is left of a source that is deleted now, to its successor where it has one.

    Args:
        database: of the catalog.
        tx: an open transaction.
        before: the row of any source.
        but: sources that are deleted with it.
    """
    if before.moved_to is None or before.moved_to in but:
        return
    database.lock_sources(tx, {before.id, before.moved_to})
    row = tx.execute(sa.select(sources).where(sources.c.id == before.moved_to)).first()
    if row is None or not row.config.get("reader_keys"):
        return
    source, after = source_of(row), 0
    query = sa.select(documents).where(documents.c.source_id == before.id)
    query = query.order_by(documents.c.id).limit(ROWS_A_PART)
    while rows := tx.execute(query.where(documents.c.id > after)).all():
        after = rows[-1].id
        hand_on_words(database, tx, source_of(before), source, [document_of(row) for row in rows])


def handed_on(document: DocumentState) -> str | None:
    """Return ``DocumentState.withheld`` of what was said of a document, as another source's."""
    if document.said is not None:
        return None
    if document.withheld == RECOVERED:
        return RECOVERED
    return None if document.vouched else NOTHING


def _makes_itself(source: Source, collection_name: str) -> bool:
    return source.auto_sync is AutoSync.DIRECT and collection_name == source.collection_name


def _of_readers(metadata: Metadata, keys: Sequence[str]) -> Metadata:
    return {key: metadata[key] for key in keys if key in metadata}


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
