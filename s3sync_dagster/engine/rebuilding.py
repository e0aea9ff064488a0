"""Documents read back from the records themselves, for a catalog that was lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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


def recover_documents(
    source: Source, collection: CollectionPort, *, known_sources: Collection[str]
) -> list[RecoveredDocument]:
    """Return the documents that a source has in a collection, by their records.

    A record belongs to the source that it names. One that names a source which the catalog does
    not know (it was lost with the catalog) belongs to the source of its bucket and prefix.

    Args:
        source: whose records are wanted.
        collection: that is scanned.
        known_sources: ids of all sources of the catalog.
    """
    found: dict[str, RecoveredDocument] = {}
    for page in collection.scan():
        for record in page:
            if _belongs(record.metadata, source, known_sources):
                _take(record, source, found)
    return list(found.values())


def _belongs(metadata: Mapping[str, Any], source: Source, known_sources: Collection[str]) -> bool:
    owner = metadata.get("s3sync_source")
    if owner == source.id:
        return True
    return (
        isinstance(owner, str)
        and owner not in known_sources
        and metadata.get("s3sync_bucket") == source.place.identity().bucket_name
        and str(metadata.get("document_key", "")).startswith(source.place.path_prefix)
    )


def _take(record: StoredRecord, source: Source, found: dict[str, RecoveredDocument]) -> None:
    document_id, _, index = record.id.rpartition("-")
    key, custom_id = record.metadata.get("document_key"), record.metadata.get("custom_id")
    if not document_id or not index.isdigit() or not isinstance(key, str):
        return
    document = found.setdefault(
        document_id,
        RecoveredDocument(
            document_id=document_id,
            object_key=key,
            custom_id=custom_id if isinstance(custom_id, str) else None,
            etag=str(record.metadata.get("s3sync_etag", "")),
            metadata=_of_user(record.metadata, with_path_metadata(source, key)),
        ),
    )
    document.high_water = max(document.high_water, int(index) + 1)
    document.metadata_keys |= set(record.metadata)


def _of_user(
    metadata: Mapping[str, Any], of_source: Mapping[str, MetadataValue]
) -> dict[str, MetadataValue]:
    return {
        key: value
        for key, value in metadata.items()
        if key not in CONTRACT_KEYS
        and key not in PLAIN_KEYS
        and not key.startswith(RESERVED_PREFIXES)
        and of_source.get(key) != value
    }
