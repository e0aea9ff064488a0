"""Texts that a mode keeps and finds under ids of which the catalog does not know what they hold.

A catalog that was put back from a copy knows nothing of a document that was written after it; and
of one whose write was begun, or refused, nobody knows what of it was done. Where the records are
whole and of one version, they are a text that may be nowhere else, whoever wrote it: who claims it
says of which bytes it is, append mode does not write over other bytes than the object has by now,
and no other object takes the ids.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from s3sync_dagster.core.decision import APPENDED, Decision, decide_key
from s3sync_dagster.core.lives import Place
from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.core.standing import Nobody
from s3sync_dagster.core.state import DocumentPhase, DocumentState, KnownCollection
from s3sync_dagster.engine.batch.groups import Write
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.own_records import owner_of, under_ids
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
    rows = {
        one.document_id: row
        for one in writes
        if (row := _row_of(one)) is not None and row.phase is not DocumentPhase.CLEAN
    }
    return texts_of(parts, collection, rows, counts=counts)


def texts_of(
    parts: BatchParts,
    collection: CollectionPort,
    rows: Mapping[str, DocumentState],
    *,
    counts: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, RecoveredDocument]:
    """Return the whole texts under ids of a source's, by document id.

    Args:
        parts: the batch's.
        collection: where.
        rows: documents of the catalog, none of them clean, by their ids.
        counts: how many records are under other ids, of which the claim knows that they are ours.
    """
    asked = {name: count for name, count in counts.items() if count}
    first = collection.get([f"{name}-0" for name in rows if name not in asked]) if rows else {}
    for record in first.values():
        told = record.metadata.get("s3sync_chunk_count")
        if isinstance(told, int):
            name = record.id.removesuffix("-0")
            # What a write has left behind its own records makes it no text: it came to no end.
            asked[name] = max(told, rows[name].count, rows[name].high_water)
    place = (parts.source.tenant, parts.source.database_name, collection.name)
    found = _to_keep(parts, under_ids(collection, asked), rows, place)
    return {one.document_id: one for one in documents_of(found, parts.source) if one.etag}


def _to_keep(
    parts: BatchParts,
    pages: Iterable[list[StoredRecord]],
    rows: Mapping[str, DocumentState],
    place: Place,
) -> Iterator[StoredRecord]:
    """Yield the records that are a source's to keep: of a large document never all are held."""
    told: dict[tuple[str, str], bool] = {}
    for page in pages:
        for record in page:
            document_id, owner = split_record_id(record.id)[0], owner_of(record)
            if (document_id, owner) not in told:
                told[document_id, owner] = _is_kept(parts, rows.get(document_id), record, place)
            if told[document_id, owner]:
                yield record


def _is_kept(
    parts: BatchParts, row: DocumentState | None, record: StoredRecord, place: Place
) -> bool:
    """Return whether a text, under the ids of a document, is its source's.

    Of one that the catalog has all but those of other sources that are there: it may have been
    taken over of such as nobody knows any more. So may one be that the source adopts. What was of
    a life that ended with its records was not: Chroma was put back from a copy. Of one that was
    moved it may be the text that was to stay (``core.standing``).
    """
    owner = owner_of(record)
    if owner in {parts.source.id, *(row.written_as if row else ())}:
        return True
    if owner in {one.id for one in parts.catalog.moves.left_by(parts.source.id)}:
        return True
    adopted = row is not None or parts.source.adopt
    if not adopted or owner in parts.catalog.sources.ids():
        return False
    documents = parts.catalog.documents
    over = documents.lives(owner).over(place, record.metadata)
    return not (over and documents.heirs([owner]).get(owner) is Nobody.ENDED)


def keep_found(
    parts: BatchParts,
    collection: CollectionPort,
    writes: Sequence[Write],
    texts: Mapping[str, RecoveredDocument],
    ledger: Ledger,
) -> list[Write]:
    """Keep the texts that automatic work would write over; returns what is to be claimed.

    And so would a request that waited in the copy of a catalog, and may have been done since.

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
        row = _row_of(one)
        if text is None or (row is not None and row.said is not None):
            rest.append(one)  # what an owner asked of it in vain is written still
        elif text.object_key != one.key:
            # The claim refuses what the catalog knows to be another object's.
            if (
                _read_back(parts, collection, text)
                or not facts.maybe_done
                or _stands(parts, collection, text)
                or _is_elsewhere(parts, collection, text)
            ):
                rest.append(one)
            else:
                ledger.refuse(one.key, collection.name, _is_another_s(one, text, collection.name))
        elif (
            parts.source.mode is DeleteMode.APPEND
            and facts.maybe_done
            and text.etag != facts.etag
            # What is on its way out goes all the same: the object would have no text at all.
            and not (row is not None and row.phase is DocumentPhase.REMOVING)
        ):
            ledger.decide_anew(one.key, _kept(parts, collection, one, text))
        else:
            rest.append(one)
    return rest


def _row_of(one: Write) -> DocumentState | None:
    """Return what the catalog has under the id, of the source or of one before it."""
    place = (one.target.collection_name, one.document_id)
    facts = one.deed.decision.facts
    for row in (*facts.documents, *facts.before):
        if (row.collection_name, row.document_id) == place:
            return row
    return None


def _read_back(parts: BatchParts, collection: CollectionPort, text: RecoveredDocument) -> bool:
    """Tell the catalog of a text; False: it has another one of the object in this collection."""
    added = parts.catalog.documents.read_back(
        parts.source, [text], collection_name=collection.name, collection_id=collection.id
    )
    return added > 0


def _stands(parts: BatchParts, collection: CollectionPort, text: RecoveredDocument) -> bool:
    """Return whether the catalog has the very document of a text, which is not on its way out."""
    place = KnownCollection(
        tenant=parts.source.tenant,
        database_name=parts.source.database_name,
        collection_name=collection.name,
        collection_id=collection.id,
    )
    return any(
        (one.source_id, one.object_key) == (parts.source.id, text.object_key)
        and one.phase is not DocumentPhase.REMOVING
        for one in parts.catalog.collections.holders(place, [text.document_id])
    )


def _is_elsewhere(parts: BatchParts, collection: CollectionPort, text: RecoveredDocument) -> bool:
    """Return whether the very text stands under another id: ``keep_deleted`` keeps one of it.

    Its object had this id after the backup of a restored catalog, by a request that nobody knows.
    """
    if parts.source.mode is DeleteMode.APPEND:
        return False
    return any(
        one.phase is DocumentPhase.CLEAN
        and (one.collection_name, one.etag) == (collection.name, text.etag)
        and one.document_id != text.document_id
        for one in parts.catalog.documents.of_key(parts.source.id, text.object_key)
    )


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
