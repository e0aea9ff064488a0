"""Whether a collection has what the catalog says, and only that, for one source.

Nothing is decided about documents that are being written, and nothing is touched that another
source, or nobody, wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from s3sync_dagster.core.plan import DIGEST_BYTES, record_ids, split_record_id
from s3sync_dagster.core.records import metadata_digest
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.engine.own_records import names_there, open_there, trouble_of_one
from s3sync_dagster.engine.rebuilding import documents_of
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError
from s3sync_dagster.model.source import DeleteMode

if TYPE_CHECKING:
    from s3sync_dagster.core.state import KnownCollection
    from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
    from s3sync_dagster.engine.rebuilding import RecoveredDocument
    from s3sync_dagster.model.source import Source

PAGE = 1000


class VerifiedDocuments(Protocol):
    """What verification asks of the catalog (``catalog.Documents``)."""

    def of_source(
        self, source_id: str, *, after_id: int = 0, limit: int = 1000
    ) -> list[DocumentState]:
        """Return documents of a source by row id, a page at a time."""
        ...

    def of_key(self, source_id: str, object_key: str) -> list[DocumentState]:
        """Return the documents of one object."""
        ...

    def written_by(
        self,
        source: Source,
        collection_name: str,
        document_ids: Sequence[str],
        *,
        collection_id: str,
    ) -> dict[str, str]:
        """Return the ids of the sources that wrote documents to this very collection, by theirs."""
        ...

    def removal_blocked(self, source_id: str) -> bool:
        """Return whether the guard holds a listing of the source until a person approves it."""
        ...

    def listing_asked(self, source_id: str) -> bool:
        """Return whether a listing of the source is asked for, as by a restore, and not whole."""
        ...

    def read_back(
        self,
        source: Source,
        found: Sequence[RecoveredDocument],
        *,
        collection_name: str,
        collection_id: str,
    ) -> int:
        """Add documents that the catalog does not have, as not clean; return how many."""
        ...

    def distrust(self, states: Sequence[DocumentState], *, spoilt: bool = False) -> None:
        """Mark the owners of these record ids not clean and enqueue them.

        ``spoilt``: others did it, and left some of their records.
        """
        ...


class CollectionsOfDocuments(Protocol):
    """What the catalog tells of where documents are (``catalog.Documents``)."""

    def collections(self, source_id: str) -> list[tuple[str, str, str]]:
        """Return (tenant, database, collection) of all documents of a source."""
        ...


@dataclass(slots=True, kw_only=True)
class Verification:
    """What was found in one collection for one source."""

    collection_name: str
    documents: int = 0
    """Documents that were held against the collection."""
    in_work: int = 0
    """Documents that are being written or removed: not judged."""
    records: int = 0
    """Records of this source in the collection."""
    expected: int = 0
    """Records that the documents should have."""
    met: int = 0
    """Those of them that are there."""
    missing: list[str] = field(default_factory=list[str])
    """Object keys whose documents lack records."""
    changed: list[str] = field(default_factory=list[str])
    """Object keys of documents whose metadata is not what was written."""
    stray: list[str] = field(default_factory=list[str])
    """Ids of records of this source that no document has, but ``recovered``."""
    recovered: list[str] = field(default_factory=list[str])
    """Object keys of documents that only the collection knows, in a mode that keeps what is gone:
    an older catalog was restored. With ``fixed`` they were read back, none of them was deleted."""
    held_back: list[str] = field(default_factory=list[str])
    """Object keys of such documents in mode ``mirror`` while the guard holds a listing, which is
    to be approved first, or ``unlisted``. Their records stay, also with ``fixed``."""
    unlisted: bool = False
    """True where they stay since no listing has ended since the catalog was put back from a copy,
    or since somebody asked for one: which of their objects are there is not known."""
    unknown_sources: dict[str, int] = field(default_factory=dict[str, int])
    """Id of a source that the catalog does not know -> records; where that was asked. They belong
    to another installation, or to a source that was made after the copy of a restored catalog."""
    unreadable: bool = False
    """True when vectors cannot be read: ``s3sync repair`` comes first."""
    fixed: bool = False
    """True when strays were deleted or read back, and the documents enqueued."""

    @property
    def sound(self) -> bool:
        """True when nothing was found."""
        strays = self.stray or self.recovered or self.held_back
        return not (self.missing or self.changed or strays or self.unreadable)


def verify_collection(
    source: Source,
    *,
    collection: CollectionPort,
    documents: VerifiedDocuments,
    fix: bool = False,
    vectors: bool = True,
    known_sources: Collection[str] | None = None,
) -> Verification:
    """Compare a source's documents in the catalog with its records in a collection.

    Args:
        source: whose records are looked at.
        collection: of the source's tenant and database.
        documents: the catalog's.
        fix: delete strays, or read them back where the mode keeps what is gone, and have documents
            that lack or changed records written again by the next work on the source.
        vectors: read each vector too; a lost one shows in no other way.
        known_sources: ids of all sources; count records of others, which are never touched.
            None: look at this source's records only.
    """
    found = Verification(collection_name=collection.name)
    expected = _Expected(_of_collection(source, documents, collection.name))
    found.documents, found.in_work = expected.clean, expected.in_work
    strays: list[str] = []
    unknown = Counter[str]()
    for whole in collection.scan(source_id=source.id if known_sources is None else None):
        owners = [str(record.metadata.get("s3sync_source") or "") for record in whole]
        unknown.update(one for one in owners if one and one not in (known_sources or owners))
        page = [record for record, one in zip(whole, owners, strict=True) if one == source.id]
        found.records += len(page)
        strays += [record.id for record in page if not expected.meets(record)]
        if vectors and page and not found.unreadable:
            found.unreadable = not _readable(collection, [record.id for record in page])
    # Work that went on meanwhile explains what it touched: only what still stands is reported.
    lacking = [
        doc
        for doc in expected.lacking()
        if _unchanged(doc, documents) and _lacks_records(doc, collection)
    ]
    altered = [doc for doc in expected.altered() if _unchanged(doc, documents)]
    found.missing = [doc.object_key for doc in lacking]
    found.changed = [doc.object_key for doc in altered]
    found.stray = _still_stray(strays, source, collection, documents)
    kept: Sequence[RecoveredDocument] = ()
    mirror = source.mode is DeleteMode.MIRROR
    unlisted = mirror and bool(found.stray) and documents.listing_asked(source.id)
    if found.stray and (not mirror or unlisted or documents.removal_blocked(source.id)):
        kept = _kept(found.stray, source, collection, expected)
        names = {one.document_id for one in kept}
        found.stray = [one for one in found.stray if split_record_id(one)[0] not in names]
        keys = sorted({one.object_key for one in kept})
        if mirror:
            kept, found.held_back, found.unlisted = (), keys, unlisted and bool(keys)
        else:
            found.recovered = keys
    found.expected, found.met = expected.numbers()
    found.unknown_sources = dict(unknown)
    if fix and not found.sound:
        damaged = [expected.with_keys_met(doc) for doc in (*lacking, *altered)]
        documents.distrust([doc for doc in damaged if expected.met(doc)], spoilt=True)
        documents.distrust([doc for doc in damaged if not expected.met(doc)])
        documents.read_back(
            source, kept, collection_name=collection.name, collection_id=collection.id
        )
        collection.delete(found.stray)
        # Nobody claims a stray, so a document that grew meanwhile may have got that very record:
        # whoever writes has told the catalog before, so it is known now.
        documents.distrust(_owners(found.stray, source, collection, documents))
        found.fixed = True
    return found


def places_of(
    source: Source, *, documents: CollectionsOfDocuments, known: Iterable[KnownCollection]
) -> list[tuple[str, str, str]]:
    """Return (tenant, database, collection) of all places that may hold records of a source.

    Not only those where the catalog has documents of it: an older copy that was restored may not
    know of the first one.
    """
    return sorted(
        {
            (source.tenant, source.database_name, source.collection_name),
            *((one.tenant, one.database_name, one.collection_name) for one in known),
            *documents.collections(source.id),
        }
    )


def places_beside(
    source: Source,
    places: Collection[tuple[str, str, str]],
    *,
    collections: Collections,
    unread: list[S3SyncError],
) -> list[tuple[str, str, str]]:
    """Return the other collections of a source's database that have records of it.

    A catalog that was put back from a copy does not know of those that were written to since.

    Args:
        source: whose records are looked for.
        places: that are known.
        collections: Chroma.
        unread: takes what is told of collections for which Chroma refuses to answer.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    tenant, database = source.tenant, source.database_name
    found: list[tuple[str, str, str]] = []
    for name in sorted(names_there(collections, tenant=tenant, database=database)):
        if (place := (tenant, database, name)) in places:
            continue
        try:
            port = open_there(collections, name, tenant=tenant, database=database)
            if port is not None and port.ids_meeting({"s3sync_source": source.id}, most=0) != []:
                found.append(place)
        except S3SyncError as error:
            unread.append(
                trouble_of_one(collections, name, error, tenant=tenant, database=database)
            )
    return found


class _Expected:
    """What each clean document should have, and what was met of it."""

    def __init__(self, documents: Iterable[DocumentState]) -> None:
        self._documents: dict[str, DocumentState] = {}
        self._met: dict[str, bytearray] = {}
        self._altered: dict[str, set[str]] = {}
        self._keys_met: set[str] = set()
        self.clean = self.in_work = 0
        for document in documents:
            self._documents[document.document_id] = document
            if document.phase is DocumentPhase.CLEAN:
                self.clean += 1
                self._met[document.document_id] = bytearray(document.count)
            else:
                self.in_work += 1

    def meets(self, record: StoredRecord) -> bool:
        """Take note of a record; False when no document has it."""
        document_id, place = split_record_id(record.id)
        document = self._documents.get(document_id)
        if document is None or place is None:
            return False
        self._keys_met.add(document.object_key)
        if document.phase is not DocumentPhase.CLEAN:
            return True
        if place >= document.count:
            return False
        self._met[document_id][place] = 1
        start = place * 2 * DIGEST_BYTES + DIGEST_BYTES
        if document.digests[start : start + DIGEST_BYTES] != _digest(record):
            self._altered.setdefault(document_id, set()).update(record.metadata)
        return True

    def has(self, document_id: str, object_key: object) -> bool:
        """Return whether an object has records of a document here, or the document is known."""
        return document_id in self._documents or object_key in self._keys_met

    def numbers(self) -> tuple[int, int]:
        """Return how many records there should be, and how many of them were met."""
        return sum(map(len, self._met.values())), sum(map(sum, self._met.values()))

    def met(self, document: DocumentState) -> bool:
        """Return whether any of a document's records was met."""
        return 1 in self._met[document.document_id]

    def lacking(self) -> list[DocumentState]:
        return [self._documents[name] for name, met in self._met.items() if 0 in met]

    def altered(self) -> list[DocumentState]:
        lacking = {name for name, met in self._met.items() if 0 in met}
        return [self._documents[name] for name in sorted(self._altered.keys() - lacking)]

    def with_keys_met(self, document: DocumentState) -> DocumentState:
        """Return the document with the metadata keys that its changed records have.

        Who writes it next clears the keys that do not belong there: a write keeps what it does
        not name.
        """
        met = self._altered.get(document.document_id, set())
        return replace(document, metadata_keys=tuple(sorted({*document.metadata_keys, *met})))


def _of_collection(
    source: Source, documents: VerifiedDocuments, collection_name: str
) -> Iterator[DocumentState]:
    after = 0
    while page := documents.of_source(source.id, after_id=after, limit=PAGE):
        yield from (one for one in page if one.collection_name == collection_name)
        after = page[-1].id


def _digest(record: StoredRecord) -> bytes:
    return metadata_digest(
        Record(id=record.id, document="", embedding_text="", metadata=record.metadata)
    )


def _readable(collection: CollectionPort, ids: Sequence[str]) -> bool:
    try:
        collection.get(ids, vectors=True)
    except FixConfiguration as error:
        if error.reason != "index_damaged":
            raise
        return False
    return True


def _unchanged(document: DocumentState, documents: VerifiedDocuments) -> bool:
    return document in documents.of_key(document.source_id, document.object_key)


def _lacks_records(document: DocumentState, collection: CollectionPort) -> bool:
    """Ask for a document's records by id: deletions during a scan shift its pages.

    One that is there as another source's is none of the document's.
    """
    ids = record_ids(document.document_id, 0, document.count)
    stored = collection.get(ids).values()
    own = [one for one in stored if one.metadata.get("s3sync_source") == document.source_id]
    return len(own) < len(ids)


def _still_stray(
    ids: Sequence[str],
    source: Source,
    collection: CollectionPort,
    documents: VerifiedDocuments,
) -> list[str]:
    """Return the ids that are still there, still this source's, and still without a document.

    What another source has a document of is its to write: after a restore in the middle of a move
    that is the one before, and this one takes it over.
    """
    if not ids:
        return []
    expected = _Expected(_of_collection(source, documents, collection.name))
    found = [
        record.id
        for record in collection.get(ids).values()
        if record.metadata.get("s3sync_source") == source.id and not expected.meets(record)
    ]
    document_ids = sorted({name.rpartition("-")[0] for name in found})
    owners = documents.written_by(
        source, collection.name, document_ids, collection_id=collection.id
    )
    return [name for name in found if owners.get(name.rpartition("-")[0], source.id) == source.id]


def _kept(
    ids: Sequence[str], source: Source, collection: CollectionPort, expected: _Expected
) -> list[RecoveredDocument]:
    """Return strays that a mode that keeps records is to keep: all that there is of an object.

    A catalog that was restored does not know what came and went since. The tail of a document,
    and one of an object that has its records under another id, are of a write before.
    """
    first = [
        one
        for one in collection.get(ids).values()
        if not expected.has(split_record_id(one.id)[0], one.metadata.get("document_key"))
    ]
    return documents_of(first, source)


def _owners(
    ids: Sequence[str],
    source: Source,
    collection: CollectionPort,
    documents: VerifiedDocuments,
) -> list[DocumentState]:
    """Return the documents that have, or may be writing, records of these ids."""
    first: dict[str, int] = {}
    for record_id in ids:
        document_id, place = split_record_id(record_id)
        if place is not None:
            first[document_id] = min(place, first.get(document_id, place))
    if not first:
        return []
    return [
        one
        for one in _of_collection(source, documents, collection.name)
        if one.document_id in first and max(one.count, one.high_water) > first[one.document_id]
    ]
