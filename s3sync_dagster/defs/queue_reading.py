"""Who reads a queue that sources of several tenants name, and who is told what is in it.

Events name objects, with their sizes and etags. A tenant that nobody trusts is told of them only
where it may read the queue itself: it may name any queue, and any bucket.
"""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from s3sync_dagster.core.patience import is_due
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.intake import WAIT_SECONDS, Intake, take_messages
from s3sync_dagster.model.errors import AccessDenied, FixConfiguration, S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.aws_guard import trusted_tenants

LONG_WAIT_SECONDS = 4
"""With what else a tick does it stays below the daemon's loop of 5 s, so that the next tick begins
as this one ends: nearly every event meets somebody who waits for it, for the same CPU."""
OTHER_SENSORS = 3
"""Threads of the daemon that no waiting tick may take."""
NEW_SECONDS = 120.0
"""A source that was made or edited so lately may not be loaded here yet, or not for this queue."""


def wait_seconds(instance: dg.DagsterInstance, *, queues: int) -> int:
    """Return how long a tick may wait for an event.

    Long where Dagster's daemon has threads to spare (``sensors`` in ``dagster.yaml``). Elsewhere it
    evaluates all sensors one after another, and whoever waits keeps the others.

    Args:
        instance: of the daemon.
        queues: how many have a sensor.
    """
    sensors = instance.get_settings("sensors") or {}
    threads = sensors.get("num_workers") or 0 if sensors.get("use_threads") else 0
    return LONG_WAIT_SECONDS if threads >= queues + OTHER_SENSORS else WAIT_SECONDS


def read_queue(
    runtime: Runtime,
    sources: Sequence[Source],
    *,
    again: Callable[[], Sequence[Source]],
    log: Callable[[str], None],
    seconds: float,
    wait: int = WAIT_SECONDS,
) -> Intake:
    """Take messages with what a source has to read the queue with, the oldest of each tenant.

    Whoever names the queue of another tenant cannot read it, and must not keep the other from it.

    Args:
        runtime: of the tick.
        sources: all that name the queue.
        again: returns them as they are when messages have come.
        log: takes warnings.
        seconds: nothing more is received after so long.
        wait: seconds that the first message is waited for.

    Raises:
        S3SyncError: nobody could read the queue, or the catalog does not answer.
    """
    tenants = _by_tenant(sources)
    troubles, failed = runtime.parts.catalog.queue_troubles, dict[str, S3SyncError]()
    for tenant, own in tenants.items():
        listeners = _Listeners(runtime, tenants, again=again, reader=tenant, failed=failed)
        try:
            found = take_messages(
                runtime.parts.queue_for(own[0]),
                sources,  # all of them: what is received at once is for so many
                work=runtime.parts.catalog.work,
                clock=runtime.parts.clock,
                log=log,
                budget_seconds=seconds,
                wait_seconds=wait,
                listeners=listeners.ask,
            )
        except S3SyncError as error:
            failed[tenant] = error
        else:
            listeners.note()
            return found
    for tenant, error in failed.items():  # of a catalog that is away this cannot be written either
        troubles.note(tenants[tenant], error)
    raise next(iter(failed.values()))


def _by_tenant(sources: Sequence[Source]) -> dict[str, list[Source]]:
    tenants: dict[str, list[Source]] = {}
    for source in sources:
        tenants.setdefault(source.tenant, []).append(source)
    return tenants


class _Listeners:
    """Those of a queue's tenants that are told of its events, besides who reads it."""

    def __init__(
        self,
        runtime: Runtime,
        tenants: Mapping[str, Sequence[Source]],
        *,
        again: Callable[[], Sequence[Source]],
        reader: str,
        failed: Mapping[str, S3SyncError],
    ) -> None:
        self._parts, self._again, self._tenants = runtime.parts, again, tenants
        trusted = trusted_tenants(self._parts.settings.environment)
        free = {one for one in tenants if one == reader or "*" in trusted or one in trusted}
        self._told = free
        self._refused = {one: error for one, error in failed.items() if one not in free}

    def ask(self) -> list[Source]:
        """Return the sources that are told, as they are now.

        One question for each tenant that is not known yet.
        """
        self._tenants = _by_tenant(self._again())
        for tenant, own in self._tenants.items():
            if tenant in self._told or tenant in self._refused:
                continue
            try:
                self._require_reader(own[0])
            except S3SyncError as error:
                self._refused[tenant] = error
            else:
                self._told.add(tenant)
        for tenant, error in self._refused.items():
            if not isinstance(error, FixConfiguration):  # what it is not told of it finds
                for one in self._tenants.get(tenant, ()):
                    self._parts.catalog.sources.ask_for_listing(one.id)
        self._list_newcomers()
        return self._listening()

    def note(self) -> None:
        """Tell of each source whether it is told of the queue's events, as far as that is known."""
        troubles = self._parts.catalog.queue_troubles
        troubles.note(self._listening(), None)
        for tenant, error in self._refused.items():
            troubles.note(self._tenants.get(tenant, ()), error)

    def _listening(self) -> list[Source]:
        return [one for tenant in self._told for one in self._tenants.get(tenant, ())]

    def _list_newcomers(self) -> None:
        """Have sources of the queue listed that got it since the tick knew its own.

        Their events, which are deleted as nobody's, may be younger than their last listing.
        """
        known = [one for own in self._tenants.values() for one in own]
        ids, queues = {one.id for one in known}, {one.place.queue_url for one in known}
        sources, now = self._parts.catalog.sources, self._parts.clock.now().timestamp()
        for row in sources.rows():
            old = is_due(row.updated_at + NEW_SECONDS, now=now, at_most=NEW_SECONDS)
            if not old and row.source.id not in ids and row.source.place.queue_url in queues:
                sources.ask_for_listing(row.source.id)

    def _require_reader(self, source: Source) -> None:
        if self._parts.queue_for(source).rules().visibility_seconds is None:
            raise AccessDenied(
                f"asking queue {source.place.queue_url!r} is not allowed, which is another "
                "tenant's as well; grant sqs:GetQueueAttributes"
            )
