"""Step three of a batch, upsert: intents, vectors, group-committed writes, commits.

The next group is prepared and embedded while Chroma takes the one before: with a real model the
two cost about as much as the dearer of them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from s3sync_dagster.core.engine import Engine, KeyWork
from s3sync_dagster.core.interfaces import CollectionPort, Vectors
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.lease import Lease
from s3sync_dagster.core.ownership import settle_ownership
from s3sync_dagster.core.plan import WritePlan, metadata_keys, plan_writes, record_ids
from s3sync_dagster.core.records import build_records
from s3sync_dagster.core.settling import Settler
from s3sync_dagster.core.state import DocumentState, Target
from s3sync_dagster.core.work import Claim, DocumentCommit, Intent, Refusal
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LeaseLost, RecordRejected, S3SyncError
from s3sync_dagster.model.invocation import Result

DOCUMENTS_AT_ONCE = 100
CAUTIOUS_DOCUMENTS = 8
SILENT_DEATHS = 2
"""After so many workers that died with a key in their batch, its writes are marked as risky."""


@dataclass(slots=True, kw_only=True)
class _Unit:
    """One document to write."""

    work: KeyWork
    target: Target
    document_id: str
    records: list[Record]
    before: DocumentState | None = None
    plan: WritePlan | None = None
    replaced: DocumentState | None = None


@dataclass(slots=True, kw_only=True)
class _Group:
    """Documents of one collection that are written together."""

    collection: CollectionPort
    units: list[_Unit]
    upserts: list[Record] = field(default_factory=list[Record])
    vectors: Vectors = None
    cautious: bool = False


def upsert_batch(engine: Engine, lease: Lease, works: Sequence[KeyWork]) -> None:
    """Bring the collections in line with the batch's keys and settle each key."""
    settler = Settler(engine, lease)
    for work in works:
        if work.verdict == "write" and work.wish is not None:
            work.waiting = len(work.wish.targets)
    settler.settle_quiet(works)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="s3sync-write") as writer:
        running: Future[None] | None = None
        for group in _groups(engine, works, settler):
            lease.require(seconds=0)
            ready = _prepare(engine, lease, group, settler)
            if running is not None:
                running.result()  # one write in flight a collection; its errors end the batch
                running = None
            if not ready:
                continue
            if engine.threads > 1:
                running = writer.submit(_write, engine, lease, group, settler)
            else:
                _write(engine, lease, group, settler)
        if running is not None:
            running.result()
    settler.remove(works)
    settler.flush()


def _groups(engine: Engine, works: Sequence[KeyWork], settler: Settler) -> Iterator[_Group]:
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
        units: list[_Unit] = []
        records = size = 0
        cautious = False
        for work, target in pairs:
            if work.verdict != "write":
                continue  # another target of the key failed with its bytes
            unit = _unit(engine, work, target, settler)
            if unit is None:
                continue
            risky = any(
                invocation.silent_deaths >= SILENT_DEATHS for invocation in work.item.invocations
            )
            bound = CAUTIOUS_DOCUMENTS if cautious or risky else DOCUMENTS_AT_ONCE
            added = sum(len(record.document.encode()) for record in unit.records)
            if units and (
                records + len(unit.records) > limits.max_records
                or size + added > limits.max_bytes
                or len(units) >= bound
            ):
                yield _Group(collection=collection, units=units, cautious=cautious)
                units, records, size, cautious = [], 0, 0, False
            units.append(unit)
            records += len(unit.records)
            size += added
            cautious = cautious or risky
        if units:
            yield _Group(collection=collection, units=units, cautious=cautious)


def _unit(engine: Engine, work: KeyWork, target: Target, settler: Settler) -> _Unit | None:
    source, ref = engine.source, work.ref
    if ref is None:
        raise LeaseLost("a key without its object reached the write")  # designed away in reading
    name = document_id(work.key, custom_id=target.custom_id, id_prefix=source.id_prefix)
    try:
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
    except RecordRejected as error:
        settler.fail_unit(work, error)
        return None
    return _Unit(work=work, target=target, document_id=name, records=records)


def _prepare(engine: Engine, lease: Lease, group: _Group, settler: Settler) -> bool:
    """Claim, plan and embed a group; False when nothing of it is left to write."""
    if group.cautious:
        engine.catalog.batches.begin(
            lease.token, [unit.work.key for unit in group.units], attempt=False
        )
    answers = engine.catalog.documents.claim(
        lease.token,
        engine.source,
        [
            Intent(
                key=unit.work.key,
                target=unit.target,
                document_id=unit.document_id,
                count=len(unit.records),
                metadata_keys=metadata_keys(unit.records),
            )
            for unit in group.units
        ],
    )
    engine.at("claimed")
    claimed: list[_Unit] = []
    for unit, answer in zip(group.units, answers, strict=True):
        match answer:
            case Refusal():
                settler.refuse(unit.work, unit.target, answer.message)
            case Claim():
                unit.before, unit.replaced = answer.before, answer.replaced
                unit.work.claimed.append(answer.before)
                claimed.append(unit)
    try:
        befores = settle_ownership(
            engine, group.collection, [unit.before for unit in claimed if unit.before]
        )
        group.units = []
        for unit in claimed:
            before = befores[unit.document_id]
            if isinstance(before, Refusal):
                settler.refuse(unit.work, unit.target, before.message)
                continue
            unit.before = before
            unit.plan = plan_writes(before, unit.records)
            group.upserts += unit.plan.upsert
            group.units.append(unit)
        engine.at("before_embed")
        if group.upserts:
            group.vectors = engine.embedder.embed_documents(
                [record.embedding_text for record in group.upserts]
            )
        engine.at("after_embed")
    except LeaseLost:
        raise
    except S3SyncError as error:
        for unit in claimed:
            settler.fail_unit(unit.work, error)
        return False
    return bool(group.units)


def _write(engine: Engine, lease: Lease, group: _Group, settler: Settler) -> None:
    """Write a group and commit it; where the group is refused each document is tried alone."""
    try:
        _write_records(engine, lease, group)
    except LeaseLost:
        raise
    except RecordRejected as error:
        if len(group.units) == 1:
            settler.fail_unit(group.units[0].work, error)
            return
        for alone in _one_by_one(group):
            _write(engine, lease, alone, settler)
        return
    except S3SyncError as error:
        for unit in group.units:
            settler.fail_unit(unit.work, error)
        return
    engine.at("before_commit")
    _commit(engine, group, settler)
    engine.at("after_commit")


def _write_records(engine: Engine, lease: Lease, group: _Group) -> None:
    collection, tally = group.collection, engine.tally
    step = collection.write_limits.max_records
    for start in range(0, len(group.upserts), step):
        lease.require()
        part = group.upserts[start : start + step]
        collection.upsert(part, group.vectors[start : start + step])
        tally.chunks_written += len(part)
        engine.at("upserted")
    updates = [record for unit in group.units if unit.plan for record in unit.plan.update]
    for start in range(0, len(updates), step):
        lease.require()
        part = updates[start : start + step]
        collection.update_metadata(
            [record.id for record in part], [record.metadata for record in part]
        )
        tally.metadata_updated += len(part)
        engine.at("updated")
    deletes = [name for unit in group.units for name in _tail(unit)]
    for start in range(0, len(deletes), step):
        lease.require()
        part = deletes[start : start + step]
        engine.at("before_delete")
        collection.delete(part)
        tally.chunks_deleted += len(part)
        engine.at("deleted")


def _tail(unit: _Unit) -> list[str]:
    names = list(unit.plan.delete) if unit.plan else []
    if unit.replaced is not None:
        names += record_ids(unit.replaced.document_id, 0, unit.replaced.high_water)
    return names


def _commit(engine: Engine, group: _Group, settler: Settler) -> None:
    written: list[DocumentCommit] = []
    removed: list[int] = []
    fingerprint = engine.source.fingerprint()
    for unit in group.units:
        before, plan, work = unit.before, unit.plan, unit.work
        if before is None or plan is None:
            continue
        written.append(
            DocumentCommit(
                id=before.id,
                etag=work.etag,
                fingerprint=fingerprint,
                count=len(unit.records),
                digests=plan.digests,
                metadata_keys=plan.metadata_keys,
                text_bytes=sum(len(record.document.encode()) for record in unit.records),
                pages=work.document.page_count if work.document else 0,
            )
        )
        if unit.replaced is not None:
            removed.append(unit.replaced.id)
        work.results.append(_result(before, plan))
        work.waiting -= 1
    settler.commit(written, removed, [unit.work for unit in group.units])


def _result(before: DocumentState, plan: WritePlan) -> Result:
    if before.etag is None:
        return Result.INDEXED
    if plan.upsert or plan.delete:
        return Result.UPDATED
    return Result.METADATA_UPDATED if plan.update else Result.UNCHANGED


def _one_by_one(group: _Group) -> Iterator[_Group]:
    start = 0
    for unit in group.units:
        number = len(unit.plan.upsert) if unit.plan else 0
        yield _Group(
            collection=group.collection,
            units=[unit],
            upserts=group.upserts[start : start + number],
            vectors=group.vectors[start : start + number] if number else None,
            cautious=group.cautious,
        )
        start += number
