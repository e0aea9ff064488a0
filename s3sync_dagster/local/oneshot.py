"""``s3sync sync``: one listing and all its work, in this process, without a daemon.

Each batch is one recorded run on the same Dagster instance that the stack uses, so that the UI
shows it. The catalog makes it agree with a daemon, a sensor or a second sync at the same time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.events import ObjectEvent
from s3sync_dagster.core.intake import source_events
from s3sync_dagster.core.naming import SOURCE_TAG, TOKEN_TAG, job_name, run_config
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.state import ListingRow, ListingState
from s3sync_dagster.core.suspects import BEGUN_AT_ONCE
from s3sync_dagster.engine.batch.parts import Tally
from s3sync_dagster.engine.dispatching import BatchOrder, tell_partitions
from s3sync_dagster.engine.listing_turns import list_whole
from s3sync_dagster.engine.ports import Chunker
from s3sync_dagster.engine.working_off import as_of_now, work_off
from s3sync_dagster.local.home import open_dagster
from s3sync_dagster.local.oneshot_report import (
    Progress,
    Summary,
    Underway,
    absent_objects,
    without,
)
from s3sync_dagster.local.signals import heard_stop
from s3sync_dagster.model.document import Chunk
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import Source
from s3sync_dagster.starting import collect_as_usual, share_one_heap

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

WAIT_SECONDS = 1.0
HEARD_SECONDS = 0.05
"""Until a signal that came just now is known to have come."""
PAGE = 1000
TAKE_SECONDS = 3.0
"""A batch reads for so long, then embeds and writes what it read: texts are in memory alone, and
what Ctrl-C finds there is read again."""
STOP_SECONDS = 5.0
"""After Ctrl-C, for what is being read to end by itself; then its worker processes are ended."""
ONE_SHOT_PATIENCE = Patience(tries=5, first_wait_seconds=1.0, final=True)


def run_sync(
    parts: Parts,
    source: Source,
    *,
    progress: Progress,
    approve_deletes: bool = False,
    reindex: bool = False,
    listed: Callable[[ListingRow], None] = lambda _listing: None,
) -> Summary:
    """List a source from its first page and work until none of its keys waits.

    Args:
        parts: of this process.
        source: the source.
        progress: takes what is told meanwhile.
        approve_deletes: a person approved the removals of this listing in advance.
        reindex: a person orders that what is outdated is indexed again, by whoever works on it.
        listed: called with the listing before anything is done about it; may raise.

    Raises:
        S3SyncError: the bucket or Chroma cannot be used at all.
    """
    clock, catalog = parts.clock, parts.catalog
    source = as_of_now(catalog, source)  # who watches lists it for weeks
    started = clock.monotonic()
    requests = dict(parts.requests())
    embedder = parts.embedder_for(
        source.embedding, tenant=source.tenant
    )  # a model that is missing is told first
    inferred = embedder.inferred
    ends: dict[str, KeyOutcome] = {}
    removed: set[str] = set()
    tally = Tally()

    def told(reports: Sequence[KeyOutcome]) -> None:
        ends.update({report.key: report for report in reports})
        removed.update(report.key for report in reports if report.lost_records)
        progress.keys(reports)

    listing = list_whole(
        parts.listing,
        source,
        approve_deletes=approve_deletes,
        reindex=reindex,
        on_page=progress.listing,
        on_wait=lambda: progress.note("another process lists this source; waiting for it"),
        on_note=progress.note,
    )
    listed(listing)
    if catalog.documents.enqueue_unclean(source.id):
        progress.note("documents that an earlier run left unfinished are written again")
    _retry_failed(parts, source)
    waiting = catalog.invocations.live_count(source.id)
    progress.working(waiting)
    if waiting or catalog.batches.live(source_id=source.id):
        _work(parts, source, told=told, tally=tally, progress=progress)
    counts = catalog.views.counts(source.id)
    catalog.hours.note(source.id, counts)
    blocked = listing.state is ListingState.BLOCKED
    absent = absent_objects(parts, source) if blocked else Counter[tuple[str, str]]()
    now = [end.state for end in ends.values()]
    vanished = sum(end.vanished for end in ends.values())
    skipped = without(counts.skipped, absent, "skipped")
    if vanished:  # the listing has seen them, and the catalog has them no more
        skipped["object_gone"] = vanished
    new, updated = now.count("indexed"), now.count("updated")
    return Summary(
        listed=counts.objects - absent.total() + vanished,
        indexed=new,
        updated=updated,
        unchanged=counts.indexed - new - updated - absent["indexed", ""],
        skipped=skipped,
        failed=without(counts.failed, absent, "failed"),
        pending=counts.pending + counts.processing,
        removed=sum(ends[key].state == "removed" for key in removed),
        chunks_written=tally.chunks_written,
        metadata_updated=tally.metadata_updated,
        chunks_deleted=tally.chunks_deleted,
        cut_off=sum(end.cut_off for end in ends.values()),
        embedded=embedder.inferred - inferred,
        requests={
            kind: number - requests.get(kind, 0) for kind, number in parts.requests().items()
        },
        blocked_deletes=listing.gone if blocked else 0,
        blocked_listing=listing.id if blocked else None,
        seconds=round(clock.monotonic() - started, 3),
        newly_failed=now.count("failed"),
    )


def run_keys(
    parts: Parts,
    source: Source,
    events: Mapping[str, ObjectEvent],
    *,
    told: Callable[[Sequence[KeyOutcome]], None],
    progress: Progress,
) -> None:
    """Work on what changed a moment ago, without a listing.

    Args:
        parts: of this process.
        source: the source.
        events: key -> what became of it; each key is asked for again before anything is done.
        told: takes how each key ended.
        progress: takes notes.
    """
    source = as_of_now(parts.catalog, source)
    found, _ = source_events(source, events)
    parts.catalog.work.record_events(
        source.id, upserts=found.upserts, sync=found.sync, remove=found.remove, sequencers={}
    )
    if found.sync or found.remove:
        _work(parts, source, told=told, tally=Tally(), progress=progress)


def _retry_failed(parts: Parts, source: Source) -> None:
    """Ask again for what did not fail by its bytes: whoever asks by hand does not wait."""
    after = None
    while rows := parts.catalog.views.object_rows(
        source.id, state="failed", after=after, limit=PAGE
    ):
        after = rows[-1].object_key
        keys = [row.object_key for row in rows if row.retry_class != "input"]
        parts.catalog.invocations.request_automatic(source.id, keys, trigger=Trigger.RETRY)


def _work(
    parts: Parts,
    source: Source,
    *,
    told: Callable[[Sequence[KeyOutcome]], None],
    tally: Tally,
    progress: Progress,
) -> None:
    from s3sync_dagster.extraction.warming import warm_up  # noqa: PLC0415  (as Dagster below)

    share_one_heap()
    waiting = parts.catalog.views.object_rows(source.id, state="pending", limit=PAGE)
    warm_up((row.object_key for row in waiting), config=source.extraction, pool=parts.pool)

    import dagster as dg  # noqa: PLC0415  (an unchanged bucket does not pay for it)

    from s3sync_dagster.defs.dagster_internals.instances import (  # noqa: PLC0415
        open_uncaptured_instance,
    )
    from s3sync_dagster.defs.dispatching import InstanceRuns  # noqa: PLC0415
    from s3sync_dagster.defs.resources import (  # noqa: PLC0415
        RUNTIME_KEY,
        CatalogSource,
        Runtime,
    )
    from s3sync_dagster.defs.source import RESOURCES, build_source_definitions  # noqa: PLC0415

    def at(step: str) -> None:
        if step == "fetched":
            progress.read(BEGUN_AT_ONCE)

    open_dagster(parts.settings)
    hooks: dict[str, Any] = {"report": told, "tally": tally, "patience": ONE_SHOT_PATIENCE}
    hooks |= {
        "at": at,
        "take_seconds": TAKE_SECONDS,
        "chunker": _watched(parts, source, tally, progress),
    }
    runtime = Runtime(parts, hooks=hooks)

    @dg.resource
    def this_process(_context: dg.InitResourceContext) -> Any:
        try:
            yield runtime
        finally:
            runtime.end()  # the parts stay open for the next batch

    as_leased = source
    """As the batch at work goes by it: a person may edit it meanwhile."""
    definitions = build_source_definitions(
        CatalogSource.of(source),
        find=lambda _: as_leased,
        sensor=False,
        resources={**RESOURCES, RUNTIME_KEY: this_process},
    )
    job = definitions.resolve_job_def(job_name(source.name))
    collect_as_usual()
    with (
        open_uncaptured_instance(parts.settings.dagster_home) as instance,
        heard_stop(parts.pool.close, grace_seconds=STOP_SECONDS) as stop,
    ):
        runs = InstanceRuns(instance)

        def at_ahead(step: str) -> None:
            if stop.is_set():  # signals interrupt the main thread alone
                raise LeaseLost("The sync was stopped: its keys are given back.")
            at(step)

        def read_ahead(order: BatchOrder, _run_id: str) -> None:
            runtime.read_ahead(order.source, order.token, at=at_ahead)

        def work(order: BatchOrder, run_id: str) -> None:
            nonlocal as_leased
            as_leased = order.source
            tell_partitions(parts.catalog, runs, order.source, order.keys)
            try:
                with _interruptible(stop):
                    job.execute_in_process(
                        run_config={
                            **run_config(order.source, keys=order.keys, token=order.token),
                            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                        },
                        instance=instance,
                        run_id=run_id,
                        tags={
                            TOKEN_TAG: order.token,
                            SOURCE_TAG: source.name,
                            "s3sync/cli": "sync",
                        },
                        raise_on_error=False,
                    )
            finally:
                runtime.drop_ahead(order.token)  # of a run that ended before it took it

        work_off(
            parts.catalog,
            source,
            clock=parts.clock,
            owner=parts.at_work(),
            is_dead=parts.owners.is_dead,
            has_left=parts.has_left,
            work=work,
            note=progress.note,
            read_ahead=read_ahead,
            on_reaped=lambda dead: runs.report_failed(dead.run_id, dead.token, dead.why),
        )


def _watched(parts: Parts, source: Source, tally: Tally, progress: Progress) -> Chunker:
    """Return the chunker with a count of what it cuts, which the progress may look at."""
    from s3sync_dagster.chunking import chunk_document  # noqa: PLC0415  (as Dagster above)

    embedder = parts.embedder_for(source.embedding, tenant=source.tenant)
    inferred, counting = embedder.inferred, threading.Lock()
    documents = cut = 0

    def counted(*arguments: Any, **named: Any) -> list[Chunk]:
        nonlocal documents, cut
        chunks = chunk_document(*arguments, **named)
        with counting:
            documents, cut = documents + 1, cut + len(chunks)
        return chunks

    progress.watch(
        lambda: Underway(
            documents, cut, embedded=max(embedder.inferred - inferred, tally.chunks_written)
        )
    )
    return counted


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """Turn a signal during a run into ``KeyboardInterrupt``: Dagster only ends the run with it.

    The batch needs no release: its owner, this process, is about to end.
    """
    try:
        yield
    except BaseException:  # a second signal may come while Dagster records the first
        if stop.wait(HEARD_SECONDS):
            raise KeyboardInterrupt from None
        raise
    if stop.wait(HEARD_SECONDS):
        raise KeyboardInterrupt
