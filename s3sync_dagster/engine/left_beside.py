"""Records of an object beside the document that a catalog has of it, which no document tells of.

A catalog that was put back from a copy has forgotten that the object got another id, and writes it
under the one that it knows. What stands under the other id is the object's own by what its records
name: it goes as what gives way to a document goes, once that is whole. Until then, and where
nothing lets it go, it is for no reader with groups: what is said of its object is told elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.core.state import RESTORED, DocumentPhase, DocumentState
from s3sync_dagster.core.vouching import NOBODY
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.own_records import is_there, known_at
from s3sync_dagster.engine.ports import CollectionPort, StoredRecord
from s3sync_dagster.engine.rebuilding import RecoveredDocument, documents_of
from s3sync_dagster.model.errors import FixConfiguration, FixInput
from s3sync_dagster.model.source import DeleteMode, Source

NO_RECORD = "s3sync-no-record"
"""An id that nobody has: Chroma passes over an update of it."""


def close_beside(
    source: Source,
    records: Sequence[StoredRecord],
    collection: CollectionPort,
    catalog: CatalogPort,
) -> int:
    """Have records that could not be read back end with the documents of their objects, closed.

    Those of which a document can be made are one that is to be removed. Append mode keeps texts:
    there they are read back where nothing is left of the other document, and stay beside it where
    anything is. What stays names no reader any more, nor does what can be no document: a place that
    nobody could ask for, a copy that somebody made by hand.

    Args:
        source: that says who may read.
        records: all under ids of no document of the objects that they name.
        collection: where.
        catalog: the catalog.

    Returns:
        Of how many documents and records that was not so.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call goes on.
    """
    place = known_at(collection, (source.tenant, source.database_name, collection.name))
    named = {one.id: split_record_id(one.id) for one in records}
    names = sorted({name for name, _ in named.values()})
    held = {one.document_id: one.object_key for one in catalog.collections.holders(place, names)}
    beside = [one for one in documents_of(records, source) if one.document_id not in held]
    if source.mode is DeleteMode.APPEND:
        taken = _in_place_of_what_is_gone(source, beside, collection, catalog)
        tops = {one.document_id: one.high_water for one in taken}
        known = len(taken)
    else:
        tops = {one.document_id: one.high_water for one in beside}
        known = catalog.rebuilding.let_go(
            source, beside, collection_name=collection.name, collection_id=collection.id
        )
    stay: list[StoredRecord] = []
    for record in records:
        name, number = named[record.id]
        # An id that the catalog has as another object's by now: what stands there is of this one.
        foreign = held.get(name) != record.metadata.get("document_key")
        if foreign and (number is None or number >= tops.get(name, 0)):
            stay.append(record)
    return known + _close(source, stay, collection, catalog)


def _in_place_of_what_is_gone(
    source: Source,
    beside: Sequence[RecoveredDocument],
    collection: CollectionPort,
    catalog: CatalogPort,
) -> list[RecoveredDocument]:
    """Read documents back whose objects have no record under the id that the catalog knows."""
    place = known_at(collection, (source.tenant, source.database_name, collection.name))
    of_key: dict[str, list[RecoveredDocument]] = {}
    for one in beside:
        of_key.setdefault(one.object_key, []).append(one)
    taken: list[RecoveredDocument] = []
    for key, found in of_key.items():
        stand = [
            one
            for one in catalog.documents.of_key(source.id, key)
            if one.collection_name == collection.name and one.phase is not DocumentPhase.REMOVING
        ]
        if len(found) > 1 or not all(_is_gone(one, collection, catalog) for one in stand):
            continue  # which of several texts is the one that the mode keeps nobody knows
        if catalog.rebuilding.give_way(source, place, stand) < len(stand):
            continue
        taken += found
    catalog.documents.read_back(
        source, taken, collection_name=collection.name, collection_id=collection.id
    )
    return taken


def _is_gone(document: DocumentState, collection: CollectionPort, catalog: CatalogPort) -> bool:
    """Return whether a restored catalog knows a document of which there is no record any more."""
    if document.collection_id != f"{RESTORED}{collection.id}":
        return False
    return not is_there(document, collection, catalog)


def _close(
    source: Source,
    records: Sequence[StoredRecord],
    collection: CollectionPort,
    catalog: CatalogPort,
) -> int:
    told = {
        one.id: {key: NOBODY for key in source.reader_keys if one.metadata.get(key)}
        for one in records
    }
    told = {name: readers for name, readers in told.items() if readers}
    closed = _told(collection, list(told.items()))
    # Nobody claims them, so who was given that very id meanwhile may have written it before. What
    # stands behind the holder's own records is cleared with its next write.
    place = known_at(collection, (source.tenant, source.database_name, collection.name))
    behind = {one.document_id: one for one in documents_of(records, source)}
    taken = catalog.collections.holders(place, sorted({split_record_id(one)[0] for one in closed}))
    if taken:
        catalog.documents.distrust([_with_tail(one, behind) for one in taken], spoilt=True)
    return len(closed)


def _told(collection: CollectionPort, told: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """Tell records who reads them; returns which took it.

    A copy by hand may be what no limit allows: it keeps none beside it from being told, and its
    object is worked on all the same.

    Raises:
        S3SyncError: Chroma does not answer, or refuses that of a record that is not there as well.
    """
    if not told:
        return []
    try:
        collection.update_metadata([name for name, _ in told], [readers for _, readers in told])
    except (FixInput, FixConfiguration):
        if half := len(told) // 2:
            return [*_told(collection, told[:half]), *_told(collection, told[half:])]
        collection.update_metadata([NO_RECORD], [told[0][1]])  # else it is no fault of the copy's
        return []
    return [name for name, _ in told]


def _with_tail(document: DocumentState, behind: Mapping[str, RecoveredDocument]) -> DocumentState:
    """Return a document as one that may have all that stands under its id."""
    if (there := behind.get(document.document_id)) is None:
        return document
    return replace(
        document,
        high_water=max(document.high_water, there.high_water),
        metadata_keys=tuple(sorted({*document.metadata_keys, *there.metadata_keys})),
    )
