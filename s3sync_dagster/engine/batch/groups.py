"""Documents of a batch in groups that fill a write."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.plan import WritePlan, record_ids
from s3sync_dagster.core.records import build_records
from s3sync_dagster.core.state import DocumentState, Target
from s3sync_dagster.engine.batch.parts import Engine, KeyWork
from s3sync_dagster.engine.batch.settle import Settler
from s3sync_dagster.engine.ports import CollectionPort, Vectors
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LeaseLost, S3SyncError

DOCUMENTS_AT_ONCE = 250
"""At most, so that claiming and committing them takes a few hundredths of a second each, and that
a batch of small documents is embedded and written at the same time."""


@dataclass(slots=True, kw_only=True)
class WriteUnit:
    """One document to write."""

    work: KeyWork
    target: Target
    document_id: str
    records: list[Record]
    before: DocumentState | None = None
    plan: WritePlan | None = None
    replaced: DocumentState | None = None

    def tail(self) -> list[str]:
        """Return the ids of records that go when the document is written."""
        names = list(self.plan.delete) if self.plan else []
        if self.replaced is not None:
            names += record_ids(self.replaced.document_id, 0, self.replaced.high_water)
        return names


@dataclass(slots=True, kw_only=True)
class WriteGroup:
    """Documents of one collection that are written together."""

    collection: CollectionPort
    units: list[WriteUnit]
    vectors: Vectors = None
    """Of the records to upsert, unit by unit."""

    def upserts(self) -> list[Record]:
        """Return the records whose text is new, unit by unit."""
        return [record for unit in self.units if unit.plan for record in unit.plan.upsert]

    def states(self) -> list[DocumentState]:
        """Return the documents whose records this group writes or deletes."""
        states = [
            replace(
                unit.before,
                high_water=max(unit.before.high_water, len(unit.records)),
                metadata_keys=(*unit.before.metadata_keys, *unit.plan.metadata_keys),
            )
            for unit in self.units
            if unit.before is not None and unit.plan is not None
        ]
        return states + [unit.replaced for unit in self.units if unit.replaced is not None]


def write_groups(
    engine: Engine, works: Sequence[KeyWork], settler: Settler
) -> Iterator[WriteGroup]:
    """Yield documents in groups that fill a write, collection by collection."""
    by_collection: dict[str, list[tuple[KeyWork, Target]]] = {}
    for work in works:
        if work.verdict == "write" and work.wish is not None:
            for target in work.wish.targets:
                by_collection.setdefault(target.collection_name, []).append((work, target))
    for name, pairs in by_collection.items():
        try:
            collection = engine.collections.open(
                name,
                tenant=engine.source.tenant,
                database=engine.source.database_name,
                embedder=engine.embedder,
            )
        except S3SyncError as error:
            for work, _target in pairs:
                settler.fail_unit(work, error)
            continue
        limits = collection.write_limits
        units: list[WriteUnit] = []
        records = size = 0
        for work, target in pairs:
            if work.verdict != "write":
                continue  # another target of the key failed with its bytes
            unit = _unit(engine, work, target, settler)
            if unit is None:
                continue
            added = sum(len(record.document.encode()) for record in unit.records)
            if units and (
                records + len(unit.records) > limits.max_records
                or size + added > limits.max_bytes
                or len(units) >= DOCUMENTS_AT_ONCE
            ):
                yield WriteGroup(collection=collection, units=units)
                units, records, size = [], 0, 0
            units.append(unit)
            records += len(unit.records)
            size += added
        if units:
            yield WriteGroup(collection=collection, units=units)


def _unit(engine: Engine, work: KeyWork, target: Target, settler: Settler) -> WriteUnit | None:
    source, ref = engine.source, work.ref
    if ref is None:
        raise LeaseLost("a key without its object reached the write")  # designed away in reading
    name = document_id(work.key, custom_id=target.custom_id, id_prefix=source.id_prefix)
    try:
        work.take_chunks()
        records = build_records(
            source,
            object_key=work.key,
            document_id=name,
            etag=ref.etag,
            version_key=ref.version_id or ref.etag,
            custom_id=target.custom_id,
            metadata={**source.metadata, **target.metadata},
            chunks=work.chunks,
        )
    except S3SyncError as error:
        settler.fail_unit(work, error)
        return None
    except Exception as error:  # noqa: BLE001  (a fault of the program must not end the batch)
        settler.fail_unit(work, unexpected_error(error, f"{work.key!r} could not be written"))
        return None
    return WriteUnit(work=work, target=target, document_id=name, records=records)


def one_by_one(group: WriteGroup) -> Iterator[WriteGroup]:
    """Yield a group for each document of a group, with its share of the vectors."""
    start = 0
    for unit in group.units:
        number = len(unit.plan.upsert) if unit.plan else 0
        rows = None if group.vectors is None else group.vectors[start : start + number]
        yield WriteGroup(collection=group.collection, units=[unit], vectors=rows)
        start += number
