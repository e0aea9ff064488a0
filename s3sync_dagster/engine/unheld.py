"""Records whose ids no document has, and their deletion."""

from collections.abc import Callable, Sequence
from math import inf

from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.core.state import RESTORED, DocumentPhase, DocumentState, KnownCollection
from s3sync_dagster.engine.deletions_port import ToldOfDeletions
from s3sync_dagster.engine.own_records import delete_in_steps
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.engine.standing import what_stands
from s3sync_dagster.model.source import Source

Holders = Callable[[KnownCollection, Sequence[str]], list[DocumentState]]
"""Tells the documents, of whichever source, that have ids in a collection."""


def held_by_nobody(ids: Sequence[str], known: KnownCollection, holders: Holders) -> list[str]:
    """Return those of the records' ids in a collection that no document has, or may have."""
    stop = {one.document_id: _most(one) for one, _ in _held(ids, known, holders)}
    left: list[str] = []
    for name in ids:
        document_id, place = split_record_id(name)
        if place is None or place >= stop.get(document_id, 0):
            left.append(name)
    return left


def delete_unheld(
    ids: Sequence[str],
    collection: CollectionPort,
    known: KnownCollection,
    documents: ToldOfDeletions,
    *,
    look: Callable[[Sequence[str]], Sequence[str]],
) -> int:
    """Delete records that no document has; returns how many.

    Nobody claims them, so a document that grew meanwhile may have got that very record: it is not
    trusted any more. Who dies before that is said, or is not answered, leaves it to the next look
    at the collection (``mend_cut_off``).

    Args:
        ids: of the records.
        collection: where.
        known: the same, as the catalog knows it.
        documents: the catalog's.
        look: returns those of the ids that may go still. It is asked once the deletion is noted:
            what grows from then on is found by whoever finds the note.
    """
    if not ids:
        return 0
    since = documents.begin_deletion(known)
    ids = look(ids)
    delete_in_steps(collection, ids)
    if grown := [one for one, places in _held(ids, known, documents.holders) if _has(one, places)]:
        documents.distrust(grown)
    documents.end_deletion(known, since)
    return len(ids)


def mend_cut_off(
    source: Source,
    known: KnownCollection,
    collection: CollectionPort | None,
    documents: ToldOfDeletions,
) -> int:
    """Distrust a source's documents that lost records which somebody deleted, and died.

    Which records went nobody knows: Chroma is asked for those of all that were written since. What
    is found as it was written is as it was, also for readers; what a batch has in its hands is not
    trusted, whatever is found.

    Returns:
        How many; none where the collection is gone, and with it all that was written.

    Raises:
        S3SyncError: Chroma does not answer; the next look asks again.
    """
    written = documents.cut_off(source.id, known)
    if written is None or collection is None:
        return 0
    clean = [one for one in written if one.phase is DocumentPhase.CLEAN]
    stood = what_stands(clean, lambda _place: collection)
    lost = [one for one in written if one.id not in stood.whole]
    documents.distrust(lost, spoilt=True)
    documents.end_cut_off(source.id, known)
    return len(lost)


def _held(
    ids: Sequence[str], known: KnownCollection, holders: Holders
) -> list[tuple[DocumentState, list[int]]]:
    """Return the documents that have such ids, each with the places that are named."""
    places: dict[str, list[int]] = {}
    for name in ids:
        document_id, place = split_record_id(name)
        if place is not None:
            places.setdefault(document_id, []).append(place)
    return [(one, places[one.document_id]) for one in holders(known, sorted(places))]


def _most(document: DocumentState) -> float:
    """Return how many records are a document's: of a restored catalog's it may have more by now."""
    if (document.collection_id or "").startswith(RESTORED):
        return inf
    return max(document.count, document.high_water)


def _has(document: DocumentState, places: Sequence[int]) -> bool:
    return min(places) < max(document.count, document.high_water)
