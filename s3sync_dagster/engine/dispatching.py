"""Dispatch: pending work becomes batches, batches become runs, and dead batches are released.

One dispatcher for all who start runs: the dispatch sensor, the API right after a request, and
``sync`` in its own process.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from s3sync_dagster.core.patience import (
    LEASE_SECONDS,
    RENEW_SECONDS,
    RESERVATION_SECONDS,
    is_due,
)
from s3sync_dagster.core.reservation import MAX_LIVE, Take
from s3sync_dagster.core.state import BatchRow
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import S3SyncError, Unavailable
from s3sync_dagster.model.source import Source

RunState = Literal["unknown", "queued", "working", "overdue", "ended"]
"""``overdue``: it has been at work for longer than a worker needs to begin with its batch."""
UNSEEN_SECONDS = 30.0
"""A reservation without any run after this is asked for again: the daemon dropped the request."""
BATCHES_AT_ONCE = 20
SILENT_SECONDS = RENEW_SECONDS + 3.0
"""A process of another host that was seen to leave, and has not renewed its lease for so long, is
dead: one that lives renews it, whatever has ended its connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """A batch that wants a run."""

    token: str
    source: Source
    keys: Sequence[str]


class Runs(Protocol):
    """Where batches become runs: a sensor's tick, Dagster's GraphQL, this process."""

    def add_partitions(self, source: Source, names: Sequence[str], *, shard: int) -> bool:
        """Tell Dagster of partitions of a shard; those that it knows stay.

        Returns:
            False where only their run can tell it: the asset is not loaded here yet.
        """
        ...

    def launch(self, order: BatchOrder) -> bool:
        """Ask for the run of a batch; False when the source's job is not known yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """A batch whose worker is gone."""

    token: str
    source_id: str
    run_id: str | None
    why: str


IsDead = Callable[[str | None], bool | None]
"""Tells whether an owner's process has ended; None: cannot tell."""
HasLeft = Callable[[str | None], bool]
"""Tells whether an owner's process, on whatever host, was seen at work and is seen no more."""
RunStateOf = Callable[[str | None, str], RunState]
"""Tells a run's state from its id (None before it is known) and batch token."""
Share = Callable[[str], int | None]
"""Tells how many live batches a tenant may have; None: any number."""
Refused = Callable[[Source, S3SyncError], None]
"""Told of a source of which no run can be asked for, for a reason of its own: the others go on."""


def tell_partitions(
    catalog: CatalogPort,
    runs: Runs,
    source: Source,
    keys: Sequence[str],
    *,
    asked_in: int | None = None,
) -> Mapping[str, int]:
    """Tell Dagster of keys that it does not know yet, before their run.

    Args:
        catalog: the catalog.
        runs: who tells Dagster.
        source: the source.
        keys: of objects.
        asked_in: the shard to which somebody has added partitions of new keys already.

    Returns:
        The shard of each key that has one.
    """
    placement = catalog.partitions.place(source.id, keys, asked_in=asked_in)
    for shard, names in placement.untold.items():
        if runs.add_partitions(source, names, shard=shard):
            catalog.partitions.added(source.id, names, shard=shard)
    return placement.shards


def dispatch(
    catalog: CatalogPort,
    runs: Runs,
    sources: Mapping[str, Source],
    *,
    refused: Refused,
    share: Share,
    runs_of_source: int = MAX_LIVE,
    only: Collection[str] | None = None,
) -> int:
    """Reserve batches, source by source in turn, and ask for a run of each.

    Of a paused source only what people and requests ask for is served; of one that is being
    deleted nothing. A batch whose run cannot be asked for is released at once, and its invocations
    say why.

    Args:
        catalog: the catalog.
        runs: where batches become runs.
        sources: id -> source, of those whose runs can be asked for here.
        refused: told of each source whose run cannot be asked for.
        share: what each tenant may have at once. What waits beyond it waits in the catalog, so
            that runs of others have but few before them in Dagster's queue.
        runs_of_source: what a source may have at once.
        only: ids of sources; None: all of them.

    Returns:
        How many batches were handed on.

    Raises:
        Unavailable: nobody takes the request; the dispatch sensor does it later.
    """
    waiting = [
        source_id
        for source_id in catalog.batches.pending_sources()
        if source_id in sources and (only is None or source_id in only)
    ]
    handed_on = 0
    while waiting and handed_on < BATCHES_AT_ONCE:
        for source_id in list(waiting):
            of_tenant = share(sources[source_id].tenant)
            take = Take(max_live=runs_of_source, max_of_tenant=of_tenant)
            batch = catalog.batches.reserve(source_id, take=take)
            if batch is None:
                waiting.remove(source_id)
                continue
            order = BatchOrder(token=batch.token, source=sources[source_id], keys=batch.keys)
            if _hand_on(catalog, runs, order, refused):
                handed_on += 1
            else:
                waiting.remove(source_id)
    return handed_on


def ask_again(
    catalog: CatalogPort,
    runs: Runs,
    sources: Mapping[str, Source],
    *,
    clock: Clock,
    run_state: RunStateOf,
    refused: Refused,
) -> int:
    """Ask again for the runs of reserved batches that nobody has seen; returns how many.

    A source whose run cannot be asked for, and one that nobody takes: as with ``dispatch``.
    """
    now, asked = clock.now().timestamp(), 0
    for row in catalog.batches.live():
        if (
            row.state == "reserved"
            and row.source_id in sources
            and is_due(
                (row.yielded_at or row.created_at) + UNSEEN_SECONDS, now=now, at_most=UNSEEN_SECONDS
            )
            and run_state(None, row.token) == "unknown"
        ):
            keys = catalog.batches.keys(row.token)
            order = BatchOrder(token=row.token, source=sources[row.source_id], keys=keys)
            asked += _hand_on(catalog, runs, order, refused)
    return asked


def _hand_on(catalog: CatalogPort, runs: Runs, order: BatchOrder, refused: Refused) -> bool:
    launched, why = False, None
    try:
        tell_partitions(catalog, runs, order.source, order.keys)
        catalog.batches.yielded(order.token)
        launched = runs.launch(order)
    except Unavailable:  # nobody takes any request now
        raise
    except Exception as error:  # noqa: BLE001  (no source's is the others')
        name = order.source.name
        why = (
            error
            if isinstance(error, S3SyncError)
            else unexpected_error(error, f"no run of {name!r} could be asked for")
        )
        refused(order.source, why)
    finally:
        if not launched:
            # Only what is still reserved: a launch whose answer was lost may have begun its run.
            catalog.batches.take_back(order.token, why=why)
    return launched


def nobody_left(_owner: str | None) -> bool:
    """Answer for whoever cannot see other hosts: their leases end."""
    return False


def reap(
    catalog: CatalogPort,
    *,
    clock: Clock,
    is_dead: IsDead,
    run_state: RunStateOf,
    has_left: HasLeft = nobody_left,
    source_id: str | None = None,
) -> list[Reaped]:
    """Release batches whose process or run has ended, at once where that can be seen."""
    now = clock.now().timestamp()
    reaped: list[Reaped] = []
    for row in catalog.batches.live(source_id=source_id):
        why = _why_dead(row, now=now, is_dead=is_dead, has_left=has_left, run_state=run_state)
        if why == "prolong":
            catalog.batches.prolong(row.token)
        elif why is not None and catalog.batches.release(row.token, died=row.state == "running"):
            reaped.append(
                Reaped(token=row.token, source_id=row.source_id, run_id=row.run_id, why=why)
            )
    return reaped


def _why_dead(
    row: BatchRow, *, now: float, is_dead: IsDead, has_left: HasLeft, run_state: RunStateOf
) -> str | None:
    if row.state == "reserved":
        state = run_state(None, row.token)
        if state == "ended":
            return "its run ended before it started"
        if state == "overdue":  # the host went down between the run's start and its first op
            return "its run never began"
        if not is_due(row.lease_until, now=now, at_most=RESERVATION_SECONDS):
            return None
        return "prolong" if state in ("queued", "working") else "its reservation ended"
    dead = is_dead(row.owner)
    if dead:
        return "its process ended before it was done"
    renewed = row.lease_until - LEASE_SECONDS
    # Asked at each look: who was never seen at work is not seen to leave.
    if dead is None and has_left(row.owner) and renewed + SILENT_SECONDS <= now:
        return "its process on another host is gone"
    if row.run_id is not None and run_state(row.run_id, row.token) == "ended" and dead is None:
        return "its run ended"
    if dead is None and is_due(row.lease_until, now=now, at_most=LEASE_SECONDS):
        return "its lease ended"
    return None
