"""Step three of a batch, upsert: intents, vectors, group-committed writes, commits.

The next group is prepared and embedded while Chroma takes the one before: with a real model the
two cost about as much as the dearer of them.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from s3sync_dagster.core.plan import WritePlan, metadata_keys, plan_writes
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.core.work import Claim, DocumentCommit, Intent, Refusal
from s3sync_dagster.engine.batch.groups import WriteGroup, WriteUnit, one_by_one, write_groups
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.ownership import look_for_owners
from s3sync_dagster.engine.batch.parts import Engine, KeyWork
from s3sync_dagster.engine.batch.settle import Settler, busy
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import FixInput, LeaseLost, S3SyncError
from s3sync_dagster.model.invocation import Result


def upsert_batch(engine: Engine, lease: Lease, works: Sequence[KeyWork]) -> None:
    """Bring the collections in line with the batch's keys and settle each key.

    Where the lease turns out to be lost, the writes that were begun may have come late, those
    too that ended in an error: whoever owns their documents now is told not to trust them.
    """
    settler = Settler(engine, lease)
    try:
        _upsert(engine, lease, works, settler)
    except LeaseLost:
        settler.distrust_begun()
        raise
    finally:
        for work in works:
            if work.cutting is not None:  # nobody will ask for these chunks
                work.cutting.cancel()


def _upsert(engine: Engine, lease: Lease, works: Sequence[KeyWork], settler: Settler) -> None:
    for work in works:
        if work.verdict == "write" and work.wish is not None:
            work.waiting = len(work.wish.targets)
    settler.settle_quiet(works)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="s3sync-write") as writer:
        running: Future[None] | None = None
        for group in write_groups(engine, works, settler):
            lease.require(seconds=0)
            ready = _prepare(engine, lease, group, settler)
            if running is not None:
                running.result()  # one write in flight; its errors end the batch
                running = None
            if engine.threads > 1:
                running = writer.submit(_write, engine, lease, ready, settler)
            else:
                _write(engine, lease, ready, settler)
        if running is not None:
            running.result()
    settler.remove(works)
    settler.flush()


def _prepare(engine: Engine, lease: Lease, group: WriteGroup, settler: Settler) -> list[WriteGroup]:
    """Claim, plan and embed a group; returns what of it is ready to be written."""
    try:
        claimed = _claim(engine, lease, group, settler)
    except LeaseLost:
        raise
    except S3SyncError as error:
        for unit in group.units:
            settler.fail_unit(unit.work, error)
        return []
    engine.at("claimed")
    group.units = []
    for unit in claimed:
        if unit.before is not None:
            unit.plan = plan_writes(unit.before, unit.records, anew=unit.work.item.forced)
            group.units.append(unit)
    if not group.units:
        return []
    engine.at("before_embed")
    ready = _together_or_alone(
        engine, group, settler, lambda part: _embed(engine, part), name="embed"
    )
    engine.at("after_embed")
    return ready


def _claim(engine: Engine, lease: Lease, group: WriteGroup, settler: Settler) -> list[WriteUnit]:
    """Put the group's documents under the batch's intent; returns those that it got.

    Records with our ids are looked for before: a row of the catalog is the right to delete them.
    """
    committed = {
        (document.collection_name, document.document_id)
        for unit in group.units
        for document in unit.work.item.documents
        if document.etag is not None
    }
    name = group.collection.name
    found = look_for_owners(
        engine,
        group.collection,
        [unit.document_id for unit in group.units if (name, unit.document_id) not in committed],
    )
    free: list[WriteUnit] = []
    for unit in group.units:
        there = found.get(unit.document_id)
        if there is not None and there.refusal is not None:
            settler.refuse(unit.work, unit.target, there.refusal)
        else:
            free.append(unit)
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
                found=found[unit.document_id].count if unit.document_id in found else 0,
                found_keys=(
                    found[unit.document_id].metadata_keys if unit.document_id in found else ()
                ),
            )
            for unit in free
        ],
    )
    claimed: list[WriteUnit] = []
    for unit, answer in zip(free, answers, strict=True):
        match answer:
            case Refusal(passes=True):
                settler.fail_unit(unit.work, busy(answer.message))
            case Refusal():
                settler.refuse(unit.work, unit.target, answer.message)
            case Claim():
                unit.before, unit.replaced = answer.before, answer.replaced
                unit.work.claimed.append(answer.before)
                claimed.append(unit)
    return claimed


def _embed(engine: Engine, group: WriteGroup) -> None:
    texts = [record.embedding_text for record in group.upserts()]
    if texts:
        group.vectors = engine.embedder.embed_documents(texts)


def _together_or_alone(
    engine: Engine,
    group: WriteGroup,
    settler: Settler,
    step: Callable[[WriteGroup], None],
    *,
    name: str,
) -> list[WriteGroup]:
    """Do a step for a group; what one document causes fails that one alone.

    Returns:
        The groups for which it was done: the one that came in, or one a document.
    """
    first, started = group.units[0].work, engine.clock.monotonic()
    try:
        step(group)
    except LeaseLost:
        raise
    except FixInput as error:
        cause: S3SyncError = error
    except S3SyncError as error:
        for unit in group.units:
            settler.fail_unit(unit.work, error)
        return []
    except Exception as error:  # noqa: BLE001  (a fault of the program must not end the batch)
        cause = unexpected_error(error, f"{first.key!r} could not be written")
    else:
        _charge(group, name, (engine.clock.monotonic() - started) * 1000)
        return [group]
    if len(group.units) == 1:
        settler.fail_unit(first, cause)
        return []
    return [
        done
        for alone in one_by_one(group)
        for done in _together_or_alone(engine, alone, settler, step, name=name)
    ]


def _charge(group: WriteGroup, step: str, milliseconds: float) -> None:
    """Charge each document its share, by records, of a step that the group does together."""
    records = sum(len(unit.records) for unit in group.units)
    for unit in group.units:
        share = milliseconds * len(unit.records) / max(records, 1)
        unit.work.ms[step] = round(unit.work.ms.get(step, 0.0) + share, 1)


def _write(engine: Engine, lease: Lease, groups: Sequence[WriteGroup], settler: Settler) -> None:
    """Write groups and commit them."""
    for group in groups:
        for done in _together_or_alone(
            engine,
            group,
            settler,
            lambda part: _write_records(engine, lease, part, settler),
            name="upsert",
        ):
            engine.at("before_commit")
            _commit(engine, done, settler)
            engine.at("after_commit")


def _write_records(engine: Engine, lease: Lease, group: WriteGroup, settler: Settler) -> None:
    collection, tally = group.collection, engine.tally
    step = collection.write_limits.max_records
    upserts = group.upserts()
    for start in range(0, len(upserts), step):
        lease.require()
        settler.begin(group.states())
        part = upserts[start : start + step]
        collection.upsert(part, group.vectors[start : start + step])
        tally.chunks_written += len(part)
        engine.at("upserted")
    updates = [record for unit in group.units if unit.plan for record in unit.plan.update]
    for start in range(0, len(updates), step):
        lease.require()
        settler.begin(group.states())
        part = updates[start : start + step]
        collection.update_metadata(
            [record.id for record in part], [record.metadata for record in part]
        )
        tally.metadata_updated += len(part)
        engine.at("updated")
    deletes = [name for unit in group.units for name in unit.tail()]
    for start in range(0, len(deletes), step):
        lease.require()
        settler.begin(group.states())
        part = deletes[start : start + step]
        engine.at("before_delete")
        collection.delete(part)
        tally.chunks_deleted += len(part)
        engine.at("deleted")


def _commit(engine: Engine, group: WriteGroup, settler: Settler) -> None:
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
        work.done.add(unit.target.collection_name)
        work.waiting -= 1
    settler.commit(written, removed, [unit.work for unit in group.units])


def _result(before: DocumentState, plan: WritePlan) -> Result:
    if before.etag is None:
        return Result.INDEXED
    if plan.upsert or plan.delete:
        return Result.UPDATED
    return Result.METADATA_UPDATED if plan.update else Result.UNCHANGED
