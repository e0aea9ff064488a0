"""Documents read back from the records themselves, for a catalog that was lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.record_limits import CONTRACT_KEYS, RESERVED_PREFIXES
from s3sync_dagster.core.records import PLAIN_KEYS
from s3sync_dagster.model.document import Metadata, MetadataValue

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import CollectionPort, StoredRecord
    from s3sync_dagster.model.source import Source


@dataclass(slots=True, kw_only=True)
class RecoveredDocument:
    """What the records of one document say of it. Nothing of it is trusted as clean."""

    document_id: str
    object_key: str
    custom_id: str | None
    etag: str
    """Of the bytes that were read; empty where the records do not say it."""
    metadata: Metadata = field(default_factory=dict[str, MetadataValue])
    """The user's own, without what the source adds to every record."""
    high_water: int = 0
    """One more than the highest index that was met."""
    metadata_keys: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a collection has of a source."""

    documents: Sequence[RecoveredDocument]
    left_alone: int
    """Documents of its bucket and prefix that a source which nobody here knows wrote under ids
    that this one would not give: another installation's, or its own of before an ``id_prefix``."""


def recover_documents(
    source: Source,
    collection: CollectionPort,
    *,
    known_sources: Collection[str],
    adopt: bool = False,
) -> Recovery:
    """Return the documents that a source has in a collection, by their records.

    A record belongs to the source that it names. One that names a source which the catalog does
    not know (it was lost with the catalog, or is another installation's) belongs to the source of
    its bucket and prefix where that would write it under this very id.

    Args:
        source: whose records are wanted.
        collection: that is scanned.
        known_sources: ids of all sources of the catalog.
        adopt: take those of unknown sources too that have other ids.
    """
    found: dict[str, RecoveredDocument] = {}
    left_alone = set[str]()
    for page in collection.scan():
        for record in page:
            match _belongs(record, source, known_sources):
                case "ours":
                    _take(record, source, found)
                case "unknown" if adopt:
                    _take(record, source, found)
                case "unknown":
                    left_alone.add(record.id.rpartition("-")[0])
                case _:
                    pass
    return Recovery(documents=list(found.values()), left_alone=len(left_alone))


def _belongs(
    record: StoredRecord, source: Source, known_sources: Collection[str]
) -> Literal["ours", "unknown", "others"]:
    metadata = record.metadata
    owner, key = metadata.get("s3sync_source"), metadata.get("document_key")
    if owner == source.id:
        return "ours"
    if (
        not isinstance(owner, str)
        or not isinstance(key, str)
        or owner in known_sources
        or metadata.get("s3sync_bucket") != source.place.identity().bucket_name
        or not key.startswith(source.place.path_prefix)
    ):
        return "others"
    name = document_id(key, custom_id=_custom_id(record), id_prefix=source.id_prefix)
    return "ours" if record.id.rpartition("-")[0] == name else "unknown"


def _custom_id(record: StoredRecord) -> str | None:
    custom_id = record.metadata.get("custom_id")
    return custom_id if isinstance(custom_id, str) else None


def _take(record: StoredRecord, source: Source, found: dict[str, RecoveredDocument]) -> None:
    name, _, index = record.id.rpartition("-")
    key = record.metadata.get("document_key")
    if not name or not index.isdigit() or not isinstance(key, str):
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
    document.high_water = max(document.high_water, int(index) + 1)
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
