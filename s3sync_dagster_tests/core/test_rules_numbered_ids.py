"""Documents that are numbered, and one is put in front: each has to take the id of the next."""

import random

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.handed_on_ids import Turns
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.model.errors import AccessDenied, RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.engine_fixture import make_world

REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]


def number(world, first, *, of):
    for place, key in enumerate(of, start=first):
        world.bucket.put(f"{key}.meta.json", sidecar(key, f"doc-{place}"))


def numbered(mode, count):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    keys = [f"{place:03}.md" for place in range(count)]
    for key in keys:
        world.bucket.put(key, f"text of {key}")
    number(world, 0, of=keys)
    world.sync()
    return world, keys


def texts_by_id(world):
    return {name.removesuffix("-0"): text for name, text in world.texts().items()}


def as_numbered(keys, first):
    return {f"doc-{place}": f"text of {key}" for place, key in enumerate(keys, start=first)}


def pass_by(world, *, max_keys):
    """List, and do what is due in batches of so many keys; returns how many batches."""
    world.clock.seconds += 7200
    world.listing()
    batches = 0
    while batch := world.catalog.batches.reserve(
        world.source.id, take=Take(max_keys=max_keys), owner="test", run_id="run"
    ):
        sync_batch(world.engine(), Lease(batch.token, catalog=world.catalog, clock=world.clock))
        batches += 1
    return batches


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("by", [1, 3])
def test_a_shift_is_done_in_one_batch(mode, by):
    world, keys = numbered(mode, 12)
    number(world, by, of=keys)
    assert pass_by(world, max_keys=500) <= 2  # sidecars, and what they ask for
    assert texts_by_id(world) == as_numbered(keys, by)


@pytest.mark.parametrize("mode", REPLACES)
def test_a_shift_of_documents_that_fill_a_write_each_is_done_in_one_batch(mode, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.engine.batch.groups.DOCUMENTS_AT_ONCE", 1)
    world, keys = numbered(mode, 12)
    number(world, 1, of=keys)
    assert pass_by(world, max_keys=500) <= 2
    assert texts_by_id(world) == as_numbered(keys, 1)


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("then", ["denied", "archived"])
def test_what_gave_way_to_what_was_never_written_is_not_written_over(mode, then):
    world, keys = numbered(mode, 4)
    number(world, 1, of=keys)
    world.listing()
    away = Refusing(world, upsert=refuse_with(Unavailable("away", reason="chroma_unavailable")))
    world.run_batches(collections=away)
    away.on = False

    def fault(_asked, key):
        if key == keys[-1]:
            raise AccessDenied("not allowed")

    if then == "archived":
        world.bucket.put(keys[-1], f"text of {keys[-1]}", storage_class="GLACIER")
    world.fault = fault if then == "denied" else None
    for _ in range(3):
        pass_by(world, max_keys=500)
        assert set(world.texts().values()) == {f"text of {key}" for key in keys}


def test_where_the_first_one_goes_the_others_move_up():
    world, keys = numbered(DeleteMode.MIRROR, 12)
    world.bucket.delete(f"{keys[0]}.meta.json")
    world.bucket.delete(keys.pop(0))
    number(world, 0, of=keys)
    for _ in range(2):
        pass_by(world, max_keys=500)
    assert texts_by_id(world) == as_numbered(keys, 0)


def statements_of(world):
    """Return how many statements a pass sends to the catalog."""
    told = []

    def note(*statement):
        told.append(statement)

    sa.event.listen(world.catalog.database.engine, "before_cursor_execute", note)
    pass_by(world, max_keys=500)
    return len(told)


def test_a_claim_of_a_shift_asks_the_catalog_no_oftener_for_more_documents():
    counts = []
    for many in (10, 40):
        world, keys = numbered(DeleteMode.MIRROR, many)
        number(world, 1, of=keys)
        counts.append(statements_of(world))
        assert texts_by_id(world) == as_numbered(keys, 1)
    few, more = counts
    assert more - few < 60 * 30  # one after the other, and each asks for no other one


@pytest.mark.parametrize("mode", REPLACES)
def test_a_shift_over_many_batches_is_handed_on_from_batch_to_batch(mode):
    world, keys = numbered(mode, 30)
    number(world, 1, of=keys)
    batches = sum(pass_by(world, max_keys=10) for _ in range(2))
    assert texts_by_id(world) == as_numbered(keys, 1)
    assert batches < 30


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("trouble", ["denied", "taken", "asked twice"])
def test_where_the_last_one_gets_no_id_no_text_goes(mode, trouble):
    world, keys = numbered(mode, 6)
    last = keys[-1]
    if trouble == "taken":
        world.bucket.put("other.md", "other")
        world.bucket.put("other.md.meta.json", sidecar("other.md", "doc-6"))
        world.sync()
    if trouble == "asked twice":
        world.bucket.put("000 other.md", "other")
        world.bucket.put("000 other.md.meta.json", sidecar("000 other.md", "doc-6"))

    def fault(asked, key):
        if asked in ("GET", "HEAD") and key == last:
            raise AccessDenied("not allowed")

    if trouble == "denied":
        world.fault = fault
        world.bucket.put(last, f"text of {last} two")
    number(world, 1, of=keys)
    for _ in range(3):
        pass_by(world, max_keys=500)
        there = {text.removesuffix(" two") for text in world.texts().values()}
        assert there >= {f"text of {key}" for key in keys}


@pytest.mark.parametrize("seed", range(8))
def test_whoever_shuffles_ids_has_each_text_under_its_id_in_the_end(seed):
    chance = random.Random(seed)
    world, keys = numbered(chance.choice(REPLACES), 8)
    for _ in range(3):
        ids = chance.sample(range(10), len(keys))
        for key, place in zip(keys, ids, strict=True):
            world.bucket.put(f"{key}.meta.json", sidecar(key, f"doc-{place}"))
        for _ in range(8):
            pass_by(world, max_keys=chance.choice([10, 500]))
            assert sorted(world.texts().values()) == [f"text of {key}" for key in keys]
        wanted = {f"doc-{place}": f"text of {key}" for key, place in zip(keys, ids, strict=True)}
        assert texts_by_id(world) == wanted


@pytest.mark.parametrize("seed", range(50))
def test_a_key_s_turn_is_behind_whom_it_waits_for(seed):
    """What stays, and who steps aside, is drawn; then each is written that could be, in the end."""
    chance = random.Random(seed)
    keys = [f"k{place}" for place in range(chance.randint(1, 9))]
    waits = {key: chance.sample(keys, min(chance.choice([0, 1, 1, 2]), len(keys))) for key in keys}
    waits = {key: {one for one in some if one != key} for key, some in waits.items()}
    stays = set(chance.sample(keys, chance.choice([0, 0, 1])))
    order, told = Turns(waits, sizes={key: chance.randint(0, 9) for key in keys}), []
    elsewhere = set(order.aside) - stays
    keys_now = [key for key in keys if not order.waits(key)]
    keys_now += order.after(elsewhere, stay=stays & set(order.aside))
    vain = set()
    while keys_now:
        told += keys_now
        for key in keys_now:
            if key in stays or waits[key] & (stays | vain):
                vain.add(key)
            assert key in vain or waits[key] <= elsewhere
        moved = [key for key in keys_now if key not in vain]
        elsewhere |= set(moved)
        keys_now = order.after(moved, stay=[key for key in keys_now if key in vain])
    assert sorted(told) == keys
    assert all(_comes_back(waits, key, but=()) for key in order.aside)
    assert not any(_comes_back(waits, key, but=order.aside) for key in {*keys} - {*order.aside})


@pytest.mark.parametrize("ring", ["ab", "ba"])
def test_the_smaller_one_steps_aside(ring):
    waits = {ring[0]: {ring[1]}, ring[1]: {ring[0]}}
    assert Turns(waits, sizes={"a": 300, "b": 2}).aside == ["b"]


def _comes_back(waits, key, *, but):
    seen, to_see = set(), list(waits[key])
    while to_see:
        one = to_see.pop()
        if one == key:
            return True
        if one not in seen and one not in but:
            seen.add(one)
            to_see += waits[one]
    return False


def refuses_second(first):
    ids = [one if isinstance(one, str) else one.id for one in first]
    if any(name.startswith("doc-2-") for name in ids):
        raise RecordRejected("no")


@pytest.mark.parametrize("mode", REPLACES)
def test_where_one_is_refused_by_chroma_no_other_text_goes(mode):
    world, keys = numbered(mode, 4)
    number(world, 1, of=keys)
    refusing = Refusing(world, upsert=refuses_second, update_metadata=refuses_second)
    for _ in range(2):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(collections=refusing)
        there = set(world.texts().values())
        # In mirror mode what Chroma refuses of a record is its own text's fault.
        own = {f"text of {keys[1]}"} if mode is DeleteMode.MIRROR else set()
        assert there | own == {f"text of {key}" for key in keys}


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("then", ["", "denied", "archived"])
def test_a_batch_that_writes_nothing_gives_no_id_away(mode, then):
    world, keys = numbered(mode, 4)
    for key in keys:
        world.bucket.put(key, f"text of {key}, newer")
    number(world, 1, of=keys)
    world.listing()
    away = Refusing(world, upsert=refuse_with(Unavailable("away", reason="chroma_unavailable")))
    world.run_batches(collections=away)
    away.on = False
    if then == "archived":
        world.bucket.put(keys[1], f"text of {keys[1]}, newer", storage_class="GLACIER")

    def fault(_asked, key):
        if key == keys[1]:
            raise AccessDenied("not allowed")

    world.fault = fault if then == "denied" else None
    for _ in range(3):
        pass_by(world, max_keys=500)
        there = {text.removesuffix(", newer") for text in world.texts().values()}
        assert there == {f"text of {key}" for key in keys}
    if not then:
        assert texts_by_id(world) == {
            name: f"{text}, newer" for name, text in as_numbered(keys, 1).items()
        }


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_requests_of_a_chain_wait_for_a_holder_that_is_tried_again(mode):
    world = make_world(mode=mode, auto_sync=AutoSync.NONE)
    keys = [f"{place}.md" for place in range(4)]
    for place, key in enumerate(keys):
        world.bucket.put(key, f"text of {key}")
        world.ask(key, custom_id=f"doc-{place}")
    world.run_batches()
    for place, key in enumerate(keys, start=1):
        world.ask(key, custom_id=f"doc-{place}")
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, upsert=away, update_metadata=away)
    world.run_batches(collections=refusing)
    refusing.on = False
    for _ in range(6):
        world.clock.seconds += 7200
        world.run_batches()
    assert texts_by_id(world) == as_numbered(keys, 1)
