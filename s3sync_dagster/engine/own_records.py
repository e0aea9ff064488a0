"""Which records are a document's own, as they were written, and how they are deleted."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from s3sync_dagster.core.lives import Lives
from s3sync_dagster.core.plan import possible_ids, record_ids, split_record_id
from s3sync_dagster.core.state import RESTORED, DocumentState, KnownCollection
from s3sync_dagster.core.writers import Writers
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
from s3sync_dagster.model.errors import InvalidSetting, NotFound, S3SyncError, Unavailable
from s3sync_dagster.model.source import Source

IDS_AT_ONCE = 1000
DOCUMENTS_AT_ONCE = 100
RECORDS_OF_OBJECTS = 1_000_000
"""Whose ids are held in memory at once; of fewer objects where there are more."""


def known_at(collection: CollectionPort, place: tuple[str, str, str]) -> KnownCollection:
    """Return a collection as the catalog knows it, by its (tenant, database, name)."""
    tenant, database, name = place
    return KnownCollection(
        tenant=tenant,
        database_name=database,
        collection_name=name,
        collection_id=collection.id,
    )


def open_there(
    collections: Collections, name: str, *, tenant: str, database: str
) -> CollectionPort | None:
    """Return a collection to look at or delete from, whichever model made it; None: it is gone.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    try:
        return collections.open(name, tenant=tenant, database=database, embedder=None, create=False)
    except NotFound:
        return None


def names_there(collections: Collections, *, tenant: str, database: str) -> set[str]:
    """Return the names of all collections of a database; none where there is no such database.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    try:
        return set(collections.list_collections(tenant=tenant, database=database))
    except NotFound:
        return set()


def trouble_of_one(
    collections: Collections, name: str, error: S3SyncError, *, tenant: str, database: str
) -> S3SyncError:
    """Return what is told of a collection that could not be looked at, where others can be.

    Raises:
        S3SyncError: Chroma does not answer for the database either: the trouble is no collection's.
    """
    names_there(collections, tenant=tenant, database=database)
    return Unavailable(
        f"The collection {name!r} could not be looked at: {error.message}",
        reason="collection_unanswered",
    )


def ids_to_delete(
    collection: CollectionPort,
    documents: Sequence[DocumentState],
    *,
    catalog: CatalogPort,
    look: bool = False,
    lost: Mapping[str, Source] = MappingProxyType({}),
) -> list[str]:
    """Return the ids of records that documents have, or may have, in a collection.

    Whoever wrote a document to this very collection has looked whose its ids are. In one that was
    made anew under the name they may be somebody else's, and so may they where the catalog was put
    back from a copy: there each record says whose it is (``core.writers``).

    Args:
        collection: where.
        documents: whose.
        catalog: tells which sources are no more.
        look: ask each record whose it is, whatever is known: nobody holds the ids meanwhile.
        lost: the source, by keys of objects that are gone from its place.
    """
    asked = [one for one in documents if look or one.collection_id != collection.id]
    found = _found(collection, asked)
    ids: list[str] = []
    for one in documents:
        if one.document_id in found:
            source = lost.get(one.object_key)
            own = own_among(one, found[one.document_id], catalog, source=source)
            ids += sorted((record.id for record in own), key=_place)
        else:
            ids += possible_ids(one)
    return ids


def _place(record_id: str) -> int:
    return split_record_id(record_id)[1] or 0


def _found(
    collection: CollectionPort, documents: Sequence[DocumentState]
) -> dict[str, list[StoredRecord]]:
    """Return the records under documents' ids, by these, also such as no document tells of."""
    found = {one.document_id: collection.get(possible_ids(one)) for one in documents}
    keys = {one.document_id: one.object_key for one in documents}
    for record in standing_under(collection, keys):
        found[split_record_id(record.id)[0]][record.id] = record
    return {name: list(records.values()) for name, records in found.items()}


def is_there(document: DocumentState, collection: CollectionPort, catalog: CatalogPort) -> bool:
    """Return whether any record is there that is a document's own by what it names."""
    found = _found(collection, [document])[document.document_id]
    return bool(own_among(document, found, catalog))


def standing_under(
    collection: CollectionPort, keys: Mapping[str, str], custom_ids: Mapping[str, str] | None = None
) -> Iterator[StoredRecord]:
    """Yield all records under ids of documents that name one of their objects, however far.

    What tells how far a document reaches is what stands there. A write that was cut off leaves more
    than its first record says, of which a catalog that was put back from a copy knows nothing; and
    anybody may have taken that record away, or written another number into it.

    Args:
        collection: where.
        keys: of the objects, by the documents' ids.
        custom_ids: by the documents' ids, where those are of their own: what stands there is asked
            for also where it names another object, which had the id before.

    Raises:
        InvalidSetting: one object has more than a document can have.
    """
    asked = {
        "document_key": sorted({*keys.values()}),
        "custom_id": sorted((custom_ids or {}).values()),
    }
    met = set[str]()
    for name, values in asked.items():
        for ids in _ids_naming(collection, values, name=name, source_id=None):
            new = [one for one in ids if split_record_id(one)[0] in keys and one not in met]
            met.update(new)
            for page in by_ids(collection, new):
                yield from page


def records_naming(
    collection: CollectionPort, keys: Sequence[str], *, source_id: str
) -> Iterator[list[StoredRecord]]:
    """Yield a source's records of objects, under whichever ids, as many as a request takes.

    Args:
        collection: where.
        keys: of the objects, any number; ``DOCUMENTS_AT_ONCE`` are asked for at once.
        source_id: whose records alone.

    Raises:
        InvalidSetting: one object has more than a document can have.
    """
    for ids in _ids_naming(collection, keys, name="document_key", source_id=source_id):
        yield from by_ids(collection, ids)


def _ids_naming(
    collection: CollectionPort, values: Sequence[str], *, name: str, source_id: str | None
) -> Iterator[list[str]]:
    for start in range(0, len(values), DOCUMENTS_AT_ONCE):
        some = values[start : start + DOCUMENTS_AT_ONCE]
        yield from _ids_of_some(collection, some, name=name, source_id=source_id)


def _ids_of_some(
    collection: CollectionPort, values: Sequence[str], *, name: str, source_id: str | None
) -> Iterator[list[str]]:
    where = that_name(values, source_id=source_id, name=name)
    ids = collection.ids_meeting(where, most=RECORDS_OF_OBJECTS)
    if ids is not None:
        yield ids
    elif half := len(values) // 2:
        yield from _ids_of_some(collection, values[:half], name=name, source_id=source_id)
        yield from _ids_of_some(collection, values[half:], name=name, source_id=source_id)
    else:
        raise InvalidSetting(
            f"Over {RECORDS_OF_OBJECTS:,} records in {collection.name!r} name {values[0]!r}: look "
            "at them, and delete those that nobody needs."
        )


def by_ids(collection: CollectionPort, ids: Iterable[str]) -> Iterator[list[StoredRecord]]:
    """Yield the records that are there under ids, as many as a request takes."""
    left = iter(ids)
    while some := list(islice(left, IDS_AT_ONCE)):
        yield list(collection.get(some).values())


def that_name(
    values: Sequence[str], *, source_id: str | None, name: str = "document_key"
) -> dict[str, object]:
    """Return the filter for records that name objects, of one source or of any."""
    of_keys: dict[str, object] = {name: {"$in": list(values)}}
    return of_keys if source_id is None else {"$and": [{"s3sync_source": source_id}, of_keys]}


def own_among(
    document: DocumentState,
    records: Iterable[StoredRecord],
    catalog: CatalogPort,
    *,
    source: Source | None = None,
) -> list[StoredRecord]:
    """Return those of the records under a document's ids that are its own, by what they name.

    Args:
        document: whose.
        records: what stands there.
        catalog: tells which sources are no more.
        source: the document's, where what it would write itself is its own (``core.writers``).
    """
    records = [one for one in records if names_object_of(document, one)]
    if {owner_of(record) for record in records} <= {document.source_id}:
        return records
    place = (document.tenant, document.database_name, document.collection_name)
    places = {place}
    if source is not None:
        places.add((source.tenant, source.database_name, source.collection_name))
    restored = (document.collection_id or "").startswith(RESTORED)
    writers = writers_of(
        document.source_id,
        records,
        place=place,
        places=places,
        catalog=catalog,
        taken_from=document.written_as,
        restored=restored,
    )
    held_by = source if restored else None
    return [one for one in records if writers.wrote(one.id, one.metadata, held_by=held_by)]


def writers_of(
    source_id: str,
    records: Iterable[StoredRecord],
    *,
    place: tuple[str, str, str],
    places: Collection[tuple[str, str, str]],
    catalog: CatalogPort,
    taken_from: Collection[str] = (),
    restored: bool = False,
) -> Writers:
    """Return who may have written records for a source, by what the catalog knows.

    Args:
        source_id: of the source.
        records: of which it is asked.
        place: see ``Writers``.
        places: see ``Writers``.
        catalog: the catalog.
        taken_from: of whom the source is known to have taken the records over, or read them back.
        restored: whether it has the ids in a catalog that was put back from a copy: who stands in
            its place by now may have had them since, and has no document there.
    """
    owners = {owner_of(record) for record in records} - {source_id}
    free: Mapping[str, Lives | None] = {}
    if owners:
        free = catalog.documents.may_write_over(source_id, owners)
    own = {source_id, *(one for one, was in free.items() if was is None)}
    if owners <= own:
        return Writers(source_id=source_id, place=place, places=places, own=own)
    known, kept = catalog.sources.ids(), catalog.rebuilding.kept_owners()
    forgotten = restored or catalog.sources.was_put_back(source_id)
    if restored:
        own |= {one for one in owners & known if _stands_for(one, source_id, catalog)}
    return Writers(
        source_id=source_id,
        place=place,
        places=places if forgotten else (),
        own=own | ({*taken_from} - known),
        free=free,
        others=known | kept,
        asked=catalog.servers.names(source_id),
    )


def names_object_of(document: DocumentState, record: StoredRecord) -> bool:
    """Return whether a record under a document's ids is not another object's.

    That may have got the id since a catalog was backed up that was restored.
    """
    key = document.object_key
    return record.metadata.get("document_key", key) == key


def of_no_document(
    records: Sequence[StoredRecord], known: KnownCollection, catalog: CatalogPort
) -> list[StoredRecord]:
    """Return those of the records under ids that no document of the objects they name has.

    Each is asked for itself: of what was handed on half-way the first record may be gone already,
    or the new holder's.
    """
    names = sorted({split_record_id(one.id)[0] for one in records})
    held = {one.document_id: one.object_key for one in catalog.collections.holders(known, names)}
    return [
        one
        for one in records
        if held.get(split_record_id(one.id)[0]) != one.metadata.get("document_key")
    ]


def owner_of(record: StoredRecord) -> str:
    """Return the id of the source that a record names; empty: none."""
    return str(record.metadata.get("s3sync_source") or "")


def left_of(document: DocumentState, collection: CollectionPort) -> set[str]:
    """Return the ids of a document's records that are there, each asked for by its id.

    No scan tells that: deletions of others shift its pages. The records of a document that was
    taken over or read back, and not written since, name others.
    """
    names = {document.source_id, *document.written_as}
    stored = collection.get(possible_ids(document))
    return {name for name, record in stored.items() if owner_of(record) in names}


def _stands_for(source_id: str, before_id: str, catalog: CatalogPort) -> bool:
    return any(one.id == before_id for one in catalog.moves.left_by(source_id))


def under_ids(
    collection: CollectionPort, counts: Mapping[str, int]
) -> Iterator[list[StoredRecord]]:
    """Yield the records of documents by their ids; those behind a thousand that lack are not read.

    Args:
        collection: where.
        counts: how many there may be, by document id: anybody may have written that number.
    """
    start, left = 0, dict(counts)
    while left:
        stop, more = start + IDS_AT_ONCE, set[str]()
        ids = (
            name for one, most in left.items() for name in record_ids(one, start, min(most, stop))
        )
        for stored in by_ids(collection, ids):
            more |= {split_record_id(one.id)[0] for one in stored}
            yield stored
        left = {one: most for one, most in left.items() if most > stop and one in more}
        start = stop


def delete_in_steps(
    collection: CollectionPort,
    ids: Sequence[str],
    *,
    before: Callable[[], None] = lambda: None,
    deleted: Callable[[int], None] = lambda _number: None,
) -> None:
    """Delete records by id, as many at a time as the collection takes, the last ones first.

    What is left where somebody dies between two steps begins with a document's first record, which
    tells of the others: a catalog that was put back from a copy knows no more of them.

    Args:
        collection: where.
        ids: of the records; one that is not there does no harm.
        before: called right before each step, which does not begin where it raises.
        deleted: called after each step with its number of ids.
    """
    step = collection.write_limits.max_records
    for stop in range(len(ids), 0, -step):
        part = ids[max(stop - step, 0) : stop]
        before()
        collection.delete(part)
        deleted(len(part))
