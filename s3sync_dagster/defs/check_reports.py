"""The cheap checks of all sources, reported to Dagster where something has changed."""

from collections.abc import Sequence

import dagster as dg

from s3sync_dagster.core.naming import asset_path
from s3sync_dagster.defs.checks import CHECKS
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.source import Source

BUDGET_SECONDS = 5.0
"""For all sources; those that are left come a minute later."""
ASKED_TOGETHER = 100
"""Sources of which Dagster is asked at once: a question for each was most of an idle tick's CPU."""

_CHEAP = ("no_failed_keys", "not_gone_quiet")


def report_checks(runtime: Runtime, instance: dg.DagsterInstance, sources: Sequence[Source]) -> int:
    """Report the cheap checks of sources where something has changed; returns how many.

    An evaluation is an event: one a minute for each source would fill the log with nothing. But
    Dagster shows one as "not evaluated" as soon as the asset has a later materialisation.
    """
    clock = runtime.parts.clock
    started, reported = clock.monotonic(), 0
    ordered = list(sources)
    clock.random.shuffle(ordered)  # with many sources each gets its turn
    for start in range(0, len(ordered), ASKED_TOGETHER):
        asked = _Reported(instance, ordered[start : start + ASKED_TOGETHER])
        for source in ordered[start : start + ASKED_TOGETHER]:
            if clock.monotonic() - started > BUDGET_SECONDS:
                return reported
            for name in _CHEAP:
                result = CHECKS[name][1](runtime, source)
                if not asked.shows(source, name, result):
                    _report(instance, source, name, result)
                    reported += 1
    return reported


class _Reported:
    """What Dagster shows of the cheap checks of some sources."""

    def __init__(self, instance: dg.DagsterInstance, sources: Sequence[Source]) -> None:
        assets = [dg.AssetKey(asset_path(source)) for source in sources]
        storage = instance.event_log_storage
        self._latest = storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(asset, name) for asset in assets for name in _CHEAP]
        )
        self._worked = storage.get_latest_materialization_events(assets)

    def shows(self, source: Source, name: str, result: dg.AssetCheckResult) -> bool:
        """Return whether Dagster shows this result, and not "not evaluated"."""
        asset = dg.AssetKey(asset_path(source))
        record = self._latest.get(dg.AssetCheckKey(asset, name))
        before = record.evaluation if record is not None else None
        if record is None or not isinstance(before, dg.AssetCheckEvaluation):
            return False
        worked = self._worked.get(asset)
        if worked is not None and record.create_timestamp <= worked.timestamp:
            return False
        return _told(before) == _told(result)


def _report(
    instance: dg.DagsterInstance, source: Source, name: str, result: dg.AssetCheckResult
) -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset_path(source)),
            check_name=name,
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )
    )


def _told(check: dg.AssetCheckEvaluation | dg.AssetCheckResult) -> tuple[object, ...]:
    metadata = check.metadata or {}
    return check.passed, metadata.get("failed"), metadata.get("objects")
