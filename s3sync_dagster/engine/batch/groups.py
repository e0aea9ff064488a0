"""Documents to write, in groups that fill a write."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.plan import WritePlan, held_against, plan_writes
from s3sync_dagster.core.record_limits import validate_user_metadata
from s3sync_dagster.core.records import build_records
from s3sync_dagster.core.state import DocumentState, Target
from s3sync_dagster.core.vouching import believed, with_said
from s3sync_dagster.engine.ports import CollectionPort, Vectors
from s3sync_dagster.model.document import Chunk, Record
from s3sync_dagster.model.errors import FixConfiguration, RecordRejected
from s3sync_dagster.model.source import Source

DOCUMENTS_AT_ONCE = 250
"""At most, so that claiming and committing them takes a few hundredths of a second each, and that
a batch of small documents is embedded and written at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One document to write; ``before`` and ``plan`` are known once it is claimed."""

    deed: Deed
    target: Target
    document_id: str
    records: tuple[Record, ...]
    before: DocumentState | None = None
    replaced: DocumentState | None = None
    """The key's document under another custom id, which goes when this one is whole."""
    plan: WritePlan | None = None
    aside: bool = False
    """Whether it is the key's document until others give up the id that it is to have."""

    @property
    def key(self) -> str:
        """The object key."""
        return self.deed.key

    def states(self) -> list[DocumentState]:
        """Return the documents whose records this write changes or deletes."""
        if self.before is None or self.plan is None:
            return []
        changed = replace(
            self.before,
            high_water=max(self.before.high_water, len(self.records)),
            metadata_keys=(*self.before.metadata_keys, *self.plan.metadata_keys),
        )
        return [changed] if self.replaced is None else [changed, self.replaced]

    def tail(self) -> list[str]:
        """Return the ids of its own records that go when the document is written."""
        return list(self.plan.delete) if self.plan else []


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroup:
    """Documents of one collection that are written together."""

    collection: CollectionPort
    writes: tuple[Write, ...]
    vectors: Vectors = None
    """Of the records to upsert, write by write."""

    def upserts(self) -> list[Record]:
        """Return the records whose text is new, write by write."""
        return [record for one in self.writes if one.plan for record in one.plan.upsert]

    def states(self) -> list[DocumentState]:
        """Return the documents whose records this group changes or deletes."""
        return [state for one in self.writes for state in one.states()]

    def replaced(self) -> list[DocumentState]:
        """Return the documents under other custom ids that go when these are whole."""
        return [one.replaced for one in self.writes if one.replaced is not None]

    def one_by_one(self) -> Iterator["WriteGroup"]:
        """Yield a group for each document, with its share of the vectors."""
        start = 0
        for one in self.writes:
            number = len(one.plan.upsert) if one.plan else 0
            rows = None if self.vectors is None else self.vectors[start : start + number]
            yield WriteGroup(collection=self.collection, writes=(one,), vectors=rows)
            start += number


def build_write(
    source: Source, deed: Deed, target: Target, chunks: Sequence[Chunk], *, aside: bool = False
) -> Write:
    """Return a document with its records.

    Raises:
        RecordRejected: a record breaks a limit.
        FixConfiguration: the user's metadata does; a sidecar or the source says them.
    """
    ref = deed.decision.facts.ref
    assert ref is not None, "a key without its object reached the write"
    told = {**with_path_metadata(source, deed.key), **deed.carried}
    target = believed(target, told, source.reader_keys)
    metadata = with_said(told, target.metadata, vouched=target.vouched, keys=source.reader_keys)
    try:
        validate_user_metadata(metadata)
    except RecordRejected as error:  # not the bytes' fault: it ends when the metadata change
        raise FixConfiguration(error.message, reason=error.reason) from None
    name = document_id(deed.key, custom_id=target.custom_id, id_prefix=source.id_prefix)
    records = build_records(
        source,
        object_key=deed.key,
        document_id=name,
        etag=ref.etag,
        version_key=ref.version_id or ref.etag,
        custom_id=target.custom_id,
        metadata=metadata,
        chunks=chunks,
    )
    return Write(deed=deed, target=target, document_id=name, records=tuple(records), aside=aside)


def fill_groups(
    collection: CollectionPort,
    writes: Iterable[Write],
    *,
    in_time: Callable[[], int] | None = None,
) -> Iterator[WriteGroup]:
    """Yield documents of a collection in groups within the limits of one write.

    Args:
        collection: to write to; it has the limits.
        writes: the documents.
        in_time: asked for each document: as many records may be in its group; None: as many as
            the limits allow.
    """
    limits = collection.write_limits
    group: list[Write] = []
    records = size = 0
    for one in writes:
        added = sum(len(record.document.encode()) for record in one.records)
        most = limits.max_records if in_time is None else min(limits.max_records, in_time())
        if group and (
            records + len(one.records) > most
            or size + added > limits.max_bytes
            or len(group) >= DOCUMENTS_AT_ONCE
        ):
            yield WriteGroup(collection=collection, writes=tuple(group))
            group, records, size = [], 0, 0
        group.append(one)
        records += len(one.records)
        size += added
        if records >= most:  # at once: the next document may be as large
            yield WriteGroup(collection=collection, writes=tuple(group))
            group, records, size = [], 0, 0
        del one  # nothing of it is kept while the next is made
    if group:
        yield WriteGroup(collection=collection, writes=tuple(group))


def plan_group(
    collection: CollectionPort, claimed: Iterable[Write], *, log: Callable[[str], None]
) -> tuple[Write, ...]:
    """Return documents with the least that brings their records in line, by what stands there.

    One request where there are records of which nothing but the metadata is to change.

    Args:
        collection: where they are written.
        claimed: the documents, as they were before; others are left out.
        log: takes a sentence where something does not stand as it was written.

    Raises:
        S3SyncError: the collection does not answer.
    """
    planned = [
        replace(one, plan=plan_writes(one.before, one.records, anew=one.deed.decision.facts.forced))
        for one in claimed
        if one.before is not None
    ]
    ids = [record.id for one in planned if one.plan for record in one.plan.update]
    if not ids:
        return tuple(planned)
    standing = {name: record.metadata for name, record in collection.get(ids).items()}
    held = [
        replace(one, plan=held_against(one.plan, one.before, standing))
        for one in planned
        if one.plan is not None and one.before is not None
    ]
    left = sum(len(one.plan.update) for one in held if one.plan)
    if left < len(ids):
        log(
            f"{len(ids) - left} records in the collection {collection.name!r} are not as they were "
            "written: they are written whole; `s3sync verify` finds what else is not"
        )
    return tuple(held)
