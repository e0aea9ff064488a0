"""Dispatch: pending work becomes batches, batches become runs, and dead batches are released.

One dispatcher for all who start runs: the dispatch sensor, the API right after a request, and
``sync`` in its own process.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from s3sync_dagster.core.patience import LEASE_SECONDS, RESERVATION_SECONDS, is_due
from s3sync_dagster.core.reservation import Take
from s3sync_dagster.core.state import BatchRow
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import Source

RunState = Literal["unknown", "queued", "working", "overdue", "ended"]
"""``overdue``: it has been at work for longer than a worker needs to begin with its batch."""
UNSEEN_SECONDS = 30.0
"""A reservation without any run after this is asked for again: the daemon dropped the request."""
BATCHES_AT_ONCE = 20
ROUNDS_TO_MEND = 3
FRUITLESS_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """A batch that wants a run."""

    token: str
    source: Source
    keys: Sequence[str]


class Runs(Protocol):
    """Where batches become runs: a sensor's tick, Dagster's GraphQL, this process."""

    def add_partitions(self, source: Source, names: Sequence[str]) -> None:
        """Tell Dagster of partitions; those that it knows stay."""
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
RunStateOf = Callable[[str | None, str], RunState]
"""Tells a run's state from its id (None before it is known) and batch token."""


def tell_partitions(catalog: CatalogPort, runs: Runs, source: Source, keys: Sequence[str]) -> None:
    """Tell Dagster of keys that it does not know yet, before their run."""
    names = catalog.work.partitions_to_add(source.id, keys)
    runs.add_partitions(source, names)
    catalog.work.partitions_added(source.id, names, added=True)


def dispatch(
    catalog: CatalogPort,
    runs: Runs,
    sources: Mapping[str, Source],
    *,
    only: Collection[str] | None = None,
) -> int:
    """Reserve batches, source by source in turn, and ask for a run of each.

    Of a paused source only what people and requests ask for is served; of one that is being
    deleted nothing. A batch whose run cannot be asked for is released at once.

    Args:
        catalog: the catalog.
        runs: where batches become runs.
        sources: id -> source, of those whose runs can be asked for here.
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
            batch = catalog.batches.reserve(source_id, take=Take())
            if batch is None:
                waiting.remove(source_id)
                continue
            order = BatchOrder(token=batch.token, source=sources[source_id], keys=batch.keys)
            if _hand_on(catalog, runs, order):
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
) -> int:
    """Ask again for the runs of reserved batches that nobody has seen; returns how many."""
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
            asked += _hand_on(catalog, runs, order)
    return asked


def _hand_on(catalog: CatalogPort, runs: Runs, order: BatchOrder) -> bool:
    launched = False
    try:
        tell_partitions(catalog, runs, order.source, order.keys)
        catalog.batches.yielded(order.token)
        launched = runs.launch(order)
    finally:
        if not launched:
            # Only what is still reserved: a launch whose answer was lost may have begun its run.
            catalog.batches.take_back(order.token)
    return launched


def reap(
    catalog: CatalogPort,
    *,
    clock: Clock,
    is_dead: IsDead,
    run_state: RunStateOf,
    source_id: str | None = None,
) -> list[Reaped]:
    """Release batches whose process or run has ended, at once where that can be seen."""
    now = clock.now().timestamp()
    reaped: list[Reaped] = []
    for row in catalog.batches.live(source_id=source_id):
        why = _why_dead(row, now=now, is_dead=is_dead, run_state=run_state)
        if why == "prolong":
            catalog.batches.prolong(row.token)
        elif why is not None and catalog.batches.release(row.token, died=row.state == "running"):
            reaped.append(
                Reaped(token=row.token, source_id=row.source_id, run_id=row.run_id, why=why)
            )
    return reaped


def work_off(
    catalog: CatalogPort,
    source: Source,
    *,
    clock: Clock,
    owner: str,
    is_dead: IsDead,
    work: Callable[[BatchOrder, str], None],
    note: Callable[[str], None],
    on_reaped: Callable[[Reaped], None] = lambda _reaped: None,
    wait_seconds: float = 1.0,
) -> None:
    """Work in this process until no key of a source waits, whoever else works on it.

    Args:
        catalog: the catalog.
        source: the source.
        clock: time.
        owner: this process.
        is_dead: tells whether another owner's process has ended.
        work: does a batch under the run id that it is given.
        note: takes sentences for people.
        on_reaped: told of each batch that an earlier process left.
        wait_seconds: between two looks while another process holds keys.
    """
    noted, mended, fruitless = False, 0, 0
    while True:
        run_id = clock.uuid()
        order = _take(catalog, source, owner=owner, run_id=run_id)
        if order is not None:
            work(order, run_id)
            # A run that ends before it begins with its batch would be followed by the same at once.
            fruitless = fruitless + 1 if catalog.batches.release(order.token, died=False) else 0
            if fruitless >= FRUITLESS_RUNS:
                raise Unavailable(
                    f"{fruitless} runs of {source.name!r} ended before they began with their keys; "
                    "the run's log in Dagster says why.",
                    reason="runs_do_not_begin",
                )
            continue
        reaped = reap(
            catalog,
            clock=clock,
            is_dead=is_dead,
            run_state=lambda _run, _token: "unknown",  # runs are the daemon's business
            source_id=source.id,
        )
        for dead in reaped:
            note(f"a batch of an earlier run is taken over: {dead.why}")
            on_reaped(dead)
        if reaped:  # one that died while it removed records has no key that waits
            catalog.documents.enqueue_unclean(source.id)
            continue
        if not catalog.invocations.live_count(source.id):
            mended += 1
            if mended <= ROUNDS_TO_MEND and catalog.documents.enqueue_unclean(source.id):
                continue
            return
        if not catalog.sources.there(source.id):
            return  # its deletion ends what waits, and gives nothing more away
        if not noted:
            note("another process holds some of the keys; waiting for it")
            noted = True
        clock.sleep(wait_seconds)


def _take(catalog: CatalogPort, source: Source, *, owner: str, run_id: str) -> BatchOrder | None:
    """Lease a batch to this process: of what waits, or one whose run has not started yet.

    Such a run, should a daemon start it later, finds its batch taken and leaves it.
    """
    batches = catalog.batches
    by_hand = Take(max_live=1000, by_hand=True)
    batch = batches.reserve(source.id, take=by_hand, owner=owner, run_id=run_id)
    if batch is not None:
        return BatchOrder(token=batch.token, source=source, keys=batch.keys)
    for row in batches.live(source_id=source.id):
        if row.state == "reserved" and batches.start(row.token, owner=owner, run_id=run_id):
            return BatchOrder(token=row.token, source=source, keys=batches.keys(row.token))
    return None


def _why_dead(row: BatchRow, *, now: float, is_dead: IsDead, run_state: RunStateOf) -> str | None:
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
        return "its process died"
    if row.run_id is not None and run_state(row.run_id, row.token) == "ended" and dead is None:
        return "its run ended"
    if dead is None and is_due(row.lease_until, now=now, at_most=LEASE_SECONDS):
        return "its lease ended"
    return None
