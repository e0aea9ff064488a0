"""Asset checks of a source: run from the UI, and kept up to date by ``dispatch`` where cheap.

They are about the whole source, and one of them reads all of it: runs that index skip them.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import dagster as dg

from s3sync_dagster.core.naming import asset_path
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.defs.dagster_internals.followers import follows
from s3sync_dagster.defs.resources import RUNTIME_KEY, Runtime
from s3sync_dagster.engine.absent_collection import AbsentCollection
from s3sync_dagster.engine.asked_strays import asking
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.engine.verifying import places_of, verify_collection
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import AutoSync, Source

QUIET_INTERVALS = 3
"""A source is quiet when no listing was complete for so many of its intervals."""
QUIET_SECONDS = 900
"""And at least for so long, since a listing waits for others."""
SHOWN = 100
"""Names of each finding that a check tells."""

CheckResult = dg.AssetCheckResult


def checks_name(source_name: str) -> str:
    """Return the name of the op that has all checks of a source."""
    return f"check_{source_name}"


def build_checks(
    declared: Source, find: Callable[[Runtime], Source], runtime_key: str = RUNTIME_KEY
) -> dg.AssetChecksDefinition:
    """Return the checks of a source, which people launch together or one by one."""
    name, asset = declared.name, dg.AssetKey(asset_path(declared))

    @dg.multi_asset_check(
        name=checks_name(name),
        specs=[
            dg.AssetCheckSpec(check, asset=asset, description=description)
            for check, (description, _) in CHECKS.items()
        ],
        can_subset=True,
        required_resource_keys={runtime_key},
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[CheckResult]:
        if follows(context):
            context.log.info("skipped: this run indexes; launch the checks alone")
            return
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
    """Return whether a source's collections have what the catalog says of it, and only that.

    Records of sources that the catalog does not know are told, and no fault of this source: they
    are another installation's, or were made after the copy of a catalog that was restored. So are
    those of sources that were moved, or took their records along: Chroma was put back from a copy
    of before, or another installation has such a source by now. Then nobody here could ever mend
    a check that fails.
    """
    catalog = runtime.parts.catalog
    known = catalog.sources.ids()
    open_store = partial(runtime.parts.store_for, source)
    found = [
        verify_collection(
            source,
            collection=_open(runtime, *place),
            documents=asking(catalog.documents, source, open_store),
            vectors=False,
            known_sources=known,
            chroma=runtime.parts.chroma_address,
            collections=runtime.parts.collections,
        )
        for place in places_of(
            source, documents=catalog.documents, known=catalog.collections.of_source(source.id)
        )
    ]
    passed = all(one.sound for one in found)
    strays = [name for one in found for name in one.stray]
    ended = Counter[str]()
    for one in found:
        ended.update({owner: len(names) for owner, names in one.of_ended.items()})
    unknown = {owner: number for one in found for owner, number in one.unknown_sources.items()}
    return CheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=" ".join(_ways(sound=passed, ended=bool(ended))) or None,
        metadata={
            "expected_records": sum(one.expected for one in found),
            "found_records": sum(one.met for one in found),
            "incomplete_keys": dg.MetadataValue.json(_first([one.missing for one in found])),
            "changed_keys": dg.MetadataValue.json(_first([one.changed for one in found])),
            "stray_records": len(strays),
            "stray_ids": dg.MetadataValue.json(strays[:SHOWN]),
            "held_back_keys": dg.MetadataValue.json(_first([one.held_back for one in found])),
            "waiting_keys": dg.MetadataValue.json(_first([one.waiting for one in found])),
            "records_of_ended_sources": dg.MetadataValue.json(dict(ended)),
            "records_of_unknown_sources": dg.MetadataValue.json(unknown),
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
        "The collections have each record that the catalog counts, and no other of this source.",
        check_records_match_catalog,
    ),
}


def _ways(*, sound: bool, ended: bool) -> Iterator[str]:
    if not sound:
        yield "`s3sync verify --fix` writes what is missing, and deletes what no document has."
    if ended:
        yield (
            "There are records of sources that were moved or deleted here: `s3sync verify` tells "
            "when they may go."
        )


def _first(names: Sequence[Sequence[str]]) -> list[str]:
    return [one for part in names for one in part][:SHOWN]


def _open(runtime: Runtime, tenant: str, database: str, name: str) -> CollectionPort:
    try:
        return runtime.parts.collections.open(
            name, tenant=tenant, database=database, embedder=None, create=False
        )
    except NotFound:
        return AbsentCollection(name)
