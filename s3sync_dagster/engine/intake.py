"""Messages of a queue: received, committed, and only then deleted.

A process may die between any two lines: what was not deleted comes again and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from s3sync_dagster.core.events import MAX_RECORDS
from s3sync_dagster.core.intake import IntakeCounts, IntakePlan, plan_intake
from s3sync_dagster.model.errors import NoRoom

if TYPE_CHECKING:
    from s3sync_dagster.core.events import Message
    from s3sync_dagster.engine.catalog_port import WorkPort
    from s3sync_dagster.engine.clock import Clock
    from s3sync_dagster.engine.ports import Queue, QueueRules
    from s3sync_dagster.model.source import Source

MESSAGES_A_COMMIT = 500
BYTES_A_COMMIT = 2 * 1024**2
"""After which no more is received: a message may have a mebibyte, and all are in memory."""
ROWS_A_COMMIT = 10_000
"""Events times sources: what is received is committed and deleted in such parts, so that a tick
that began ends soon after its budget."""
GRACE_SECONDS = 10.0
"""What was received is stored after the budget, too: whatever goes back unread comes nearer to the
dead-letter queue. Ten messages of a hundred events for two hundred sources are more than that."""
LEAST_EVENT_BYTES = 90
"""No event that is understood is shorter; S3's have about eight times as many."""
KEYS_A_TRANSACTION = 1_000
"""So that nobody waits for long who writes into the catalog beside this."""
WAIT_SECONDS = 1
WORK_SECONDS = 120
"""From the first receive to the deletion nobody else may see what one commit works on."""


@dataclass(slots=True, kw_only=True)
class Intake:
    """What a call took from a queue."""

    counts: IntakeCounts = field(default_factory=IntakeCounts)
    touched: set[str] = field(default_factory=set[str])
    """Ids of the sources with new work."""


def take_messages(
    queue: Queue,
    sources: Sequence[Source],
    *,
    work: WorkPort,
    clock: Clock,
    log: Callable[[str], None],
    budget_seconds: float,
    wait_seconds: int = WAIT_SECONDS,
    work_seconds: int = WORK_SECONDS,
    listeners: Callable[[], Sequence[Source]] | None = None,
    at: Callable[[str], None] | None = None,
) -> Intake:
    """Work on a queue until it is empty or the budget is spent.

    Only the first message is waited for: whoever called hands out work as soon as some is taken.
    What is not understood goes back at the end, so that it is soon in the dead-letter queue; where
    there is none, it stays away for the queue's own time.

    Args:
        queue: a queue.
        sources: all that listen to it.
        work: of the catalog.
        clock: time.
        log: takes warnings.
        budget_seconds: nothing more is received after so long.
        wait_seconds: for the first message, 0 to 20.
        work_seconds: messages stay invisible for so long at least: a queue's own time is kept
            where it is longer.
        listeners: returns who is told, of ``sources`` and others; asked each time that messages
            have come. Who was edited during a wait may have been listed since, and what came after
            that only its events tell of.
        at: called after ``received`` and, before anything is deleted, after ``recorded``.

    Raises:
        S3SyncError: queue or catalog did not answer; what is not committed comes again. So does,
            without an error, what there is no room for.
    """
    found = Intake()
    ends = clock.monotonic() + budget_seconds
    rules: QueueRules | None = None
    not_understood: list[Message] = []
    while clock.monotonic() < ends:
        messages = _receive(
            queue, clock=clock, ends=ends, wait_seconds=wait_seconds, sources=len(sources)
        )
        if not messages:
            break
        wait_seconds = 0
        _told(at, "received")
        if rules is None:
            rules = queue.rules()
        if listeners is not None:
            sources = listeners()
        if rules.visibility_seconds is None or rules.visibility_seconds < work_seconds:
            queue.extend(messages, seconds=work_seconds)
        for group in _groups(messages, sources=len(sources)):
            if group[0] is not messages[0] and clock.monotonic() >= ends + GRACE_SECONDS:
                queue.extend(group, seconds=0)
                continue
            plan = plan_intake(group, sources)
            _commit(plan, queue=queue, work=work, log=log, at=at, found=found)
            not_understood += [replace(one, body="") for one in plan.leave]
    if not_understood and rules is not None and rules.dead_letters is not False:
        # Not before: this very call would receive them again.
        queue.extend(not_understood, seconds=0)
    return found


def _groups(messages: Sequence[Message], *, sources: int) -> Iterator[list[Message]]:
    """Yield the messages in parts that make so many rows at most; one alone may make more.

    Each event is told to each source, of which an owner has two hundred at one queue.
    """
    group: list[Message] = []
    rows = 0
    for message in messages:
        more = _rows(message, sources=sources)
        if group and rows + more > ROWS_A_COMMIT:
            yield group
            group, rows = [], 0
        group.append(message)
        rows += more
    if group:
        yield group


def _rows(message: Message, *, sources: int) -> int:
    """Return how many events times sources a message may have."""
    return max(1, sources) * (1 + min(len(message.body) // LEAST_EVENT_BYTES, MAX_RECORDS))


def _commit(
    plan: IntakePlan,
    *,
    queue: Queue,
    work: WorkPort,
    log: Callable[[str], None],
    at: Callable[[str], None] | None,
    found: Intake,
) -> None:
    """Store what messages tell, and only then delete them."""
    refused: set[Message] = set()
    for source_id, events in plan.by_source.items():
        for part in events.parts(KEYS_A_TRANSACTION):
            try:
                work.record_events(
                    source_id,
                    upserts=part.upserts,
                    sync=part.sync,
                    remove=part.remove,
                    sequencers=dict(part.sequencers),
                )
            except NoRoom as error:
                told = [plan.tellers.get((source_id, key), ()) for key in error.keys]
                refused.update(message for of_key in told for message in of_key)
                log(f"source {source_id}: {len(error.keys)} new objects wait: {error.message}")
        if events.sync or events.remove:
            found.touched.add(source_id)
    _told(at, "recorded")
    for line in plan.log:
        log(line)
    # The queue keeps what was not stored. A message may tell of several sources' objects.
    left = queue.delete([one for one in plan.delete if one not in refused])
    if left:
        log(f"{len(left)} messages could not be deleted; they come again and change nothing")
    found.counts += replace(plan.counts, no_room=len(refused))


def _receive(
    queue: Queue, *, clock: Clock, ends: float, wait_seconds: int, sources: int
) -> list[Message]:
    """Return what one commit works on, and what came with the last of it."""
    messages: list[Message] = []
    size = rows = 0
    while len(messages) < MESSAGES_A_COMMIT and size < BYTES_A_COMMIT and rows < ROWS_A_COMMIT:
        received = queue.receive(limit=10, wait_seconds=0 if messages else wait_seconds)
        messages += received
        size += sum(len(one.body) for one in received)
        rows += sum(_rows(one, sources=sources) for one in received)
        if not received or clock.monotonic() >= ends:
            break
    return messages


def _told(at: Callable[[str], None] | None, step: str) -> None:
    if at is not None:
        at(step)
