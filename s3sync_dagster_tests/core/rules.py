"""What tests of the rules of the engine do to a world of fakes."""

import copy
import json

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.model.errors import AccessDenied

LONG = "\n\n".join(f"part {n}" for n in range(12))


def sidecar(path, custom_id="x", **fields):
    return json.dumps({"version": "chroma-v1", "id": custom_id, "path": path, **fields})


def event(world, key, *, remove=False, sequencer=None, told=None, skip=None):
    """Commit one event; ``told`` is the object as the event has it, ``skip`` why it is left out."""
    world.clock.seconds += 1
    world.catalog.work.record_events(
        world.source.id,
        upserts=[(told, skip)] if told is not None else [],
        sync=[] if remove or skip else [key],
        remove=[key] if remove else [],
        sequencers={key: sequencer} if sequencer else {},
    )


def states(world):
    return {
        row.object_key: (row.state, row.reason)
        for row in world.catalog.views.object_rows(world.source.id)
    }


def requests(world, kind):
    return world.store.requests().get(kind, 0)


def hold(world, key):
    """Reserve the key's work as a batch that has not read it yet."""
    batch = world.catalog.batches.reserve(world.source.id, take=Take(), owner="w", run_id="r")
    assert key in batch.keys
    return batch


def work_on(world, batch, **changes):
    lease = Lease(batch.token, catalog=world.catalog, clock=world.clock)
    sync_batch(world.engine(**changes), lease)


class Refusing:
    """Collections that refuse calls by rules while ``on``; a rule takes a call's first argument."""

    def __init__(self, world, **rules):
        self._world, self._rules, self.on = world, rules, True

    def open(self, name, **options):
        port = self._world.collections.open(name, **options)
        ruled = {method: self._ruled(type(port), method) for method in self._rules}
        port.__class__ = type("RefusingCollection", (type(port),), ruled)
        return port

    def _ruled(self, kind, method):
        plain, rule = getattr(kind, method), self._rules[method]

        def call(port, first, *others, **named):
            if self.on:
                rule(first)
            return plain(port, first, *others, **named)

        return call

    def __getattr__(self, name):
        return getattr(self._world.collections, name)


def refuse_with(error, when=lambda _first: True):
    """Return a rule for ``Refusing``: raise that error where the first argument is so."""

    def rule(first):
        if when(first):
            raise error

    return rule


def refused(world, *, kind="GET"):
    """Refuse the bucket's answers of a kind until the list that is returned is emptied."""
    on = [True]

    def fault(asked, _key):
        if on and asked == kind:
            raise AccessDenied("not allowed")

    world.fault = fault
    return on


class Died(BaseException):
    """The worker's process ended."""


def work_and_die(world, *, workers, **changes):
    """Do all work; each ``Died`` costs one of the workers, whose batch is released."""
    for _ in range(workers):
        try:
            world.run_batches(**changes)
            break
        except Died:
            for row in world.catalog.batches.live():
                world.catalog.batches.release(row.token, died=True)


def die_while_writing(world, collection):
    """Let the next batch write a part into a collection and die of it."""

    class Deadly:
        def open(self, name, **options):
            port = world.collections.open(name, **options)
            if name != collection:
                return port

            def upsert(records, vectors):
                port.upsert(records[:1], vectors[:1])
                raise Died

            half = copy.copy(port)
            half.upsert = upsert
            return half

    with pytest.raises(Died):
        world.run_batches(collections=Deadly())
    for row in world.catalog.batches.live():
        world.catalog.batches.release(row.token, died=True)
