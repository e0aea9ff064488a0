"""Asset checks of a source: run from the UI, and kept up to date by ``dispatch`` where cheap.

They are about the whole source: Dagster skips them in runs that index, whose last op yields no
output of its own.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from s3sync_dagster.core.naming import asset_path
from s3sync_dagster.core.plan import record_ids
from s3sync_dagster.core.state import DocumentPhase, DocumentState, ListingState
from s3sync_dagster.defs.resources import RUNTIME_KEY, Runtime
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import AutoSync, Source

QUIET_INTERVALS = 3
"""A source is quiet when no listing was complete for so many of its intervals."""
QUIET_SECONDS = 900
"""And at least for so long, since a listing waits for others."""
DOCUMENTS_A_PAGE = 200
RECORDS_A_CALL = 1000

CheckResult = dg.AssetCheckResult


def build_checks(
    declared: Source, find: Callable[[Runtime], Source], runtime_key: str = RUNTIME_KEY
) -> dg.AssetChecksDefinition:
    """Return the checks of a source, which people launch together or one by one."""
    name, asset = declared.name, dg.AssetKey(asset_path(declared))

    @dg.multi_asset_check(
        name=f"check_{name}",
        specs=[
            dg.AssetCheckSpec(check, asset=asset, description=description)
            for check, (description, _) in CHECKS.items()
        ],
        can_subset=True,
        required_resource_keys={runtime_key},
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[CheckResult]:
        runtime: Runtime = getattr(context.resources, runtime_key)
        source = find(runtime)
        for key in sorted(context.selected_asset_check_keys):
            result = CHECKS[key.name][1](runtime, source)
            yield result._replace(asset_key=asset, check_name=key.name)

    return checks


def check_no_failed_keys(runtime: Runtime, source: Source) -> CheckResult:
    """Return whether any object has failed; the numbers of the source are plotted beside it."""
    catalog, now = runtime.parts.catalog, runtime.parts.clock.now().timestamp()
    counts = catalog.views.counts(source.id)
    waiting_since = catalog.history.oldest_pending([source.id]).get(source.id, now)
    total = sum(counts.failed.values())
    return CheckResult(
        passed=total == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if total == 0 else "`s3sync failures` lists the keys and what to do.",
        metadata={
            "failed": total,
            "reasons": dg.MetadataValue.json(counts.failed),
            "objects": counts.objects,
            "indexed": counts.indexed,
            "skipped": sum(counts.skipped.values()),
            "pending": counts.pending + counts.processing,
            "chunks": counts.chunks,
            "lag_seconds": round(max(now - waiting_since, 0.0), 1),
        },
    )


def check_not_gone_quiet(runtime: Runtime, source: Source) -> CheckResult:
    """Return whether the source is still listed; passes where nothing is to be listed."""
    catalog = runtime.parts.catalog
    if source.auto_sync is AutoSync.NONE or source.list_interval_seconds == 0:
        return CheckResult(passed=True, description="It is not listed by itself.")
    if catalog.sources.paused(source.id):
        return CheckResult(passed=True, description="It is paused.")
    allowed = max(QUIET_INTERVALS * source.list_interval_seconds, QUIET_SECONDS)
    listing = catalog.listings.latest(source.id)
    if listing is None:
        return CheckResult(passed=True, description="It has not been listed yet.")
    failed = listing.state is ListingState.FAILED
    age = time.time() - (listing.finished_at or listing.started_at)
    return CheckResult(
        passed=not failed and age <= allowed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The last listing failed: {listing.error}" if failed else None,
        metadata={
            "state": listing.state.value,
            "allowed_seconds": allowed,
            "objects": listing.listed,
        },
    )


def check_records_match_catalog(runtime: Runtime, source: Source) -> CheckResult:
    """Return whether each record of each clean document exists, asked by id."""
    expected = found = after = 0
    incomplete: list[str] = []
    opened: dict[str, CollectionPort | None] = {}
    while page := runtime.parts.catalog.documents.of_source(
        source.id, after_id=after, limit=DOCUMENTS_A_PAGE
    ):
        after = page[-1].id
        clean = [document for document in page if document.phase is DocumentPhase.CLEAN]
        there = _existing(runtime, source, clean, opened)
        for document in clean:
            ids = record_ids(document.document_id, 0, document.count)
            present = sum((document.collection_name, name) in there for name in ids)
            expected += len(ids)
            found += present
            if present != len(ids):
                incomplete.append(document.object_key)
    return CheckResult(
        passed=expected == found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=None if expected == found else "`s3sync verify --fix` writes what is missing.",
        metadata={
            "expected_records": expected,
            "found_records": found,
            "incomplete_keys": dg.MetadataValue.json(incomplete[:100]),
        },
    )


CHECKS: dict[str, tuple[str, Callable[[Runtime, Source], CheckResult]]] = {
    "no_failed_keys": (
        "No object has failed. The plots show the source's numbers over time.",
        check_no_failed_keys,
    ),
    "not_gone_quiet": (
        f"A listing was complete within {QUIET_INTERVALS} intervals.",
        check_not_gone_quiet,
    ),
    "records_match_catalog": (
        "Each record that the catalog counts is in its collection; asks for every id.",
        check_records_match_catalog,
    ),
}


def _existing(
    runtime: Runtime,
    source: Source,
    documents: Sequence[DocumentState],
    opened: dict[str, CollectionPort | None],
) -> set[tuple[str, str]]:
    """Return (collection, record id) of this source's records that exist."""
    wanted: dict[str, list[str]] = {}
    for document in documents:
        wanted.setdefault(document.collection_name, []).extend(
            record_ids(document.document_id, 0, document.count)
        )
    there: set[tuple[str, str]] = set()
    for name, ids in wanted.items():
        if name not in opened:
            opened[name] = _open(runtime, source, name)
        collection = opened[name]
        if collection is None:
            continue
        for start in range(0, len(ids), RECORDS_A_CALL):
            records = collection.get(ids[start : start + RECORDS_A_CALL]).values()
            there.update(
                (name, record.id)
                for record in records
                if record.metadata.get("s3sync_source") == source.id
            )
    return there


def _open(runtime: Runtime, source: Source, name: str) -> CollectionPort | None:
    try:
        return runtime.parts.collections.open(
            name,
            tenant=source.tenant,
            database=source.database_name,
            embedder=runtime.parts.embedder_for(source.embedding),
            create=False,
        )
    except NotFound:
        return None
