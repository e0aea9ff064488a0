"""A person's own sync: batch after batch in this process, until no key of the source waits."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from s3sync_dagster.core.reservation import MAX_KEYS, Take
from s3sync_dagster.core.suspects import BEGUN_AT_ONCE
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.dispatching import (
    BatchOrder,
    HasLeft,
    IsDead,
    Reaped,
    nobody_left,
    reap,
)
from s3sync_dagster.model.errors import NotFound, Unavailable
from s3sync_dagster.model.source import Source

ROUNDS_TO_MEND = 3
FRUITLESS_RUNS = 3
FIRST_KEYS = 128
"""Of the first batch where the next is read ahead: Chroma has something to do meanwhile."""

Taken = tuple[BatchOrder, str]
"""A batch that is leased to this process, and the id of its run."""


def work_off(
    catalog: CatalogPort,
    source: Source,
    *,
    clock: Clock,
    owner: str,
    is_dead: IsDead,
    has_left: HasLeft = nobody_left,
    work: Callable[[BatchOrder, str], None],
    note: Callable[[str], None],
    on_reaped: Callable[[Reaped], None] = lambda _reaped: None,
    wait_seconds: float = 1.0,
    read_ahead: Callable[[BatchOrder, str], None] | None = None,
) -> None:
    """Work in this process until no key of a source waits, whoever else works on it.

    Args:
        catalog: the catalog.
        source: the source.
        clock: time.
        owner: this process.
        is_dead: tells whether another owner's process has ended.
        has_left: tells whether that of another host was seen at work and is seen no more.
        work: does a batch under the run id that it is given.
        note: takes sentences for people.
        on_reaped: told of each batch that an earlier process left.
        wait_seconds: between two looks while another process holds keys.
        read_ahead: called in another thread with the batch that comes next, while ``work`` is at
            the one before; what it raises ends the whole.
    """
    first = FIRST_KEYS if read_ahead is not None else MAX_KEYS
    noted, mended, fruitless = False, 0, 0
    with _Ahead(catalog, source, clock=clock, owner=owner, read=read_ahead) as ahead:
        while True:
            taken = ahead.next(max_keys=first)
            if taken is not None:
                first = MAX_KEYS
                order, run_id = taken
                ahead.begin(beside=order)
                try:
                    work(order, run_id)
                except Exception:  # this process may live on, as one does that watches
                    catalog.batches.release(order.token, died=False)
                    raise
                # A run that ends before it begins with its batch would be followed by the same.
                fruitless = fruitless + 1 if catalog.batches.release(order.token, died=False) else 0
                if fruitless >= FRUITLESS_RUNS:
                    raise Unavailable(
                        f"{fruitless} runs of {source.name!r} ended before they began with their "
                        "keys; the run's log in Dagster says why.",
                        reason="runs_do_not_begin",
                    )
                continue
            reaped = reap(
                catalog,
                clock=clock,
                is_dead=is_dead,
                has_left=has_left,
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


class _Ahead:
    """Takes batches, where it may one ahead; leaves none that it took and nobody works on."""

    def __init__(
        self,
        catalog: CatalogPort,
        source: Source,
        *,
        clock: Clock,
        owner: str,
        read: Callable[[BatchOrder, str], None] | None,
    ) -> None:
        self._catalog, self._source, self._clock = catalog, source, clock
        self._owner, self._read = owner, read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="s3sync-ahead")
        self._coming: Future[Taken | None] | None = None

    def next(self, *, max_keys: int) -> Taken | None:
        """Return the next batch; None where no key waits."""
        coming, self._coming = self._coming, None
        taken = None if coming is None else coming.result()
        return taken or self._take(max_keys=max_keys)

    def begin(self, *, beside: BatchOrder) -> None:
        """Take and read the next batch while another is worked on."""
        # Suspects of a worker's death come in few and have nothing beside them: the proof is that.
        if self._read is not None and len(beside.keys) > BEGUN_AT_ONCE:
            self._coming = self._thread.submit(self._take_and_read, self._read)

    def _take_and_read(self, read: Callable[[BatchOrder, str], None]) -> Taken | None:
        taken = self._take(max_keys=MAX_KEYS)
        if taken is not None and len(taken[0].keys) > BEGUN_AT_ONCE:
            try:
                read(*taken)
            except BaseException:
                self._catalog.batches.release(taken[0].token, died=False)
                raise
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        coming, self._coming = self._coming, None
        if coming is not None and coming.exception() is None and (left := coming.result()):
            self._catalog.batches.release(left[0].token, died=False)

    def _take(self, *, max_keys: int) -> Taken | None:
        """Lease a batch to this process: of what waits, or one whose run has not started yet.

        Such a run, should a daemon start it later, finds its batch taken and leaves it.
        """
        batches, owner, run_id = self._catalog.batches, self._owner, self._clock.uuid()
        by_hand = Take(max_live=1000, by_hand=True, max_keys=max_keys)
        batch = batches.reserve(self._source.id, take=by_hand, owner=owner, run_id=run_id)
        if batch is not None:
            return self._order(batch.token, batch.keys), run_id
        for row in batches.live(source_id=self._source.id):
            if row.state == "reserved" and batches.start(row.token, owner=owner, run_id=run_id):
                return self._order(row.token, batches.keys(row.token)), run_id
        return None

    def _order(self, token: str, keys: Sequence[str]) -> BatchOrder:
        return BatchOrder(token=token, source=as_of_now(self._catalog, self._source), keys=keys)


def as_of_now(catalog: CatalogPort, source: Source) -> Source:
    """Return a source as it is by now; once a batch of it is leased an edit ends that batch."""
    try:
        return catalog.sources.find(source.id)
    except NotFound:  # it goes, and gives nothing more away
        return source
