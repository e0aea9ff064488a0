"""What a listing would do now, without doing it."""

from s3sync_dagster.api.manage_wire import DryRun
from s3sync_dagster.engine import dry_run as engine
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

BUDGET_SECONDS = 20.0


def dry_run(parts: Parts, source: Source, *, budget_seconds: float = BUDGET_SECONDS) -> DryRun:
    """List the prefix, decide on every object, and change nothing.

    Raises:
        S3SyncError: the bucket cannot be listed.
    """
    clock = parts.clock
    deadline = clock.monotonic() + budget_seconds
    found = engine.dry_run(
        source,
        catalog=parts.catalog,
        store=parts.store_for(source),
        now=clock.now().timestamp(),
        time_left=lambda: clock.monotonic() < deadline,
    )
    price = parts.settings.price_of(source.embedding)
    tokens = found.estimated_tokens
    return DryRun(
        complete=found.complete,
        listed=found.listed,
        selected=found.selected,
        work=found.indexed + found.updated + found.retried,
        work_bytes=found.bytes,
        work_texts=found.estimated_chunks,
        work_text_bytes=found.estimated_text_bytes,
        work_tokens=tokens,
        work_price=None if price is None else tokens * price / 1e6,
        new=found.indexed,
        changed=found.updated,
        retried=found.retried,
        unchanged=found.unchanged,
        removed=found.removed,
        needs_approval=found.needs_approval,
        skipped=found.skipped,
        failed=found.failed,
        work_keys=found.keys,
    )
