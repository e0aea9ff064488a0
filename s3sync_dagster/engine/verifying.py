"""Whether a collection has what the catalog says, and only that, for one source.

Nothing is decided about documents that are being written, and nothing is touched that another
source, or nobody, wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from s3sync_dagster.core.lives import NONE_ENDED, Place, is_of
from s3sync_dagster.core.plan import record_ids
from s3sync_dagster.engine.as_written import texts_told
from s3sync_dagster.engine.ended import delete_of_ended, left_of_ended, unheld, written_by
from s3sync_dagster.engine.expected import Expected, VerifiedDocuments, of_collection
from s3sync_dagster.engine.own_records import (
    known_at,
    left_of,
    names_there,
    open_there,
    owner_of,
    trouble_of_one,
)
from s3sync_dagster.engine.standing import Opened, distrust_fallen, opening
from s3sync_dagster.engine.strays import sort_out, still_stray
from s3sync_dagster.engine.unheld import delete_unheld
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError

if TYPE_CHECKING:
    from s3sync_dagster.core.state import DocumentState, KnownCollection
    from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
    from s3sync_dagster.engine.rebuilding import RecoveredDocument
    from s3sync_dagster.model.source import Source


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
    """Object keys of documents whose text or metadata is not what was written."""
    stray: list[str] = field(default_factory=list[str])
    """Ids of records of this source that no document has, but ``recovered``."""
    recovered: list[str] = field(default_factory=list[str])
    """Object keys of documents that only the collection knows, in a mode that keeps what is gone:
    an older catalog was restored. With ``fixed`` they were read back, none of them was deleted."""
    beside: list[str] = field(default_factory=list[str])
    """Object keys of such documents beside another one of the same object, which the catalog has:
    they are not read back, and stay, as a text of other bytes does in mode ``append``, also of a
    source before that is there still. Nothing is wrong with that."""
    held_back: list[str] = field(default_factory=list[str])
    """Object keys of such documents in mode ``mirror`` while the guard holds a listing, which is
    to be approved first, or ``unlisted``, or ``unsettled``. Their records stay, also with
    ``fixed``."""
    unlisted: bool = False
    """True where they stay since no listing has ended since the catalog was put back from a copy,
    or since somebody asked for one: which of their objects are there is not known."""
    unsettled: bool = False
    """True where they stay since their objects are there, and are not indexed by now: they wait for
    their turn, cannot be read for a while, or are archived."""
    unknown_sources: dict[str, int] = field(default_factory=dict[str, int])
    """Id of a source that the catalog does not know -> records; where that was asked. They belong
    to another installation, or to a source that was made after the copy of a restored catalog."""
    of_namesakes: int = 0
    """Records that bear the source's id and are of no object of its place, nor of a document, in a
    collection that is not its own: of another installation whose source has the same name. They
    are left alone."""
    of_ended: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Id of a source that was moved, or took its records along -> ids of records that it had, and
    no document has; where that was asked. Chroma was put back from a copy of before; or they are
    another installation's, which has such a source by now: no fault of this one."""
    waiting: list[str] = field(default_factory=list[str])
    """Object keys of other records of sources before. They stay: nothing stands in their place, as
    Chroma was put back from a copy. What can be written again is, and then they may go; of an
    object that is gone, in a mode that keeps its text, they are what is left of that. It is no
    fault by itself: ``missing`` tells of what lacks."""
    ended_deleted: bool = False
    """True when those were deleted."""
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
    delete_ended: bool = False,
    chroma: str | None = None,
    collections: Collections | None = None,
) -> Verification:
    """Compare a source's documents in the catalog with its records in a collection.

    Args:
        source: whose records are looked at.
        collection: of the source's tenant and database.
        documents: the catalog's.
        fix: delete strays, or read them back where the mode keeps what is gone, and have documents
            that lack or changed records written again by the next work on the source.
        vectors: read each text and vector too; a lost vector shows in no other way, nor does a text
            under metadata that are not its own.
        known_sources: ids of all sources; count records of others, which are never touched, and
            name those of ``of_ended``. None: look at this source's records only.
        delete_ended: a person says that no other installation has what is ``of_ended``.
        chroma: address of the collection's Chroma; None: not known.
        collections: where the documents stand that came after a source; None: in this collection
            alone, what should stand elsewhere is not believed to.
    """
    found = Verification(collection_name=collection.name)
    expected = Expected(of_collection(source, documents, collection.name))
    found.documents, found.in_work = expected.clean, expected.in_work
    strays: list[str] = []
    unknown, of_ended = Counter[str](), list[str]()
    place = (source.tenant, source.database_name, collection.name)
    every = documents.ended()
    ended = {name: lives.at(chroma) for name, lives in every.items()}
    mine = every.get(source.id, NONE_ENDED)  # under whichever address: no right follows from it
    told = texts_told(source)
    opened = _only(collection, place) if collections is None else opening(collections)
    for whole in collection.scan(source_id=source.id if known_sources is None else None):
        named = list(map(owner_of, whole))
        over = written_by(whole, place, ended)
        if known_sources is not None:
            of_ended += unheld(over, collection, place, documents)
        unknown.update(
            one
            for record, one in zip(whole, named, strict=True)
            if one and one not in (known_sources or named) and record.id not in over
        )
        bear_id = [record for record, one in zip(whole, named, strict=True) if one == source.id]
        # What a document has is the source's, whatever somebody wrote into it.
        loose = [record.id for record in bear_id if not expected.meets(record)]
        foreign = _of_namesakes(source, place, bear_id).intersection(loose)
        page = [record for record in bear_id if record.id not in foreign]
        kept = {record.id for record in bear_id if mine.kept(place, record.metadata)}
        found.of_namesakes += len(foreign - kept)
        found.records += len(page)
        strays += [name for name in loose if name not in foreign | kept]
        if vectors and page and not found.unreadable:
            stored = _read(collection, [record.id for record in page])
            found.unreadable = stored is None
            for record in stored or ():
                expected.reads(record, told=told)
    # Work that went on meanwhile explains what it touched: only what still stands is reported.
    left: dict[int, set[str]] = {}
    lacking: list[DocumentState] = []
    for doc in expected.lacking():
        if _unchanged(doc, documents):
            left[doc.id] = left_of(doc, collection)
            if not left[doc.id].issuperset(record_ids(doc.document_id, 0, doc.count)):
                lacking.append(doc)
    altered = [doc for doc in expected.altered() if _unchanged(doc, documents)]
    found.missing = [doc.object_key for doc in lacking]
    found.changed = [doc.object_key for doc in altered]
    strays = still_stray(strays, source, collection, documents)
    sorted_out = sort_out(strays, source, collection, expected, documents)
    found.stray = list(sorted_out.over)
    found.recovered = _keys(sorted_out.recovered)
    found.beside = _keys(sorted_out.beside)
    found.held_back = _keys(sorted_out.held_back)
    found.unlisted, found.unsettled = sorted_out.unlisted, sorted_out.unsettled
    found.expected, found.met = expected.numbers()
    found.unknown_sources = dict(unknown)
    of_before = left_of_ended(of_ended, collection, place, ended, documents, opened)
    found.of_ended, found.waiting = of_before.over, sorted(of_before.waiting)
    if fix and not found.sound:
        rest = [doc for doc in lacking if left[doc.id]]
        damaged = [expected.with_keys_met(doc) for doc in (*rest, *altered)]
        documents.distrust(damaged, spoilt=True)
        documents.distrust([doc for doc in lacking if doc not in rest])
        documents.read_back(
            source,
            sorted_out.recovered,
            collection_name=collection.name,
            collection_id=collection.id,
        )
        delete_unheld(
            found.stray,
            collection,
            known_at(collection, place),
            documents,
            look=lambda ids: still_stray(ids, source, collection, documents),
        )
        found.fixed = True
    if delete_ended:
        # What should stand in a collection that nobody opens here is asked for by nobody.
        distrust_fallen(of_before.fallen if collections is not None else (), documents)
        delete_of_ended(found.of_ended, collection, place, ended, documents, opened)
        found.ended_deleted = bool(found.of_ended)
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


def _read(collection: CollectionPort, ids: Sequence[str]) -> Collection[StoredRecord] | None:
    """Return records with text and vector; None where vectors cannot be read."""
    try:
        return collection.get(ids, documents=True, vectors=True).values()
    except FixConfiguration as error:
        if error.reason != "index_damaged":
            raise
        return None


def _of_namesakes(source: Source, place: Place, records: Iterable[StoredRecord]) -> set[str]:
    return {one.id for one in records if not is_of(source, place, one.metadata)}


def _unchanged(document: DocumentState, documents: VerifiedDocuments) -> bool:
    return document in documents.of_key(document.source_id, document.object_key)


def _only(collection: CollectionPort, there: Place) -> Opened:
    return {there: collection}.get


def _keys(documents: Sequence[RecoveredDocument]) -> list[str]:
    return sorted({one.object_key for one in documents})
