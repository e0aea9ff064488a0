"""Texts that append mode finds under ids of which the catalog does not know what they hold.

A catalog that was put back from a copy knows nothing of a document that was written after it; and
of one that was taken over from the source before a move, and whose write was refused, nobody knows
whether it was written over. Where the records are whole, none is of that write, and they are of
other bytes than the object has by now, their text is nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from s3sync_dagster.core.decision import decide_key
from s3sync_dagster.core.plan import record_ids, split_record_id
from s3sync_dagster.core.state import DocumentState, KnownCollection
from s3sync_dagster.engine.batch.groups import Write
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.ports import CollectionPort, StoredRecord
from s3sync_dagster.engine.rebuilding import RecoveredDocument, documents_of
from s3sync_dagster.model.source import DeleteMode, Source


def is_unknown(document: DocumentState, source: Source) -> bool:
    """Return whether the records of a document are asked what they hold, before it is claimed."""
    return document.etag is None or (not document.etag and source.mode is DeleteMode.APPEND)


def keep_found(
    parts: BatchParts,
    collection: CollectionPort,
    writes: Sequence[Write],
    counts: Mapping[str, int],
    ledger: Ledger,
) -> list[Write]:
    """Have append mode keep the texts that automatic work would write over; returns the rest.

    Args:
        parts: the batch's.
        collection: that is written to.
        writes: to be claimed.
        counts: how many records are under an id, of documents that the catalog does not know.
        ledger: takes what becomes of the keys.
    """
    if parts.source.mode is not DeleteMode.APPEND:
        return list(writes)
    asked = [
        one for one in writes if counts.get(one.document_id) and one.deed.decision.facts.automatic
    ]
    texts = _texts(parts, collection, asked, counts)
    rest: list[Write] = []
    for one in writes:
        text = texts.get(one.document_id)
        if text is None or not _is_kept(parts, collection, one, text):
            rest.append(one)
            continue
        facts = one.deed.decision.facts
        known = parts.catalog.documents.of_key(parts.source.id, one.key)
        facts = replace(facts, documents=tuple(sorted(known, key=lambda row: row.id)))
        ledger.decide_anew(one.key, decide_key(facts, parts.source))
    return rest


def _texts(
    parts: BatchParts, collection: CollectionPort, asked: Sequence[Write], counts: Mapping[str, int]
) -> dict[str, RecoveredDocument]:
    """Return the whole texts that records tell of which no write of the catalog's may be in."""
    whose = {one.document_id: _row_of(one) is None for one in asked}
    ids = [name for one in whose for name in record_ids(one, 0, counts[one])]
    if not ids:
        return {}
    before = {one.id for one in parts.catalog.moves.left_by(parts.source.id)}
    found: list[StoredRecord] = []
    for one in collection.get(ids).values():
        owner, (name, _) = one.metadata.get("s3sync_source"), split_record_id(one.id)
        if owner in before or (owner == parts.source.id and whose[name]):
            found.append(one)
    return {one.document_id: one for one in documents_of(found, parts.source) if one.etag}


def _row_of(one: Write) -> DocumentState | None:
    place = (one.target.collection_name, one.document_id)
    for row in one.deed.decision.facts.documents:
        if (row.collection_name, row.document_id) == place:
            return row
    return None


def _is_kept(
    parts: BatchParts, collection: CollectionPort, one: Write, text: RecoveredDocument
) -> bool:
    """Keep a text of other bytes than are to be written; returns whether it is kept."""
    source, name, row = parts.source, one.target.collection_name, _row_of(one)
    if text.object_key != one.key or text.etag == one.deed.decision.facts.etag:
        return False
    if row is None:
        return bool(
            parts.catalog.documents.read_back(
                source, [text], collection_name=name, collection_id=collection.id
            )
        )
    known = KnownCollection(
        tenant=row.tenant,
        database_name=row.database_name,
        collection_name=name,
        collection_id=collection.id,
    )
    kept = row.etag == "" and parts.catalog.collections.keep(source.id, known, [(row, text.etag)])
    return bool(kept)
