"""Documents read back from the records themselves, for a catalog that was lost."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from s3sync_dagster.core.lives import is_of, of_place
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.plan import record_ids, split_record_id
from s3sync_dagster.core.record_limits import CONTRACT_KEYS, RESERVED_PREFIXES
from s3sync_dagster.core.records import PLAIN_KEYS
from s3sync_dagster.core.writers import would_write
from s3sync_dagster.model.document import Metadata, MetadataValue

if TYPE_CHECKING:
    from s3sync_dagster.engine.catalog_port import CatalogPort
    from s3sync_dagster.engine.ports import (
        CollectionPort,
        Collections,
        Embedder,
        RecordReader,
        StoredRecord,
    )
    from s3sync_dagster.model.source import Source

RECORDS_LOOKED_AT = 1000
"""So many records of sources that nobody knows are looked at, whether they may be the source's."""


@dataclass(slots=True, kw_only=True)
class RecoveredDocument:
    """What the records of one document say of it. Nothing of it is trusted as clean."""

    document_id: str
    object_key: str
    custom_id: str | None
    etag: str
    """Of the bytes that were read; empty where the records do not say it, or not all one thing."""
    metadata: Metadata = field(default_factory=dict[str, MetadataValue])
    """The user's own, without what the source adds to every record."""
    places: array[int] = field(default_factory=lambda: array("Q"))
    """Of its records, in the order in which they were met."""
    high_water: int = 0
    """One more than the highest place that was met and can be the document's."""
    metadata_keys: set[str] = field(default_factory=set[str])
    met: int = 0
    """How many records were met."""
    count: int | None = None
    """How many there are to be, which the first one tells; None: it does not."""
    etags: set[str] = field(default_factory=set[str])
    """All that the records tell of."""
    owners: set[str] = field(default_factory=set[str])
    """Ids of the sources that the records name."""

    @property
    def whole(self) -> bool:
        """Whether all records were met, of one write: another one was cut off."""
        return self.met == self.high_water == (self.count or self.met) and len(self.etags) == 1

    def end_where_it_can(self) -> bool:
        """Find where the document ends; False: none of its places can be one of a document.

        Anybody may have made an id up, or a count, with a place so high that nobody could ask for
        all before it. More than half of a document's records are there, or nearly all of few.
        """
        self.met = self.high_water = 0
        for place in sorted(self.places):
            if place > self._most():
                break
            self.met, self.high_water = self.met + 1, place + 1
        if self.count is not None and self.count > self._most():
            self.count = self.high_water + 1  # there are to be more
        return self.met > 0

    def _most(self) -> int:
        return 2 * self.met + RECORDS_LOOKED_AT


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a collection has of a source."""

    documents: Sequence[RecoveredDocument]
    left_alone: int
    """Documents of its bucket and prefix that a source which nobody here knows wrote, and that this
    one would not have written just so (another id, a key that its selection leaves out: another
    installation's, or its own of before an edit), or that a deleted source kept on purpose."""
    owners: frozenset[str] = frozenset()
    """Ids of the sources that the records of ``documents`` name: what it was called before."""


@dataclass(slots=True, kw_only=True)
class Recovered:
    """What came of reading a source's documents back."""

    stored: int = 0
    """Documents that the catalog did not have."""
    left_alone: int = 0
    """See ``Recovery``."""
    unread: list[str] = field(default_factory=list[str])
    """Other collections with records of its bucket and prefix by sources that nobody here knows."""


def recover_catalog(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Collections,
    embedder: Embedder | None,
    adopt: bool = False,
    also: Collection[str] = (),
) -> Recovered:
    """Read a source's documents back from every collection that it has written to.

    Its own collection tells under which ids it was known before: what those wrote to other
    collections, such as for a sidecar that names one, is the source's as well. What else stands in
    other collections may be another source's whole work, so that a person has to name them.

    Args:
        source: that was created again.
        catalog: the catalog.
        collections: Chroma.
        embedder: the source's, which its collection has to have; None: it is not compared.
        adopt: see ``recover_documents``.
        also: other collections that a person names.

    Raises:
        NotFound: there is no such collection, or the source is deleted.
        S3SyncError: Chroma or the catalog does not answer.
    """
    place = {"tenant": source.tenant, "database": source.database_name}
    known = catalog.sources.ids()
    ended = {*catalog.rebuilding.kept_owners(), *catalog.documents.ended()}
    done, before = Recovered(), set[str]()

    def take(name: str, *, of: str | None, whole: bool) -> None:
        port = collections.open(
            name,
            **place,
            embedder=embedder if name == source.collection_name else None,
            create=False,
            reads=False,
        )
        found = recover_documents(
            source,
            port,
            known_sources=known,
            ended_sources=ended,
            adopt=adopt,
            written_by=of,
        )
        done.stored += catalog.documents.read_back(
            source, found.documents, collection_name=name, collection_id=port.id
        )
        if whole:
            done.left_alone += found.left_alone
            before.update(found.owners - {source.id})

    there = collections.list_collections(**place)
    for name in dict.fromkeys((source.collection_name, *also)):
        if name in there or name in also or not also:  # named sidecars alone may fill others
            take(name, of=None, whole=True)
    strangers = {"$nin": sorted({source.id, *known, *ended, *before})}
    theirs = {
        "$and": [
            {"s3sync_bucket": source.place.identity().bucket_name},
            {"s3sync_source": strangers},
        ]
    }
    for name in there:
        if name in (source.collection_name, *also):
            continue
        for owner in sorted({source.id, *before}):
            take(name, of=owner, whole=False)
        reader = collections.open(name, **place, embedder=None, create=False, reads=True)
        ids = reader.ids_meeting(theirs, most=RECORDS_LOOKED_AT)
        if ids is None or _any_unknown(source, reader, ids, known):
            done.unread.append(name)
    return done


def _any_unknown(
    source: Source, collection: RecordReader, ids: Sequence[str], known: Collection[str]
) -> bool:
    return any(_belongs(one, source, known) != "others" for one in collection.get(ids).values())


def recover_documents(
    source: Source,
    collection: CollectionPort,
    *,
    known_sources: Collection[str],
    ended_sources: Collection[str] = (),
    adopt: bool = False,
    written_by: str | None = None,
) -> Recovery:
    """Return the documents that a source has in a collection, by their records.

    A record belongs to the source that it names. One that names a source which the catalog does
    not know (it was lost with the catalog, or is another installation's) belongs to the source of
    its bucket and prefix where that would write it, under this very id.

    Args:
        source: whose records are wanted.
        collection: that is scanned.
        known_sources: ids of all sources of the catalog.
        ended_sources: ids of ones that ended, with their records or without: not lost.
        adopt: take those of unknown sources too that this one would not write just so, and what
            is of ones that ended.
        written_by: look at records of this source alone.
    """
    found: dict[str, RecoveredDocument] = {}
    left_alone, owners = set[str](), set[str]()
    place = (source.tenant, source.database_name, collection.name)
    for page in collection.scan(source_id=written_by):
        for record in page:
            whose = _belongs(record, source, known_sources, ended_sources)
            if whose == "ours" and not is_of(source, place, record.metadata):
                whose = "unknown"  # another installation's, whose source has the same name
            if whose == "ours" or (whose == "unknown" and adopt):
                _take(record, source, found)
                owners.add(str(record.metadata["s3sync_source"]))
            elif whose == "unknown":
                left_alone.add(record.id.rpartition("-")[0])
    found = {name: one for name, one in found.items() if one.end_where_it_can()}
    for name, one in found.items():
        if not one.whole:  # or deletions of others have shifted the pages of the scan
            stored = collection.get(record_ids(name, 0, max(one.high_water, one.count or 0)))
            (looked,) = documents_of(stored.values(), source) or [one]
            one.etag = looked.etag if looked.whole else ""
    return Recovery(
        documents=list(found.values()), left_alone=len(left_alone), owners=frozenset(owners)
    )


def documents_of(records: Iterable[StoredRecord], source: Source) -> list[RecoveredDocument]:
    """Return the documents that records of a source tell of, whoever knows them."""
    found: dict[str, RecoveredDocument] = {}
    for record in records:
        _take(record, source, found)
    documents = [one for one in found.values() if one.end_where_it_can()]
    for one in documents:
        one.etag = one.etag if one.whole else ""
    return documents


def _belongs(
    record: StoredRecord,
    source: Source,
    known_sources: Collection[str],
    ended_sources: Collection[str] = (),
) -> Literal["ours", "unknown", "others"]:
    metadata = record.metadata
    owner = metadata.get("s3sync_source")
    if owner == source.id:
        return "ours"
    if not isinstance(owner, str) or owner in known_sources or not of_place(source, metadata):
        return "others"
    if owner in ended_sources:
        return "unknown"
    return "ours" if would_write(source, record.id, metadata) else "unknown"


def _custom_id(record: StoredRecord) -> str | None:
    custom_id = record.metadata.get("custom_id")
    return custom_id if isinstance(custom_id, str) else None


def _take(record: StoredRecord, source: Source, found: dict[str, RecoveredDocument]) -> None:
    name, place = split_record_id(record.id)
    key = record.metadata.get("document_key")
    if not name or place is None or not isinstance(key, str):
        return
    document = found.setdefault(
        name,
        RecoveredDocument(
            document_id=name,
            object_key=key,
            custom_id=_custom_id(record),
            etag=str(record.metadata.get("s3sync_etag", "")),
            metadata=_of_user(record, source, key),
        ),
    )
    if source.reader_keys:
        # A write that was cut off leaves records that say two things: the one that is not what
        # everybody is told counts, whichever is met first.
        said = _of_user(record, source, key)
        names = {one: said[one] for one in source.reader_keys if one in said}
        document.metadata = names | {**document.metadata}
    document.places.append(place)
    document.etags.add(str(record.metadata.get("s3sync_etag", "")))
    document.owners.add(str(record.metadata.get("s3sync_source") or ""))
    count = record.metadata.get("s3sync_chunk_count")
    document.count = count if isinstance(count, int) else document.count
    document.metadata_keys |= set(record.metadata)


def _of_user(record: StoredRecord, source: Source, key: str) -> dict[str, MetadataValue]:
    """Return the metadata that somebody gave this one document.

    What the object carries is read anew: as the document's own it would outlive a tag. What a
    source says of all its documents may have been edited since: without a custom id another value
    is taken for one of before. What the path says changes with the pattern alone, so another value
    is a request's. What differs under a key that names readers stays, also that nothing stood
    there: who said it is not known, and ``core.vouching.believed`` compares it.
    """
    told = with_path_metadata(source, key)
    others = {*source.place.carried.keys()}
    if _custom_id(record) is None:
        others |= source.metadata.keys()
    others -= {*source.reader_keys}
    unsaid = {key: None for key in source.reader_keys if key in told and key not in record.metadata}
    return unsaid | {
        name: value
        for name, value in record.metadata.items()
        if name not in CONTRACT_KEYS
        and name not in PLAIN_KEYS
        and not name.startswith(RESERVED_PREFIXES)
        and name not in others
        and told.get(name) != value
    }
