"""Objects to records, in several ways: each is read once, and its text cut as each way has it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from s3sync_dagster.catalog.indexed import IndexedObject
from s3sync_dagster.core.decision import APPENDED, Decision
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.state import Target
from s3sync_dagster.engine.batch.cut import Cuts, cut_batch
from s3sync_dagster.engine.batch.groups import Write, build_write
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.room import (
    MOST_BYTES,
    NoRoom,
    Share,
    memory_of,
    memory_of_records,
)
from s3sync_dagster.engine.store_ports import ObjectBody
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import Conflict, LimitExceeded, NotFound, S3SyncError
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.trial.sample import Named
from s3sync_dagster.trial.ways import Way
from s3sync_dagster.wiring import Parts

_CHANGED, _GONE = "changed_in_append_mode", "object_gone"
_KEPT = frozenset((_CHANGED, _GONE))
"""Why records stay as they are where a mode keeps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSample:
    """What a way makes of the sample, before it is embedded."""

    writes: tuple[Write, ...]
    """One for each object that gave a text."""
    names: tuple[Named, ...]
    """Of the objects, write by write."""
    failed: tuple[str, ...]
    """Why the others gave none."""
    kept: frozenset[Named]
    """Of these, objects whose records a mode keeps as they are: they are gone or, in append mode,
    have other bytes by now."""
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
    kept: bool = False


def cut_sample(
    parts: Parts,
    collection_name: str,
    objects: Sequence[IndexedObject],
    ways: Sequence[Way],
    *,
    in_place: bool,
) -> list[CutSample]:
    """Return the records of each way; what an object causes is counted, and ends nothing.

    Nothing is sent but GETs, and what extraction itself asks of others.

    Args:
        parts: of this process.
        collection_name: which the objects fill.
        objects: that are read.
        ways: in which they are cut.
        in_place: the change is made in this very collection, where append mode keeps what it has of
            other bytes than an object has by now.

    Raises:
        LimitExceeded: ``sample_too_large``, all texts and records have to be in memory.
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
        appends = in_place and source.mode is DeleteMode.APPEND
        deeds = _read_all(batches, own, partial(_read, batches, collection_name, appends=appends))
        kept = _KEPT if in_place and source.mode is not DeleteMode.MIRROR else frozenset[str]()
        for number, batch in enumerate(batches):
            mine = [read[number] for read in deeds]
            cuts = cut_batch(batch, mine)
            try:
                found[number] += [_records(batch, deed, cuts, kept=kept) for deed in mine]
            finally:
                cuts.cancel()  # an interruption waits for none that is left
    return [_sum(cuts) for cuts in found]


def _sum(cuts: Sequence[_Cut]) -> CutSample:
    whole = [(one.name, one.write) for one in cuts if one.write is not None]
    return CutSample(
        writes=tuple(write for _, write in whole),
        names=tuple(name for name, _ in whole),
        failed=tuple(one.failed for one in cuts if one.failed),
        kept=frozenset(one.name for one in cuts if one.kept),
        told={one.failed: one.told for one in reversed(cuts) if one.failed},
        text_bytes=sum(one.text_bytes for one in cuts),
    )


def _read_all(
    batches: Sequence[BatchParts],
    objects: Sequence[IndexedObject],
    read: Callable[[IndexedObject], list[Deed]],
) -> list[list[Deed]]:
    """Return for each object its deed in each way; an interruption waits for none of them."""
    threads = ThreadPoolExecutor(batches[0].threads, thread_name_prefix="s3sync-trial")
    try:
        return list(threads.map(read, objects))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _read(
    batches: Sequence[BatchParts], collection_name: str, one: IndexedObject, *, appends: bool
) -> list[Deed]:
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
    if appends and body.ref.etag != one.etag:
        _drop(body)
        error = Conflict(f"{one.key!r}: {APPENDED}", reason=_CHANGED)
        return [replace(deed, error=error)] * len(batches)
    read = replace(deed, decision=replace(deed.decision, facts=replace(facts, ref=body.ref)))
    try:
        deeds: list[Deed] = []
        for number, batch in enumerate(batches):
            same = number and batch.source.extraction == parts.source.extraction
            deeds.append(deeds[0] if same else _extract(batch, read, body))
        return deeds
    finally:
        _drop(body)


def _drop(body: ObjectBody) -> None:
    if isinstance(body.content, Path):
        body.content.unlink(missing_ok=True)


def _extract(parts: BatchParts, deed: Deed, body: ObjectBody) -> Deed:
    try:
        with Share(parts.room) as share:
            document = parts.extractor(
                body.content,
                name=deed.key,
                content_type=body.content_type,
                config=parts.source.extraction,
                pool=parts.pool,
                room=share,
            )
            share.keep(memory_of(document))
    except NoRoom:
        raise _too_large() from None
    except Exception as error:  # noqa: BLE001  (as in _read)
        return replace(deed, error=_ours(error, deed.key))
    return replace(deed, document=document)


def _records(parts: BatchParts, deed: Deed, cuts: Cuts, *, kept: frozenset[str]) -> _Cut:
    name = (parts.source.id, deed.key)
    try:
        if deed.error is not None:
            raise deed.error
        if deed.gone or deed.document is None:
            raise NotFound(f"{deed.key!r} is not there any more", reason=_GONE)
        target = deed.open_targets[0]
        write = build_write(parts.source, deed, target, cuts.take(deed.key).chunks)
    except Exception as problem:  # noqa: BLE001  (as in _read)
        error = _ours(problem, deed.key)
        return _Cut(name, failed=error.reason, told=str(error), kept=error.reason in kept)
    size = memory_of_records(write.records)
    if not parts.room.fits(size):  # one way without what the other has is no comparison
        raise _too_large()
    parts.room.hold(size)
    return _Cut(name, write, text_bytes=len(deed.document.text.encode(errors="replace")))


def _too_large() -> LimitExceeded:
    return LimitExceeded(
        f"The texts of the sample take more than {MOST_BYTES // 1024**2} MiB of memory together: "
        "try it with fewer objects.",
        reason="sample_too_large",
    )


def _ours(error: Exception, key: str) -> S3SyncError:
    if isinstance(error, S3SyncError):
        return error
    return unexpected_error(error, f"{key!r} could not be read")
