"""Objects to records, in several ways: each is read once, and its text cut as each way has it."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from s3sync_dagster.catalog.indexed import IndexedObject
from s3sync_dagster.core.decision import Decision
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.state import Target
from s3sync_dagster.engine.batch.cut import Cuts, cut_batch
from s3sync_dagster.engine.batch.groups import Write, build_write
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.store_ports import ObjectBody
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.trial.sample import Named
from s3sync_dagster.trial.ways import Way
from s3sync_dagster.wiring import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSample:
    """What a way makes of the sample, before it is embedded."""

    writes: tuple[Write, ...]
    """One for each object that gave a text."""
    names: tuple[Named, ...]
    """Of the objects, write by write."""
    failed: tuple[str, ...]
    """Why the others gave none."""
    told: Mapping[str, str]
    """Of each of these reasons one sentence, for people."""
    text_bytes: int
    """Of the texts that were cut."""

    def texts(self) -> Iterator[str]:
        """Yield what the model is to read, record by record."""
        return (record.embedding_text for one in self.writes for record in one.records)


@dataclass(frozen=True, slots=True)
class _Cut:
    name: Named
    write: Write | None = None
    text_bytes: int = 0
    failed: str = ""
    told: str = ""


def cut_sample(
    parts: Parts, collection_name: str, objects: Sequence[IndexedObject], ways: Sequence[Way]
) -> list[CutSample]:
    """Return the records of each way; what an object causes is counted, and ends nothing.

    Nothing is sent but GETs, and what extraction itself asks of others.
    """
    found: list[list[_Cut]] = [[] for _ in ways]
    for source_id, source in ways[0].sources.items():
        own = [one for one in objects if one.source_id == source_id]
        if not own:
            continue
        base = parts.batch_parts(source)
        batches = [
            replace(base, source=way.sources[source_id], embedder=way.embedder) for way in ways
        ]
        deeds = _read_all(batches, own, collection_name)
        for number, batch in enumerate(batches):
            mine = [read[number] for read in deeds]
            cuts = cut_batch(batch, mine)
            try:
                found[number] += [_records(batch, deed, cuts) for deed in mine]
            finally:
                cuts.cancel()  # an interruption waits for none that is left
    return [_sum(cuts) for cuts in found]


def _sum(cuts: Sequence[_Cut]) -> CutSample:
    whole = [(one.name, one.write) for one in cuts if one.write is not None]
    return CutSample(
        writes=tuple(write for _, write in whole),
        names=tuple(name for name, _ in whole),
        failed=tuple(one.failed for one in cuts if one.failed),
        told={one.failed: one.told for one in reversed(cuts) if one.failed},
        text_bytes=sum(one.text_bytes for one in cuts),
    )


def _read_all(
    batches: Sequence[BatchParts], objects: Sequence[IndexedObject], collection_name: str
) -> list[list[Deed]]:
    """Return for each object its deed in each way; an interruption waits for none of them."""
    threads = ThreadPoolExecutor(batches[0].threads, thread_name_prefix="s3sync-trial")
    try:
        return list(threads.map(partial(_read, batches, collection_name), objects))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _read(batches: Sequence[BatchParts], collection_name: str, one: IndexedObject) -> list[Deed]:
    parts = batches[0]
    facts = KeyFacts(key=one.key, invocations=(), object=None, documents=())
    target = Target(collection_name=collection_name, metadata=one.metadata)
    deed = Deed(decision=Decision(facts=facts, verdict="write", targets=(target,)))
    try:
        body = parts.ask_bucket(
            lambda: parts.store.read(one.key, max_size_bytes=parts.source.max_size_bytes)
        )
    except Exception as error:  # noqa: BLE001  (one object must not end the trial)
        return [replace(deed, error=_ours(error, one.key))] * len(batches)
    if body is None:
        return [replace(deed, gone=True)] * len(batches)
    read = replace(deed, decision=replace(deed.decision, facts=replace(facts, ref=body.ref)))
    try:
        deeds: list[Deed] = []
        for number, batch in enumerate(batches):
            same = number and batch.source.extraction == parts.source.extraction
            deeds.append(deeds[0] if same else _extract(batch, read, body))
        return deeds
    finally:
        if isinstance(body.content, Path):
            body.content.unlink(missing_ok=True)


def _extract(parts: BatchParts, deed: Deed, body: ObjectBody) -> Deed:
    try:
        document = parts.extractor(
            body.content,
            name=deed.key,
            content_type=body.content_type,
            config=parts.source.extraction,
            pool=parts.pool,
        )
    except Exception as error:  # noqa: BLE001  (as in _read)
        return replace(deed, error=_ours(error, deed.key))
    return replace(deed, document=document)


def _records(parts: BatchParts, deed: Deed, cuts: Cuts) -> _Cut:
    name = (parts.source.id, deed.key)
    if deed.error is not None:
        return _failed(name, deed.error)
    if deed.gone or deed.document is None:
        return _Cut(name, failed="object_gone", told=f"{deed.key!r} is not there any more")
    target = deed.open_targets[0]
    try:
        write = build_write(parts.source, deed, target, cuts.take(deed.key).chunks)
    except Exception as error:  # noqa: BLE001  (as in _read)
        return _failed(name, _ours(error, deed.key))
    return _Cut(name, write, text_bytes=len(deed.document.text.encode(errors="replace")))


def _failed(name: Named, error: S3SyncError) -> _Cut:
    return _Cut(name, failed=error.reason, told=str(error))


def _ours(error: Exception, key: str) -> S3SyncError:
    if isinstance(error, S3SyncError):
        return error
    return unexpected_error(error, f"{key!r} could not be read")
