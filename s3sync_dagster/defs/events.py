"""What Dagster is told of each key, in batches: one event a key is dear, a group of them is not."""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

import dagster as dg

from s3sync_dagster.catalog.views import SourceCounts
from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.defs.dagster_internals.event_batches import log_together, plan_partitions
from s3sync_dagster.model.source import Source

T = TypeVar("T")
Shown = tuple[dg.AssetKey, KeyOutcome]
"""How a key ended, and the asset that shows it."""
DATA_VERSION_TAG = "dagster/data_version"
"""Where Dagster looks for the version of what was made."""
EVENTS_AT_ONCE = 100
SHOWN_FAILURES = 50
"""Log lines of a group; each key's partition has its reason anyhow."""


def report_keys(
    context: dg.OpExecutionContext,
    source: Source,
    shown: Sequence[Shown],
    *,
    repeated: Collection[str] = (),
) -> None:
    """Log a materialisation for each key that did not fail, and the reason for each that did.

    The etag is the data version. ``show_failed`` makes the partitions of failed keys show it.

    Args:
        context: of the run's op.
        source: the source.
        shown: how keys ended.
        repeated: keys that ended as they had before: they are observed, since who waits for new
            data downstream takes each materialisation for some.
    """
    failed = [(asset, report) for asset, report in shown if not report.result.done]
    for _, report in failed[:SHOWN_FAILURES]:
        again = " (tried again by itself)" if report.state == "pending" else ""
        context.log.warning(f"{report.key!r} failed: {report.reason}: {report.error}{again}")
    done = [
        dg.AssetMaterialization(
            asset,
            partition=_partition(report),
            description=report.error,
            metadata=_metadata(report, source),
            tags={DATA_VERSION_TAG: report.etag} if report.etag else None,
        )
        for asset, report in shown
        if report.result.done and report.key not in repeated
    ]
    seen = [
        dg.AssetObservation(asset, partition=_partition(report), metadata=_metadata(report, source))
        for asset, report in shown
        if report.result.done and report.key in repeated
    ]
    for part in _groups(done):
        log_together(context, part)
    for part in _groups(seen):
        log_together(context, part)
    for part in _groups(failed):
        log_together(
            context,
            [
                dg.AssetObservation(
                    asset,
                    partition=_partition(report),
                    metadata={
                        "state": report.state,
                        "reason": report.reason or "",
                        "error": report.error or "",
                    },
                )
                for asset, report in part
            ],
        )


def show_failed(context: dg.OpExecutionContext, shown: Sequence[Shown]) -> None:
    """Make partitions show FAILED once the run has ended in failure."""
    for part in _groups(shown):
        plan_partitions(context, [(asset, _partition(report)) for asset, report in part])


def report_source(
    context: dg.OpExecutionContext,
    asset_key: dg.AssetKey,
    counts: SourceCounts,
    waited_since: float | None,
) -> None:
    """Log the source as a whole, once a run: Dagster plots these numbers over time.

    Args:
        context: of the run's last op.
        asset_key: the source's asset.
        counts: objects by state.
        waited_since: when the oldest request that this run served was made, POSIX seconds.
    """
    numbers: dict[str, float] = {
        "source_objects": counts.objects,
        "source_indexed": counts.indexed,
        "source_pending": counts.pending + counts.processing,
        "source_skipped": sum(counts.skipped.values()),
        "source_failed": sum(counts.failed.values()),
        "source_documents": counts.documents,
        "source_chunks": counts.chunks,
    }
    if waited_since is not None:
        numbers["lag_seconds"] = round(max(time.time() - waited_since, 0.0), 3)
    metadata: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.float(value)
        if isinstance(value, float)
        else dg.MetadataValue.int(value)
        for name, value in numbers.items()
    }
    context.log_event(dg.AssetObservation(asset_key, metadata=metadata))


def _groups(events: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(events), EVENTS_AT_ONCE):
        yield events[start : start + EVENTS_AT_ONCE]


def _partition(report: KeyOutcome) -> str:
    return report.partition_key or partition_key(report.key)


def _metadata(report: KeyOutcome, source: Source) -> dict[str, dg.MetadataValue]:
    values: dict[str, dg.MetadataValue] = {
        "state": dg.MetadataValue.text(report.state),
        "object": dg.MetadataValue.text(source.place.address(report.key)),
        "chunks": dg.MetadataValue.int(report.chunks),
        "bytes": dg.MetadataValue.int(report.bytes),
    }
    link = source.place.link(report.key)
    if link is not None and report.state != "removed":
        values["link"] = dg.MetadataValue.url(link)
    if report.reason:
        values["reason"] = dg.MetadataValue.text(report.reason)
    if report.cut_off:
        values["chunks_cut_off"] = dg.MetadataValue.int(report.cut_off)
    if report.pages:
        values["pages"] = dg.MetadataValue.int(report.pages)
    if report.etag:
        values["etag"] = dg.MetadataValue.text(report.etag)
    for step, milliseconds in report.ms.items():
        values[f"ms_{step}"] = dg.MetadataValue.float(milliseconds)
    return values
