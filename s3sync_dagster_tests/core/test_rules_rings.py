"""Objects that exchange their ids in a ring: at no step is a text of theirs not to be found."""

from contextlib import suppress

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import BatchFailed, sync_batch
from s3sync_dagster.model.errors import AccessDenied, RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket
from s3sync_dagster_tests.core.rules import (
    Died,
    Refusing,
    event,
    refuse_with,
    sidecar,
    states,
    work_and_die,
    work_on,
)
from s3sync_dagster_tests.engine_fixture import World, make_world
from s3sync_dagster_tests.sources import s3_source

CALLS = ("get", "upsert", "update_metadata", "delete")
COUNTS = pytest.mark.parametrize("number", [2, 3])
DENIED = pytest.mark.parametrize("denied", [None, "0.md", "1.md"])
MODES = pytest.mark.parametrize("mode", list(DeleteMode))


class Ring:
    """Objects of a source, each of which is to have the id of the next by now."""

    def __init__(self, mode, number, *, changes=False, names=()):
        requests = mode is DeleteMode.APPEND  # where automatic work leaves each its id
        auto_sync = AutoSync.NONE if requests else AutoSync.METADATA
        self.world = make_world(mode=mode, auto_sync=auto_sync)
        self.keys = [f"{place}.md" for place in range(number)]
        self.lost, self.may_lack = set(), set()
        self._requests = requests
        places = [(f"id-{place}", names[place] if names else "docs") for place in range(number)]
        self._names = {name for _, name in places}
        for key in self.keys:
            self.world.bucket.put(key, f"text of {key}")
        self._ask(places)
        self.pass_by(at=lambda _step: None)
        assert self.there() == dict(zip(places, self.keys, strict=True))
        for key in self.keys if changes else ():
            self.world.bucket.put(key, f"text of {key} two")
        self._moved = places[1:] + places[:1]
        self._ask(self._moved)
        self.wanted = dict(zip(self._moved, self.keys, strict=True))
        if not requests:
            self.world.listing()

    def _ask(self, places):
        for key, (custom_id, name) in zip(self.keys, places, strict=True):
            if self._requests:
                self.world.ask(key, custom_id=custom_id, target_collection_name=name)
            else:
                told = sidecar(key, custom_id, target_collection_name=name)
                self.world.bucket.put(f"{key}.meta.json", told)

    def pass_by(self, **changes):
        self.world.clock.seconds += 7200
        if not self._requests:
            self.world.listing()
        self.world.catalog.documents.enqueue_unclean(self.world.source.id)
        self.world.run_batches(**{"at": self.look, **changes})

    def look(self, step):
        """Note whose text is not to be found, under whichever id; an engine's step must not fail"""
        lost = set(self.keys) - {self._of(one) for one in self._texts().values()}
        self.lost |= {(step, key) for key in lost - self.may_lack}

    def there(self):
        """Return place -> whose text it has, of the newest bytes."""
        found = {place: self._of(one) for place, one in self._texts().items()}
        newest = {self.world.bucket.objects()[key].decode() for key in self.keys}
        assert set(self._texts().values()) <= newest
        return found

    def _texts(self):
        return {
            (one.removesuffix("-0"), name): text
            for name in self._names
            for one, text in self.world.texts(name).items()
        }

    @staticmethod
    def _of(text):
        return text.removeprefix("text of ").removesuffix(" two")

    def deny(self, key):
        def fault(_kind, asked):
            if asked == key:
                raise AccessDenied("not allowed")

        self.world.fault = fault if key else None

    def comes_to_rest(self, *, denied=None):
        self.deny(denied)
        for _ in range(1 if denied else 0):
            self.pass_by()
            self.look("denied")
        self.deny(None)
        if self._requests:  # one that failed is forgotten
            self._ask(self._moved)
        for _ in range(3):
            self.pass_by()
        assert not self.lost
        assert self.there() == self.wanted
        assert self.world.catalog.invocations.live_count(self.world.source.id) == 0


@MODES
@COUNTS
@pytest.mark.parametrize("changes", [True, False])
def test_a_ring_is_written_in_one_pass_and_no_text_is_ever_away(mode, number, changes):
    ring = Ring(mode, number, changes=changes)
    ring.world.run_batches(at=ring.look)
    if mode is not DeleteMode.APPEND:  # sidecars, and what they ask for
        ring.world.run_batches(at=ring.look)
    assert not ring.lost
    assert ring.there() == ring.wanted


def die_at(step, ring):
    """Die at a step of the ring's work; returns whether it had so many."""
    steps = []

    def die(at):
        ring.look(at)
        steps.append(at)
        if len(steps) == step + 1:
            raise Died

    work_and_die(ring.world, workers=1, at=die)
    return len(steps) == step + 1


@MODES
@DENIED
@pytest.mark.parametrize("first", [3, 11, pytest.param(17, marks=pytest.mark.long)])
def test_a_death_at_some_steps_of_a_ring_costs_no_text(mode, denied, first):
    step = first
    while die_at(step, ring := Ring(mode, 2)):
        ring.comes_to_rest(denied=denied)
        step += 20
    assert step > 20


@pytest.mark.parametrize("first", [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_ring_that_died_and_whose_records_are_no_longer_trusted_comes_to_its_end(first):
    step = first
    while die_at(step, ring := Ring(DeleteMode.KEEP_DELETED, 3)):
        ring.world.catalog.documents.distrust_all(ring.world.source.id)
        ring.comes_to_rest()
        step += 6 * first or 1
    assert step > 14


@pytest.mark.long
@MODES
@COUNTS
@DENIED
def test_a_death_at_any_step_of_a_ring_costs_no_text(mode, number, denied):
    step = 0
    while die_at(step, ring := Ring(mode, number)):
        ring.comes_to_rest(denied=denied)
        step += 1
    assert step > 20


@pytest.mark.long
@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("names", [("docs", "other", "third"), ("docs", "docs", "other")])
@DENIED
def test_a_death_at_any_step_of_a_ring_over_collections_costs_no_text(mode, names, denied):
    step = 0
    while die_at(step, ring := Ring(mode, 3, names=names)):
        ring.comes_to_rest(denied=denied)
        step += 1
    assert step > 20


def is_away_from(call, ring, *, lasts):
    """Work with a Chroma that is away from a call on; returns whether there were so many."""
    calls = []

    def rule(_first):
        calls.append(call)
        if call < len(calls) <= call + lasts:
            raise Unavailable("away", reason="chroma_unavailable")

    refusing = Refusing(ring.world, **dict.fromkeys(CALLS, rule))

    def look(step):
        refusing.on = False
        ring.look(step)
        refusing.on = True

    with suppress(BatchFailed):  # where it is the model that is asked about
        ring.world.run_batches(at=look, collections=refusing)
    refusing.on = False
    return len(calls) > call


@MODES
@DENIED
@pytest.mark.parametrize("lasts", [1, 1000])
@pytest.mark.parametrize("first", [2, pytest.param(6, marks=pytest.mark.long)])
def test_an_outage_at_some_calls_of_a_ring_costs_no_text(mode, denied, lasts, first):
    call = first
    while is_away_from(call, ring := Ring(mode, 2), lasts=lasts):
        ring.comes_to_rest(denied=denied)
        call += 9
    assert call > 5


@pytest.mark.long
@MODES
@COUNTS
@DENIED
@pytest.mark.parametrize("lasts", [1, 1000])
def test_an_outage_at_any_call_of_a_ring_costs_no_text(mode, number, denied, lasts):
    call = 0
    while is_away_from(call, ring := Ring(mode, number), lasts=lasts):
        ring.comes_to_rest(denied=denied)
        call += 1
    assert call > 5


@MODES
@COUNTS
@pytest.mark.parametrize("bad", ["0.md", "1.md"])
@pytest.mark.parametrize("changes", [True, False])
def test_a_record_of_a_ring_that_chroma_refuses_costs_no_text(mode, number, bad, changes):
    ring = Ring(mode, number, changes=changes)
    place = next(place for place, key in ring.wanted.items() if key == bad)

    def rule(records):
        ids = [one if isinstance(one, str) else one.id for one in records]
        if any(name == f"{place[0]}-0" for name in ids):
            raise RecordRejected("no")

    refusing = Refusing(ring.world, upsert=rule, update_metadata=rule)
    if mode is DeleteMode.MIRROR:  # what is left of other bytes than those at fault goes
        ring.may_lack = {bad}
    ring.world.run_batches(at=ring.look, collections=refusing)
    for _ in range(3):
        ring.pass_by(collections=refusing)
    assert not ring.lost
    refusing.on = False
    ring.world.ask(bad, force=True, custom_id=place[0])
    ring.comes_to_rest()


@pytest.mark.parametrize("adopt", [False, True])
def test_a_ring_takes_no_id_of_another_source_with_the_same_keys(adopt):
    theirs = make_world()
    keys = ("0.md", "1.md")
    for key in keys:
        theirs.bucket.put(key, f"their {key}")
    theirs.sync()
    source = s3_source(
        id="00000000-0000-4000-8000-000000000002",
        name="second",
        bucket_name="bucket2",
        collection_name="docs",
        auto_sync=AutoSync.METADATA,
        adopt=adopt,
    )
    theirs.catalog.sources.add(source)
    world = World(
        source=source,
        bucket=MemoryBucket(),
        catalog=theirs.catalog,
        collections=theirs.collections,
        clock=theirs.clock,
    )
    for turn in (keys, keys[::-1]):
        for place, key in enumerate(turn):
            world.bucket.put(key, f"our {key}")
            world.bucket.put(f"{key}.meta.json", sidecar(key, f"id-{place}"))
        world.clock.seconds += 7200
        world.listing()
        world.run_batches()
    ours = {"id-0-0": "our 1.md", "id-1-0": "our 0.md"}
    left = {f"{document_id(key, custom_id=None, id_prefix='')}-0": f"their {key}" for key in keys}
    assert world.texts() == {**ours, **left}
    assert len(theirs.catalog.documents.of_source(theirs.source.id)) == 2


def test_who_steps_aside_in_one_collection_keeps_the_id_that_a_request_gave_it_in_another():
    for failing in range(0, 60, 4):
        world, calls = make_world(auto_sync=AutoSync.NONE), []
        for key in ("k.md", "l.md"):
            world.bucket.put(key, f"text of {key}")
        world.ask("k.md", custom_id="id-5", target_collection_name="docs")
        world.run_batches()
        world.ask("k.md", custom_id="id-0", target_collection_name="other")
        world.ask("l.md", custom_id="id-1", target_collection_name="other")
        world.run_batches()
        world.bucket.put("k.md", "text of k.md new")
        world.ask("k.md", custom_id="id-1", target_collection_name="other")
        world.ask("l.md", custom_id="id-0", target_collection_name="other")

        def away(call, calls=calls, failing=failing):
            calls.append(call)
            if len(calls) == failing + 1:
                raise Unavailable("away", reason="chroma_unavailable")

        refusing = Refusing(world, **dict.fromkeys(CALLS, away))
        with suppress(BatchFailed):
            world.run_batches(collections=refusing)
        refusing.on = False
        for _ in range(3):
            world.clock.seconds += 7200
            world.catalog.documents.enqueue_unclean(world.source.id)
            world.run_batches()
        assert set(world.texts("docs")) == {"id-5-0"}
        assert world.texts("other") == {"id-0-0": "text of l.md", "id-1-0": "text of k.md new"}
        if len(calls) <= failing:
            assert failing > 5
            return
    pytest.fail("it never came to an end")


def tell(world, key, custom_id):
    """Have a sidecar give a key an id, told of by an event."""
    world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id))
    event(world, f"{key}.meta.json")


def test_a_ring_closes_also_where_its_last_object_had_failed_of_another_id():
    world = make_world(auto_sync=AutoSync.METADATA)
    for n in range(3):
        world.bucket.put(f"{n}.md", f"text of {n}")
        world.bucket.put(f"{n}.md.meta.json", sidecar(f"{n}.md", f"id-{n}"))
    world.sync()
    for key, custom_id in (("1.md", "id-2"), ("0.md", "id-1"), ("1.md", "id-0")):
        tell(world, key, custom_id)
        world.run_batches()
    assert world.texts() == {"id-0-0": "text of 1", "id-1-0": "text of 0", "id-2-0": "text of 2"}
    assert {row[0] for row in states(world).values()} == {"indexed", "skipped"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_ring_closes_where_each_of_its_objects_comes_alone(order):
    world = make_world(auto_sync=AutoSync.METADATA)
    for n in range(3):
        world.bucket.put(f"{n}.md", f"text of {n}")
        world.bucket.put(f"{n}.md.meta.json", sidecar(f"{n}.md", f"id-{n}"))
    world.sync()
    seen = set()
    for n in order:
        tell(world, f"{n}.md", f"id-{(n + 1) % 3}")
        while batch := world.catalog.batches.reserve(
            world.source.id, take=Take(max_keys=1), owner="w", run_id="r"
        ):
            work_on(world, batch, at=lambda _: seen.add(len(set(world.texts().values()))))
    assert seen == {3}  # no text is ever away
    assert world.texts() == {f"id-{(n + 1) % 3}-0": f"text of {n}" for n in range(3)}
    assert world.catalog.invocations.live_count(world.source.id) == 0


def test_a_ring_of_renamed_sidecars_closes_over_several_batches():
    world = make_world(mode=DeleteMode.KEEP_DELETED, auto_sync=AutoSync.METADATA)
    keys = [f"{n}.md" for n in range(4)]
    for n, key in enumerate(keys):
        world.bucket.put(key, f"text of {n}")
        world.bucket.put(f"v0/{key}.meta.json", sidecar(key, f"id-{n}"))
    world.sync()
    for n, key in enumerate(keys):
        world.bucket.delete(f"v0/{key}.meta.json")
        world.bucket.put(f"v1/{key}.meta.json", sidecar(key, f"id-{(n + 1) % 4}"))
    for _ in range(4):
        world.clock.seconds += 7200
        world.listing()
        while batch := world.catalog.batches.reserve(
            world.source.id, take=Take(max_keys=2), owner="w", run_id="r"
        ):
            work_on(world, batch)
            assert set(world.texts().values()) == {f"text of {n}" for n in range(4)}
    assert world.texts() == {f"id-{(n + 1) % 4}-0": f"text of {n}" for n in range(4)}


def test_a_record_aside_that_chroma_refuses_is_no_evidence_against_the_bytes():
    world = make_world(auto_sync=AutoSync.METADATA)
    for n in range(2):
        world.bucket.put(f"{n}.md", f"text of {n}")
        world.bucket.put(f"{n}.md.meta.json", sidecar(f"{n}.md", f"id-{n}"))
    world.sync()
    for n in range(2):
        world.bucket.put(f"{n}.md.meta.json", sidecar(f"{n}.md", f"id-{1 - n}"))
    refused = refuse_with(
        RecordRejected("no"), lambda records: not records[0].id.startswith(("id-", "s3sync-probe"))
    )
    for _ in range(3):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(collections=Refusing(world, upsert=refused))
        assert world.texts() == {f"id-{n}-0": f"text of {n}" for n in range(2)}


def test_a_ring_that_no_batch_can_hold_closes_one_by_one():
    world = make_world(auto_sync=AutoSync.METADATA)
    keys = ("0.md", "1.md")
    for turn in (keys, keys[::-1]):
        for place, key in enumerate(turn):
            world.bucket.put(key, f"a long text of {key}")
            world.bucket.put(f"{key}.meta.json", sidecar(key, f"id-{place}"))
        world.clock.seconds += 7200
        world.listing()
        batches = 0
        while batch := world.catalog.batches.reserve(
            world.source.id, take=Take(max_bytes=25), owner="w", run_id="r"
        ):
            sync_batch(world.engine(), Lease(batch.token, catalog=world.catalog, clock=world.clock))
            batches += 1
            assert batches < 20
    assert {row[0] for row in states(world).values()} == {"indexed", "skipped"}
    exchanged = enumerate(keys[::-1])
    assert world.texts() == {f"id-{n}-0": f"a long text of {key}" for n, key in exchanged}


def test_what_a_mode_kept_makes_room_once_its_object_is_back_and_its_sidecar_asks_elsewhere():
    world = make_world(mode=DeleteMode.KEEP_DELETED, auto_sync=AutoSync.METADATA)
    for key, custom_id, name in (("a.md", "x", "other"), ("b.md", "y", "docs")):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id, target_collection_name=name))
    world.sync()
    with world.catalog.database.write() as tx:
        kept = documents.update().where(documents.c.object_key == "a.md")
        tx.execute(kept.values(owner=f"{KEPT_OWNER}a.md.meta.json"))
    world.bucket.put("a.md.meta.json", sidecar("a.md", "y", target_collection_name="docs"))
    world.bucket.put("b.md.meta.json", sidecar("b.md", "x", target_collection_name="other"))
    world.clock.seconds += 7200
    world.sync()
    assert world.texts("docs") == {"y-0": "text of a.md"}
    assert world.texts("other") == {"x-0": "text of b.md"}


def test_an_object_that_is_whole_elsewhere_is_told_so_while_what_it_had_stays():
    world = make_world(auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "text")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.sync()
    world.bucket.put("a.md", "text two")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x", target_collection_name="other"))
    world.clock.seconds += 7200
    world.listing()
    away = Unavailable("away", reason="chroma_unavailable")
    refusing = Refusing(world, delete=refuse_with(away))
    ended = world.run_batches(collections=refusing)
    refusing.on = False
    assert ("a.md", "indexed") in [(one.key, one.state) for one in ended]
    world.clock.seconds += 7200
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    assert (world.texts(), world.texts("other")) == ({}, {"x-0": "text two"})


def test_what_a_mode_kept_stands_until_the_document_that_its_sidecar_asks_for_has_come():
    world = make_world(mode=DeleteMode.KEEP_DELETED, auto_sync=AutoSync.METADATA)
    for key, custom_id, name in (("0.md", "a", "docs"), ("1.md", "x", "other")):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id, target_collection_name=name))
    world.sync()
    world.bucket.delete("0.md.meta.json")
    world.clock.seconds += 7200
    world.sync()
    assert world.texts("docs") == {"a-0": "text of 0.md"}
    told = sidecar("0.md", "x", target_collection_name="other")  # which the other one has
    world.bucket.put("0.md.meta.json", told)
    for _ in range(3):
        world.clock.seconds += 7200
        world.sync()
        assert world.texts("docs") == {"a-0": "text of 0.md"}
    assert states(world)["0.md"] == ("failed", "record_ids_taken")
