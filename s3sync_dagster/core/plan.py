"""What has to be written for a document: the least that brings its records in line."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from s3sync_dagster.core.records import metadata_digest, text_digest
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.invocation import Result

DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePlan:
    """Writes of one document, in the order that readers never see it vanish."""

    upsert: tuple[Record, ...]
    """New text: embedded and written."""
    update: tuple[Record, ...]
    """Same text, other metadata: nothing is embedded."""
    delete: tuple[str, ...]
    """Ids beyond the new count, last."""
    digests: bytes
    metadata_keys: tuple[str, ...]


def plan_writes(
    before: DocumentState, records: Sequence[Record], *, anew: bool = False
) -> WritePlan:
    """Compare a document's new records with what was committed.

    The digests of a document that is not clean are not trusted: every record is written, and
    every id up to its high-water mark is cleared.

    Args:
        before: the document as it was committed.
        records: what it is to consist of.
        anew: write every record, whatever the digests say: the collection may hold something else.
    """
    trusted = before.phase is DocumentPhase.CLEAN and not anew
    known = before.count if trusted else 0
    upsert: list[Record] = []
    update: list[Record] = []
    digests = bytearray()
    for place, record in enumerate(records):
        text, metadata = text_digest(record), metadata_digest(record.metadata)
        digests += text + metadata
        old_text, old_metadata = digests_at(before, place)
        if place >= known or old_text != text:
            upsert.append(with_cleared(record, before.metadata_keys))
        elif old_metadata != metadata:
            update.append(with_cleared(record, before.metadata_keys))
    top = before.count if trusted else max(before.high_water, before.count)
    return WritePlan(
        upsert=tuple(upsert),
        update=tuple(update),
        delete=tuple(record_ids(before.document_id, len(records), top)),
        digests=bytes(digests),
        metadata_keys=metadata_keys(records),
    )


def held_against(
    plan: WritePlan, before: DocumentState, standing: Mapping[str, Mapping[str, Any]]
) -> WritePlan:
    """Return the plan with whole records in place of changes to such as are not as they were.

    A record whose metadata are not those that were committed has an older text, it may be: Chroma
    was put back from a copy. New metadata on it would pass for the newest text from then on.

    Args:
        plan: for a document.
        before: the document as it was committed.
        standing: metadata in the collection, by record id; of all that the plan updates.
    """
    update: list[Record] = []
    upsert: list[Record] = []
    for record in plan.update:
        there = standing.get(record.id)
        place = split_record_id(record.id)[1]
        assert place is not None, "a document's records are numbered"
        if there is not None and metadata_digest(there) == digests_at(before, place)[1]:
            update.append(record)
        else:
            upsert.append(with_cleared(record, there or ()))
    return replace(plan, update=tuple(update), upsert=(*plan.upsert, *upsert))


def result_of(before: DocumentState, plan: WritePlan) -> Result:
    """Return what becomes of a document by its plan."""
    if not before.etag:  # nothing that is known of its bytes was ever written for this source
        return Result.INDEXED
    if plan.upsert or plan.delete:
        return Result.UPDATED
    return Result.METADATA_UPDATED if plan.update else Result.UNCHANGED


def with_cleared(record: Record, keys: Collection[str]) -> Record:
    """Return the record with None for keys it lost: an upsert keeps the keys it does not name."""
    lost = {key: None for key in keys if key not in record.metadata}
    if not lost:
        return record
    return Record(
        id=record.id,
        document=record.document,
        embedding_text=record.embedding_text,
        metadata={**record.metadata, **lost},
    )


def metadata_keys(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the names of all metadata keys that the records hold, sorted."""
    return tuple(
        sorted(
            {
                key
                for record in records
                for key, value in record.metadata.items()
                if value is not None
            }
        )
    )


def possible_ids(document: DocumentState) -> list[str]:
    """Return the ids of all records that a document may have in its collection."""
    return record_ids(document.document_id, 0, max(document.high_water, document.count))


def record_ids(document_id: str, start: int, stop: int) -> list[str]:
    """Return the ids of a document's records from ``start`` to ``stop`` - 1."""
    return [f"{document_id}-{place}" for place in range(start, stop)]


def digests_at(document: DocumentState, place: int) -> tuple[bytes, bytes]:
    """Return the digests of a record's text and metadata as they were committed."""
    start = place * 2 * DIGEST_BYTES
    both = document.digests[start : start + 2 * DIGEST_BYTES]
    return both[:DIGEST_BYTES], both[DIGEST_BYTES:]


def split_record_id(record_id: str) -> tuple[str, int | None]:
    """Return the id of a record's document, and its place; None where nobody here writes it so."""
    document_id, _, index = record_id.rpartition("-")
    if index != "0" and not re.fullmatch("[1-9][0-9]{0,9}", index):
        return document_id, None
    return document_id, int(index)
