"""Step one of a batch, extract: which keys need work, their bytes, their text."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.selection import Skip, decide, require_inside_prefix
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.suspects import BEGUN_AT_ONCE, SILENT_DEATHS
from s3sync_dagster.core.targets import changed_in_append_mode, keeps_whole, unchanged, wish
from s3sync_dagster.core.work import WorkItem
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import Engine, KeyWork
from s3sync_dagster.engine.batch.sidecars import apply_sidecars, read_sidecar
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import FixInput, NotFound, S3SyncError, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef

T = TypeVar("T")
_NO_SIDECAR = "In metadata mode only objects that a .meta.json names are indexed."
_APPENDED = "The source's mode is append: what was indexed once stays as it is."


def extract_batch(engine: Engine, lease: Lease) -> list[KeyWork]:
    """Read and extract the keys that the batch holds; keys not begun in time go back."""
    until = engine.clock.monotonic() + engine.take_seconds
    items = engine.catalog.work.load(lease.token)
    first = [item for item in items if is_sidecar(item.key)]
    works = _extract_all(engine, lease, first, until=until)
    if works:  # what they ask for concerns other keys of this batch
        apply_sidecars(engine, works, held=[item.key for item in items])
        engine.at("sidecars")
        items = engine.catalog.work.load(lease.token)
    rest = [item for item in items if not is_sidecar(item.key)]
    return works + _extract_all(engine, lease, rest, until=until, begun=bool(works))


def _extract_all(
    engine: Engine,
    lease: Lease,
    items: Sequence[WorkItem],
    *,
    until: float,
    begun: bool = False,
) -> list[KeyWork]:
    works: list[KeyWork] = []
    marked: list[str] = []
    # Where workers died with these keys, the mark of having been begun stays until each is
    # settled: whatever step kills the worker, its key is among the marked ones.
    careful = any(
        invocation.deaths or invocation.silent_deaths >= SILENT_DEATHS
        for item in items
        for invocation in item.invocations
    )
    with ThreadPoolExecutor(max_workers=max(engine.threads, 1)) as threads:
        for place in range(0, len(items), BEGUN_AT_ONCE):
            group = items[place : place + BEGUN_AT_ONCE]
            if (place or begun) and engine.clock.monotonic() > until:
                _give_back(engine, lease, [item.key for item in items[place:]])
                break
            lease.require(seconds=0)
            keys = [item.key for item in group]
            engine.catalog.batches.begin(lease.token, keys, survived=marked)
            marked = [] if careful else keys
            engine.at("begun")
            if engine.threads > 1:
                works += threads.map(partial(_extract_one, engine), group)
            else:
                works += [_extract_one(engine, item) for item in group]
            engine.at("fetched")
    if marked:
        engine.catalog.batches.begin(lease.token, (), survived=marked)
    return works


def _give_back(engine: Engine, lease: Lease, keys: list[str]) -> None:
    engine.catalog.batches.give_back(lease.token, keys)
    engine.tally.not_begun += len(keys)
    engine.log(f"time is up: {len(keys)} keys go back to pending")


def _extract_one(engine: Engine, item: WorkItem) -> KeyWork:
    work = KeyWork(item=item)
    started = engine.clock.monotonic()
    try:
        if is_sidecar(item.key):
            read_sidecar(engine, work, retried=lambda call: _retried(engine, call))
        else:
            _read(engine, work)
    except S3SyncError as error:
        work.fail(error)
    except Exception as error:  # noqa: BLE001  (a fault of the program must not end the batch)
        work.fail(unexpected_error(error, f"{item.key!r} could not be read"))
    work.ms["extract"] = round((engine.clock.monotonic() - started) * 1000, 1)
    return work


def _read(engine: Engine, work: KeyWork) -> None:
    """Decide what the key needs and read it, with as few requests as that takes."""
    source, item = engine.source, work.item
    if _listed_as_gone(item):
        _gone(work)
        return
    require_inside_prefix(source, item.key)
    ref = _known(item)
    if ref is None or _wants_truth(engine, item, ref):
        try:
            ref = _retried(engine, lambda: engine.store.head(item.key))
        except NotFound as error:
            if error.reason == "bucket_not_found":
                raise
            _gone(work)
            return
        limit_met = _remember(engine, item, ref) == "document_limit"
    else:
        limit_met = item.object is not None and item.object.skip_reason == "document_limit"
    work.ref = ref
    if _skipped(engine, work, ref, limit_met=limit_met) or _known_bad(engine, work, ref):
        return
    work.wish = asked = wish(item, source)
    if changed_in_append_mode(item, source, asked, etag=ref.etag):
        work.skip("changed_in_append_mode", _APPENDED)
        return
    if not asked.targets and not keeps_whole(item, asked):
        work.skip("no_sidecar", _NO_SIDECAR)
        return
    if unchanged(item, source, asked, etag=ref.etag, fingerprint=source.fingerprint()):
        work.verdict = "unchanged"
        return
    try:
        body = _retried(
            engine,
            lambda: engine.store.read(item.key, max_size_bytes=source.max_size_bytes),
        )
    except NotFound as error:
        if error.reason == "bucket_not_found":
            raise
        _gone(work)
        return
    work.ref = body.ref
    try:
        if body.ref.etag != ref.etag:
            limit_met = _remember(engine, item, body.ref) == "document_limit"
            if _skipped(engine, work, body.ref, limit_met=limit_met):
                return
        work.document = engine.extractor(
            body.content,
            name=item.key,
            content_type=body.content_type,
            config=source.extraction,
            pool=engine.pool,
        )
    finally:
        if not isinstance(body.content, bytes):
            body.content.unlink(missing_ok=True)


def _skipped(engine: Engine, work: KeyWork, ref: ObjectRef, *, limit_met: bool) -> bool:
    skip = decide(engine.source, ref)
    if skip is None and limit_met:
        skip = Skip(
            "document_limit",
            f"The source takes the first {engine.source.document_limit} objects in key order.",
        )
    if skip is None:
        return False
    work.skip(skip.reason, skip.message)
    if _deselected_by_listing(work.item):
        work.remove = "all"
    elif skip.reason in _BY_BYTES:
        work.remove = "stale"
    return True


_BY_BYTES = frozenset({"empty_object", "too_large"})
"""Selection's verdicts on the newest bytes: the text of older ones is not to be found any more."""


def _deselected_by_listing(item: WorkItem) -> bool:
    """A listing that passed the guard asked for it; any other door leaves the records to one."""
    return any(
        invocation.kind == "remove" and invocation.trigger is Trigger.LISTING
        for invocation in item.invocations
    )


def _known_bad(engine: Engine, work: KeyWork, ref: ObjectRef) -> bool:
    """Return whether these bytes failed before and nobody asks to try them again."""
    known = work.item.object
    if (
        known is None
        or known.outcome != "failed"
        or known.retry_class != "input"
        or known.outcome_etag != ref.etag
        or known.fingerprint not in (None, engine.source.fingerprint())
        or any(not one.trigger.automatic or one.force for one in work.item.invocations)
    ):
        return False
    work.fail(FixInput(known.error or "It could not be read before.", reason=known.reason))
    return True


def _gone(work: KeyWork) -> None:
    work.verdict, work.remove = "gone", "all"


def _listed_as_gone(item: WorkItem) -> bool:
    """A complete listing that did not see the key is evidence enough."""
    return (
        item.object is not None
        and item.object.gone
        and any(invocation.kind == "remove" for invocation in item.invocations)
        and all(invocation.trigger is Trigger.LISTING for invocation in item.invocations)
    )


def _known(item: WorkItem) -> ObjectRef | None:
    """Return the object as listing or event told it, None when only a HEAD can tell."""
    known = item.object
    if known is None or known.gone or not known.etag or known.size < 0:
        return None
    return ObjectRef(
        key=item.key,
        etag=known.etag,
        size=known.size,
        version_id=known.version_id,
        storage_class=known.storage_class,
        # A listing that saw an archived object as readable left no skip on it.
        restored=known.skip_reason != "archived",
    )


def _wants_truth(engine: Engine, item: WorkItem, ref: ObjectRef) -> bool:
    """Return whether the bucket is asked although something told what it has.

    People and removal events want to know what is there now, and what an event tells is not
    enough to take records away.
    """
    if any(
        not invocation.trigger.automatic
        or (invocation.kind == "remove" and invocation.trigger is not Trigger.LISTING)
        for invocation in item.invocations
    ):
        return True
    skip = decide(engine.source, ref)
    return (
        skip is not None
        and skip.reason in _BY_BYTES
        and bool(item.documents)
        and not _deselected_by_listing(item)
    )


def _remember(engine: Engine, item: WorkItem, ref: ObjectRef) -> str | None:
    """Store what a HEAD or GET told, where it differs; returns selection's verdict."""
    known = item.object
    if known is not None and not known.gone and known.etag == ref.etag:
        return known.skip_reason
    skip = decide(engine.source, ref)
    before = None if known is None or known.gone else known.etag
    return engine.catalog.work.record_objects(
        engine.source.id, [(ref, skip.reason if skip else None)], known={item.key: before}
    )[item.key]


def _retried(engine: Engine, call: Callable[[], T]) -> T:
    """Repeat what fails by itself, with growing pauses."""
    patience = engine.patience
    tried = 0
    while True:
        tried += 1
        try:
            return call()
        except Unavailable as error:
            if tried >= patience.tries:
                raise
            pause = max(
                patience.wait_seconds(tried, engine.clock.random), error.retry_after_seconds
            )
            engine.clock.sleep(min(pause, 30.0))


def partition_of(item: WorkItem) -> str:
    """Return the partition key of an item."""
    return item.object.partition_key if item.object else partition_key(item.key)
