"""One tick at a queue: receive, commit, only then delete."""

from collections.abc import Callable, Sequence

from s3sync_dagster.core.events import Message
from s3sync_dagster.core.intake import plan_intake
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.source import Source

MESSAGES_A_COMMIT = 500
VISIBILITY_SECONDS = 120


def take_messages(
    runtime: Runtime,
    sources: Sequence[Source],
    *,
    log: Callable[[str], None],
    budget_seconds: float,
) -> tuple[str, set[str]]:
    """Work on a queue for so long; returns a sentence and the ids of sources with new work."""
    parts = runtime.parts
    if not sources:
        return "no source listens to this queue any more", set()
    queue = parts.queue_for(sources[0])
    started = parts.clock.monotonic()
    touched: set[str] = set()
    seen = events = invalid = 0
    while parts.clock.monotonic() - started < budget_seconds:
        messages: list[Message] = []
        while len(messages) < MESSAGES_A_COMMIT:
            received = queue.receive(limit=10, wait_seconds=1 if not messages else 0)
            messages += received
            if not received or parts.clock.monotonic() - started >= budget_seconds:
                break
        if not messages:
            break
        queue.extend(messages, seconds=VISIBILITY_SECONDS)
        plan = plan_intake(messages, sources)
        for source_id, found in plan.by_source.items():
            parts.catalog.work.record_events(
                source_id,
                upserts=found.upserts,
                sync=found.sync,
                remove=found.remove,
                sequencers=dict(found.sequencers),
            )
            if found.sync or found.remove:
                touched.add(source_id)
        for line in plan.log:
            log(line)
        left = queue.delete(plan.delete)
        if left:
            log(f"{len(left)} messages could not be deleted; they come again and change nothing")
        seen += len(messages)
        events += plan.counts.events
        invalid += plan.counts.invalid
    text = f"{seen} messages, {events} events"
    if invalid:
        text += f", {invalid} not understood and left to the dead-letter queue"
    return text, touched
