"""What records alone tell of who may read, learned before another source writes the documents.

An owner may have said it after the backup of a catalog that was restored. The source that wrote the
records compares them with its documents before it writes. One that stands in its place, or fills
another collection with the same objects, has records of its own, of which it would learn nothing.
"""

from collections.abc import Callable, Sequence

from s3sync_dagster.core.document_targets import as_it_is
from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.lives import is_of
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.plan import record_ids
from s3sync_dagster.core.state import (
    RECOVERED,
    RESTORED,
    DocumentPhase,
    DocumentState,
    KnownCollection,
)
from s3sync_dagster.core.vouching import readers
from s3sync_dagster.engine.as_written import as_written
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.last_look import places_of
from s3sync_dagster.engine.left_beside import close_beside
from s3sync_dagster.engine.own_records import (
    DOCUMENTS_AT_ONCE,
    names_object_of,
    of_no_document,
    open_there,
    records_naming,
    that_name,
)
from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
from s3sync_dagster.engine.rebuilding import documents_of, recover_documents
from s3sync_dagster.model.document import Metadata, MetadataValue
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source


def restored_in(
    collection: CollectionPort, documents: Sequence[DocumentState]
) -> list[tuple[DocumentState, list[StoredRecord | None]]]:
    """Return documents of a restored catalog that stood in this very collection, with records.

    By place, with one more than there should be: of a document that has grown since, it is there.
    """
    here = [one for one in documents if one.collection_id == f"{RESTORED}{collection.id}"]
    wanted = [record_ids(one.document_id, 0, one.count + 1) for one in here]
    names = [name for ids in wanted for name in ids]
    stored = collection.get(names, documents=True) if names else {}
    return [
        (one, [stored.get(name) for name in ids]) for one, ids in zip(here, wanted, strict=True)
    ]


def said_later(
    document: DocumentState, source: Source, records: Sequence[StoredRecord | None]
) -> Metadata:
    """Return what records that are not as they were written say else under keys of readers.

    Where the catalog has no digests its own word was to be written, and may be the later one: both
    are nobody's then, and the one stays that source, path and object do not say.
    """
    if not source.reader_keys or document.withheld == RECOVERED:
        return {}
    keys = source.reader_keys
    own = {**with_path_metadata(source, document.object_key), **document.carried}
    told = readers(own, as_it_is(document), keys=keys)
    later: dict[str, MetadataValue] = {}
    for place, record in enumerate(records):
        if record is None or not names_object_of(document, record):
            continue
        if as_written(document, place, record, text=False):
            continue
        for key in keys:
            if record.metadata.get(key) != told.get(key):
                later.setdefault(key, record.metadata.get(key))
    if document.digests:
        return later
    unsaid = {key: it for key, it in document.metadata.items() if own.get(key) != it}
    return {key: unsaid.get(key, value) for key, value in later.items()}


def hear_all(source: Source, *, catalog: CatalogPort, collections: Collections) -> int:
    """Have known what records in a source's collection say of readers, before another is made.

    Args:
        source: whose documents another source is to have as well.
        catalog: the catalog.
        collections: Chroma.

    Returns:
        Of how many documents the catalog did not know it.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    if not source.reader_keys:
        return 0
    collection = _open(source, collections)
    if collection is None:
        return 0
    heard, after = _read_back(source, collection, catalog), 0
    while rows := catalog.documents.of_source(source.id, after_id=after, limit=DOCUMENTS_AT_ONCE):
        heard += _compare(source, rows, collection, catalog)
        after = rows[-1].id
    return heard


def hear_own(
    source: Source,
    keys: Sequence[str],
    *,
    catalog: CatalogPort,
    collections: Collections,
    log: Callable[[str], None],
) -> tuple[int, dict[str, S3SyncError]]:
    """Have known what records of objects say of readers that the catalog has forgotten.

    An owner may have said it after the backup and given the document another id, under which alone
    it stands: what the catalog has would be written beside it, for whoever read it before.

    Args:
        source: whose objects they are, of a restored catalog.
        keys: of the objects.
        catalog: the catalog.
        collections: Chroma.
        log: takes a sentence for each collection where another installation has the source's id.

    Returns:
        Of how many documents the catalog did not know it, and why which collections could not be
        asked: what is said of a document in one says nothing of those in others.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    heard, unheard_in = 0, dict[str, S3SyncError]()
    places = places_of(source, catalog=catalog, collections=collections, log=log)
    for tenant, database, name in places:
        try:
            collection = open_there(collections, name, tenant=tenant, database=database)
            for start in range(0, len(keys) if collection else 0, DOCUMENTS_AT_ONCE):
                some = keys[start : start + DOCUMENTS_AT_ONCE]
                heard += _hear_in(collection, source, some, catalog) if collection else 0
        except S3SyncError as error:
            unheard_in[name] = error
    return heard, unheard_in


def _hear_in(
    collection: CollectionPort, source: Source, keys: Sequence[str], catalog: CatalogPort
) -> int:
    place = _place(source, collection)
    forgotten = _forgotten(source, keys, collection, catalog)
    if not forgotten:
        return 0
    heard = catalog.documents.read_back(
        source,
        documents_of(forgotten, source),
        collection_name=collection.name,
        collection_id=collection.id,
    )
    heard += close_beside(source, forgotten, collection, catalog)
    by_key: dict[str, list[StoredRecord]] = {}
    for record in forgotten:
        by_key.setdefault(str(record.metadata["document_key"]), []).append(record)
    said = [
        (one, {**one.metadata, **later})
        for key, records in by_key.items()
        for one in catalog.documents.of_key(source.id, key)
        if _is_restored(one)
        # Or of no known one: an owner's word that was kept without a record.
        and one.collection_id in (RESTORED, f"{RESTORED}{collection.id}")
        and (later := said_later(one, source, records))
    ]
    return heard + (catalog.collections.doubt(source.id, place, said) if said else 0)


def _forgotten(
    source: Source, keys: Sequence[str], collection: CollectionPort, catalog: CatalogPort
) -> list[StoredRecord]:
    """Return the source's records of objects under ids that no document of these objects has.

    An id may have been handed on after the backup: the catalog has it as another object's.
    """
    place = _place(source, collection)
    return [
        record
        for records in records_naming(collection, keys, source_id=source.id)
        for record in of_no_document(records, place, catalog)
        if is_of(source, (place.tenant, place.database_name, collection.name), record.metadata)
    ]


def unheard(
    before: Source, found: Sequence[KeyFacts]
) -> tuple[list[KeyFacts], list[DocumentState]]:
    """Return keys that a source before does not know, and documents that it has not compared.

    Args:
        before: a source in whose place another one stands.
        found: keys of the other one that no newer source before has documents of.
    """
    unknown = [
        one
        for one in found
        if not one.documents and (one.inherited is None or one.inherited.source_id != before.id)
    ]
    restored = [
        one.inherited
        for one in found
        if one.inherited and one.inherited.source_id == before.id and _is_restored(one.inherited)
    ]
    return unknown, restored


def hear_before(
    before: Source,
    unknown: Sequence[KeyFacts],
    restored: Sequence[DocumentState],
    *,
    catalog: CatalogPort,
    collections: Collections,
) -> int:
    """Have known what a source's records say of who may read, before another writes the documents.

    Args:
        before: a source in whose place another one stands, with the reader keys of that.
        unknown: see ``unheard``.
        restored: see ``unheard``.
        catalog: the catalog.
        collections: Chroma.

    Returns:
        Of how many documents the catalog did not know it.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    if not unknown and not restored:
        return 0
    collection = _open(before, collections)
    if collection is None:
        return 0
    heard = 0
    for start in range(0, len(unknown), DOCUMENTS_AT_ONCE):
        keys = [one.key for one in unknown[start : start + DOCUMENTS_AT_ONCE]]
        if collection.ids_meeting(that_name(keys, source_id=before.id), most=0) != []:
            heard += _read_back(before, collection, catalog)  # all that it has forgotten, at once
            break
    for start in range(0, len(restored), DOCUMENTS_AT_ONCE):
        some = restored[start : start + DOCUMENTS_AT_ONCE]
        heard += _compare(before, some, collection, catalog)
    return heard


def _is_restored(document: DocumentState) -> bool:
    """Return whether it is of a restored catalog, and nobody has compared its records yet."""
    return (
        document.phase is DocumentPhase.WRITING
        and document.withheld != RECOVERED
        and (document.collection_id or "").startswith(RESTORED)
    )


def _open(source: Source, collections: Collections) -> CollectionPort | None:
    return open_there(
        collections,
        source.collection_name,
        tenant=source.tenant,
        database=source.database_name,
    )


def _place(source: Source, collection: CollectionPort) -> KnownCollection:
    return KnownCollection(
        tenant=source.tenant,
        database_name=source.database_name,
        collection_name=collection.name,
        collection_id=collection.id,
    )


def _read_back(source: Source, collection: CollectionPort, catalog: CatalogPort) -> int:
    """Add the documents that records of a source tell of, and its catalog does not know."""
    found = recover_documents(
        source, collection, known_sources={source.id}, written_by=source.id
    ).documents
    names = [one.document_id for one in found]
    held = {
        one.document_id for one in catalog.collections.holders(_place(source, collection), names)
    }
    return catalog.documents.read_back(
        source,
        [one for one in found if one.document_id not in held],
        collection_name=collection.name,
        collection_id=collection.id,
    )


def _compare(
    source: Source,
    documents: Sequence[DocumentState],
    collection: CollectionPort,
    catalog: CatalogPort,
) -> int:
    """Have known what records say of documents of a restored catalog, also under other ids."""
    restored = list(filter(_is_restored, documents))
    if not restored:
        return 0
    keys = sorted({one.object_key for one in restored})
    heard = _doubt(source, restored, collection, catalog)
    return heard + _hear_in(collection, source, keys, catalog)


def _doubt(
    source: Source,
    documents: Sequence[DocumentState],
    collection: CollectionPort,
    catalog: CatalogPort,
) -> int:
    """Keep documents from readers whose records name others than a restored catalog does."""
    said = [
        (one, {**one.metadata, **later})
        for one, records in restored_in(collection, documents)
        if (later := said_later(one, source, records))
    ]
    return catalog.collections.doubt(source.id, _place(source, collection), said) if said else 0
