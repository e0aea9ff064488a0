"""A worker process of the crash tests: the product's own parts, and ways to die on its way."""

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s3sync_dagster.core.patience import Patience
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.engine.dispatching import BatchOrder
from s3sync_dagster.engine.intake import take_messages
from s3sync_dagster.engine.listing_turns import list_whole
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.engine.working_off import work_off
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts

DEADLY = b"DEADLY"
"""An object with these bytes ends the process that extracts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a process is to do, and where it ends."""

    step: str | None = None
    """Named step of the engine at which it stops; None: it works to its end."""
    count: int = 1
    """The step's how-manieth time."""
    stop: signal.Signals = signal.SIGKILL
    """SIGSTOP: it stands still there until it is told to go on."""
    records_a_write: int = 1000
    seconds_a_file: float = 0.0
    take_seconds: float = 300.0
    work: str = "sync"
    """``sync``: list and work; ``intake``: take messages of the queue and work."""


def run(environment: Mapping[str, str], source_id: str, orders: Orders) -> None:
    """Do what ``s3sync sync`` or a sensor and its runs do, without Dagster."""
    parts = open_parts(load_settings(environment))
    source = parts.catalog.sources.find(source_id)
    seen: Counter[str] = Counter()

    def at(step: str) -> None:
        seen[step] += 1
        if step == orders.step and seen[step] == orders.count:
            os.kill(os.getpid(), orders.stop)

    engine = parts.batch_parts(
        source, at=at, threads=4, take_seconds=orders.take_seconds, patience=Patience(final=True)
    )
    engine.collections = _Limited(engine.collections, orders.records_a_write)  # type: ignore[assignment]
    engine.extractor = _dangerous(engine.extractor, orders.seconds_a_file)
    if orders.work == "intake":
        take_messages(
            parts.queue_for(source),
            [source],
            work=parts.catalog.work,
            clock=parts.clock,
            log=print,
            budget_seconds=60,
            work_seconds=1,  # the queue's own time: what a dead process had comes again soon
            at=at,
        )
    else:
        list_whole(parts.listing, source, approve_deletes=True)
        at("listed")
    parts.catalog.documents.enqueue_unclean(source.id)

    def work(order: BatchOrder, _run_id: str) -> None:
        lease = Lease(order.token, catalog=parts.catalog, clock=parts.clock)
        with lease.heartbeat():
            sync_batch(engine, lease)

    with suppress(LeaseLost):
        work_off(
            parts.catalog,
            source,
            clock=parts.clock,
            owner=parts.owners.me(),
            is_dead=parts.owners.is_dead,
            work=work,
            note=lambda _line: None,
        )
        parts.close()


def _dangerous(extractor: Any, seconds_a_file: float) -> Any:
    def extract(content: Any, **options: Any) -> Any:
        if isinstance(content, bytes) and content.startswith(DEADLY):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(seconds_a_file)
        return extractor(content, **options)

    return extract


class _Limited:
    """Collections that take few records a write, so that a document needs several."""

    def __init__(self, collections: Any, records: int) -> None:
        self._collections, self._records = collections, records

    def open(self, name: str, **options: Any) -> Any:
        port = self._collections.open(name, **options)
        whole = port.write_limits
        limits = WriteLimits(
            max_records=min(self._records, whole.max_records), max_bytes=whole.max_bytes
        )
        port._write_limits = lambda: limits
        return port
