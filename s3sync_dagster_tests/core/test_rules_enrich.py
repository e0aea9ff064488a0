"""What the operator's function answers, or dies of, is never blamed on the bytes."""

import threading
from dataclasses import replace

import pytest

from s3sync_dagster.model.errors import RecordRejected
from s3sync_dagster_tests.core.rules import (
    Died,
    Refusing,
    event,
    refuse_with,
    states,
    work_and_die,
)
from s3sync_dagster_tests.engine_fixture import make_world, paragraph_chunker

HELD = ("failed", "enrichment_failed")


def loud(_source, documents):
    return {key: replace(one, text=one.text.upper()) for key, one in documents.items()}


def with_text(text):
    return lambda _source, documents: {k: replace(d, text=text) for k, d in documents.items()}


@pytest.fixture
def world():
    """Two documents that are indexed and whose objects have changed since."""
    made = make_world()
    made.configure(enrich="package.module:loud")
    for name in "ab":
        made.bucket.put(f"{name}.txt", f"text {name}")
    made.listing()
    made.run_batches(enrich=loud)
    for name in "ab":
        made.bucket.put(f"{name}.txt", f"new {name}")
    made.listing()
    return made


def nothing_is_lost_and_it_heals(world, before, **changes):
    assert world.texts() == before
    assert set(states(world).values()) == {HELD}
    world.clock.seconds += 2 * 3600
    world.listing()
    world.run_batches(enrich=loud, **changes)
    assert sorted(world.texts().values()) == ["NEW A", "NEW B"]
    assert set(states(world).values()) == {("indexed", None)}


@pytest.mark.parametrize("text", ["", " \n\n ", "half a \ud800 surrogate"])
def test_a_text_that_the_function_made_unusable_is_its_fault_and_removes_nothing(world, text):
    before = world.texts()
    world.run_batches(enrich=with_text(text))
    nothing_is_lost_and_it_heals(world, before)


def test_a_text_of_the_function_that_the_collection_refuses_is_its_fault(world):
    before = world.texts()
    refused = RecordRejected("no such text is taken", reason="record_rejected")
    bad = refuse_with(refused, when=lambda records: records[0].document == "bad")
    world.run_batches(enrich=with_text("bad"), collections=Refusing(world, upsert=bad))
    nothing_is_lost_and_it_heals(world, before)


@pytest.mark.parametrize("text", ["", "\n", "half a \ud800 surrogate"])
def test_bytes_that_hold_no_text_without_the_function_either_are_to_blame(world, text):
    world.run_batches(enrich=loud)
    world.bucket.put("a.txt", "  ")
    world.listing()
    world.run_batches(enrich=with_text(text))
    assert list(world.texts().values()) == ["NEW B"]
    assert states(world)["a.txt"] == ("skipped", "empty_text")


@pytest.mark.parametrize("where", ["enriched", "cut"])
def test_a_worker_that_dies_once_the_function_has_run_removes_nothing(world, where):
    before = world.texts()

    def step(name):
        if name == where:
            raise Died

    def cut(document, **options):
        step("cut")
        return paragraph_chunker(document, **options)

    work_and_die(world, workers=30, enrich=loud, at=step, chunker=cut)
    nothing_is_lost_and_it_heals(world, before)


def test_a_worker_that_dies_of_it_again_and_again_is_not_sent_for_ever(world):
    before = world.texts()

    def step(name):
        if name == "enriched":
            raise Died

    for _ in range(2):
        work_and_die(world, workers=30, enrich=loud, at=step)
        world.clock.seconds += 2 * 3600
        world.listing()
    assert world.catalog.batches.pending_sources() == []
    world.bucket.put("c.txt", "new c")
    world.listing()  # and an event that comes again
    event(world, "a.txt")
    world.run_batches(enrich=loud)
    kept = world.texts()
    assert {name: kept[name] for name in before} == before
    assert states(world)["a.txt"] == HELD
    world.catalog.invocations.retry_failed(world.source)
    world.run_batches(enrich=loud)
    assert sorted(world.texts().values()) == ["NEW A", "NEW B", "NEW C"]


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, ValueError])
def test_a_function_that_ends_its_thread_ends_nothing_else(world, end):
    before = world.texts()

    def broken(_source, _documents):
        raise end

    world.run_batches(enrich=broken)
    nothing_is_lost_and_it_heals(world, before)


def test_a_function_that_hangs_is_left_behind_after_its_time(world):
    before, end = world.texts(), threading.Event()
    try:
        [one, _] = world.run_batches(enrich=lambda *_: end.wait(), enrich_seconds=0.01)
        assert "did not end" in one.error
        nothing_is_lost_and_it_heals(world, before)
    finally:
        end.set()
