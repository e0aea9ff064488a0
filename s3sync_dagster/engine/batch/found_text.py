"""Texts that a mode keeps and finds under ids of which the catalog does not know what they hold.

A catalog that was put back from a copy knows nothing of a document that was written after it; and
of one that was taken over from the source before a move, and whose write was refused, nobody knows
whether it was written over. Where the records are whole, and none is of that write, they are a
text that may be nowhere else: who claims it says of which bytes it is, append mode does not write
over other bytes than the object has by now, and no other object takes the ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from s3sync_dagster.core.decision import APPENDED, Decision, decide_key
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


def texts_found(
    parts: BatchParts,
    collection: CollectionPort,
    writes: Sequence[Write],
    counts: Mapping[str, int],
) -> dict[str, RecoveredDocument]:
    """Return the whole texts, by document id, that the source's mode keeps; none in mode mirror.

    Args:
        parts: the batch's.
        collection: that is written to.
        writes: to be claimed.
        counts: how many records are under an id, of documents that the catalog does not know.
    """
    if parts.source.mode is DeleteMode.MIRROR:
        return {}
    rows = {one.document_id: _row_of(one) for one in writes if counts.get(one.document_id)}
    ids = [name for one in rows for name in record_ids(one, 0, counts[one])]
    if not ids:
        return {}
    before = {one.id for one in parts.catalog.moves.left_by(parts.source.id)}
    found: list[StoredRecord] = []
    for one in collection.get(ids).values():
        row = rows[split_record_id(one.id)[0]]
        # What bears the source's own name under an id that was claimed is of that write.
        names = before.union([parts.source.id] if row is None else row.written_as)
        if one.metadata.get("s3sync_source") in names:
            found.append(one)
    return {one.document_id: one for one in documents_of(found, parts.source) if one.etag}


def keep_found(
    parts: BatchParts,
    collection: CollectionPort,
    writes: Sequence[Write],
    texts: Mapping[str, RecoveredDocument],
    ledger: Ledger,
) -> list[Write]:
    """Keep the texts that automatic work would write over; returns what is to be claimed.

    Args:
        parts: the batch's.
        collection: that is written to.
        writes: that found no records of others under their ids.
        texts: see ``texts_found``.
        ledger: takes what becomes of the keys.
    """
    rest: list[Write] = []
    for one in writes:
        text, facts = texts.get(one.document_id), one.deed.decision.facts
        if text is None:
            rest.append(one)
        elif text.object_key != one.key:
            # The claim refuses what the catalog knows to be another object's.
            if _read_back(parts, collection, text) or not facts.automatic:
                rest.append(one)
            else:
                ledger.refuse(one.key, collection.name, _is_another_s(one, text, collection.name))
        elif parts.source.mode is DeleteMode.APPEND and facts.automatic and text.etag != facts.etag:
            ledger.decide_anew(one.key, _kept(parts, collection, one, text))
        else:
            rest.append(one)
    return rest


def _row_of(one: Write) -> DocumentState | None:
    place = (one.target.collection_name, one.document_id)
    for row in one.deed.decision.facts.documents:
        if (row.collection_name, row.document_id) == place:
            return row
    return None


def _read_back(parts: BatchParts, collection: CollectionPort, text: RecoveredDocument) -> bool:
    """Tell the catalog of a text; False: it has another one of the object in this collection."""
    added = parts.catalog.documents.read_back(
        parts.source, [text], collection_name=collection.name, collection_id=collection.id
    )
    return added > 0


def _kept(
    parts: BatchParts, collection: CollectionPort, one: Write, text: RecoveredDocument
) -> Decision:
    """Return the decision on a key whose text of other bytes stays.

    It stays also where the catalog cannot have it beside another document of the object.
    """
    source, row, decision = parts.source, _row_of(one), one.deed.decision
    if row is None:
        known = _read_back(parts, collection, text)
    else:
        place = KnownCollection(
            tenant=row.tenant,
            database_name=row.database_name,
            collection_name=collection.name,
            collection_id=collection.id,
        )
        known = parts.catalog.collections.keep(source.id, place, [(row, text.etag)]) > 0
    if known:
        rows = parts.catalog.documents.of_key(source.id, one.key)
        facts = replace(decision.facts, documents=tuple(sorted(rows, key=lambda row: row.id)))
        return decide_key(facts, source)
    targets = tuple(
        target
        for target in decision.targets or ()
        if target.collection_name != one.target.collection_name
    )
    if targets:
        return replace(decision, targets=targets)
    return replace(
        decision, targets=(), verdict="skip", reason="changed_in_append_mode", message=APPENDED
    )


def _is_another_s(one: Write, text: RecoveredDocument, collection_name: str) -> str:
    return (
        f"The record ids {one.document_id!r} of {one.key!r} in collection {collection_name!r} are "
        f"those of a text of {text.object_key!r}, which the source's mode keeps: give one of them "
        "another id, or sync the object by its key to write over that text."
    )
