"""What happens to a batch that cannot go on as a whole: no model, no credentials, a bug of ours."""

import logging
import traceback

import dagster as dg

from s3sync_dagster.core.work import KeyOutcome
from s3sync_dagster.defs.leasing import Leased, aside
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.batch.parts import KeyReport, Patience
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError, Unavailable
from s3sync_dagster.model.source import Source

_log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""After this the keys are dispatched again when the cause may pass by itself."""
CONFIGURATION_RETRY_SECONDS = 900.0
INTERNAL_ERROR = "internal_error"


def give_up(
    context: dg.OpExecutionContext,
    runtime: Runtime,
    source: Source,
    leased: Leased,
    error: Exception,
) -> tuple[dg.Failure, list[KeyReport]]:
    """Settle the keys that are left; returns the failure that ends the run, and their reports.

    Without it the keys would be pending at once, and the next run would fail like this one a
    few seconds later. A foreign exception's text is not stored, it may hold a secret: its type
    is, and where it was raised.
    """
    ours = error if isinstance(error, S3SyncError) else _internal(error)
    lease, left = leased.lease, list[str]()
    if lease is not None:
        catalog, now = runtime.parts.catalog, runtime.parts.clock.now().timestamp()
        left = catalog.batches.keys(lease.token)
        final = runtime.hooks.get("patience", Patience()).final
        try:
            catalog.documents.commit(
                lease.token,
                source,
                outcomes=[_outcome(key, ours, now=now, final=final) for key in left],
            )
            catalog.batches.finish(lease.token)
        except S3SyncError as second:  # the lease ends by itself then
            context.log.warning(f"the batch could not be settled: {second.message}")
    failure = dg.Failure(
        f"{ours.reason}: {ours.message}", metadata={"reason": ours.reason}, allow_retries=False
    )
    return failure, [
        aside(key, reason=ours.reason, error=ours.message, state="failed") for key in left
    ]


def _outcome(key: str, error: S3SyncError, *, now: float, final: bool) -> KeyOutcome:
    configuration = isinstance(error, FixConfiguration)
    if configuration or final:
        return KeyOutcome(
            key=key,
            status="failed",
            outcome="failed",
            reason=error.reason,
            error=error.message,
            retry_class="configuration" if configuration else "transient",
            next_at=now + (CONFIGURATION_RETRY_SECONDS if configuration else RETRY_SECONDS),
        )
    return KeyOutcome(
        key=key,
        status="pending",
        reason=error.reason,
        error=error.message,
        next_at=now + RETRY_SECONDS,
    )


def _internal(error: Exception) -> S3SyncError:
    frames = traceback.format_tb(error.__traceback__)
    _log.error("%s in a run, raised at:\n%s", type(error).__name__, "".join(frames))
    return Unavailable(
        f"The run met a {type(error).__name__}; the standard error of the run shows where.",
        reason=INTERNAL_ERROR,
    )
