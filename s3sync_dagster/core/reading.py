"""Step one of a batch, extract: which keys need work, their bytes, their text."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from s3sync_dagster.core.catalog_port import CatalogPort
from s3sync_dagster.core.engine import Engine, KeyWork
from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.lease import Lease
from s3sync_dagster.core.selection import Skip, decide
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.sidecars import apply_sidecar, read_sidecar
from s3sync_dagster.core.targets import changed_in_append_mode, unchanged, wish
from s3sync_dagster.core.work import WorkItem
from s3sync_dagster.model.errors import FixInput, NotFound, S3SyncError, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef

T = TypeVar("T")
_NO_SIDECAR = "In metadata mode only objects that a .meta.json names are indexed."
BEGUN_AT_ONCE = 16
"""Keys that are suspects together when their worker dies."""


def extract_batch(engine: Engine, lease: Lease) -> list[KeyWork]:
    """Read and extract the keys that the batch holds; keys not begun in time go back."""
    items = engine.catalog.work.load(lease.token)
    first = [item for item in items if is_sidecar(item.key)]
    works = _extract_all(engine, lease, first)
    for work in works:
        apply_sidecar(engine, work)
    if first:  # what they asked for concerns other keys of this batch
        items = engine.catalog.work.load(lease.token)
    rest = [item for item in items if not is_sidecar(item.key)]
    return works + _extract_all(engine, lease, rest)


def _extract_all(engine: Engine, lease: Lease, items: list[WorkItem]) -> list[KeyWork]:
    works: list[KeyWork] = []
    started = engine.clock.monotonic()
    with ThreadPoolExecutor(max_workers=max(engine.threads, 1)) as threads:
        for place in range(0, len(items), BEGUN_AT_ONCE):
            group = items[place : place + BEGUN_AT_ONCE]
            if place and engine.clock.monotonic() - started > engine.take_seconds:
                rest = [item.key for item in items[place:]]
                engine.catalog.batches.give_back(lease.token, rest)
                engine.tally.not_begun += len(rest)
                engine.log(f"time is up: {len(rest)} keys go back to pending")
                break
            lease.require(seconds=0)
            keys = [item.key for item in group]
            engine.catalog.batches.begin(lease.token, keys)
            engine.at("begun")
            if engine.threads > 1:
                works += threads.map(partial(_extract_one, engine), group)
            else:
                works += [_extract_one(engine, item) for item in group]
            engine.at("fetched")
            engine.catalog.batches.survived(lease.token, keys)
    return works


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
    work.ms["extract"] = round((engine.clock.monotonic() - started) * 1000, 1)
    return work


def _read(engine: Engine, work: KeyWork) -> None:
    """Decide what the key needs and read it, with as few requests as that takes."""
    source, item = engine.source, work.item
    if _listed_as_gone(item):
        _gone(work)
        return
    ref = _known(item)
    if ref is None or _wants_truth(item):
        try:
            ref = _retried(engine, lambda: engine.store.head(item.key))
        except NotFound as error:
            if error.reason == "bucket_not_found":
                raise
            _gone(work)
            return
        remember(engine.catalog, engine, item, ref)
    work.ref = ref
    if _skipped(engine, work, ref):
        return
    asked = work.wish = wish(item, source)
    fingerprint = source.fingerprint()
    if not asked.targets and not asked.removals:
        work.skip("no_sidecar", _NO_SIDECAR)
        return
    if unchanged(item, source, asked, etag=ref.etag, fingerprint=fingerprint):
        work.verdict = "unchanged"
        return
    if changed_in_append_mode(item, source, asked):
        work.skip(
            "changed_in_append_mode",
            "The source's mode is append: what was indexed once stays as it is.",
        )
        return
    if not asked.targets:
        work.skip("no_sidecar", _NO_SIDECAR)
        work.remove = "all"
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
    if body.ref.etag != ref.etag:
        remember(engine.catalog, engine, item, body.ref)
    try:
        if _skipped(engine, work, body.ref):
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


def _skipped(engine: Engine, work: KeyWork, ref: ObjectRef) -> bool:
    skip = decide(engine.source, ref)
    known = work.item.object
    if skip is None and known is not None and known.skip_reason == "document_limit":
        skip = Skip(
            "document_limit",
            f"The source takes the first {engine.source.document_limit} objects in key order.",
        )
    if skip is None:
        return False
    work.skip(skip.reason, skip.message)
    # A listing that passed the guard asked for it; any other door leaves the records to one.
    if any(
        invocation.kind == "remove" and invocation.trigger is Trigger.LISTING
        for invocation in work.item.invocations
    ):
        work.remove = "all"
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


def _wants_truth(item: WorkItem) -> bool:
    """People and removal events want to know what the bucket has now, not what was told last."""
    return any(
        not invocation.trigger.automatic
        or (invocation.kind == "remove" and invocation.trigger is not Trigger.LISTING)
        for invocation in item.invocations
    )


def remember(catalog: CatalogPort, engine: Engine, item: WorkItem, ref: ObjectRef) -> None:
    """Store what a HEAD or GET told, where it differs from what is known."""
    known = item.object
    if known is not None and not known.gone and known.etag == ref.etag:
        return
    skip = decide(engine.source, ref)
    reason = skip.reason if skip else None
    if reason is None and known is not None and known.skip_reason == "document_limit":
        reason = "document_limit"
    catalog.work.record_objects(engine.source.id, [(ref, reason)])


def _retried(engine: Engine, call: Callable[[], T]) -> T:
    """Repeat what fails by itself, with growing pauses."""
    patience = engine.patience
    for tried in range(1, patience.tries + 1):
        try:
            return call()
        except Unavailable as error:
            if tried == patience.tries:
                raise
            pause = max(
                patience.wait_seconds(tried, engine.clock.random), error.retry_after_seconds
            )
            engine.clock.sleep(min(pause, 30.0))
    raise FixInput("no call was made")  # tries is at least 1


def partition_of(item: WorkItem) -> str:
    """Return the partition key of an item."""
    return item.object.partition_key if item.object else partition_key(item.key)
