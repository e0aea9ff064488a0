"""A restore is over once all that records tell is known; until then what waited in it is old."""

import pytest

from s3sync_dagster.engine.rolling_check import check_some
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.core.rules import Refusing, refused
from s3sync_dagster_tests.core.test_rules_disputed import HR, KEY
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on, says, sees, world_of_sales
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

WEEK = 7 * 86_400


def checks(world, collections=None, *, log=lambda _: None):
    world.clock.seconds += WEEK
    check_some(
        world.source,
        catalog=world.catalog,
        collections=lambda: collections or world.collections,
        clock=world.clock,
        records_per_day=1000,
        log=log,
    )


def asked_about(world):
    """Return how often Chroma is asked which records a source has, while an object is written."""
    asked = []
    world.bucket.put("sales/b.md", f"b at {world.clock.seconds}")
    world.listing()
    world.run_batches(collections=Refusing(world, ids_meeting=asked.append))
    return len(asked)


def test_once_all_is_known_nobody_asks_any_more_what_was_forgotten():
    world = world_of_sales()
    assert asked_about(world) == 0
    restore(world, back_up(world))
    assert asked_about(world) > 0
    goes_on(world)
    checks(world)
    assert world.catalog.sources.looked_through(world.source.id) is None
    assert asked_about(world) == 0


def test_what_was_forgotten_is_read_back_before_a_restore_is_over():
    world = world_of_sales()
    copy = back_up(world)
    world.bucket.put("sales/kept.md", "kept")
    world.configure(mode="keep_deleted")
    world.sync()
    world.ask("sales/kept.md", custom_id="x", metadata=HR, vouched=True)
    world.run_batches()
    world.bucket.delete("sales/kept.md")
    world.sync()
    restore(world, copy)
    goes_on(world)
    checks(world)
    assert world.catalog.sources.looked_through(world.source.id)
    assert [
        one.document_id for one in world.catalog.documents.of_key(world.source.id, "sales/kept.md")
    ] == ["x"]
    goes_on(world)
    for _ in range(2):
        checks(world)
    assert world.catalog.sources.looked_through(world.source.id) is None
    assert "sales/kept.md" not in sees(world, "sales")


@pytest.mark.parametrize("waits", ["a listing", "a request", "Chroma"])
def test_a_restore_goes_on_while_anything_is_not_known(waits):
    world = world_of_sales()
    if waits == "a request":
        world.ask(KEY)
    restore(world, back_up(world))
    silent = None
    if waits != "a listing":
        world.clock.seconds += 7200
        world.listing()
    if waits == "Chroma":
        goes_on(world)
    if waits == "Chroma":
        silent = Refusing(world)
        opened = silent.open
        silent.open = lambda name, **options: _silent(opened(name, **options))
    checks(world, silent)
    assert world.catalog.sources.looked_through(world.source.id) is not None


def test_a_restore_ends_of_a_source_that_never_rests():
    world = world_of_sales()
    restore(world, back_up(world))
    world.configure(metadata={"lang": "de"})
    world.configure(metadata={"team": "sales"})
    assert world.catalog.sources.is_closed_unseen(world.source.id)
    goes_on(world)
    assert not sees(world, "sales")
    for number in range(2):
        world.bucket.put("sales/b.md", f"b {number}")
        world.clock.seconds += 7200
        world.listing()
        checks(world)
    assert world.catalog.invocations.live_count(world.source.id)
    assert world.catalog.sources.looked_through(world.source.id) is None
    assert KEY in sees(world, "sales")


@pytest.mark.parametrize("asked", [HR, {"team": "all"}])
def test_a_look_between_listing_and_work_forgets_no_word_under_another_id(asked):
    world = world_of_sales()
    says(world, asked)
    copy = back_up(world)
    world.run_batches()
    says(world, HR, custom_id="n")
    world.run_batches()
    restore(world, copy)
    world.clock.seconds += 7200
    world.listing()
    checks(world)
    world.run_batches()
    goes_on(world)
    assert KEY not in sees(world, "sales") | sees(world, "all")


def _silent(port):
    def scan(**_):
        raise Unavailable("away", reason="chroma_unavailable")

    port.scan = scan
    return port


def test_who_says_nothing_of_readers_is_not_read_through():
    world = make_world(auto_sync=AutoSync.DIRECT)
    world.bucket.put("a.md", "a")
    world.sync()
    restore(world, back_up(world))
    goes_on(world)
    scanned = []
    opened = world.collections.open

    def counting(name, **options):
        port = opened(name, **options)
        plain = port.scan
        port.scan = lambda **which: scanned.append(name) or plain(**which)
        return port

    world.collections.open = counting
    checks(world)
    assert scanned == []


@pytest.mark.parametrize("when", ["at once", "listed", "done", "still refused"])
def test_a_request_that_had_failed_in_the_backup_opens_nothing_that_was_closed_since(when):
    world = world_of_sales()
    world.bucket.put(KEY, "salaries two")
    on = refused(world)
    says(world, {"team": "all"})
    world.run_batches()
    copy = back_up(world)
    on.clear()
    world.fault = None
    world.clock.seconds += 100
    world.catalog.invocations.retry_failed(world.source)
    world.run_batches()
    assert KEY in sees(world, "all")
    says(world, HR)
    world.run_batches()
    assert KEY in sees(world, "hr")
    restore(world, copy)
    if when == "still refused":
        refused(world)
    if when != "at once":
        world.clock.seconds += 7200
        world.listing()
    if when in ("done", "still refused"):
        world.run_batches()
    world.catalog.invocations.retry_failed(world.source)
    world.run_batches()
    world.fault = None
    goes_on(world)
    assert KEY not in sees(world, "all") | sees(world, "sales")
