"""Dispatch: which batches are dead, which reservations are asked for again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from s3sync_dagster.engine.clock import Clock

RunState = Literal["unknown", "queued", "working", "overdue", "ended"]
"""``overdue``: it has been at work for longer than a worker needs to begin with its batch."""
UNSEEN_SECONDS = 30.0
"""A reservation without any run after this is yielded again: the daemon dropped the request."""


class LiveBatch(Protocol):
    """A row of a live batch."""

    token: str
    source_id: str
    state: str
    owner: str | None
    run_id: str | None
    lease_until: float
    created_at: float
    yielded_at: float | None


class DispatchCatalog(Protocol):
    """What dispatch asks of the catalog's batches."""

    def live(self, *, source_id: str | None = None) -> Sequence[Any]:
        """Return rows of live batches."""
        ...

    def release(self, token: str, *, died: bool) -> bool:
        """End a live batch that will not finish."""
        ...

    def prolong(self, token: str) -> None:
        """Prolong a reservation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """A batch whose worker is gone."""

    token: str
    source_id: str
    run_id: str | None
    why: str


def reap(
    batches: DispatchCatalog,
    *,
    clock: Clock,
    is_dead: Callable[[str | None], bool | None],
    run_state: Callable[[str | None, str], RunState],
    source_id: str | None = None,
) -> list[Reaped]:
    """Release batches whose process or run has ended, at once where that can be seen.

    Args:
        batches: the catalog's batches.
        clock: time.
        is_dead: tells whether an owner's process has ended; None: cannot tell.
        run_state: tells a run's state from its id (None before it is known) and batch token.
        source_id: only batches of this source.
    """
    now = clock.now().timestamp()
    reaped: list[Reaped] = []
    for row in batches.live(source_id=source_id):
        why = _why_dead(row, now=now, is_dead=is_dead, run_state=run_state)
        if why == "prolong":
            batches.prolong(row.token)
        elif why is not None and batches.release(row.token, died=row.state == "running"):
            reaped.append(
                Reaped(token=row.token, source_id=row.source_id, run_id=row.run_id, why=why)
            )
    return reaped


def unseen(
    batches: DispatchCatalog, *, clock: Clock, run_state: Callable[[str | None, str], RunState]
) -> list[Any]:
    """Return reserved batches whose run nobody has seen: they are asked for again."""
    now = clock.now().timestamp()
    return [
        row
        for row in batches.live()
        if row.state == "reserved"
        and now - (row.yielded_at or row.created_at) >= UNSEEN_SECONDS
        and run_state(None, row.token) == "unknown"
    ]


def _why_dead(
    row: Any,
    *,
    now: float,
    is_dead: Callable[[str | None], bool | None],
    run_state: Callable[[str | None, str], RunState],
) -> str | None:
    if row.state == "reserved":
        state = run_state(None, row.token)
        if state == "ended":
            return "its run ended before it started"
        if state == "overdue":  # the host went down between the run's start and its first op
            return "its run never began"
        if row.lease_until > now:
            return None
        return "prolong" if state in ("queued", "working") else "its reservation ended"
    dead = is_dead(row.owner)
    if dead:
        return "its process died"
    if row.run_id is not None and run_state(row.run_id, row.token) == "ended" and dead is None:
        return "its run ended"
    if row.lease_until <= now and dead is None:
        return "its lease ended"
    return None
