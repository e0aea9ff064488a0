"""A worker process of the crash tests: the product's own parts, and ways to die on its way."""

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import Patience
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.engine.dispatching import reap
from s3sync_dagster.engine.intake import take_messages
from s3sync_dagster.engine.listing import list_whole
from s3sync_dagster.engine.ports import WriteLimits
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

    engine = parts.engine_for(
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
    while True:
        batch = parts.catalog.batches.reserve(
            source.id,
            take=Take(max_live=1000, ignore_backoff=True),
            owner=parts.owners.me(),
            run_id=f"run-{os.getpid()}",
        )
        if batch is not None:
            lease = Lease(batch.token, catalog=parts.catalog, clock=parts.clock)
            try:
                with lease.heartbeat():
                    sync_batch(engine, lease)
            except LeaseLost:
                return
            parts.catalog.documents.enqueue_unclean(source.id)
        elif _reap(parts, source.id):
            parts.catalog.documents.enqueue_unclean(source.id)
        else:
            parts.close()
            return


def _reap(parts: Any, source_id: str) -> bool:
    return bool(
        reap(
            parts.catalog.batches,
            clock=parts.clock,
            is_dead=parts.owners.is_dead,
            run_state=lambda _run, _token: "unknown",
            source_id=source_id,
        )
    )


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
        port.write_limits = WriteLimits(
            max_records=min(self._records, port.write_limits.max_records),
            max_bytes=port.write_limits.max_bytes,
        )
        return port
