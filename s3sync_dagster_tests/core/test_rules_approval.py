"""An approval ends what was shown when a listing was blocked, and nothing else."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.state import DepartureCursor, ListingState
from s3sync_dagster.model.errors import AccessDenied
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import event, sidecar, work_on
from s3sync_dagster_tests.core.test_rules_listing import fill
from s3sync_dagster_tests.engine_fixture import make_world


def blocked(world):
    """Miss sixty of a hundred objects; return what is shown of it."""
    fill(world, 100)
    world.sync()
    for n in range(60):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    return shown(world)


def shown(world):
    keys, cursor = [], DepartureCursor()
    listing = world.catalog.listings.blocked(world.source.id)
    while cursor is not None:
        some, cursor = world.catalog.listings.departing_keys(
            listing, kind=cursor.kind, after=cursor.after, limit=7
        )
        keys += some
    return sorted(keys)


def test_a_full_page_of_what_would_go_is_the_last_where_nothing_follows(world):
    before = blocked(world)
    listing = world.catalog.listings.blocked(world.source.id)
    keys, cursor = world.catalog.listings.departing_keys(listing, limit=60)
    assert (sorted(keys), cursor) == (before, None)
    keys, cursor = world.catalog.listings.departing_keys(listing, limit=59)
    assert (len(keys), cursor) == (59, DepartureCursor(kind=0, after=keys[-1]))


@pytest.mark.parametrize("found", ["asked", "told"])
def test_what_was_found_gone_later_does_not_go_with_an_approval(world, found):
    before = blocked(world)
    assert before == [f"k{n:03}.md" for n in range(60)]
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.delete("k099.md")
    if found == "asked":
        world.ask("k099.md")
    else:
        event(world, "k099.md", remove=True)
    world.run_batches()
    world.configure(mode=DeleteMode.MIRROR)
    assert shown(world) == before
    assert not world.catalog.listings.holds(world.source.id, "k099.md")
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == {f"k{n:03}.md" for n in range(60, 100)}
    assert world.sync() == {"k099.md": "removed"}  # one of forty is for no person to say


def test_what_came_back_since_stays_with_an_approval(world):
    blocked(world)
    event(world, "k001.md", told=world.bucket.put("k001.md", "back"))
    world.run_batches()
    assert "k001.md" not in shown(world)
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == {"k001.md", *(f"k{n:03}.md" for n in range(60, 100))}


def test_an_approval_ends_the_listing_that_was_seen_and_no_newer_one(world):
    before = blocked(world)
    seen = world.catalog.listings.blocked(world.source.id)
    for n in range(60, 90):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    assert len(shown(world)) == len(before) + 30
    assert world.catalog.listings.approve(world.source.id, seen.id) is None
    assert world.run_batches() == []
    assert len(world.keys_indexed()) == 100


def test_one_that_is_replaced_while_it_is_approved_ends_nothing_more(world):
    fill(world, 1200)
    world.sync()
    for n in range(1100):
        world.bucket.delete(f"k{n:03}.md")
    seen = world.listing().listing
    depart = world.catalog.listings._depart

    def replaced(*arguments, **options):
        following = depart(*arguments, **options)
        world.catalog.listings._depart = depart
        for n in range(1100, 1150):
            world.bucket.delete(f"k{n:03}.md")
        world.listing()
        return following

    world.catalog.listings._depart = replaced
    assert world.catalog.listings.approve(world.source.id, seen.id) is None
    gone = {row.object_key for row in world.catalog.invocations.rows(limit=10_000)
            if row.kind == "remove"}  # fmt: skip
    assert gone <= set(sorted(f"k{n:03}.md" for n in range(1100))[:500])


def test_a_listing_that_fails_later_takes_nothing_from_what_waits_for_an_approval(world):
    before = blocked(world)
    seen = world.catalog.listings.blocked(world.source.id)

    def denied(kind, key):
        raise AccessDenied("no", reason="access_denied")

    world.fault = denied
    with pytest.raises(AccessDenied):
        world.listing()
    world.fault = None
    assert world.catalog.listings.latest(world.source.id).state is ListingState.FAILED
    assert (world.catalog.listings.blocked(world.source.id), shown(world)) == (seen, before)
    assert world.catalog.listings.approve(world.source.id, seen.id) is not None
    world.run_batches()
    assert world.keys_indexed() == {f"k{n:03}.md" for n in range(60, 100)}


@pytest.mark.parametrize("why", ["missed", "gone already"])
def test_what_was_put_back_before_its_approval_stays(world, why):
    if why == "gone already":
        fill(world, 100)
        world.sync()
        world.configure(mode=DeleteMode.KEEP_DELETED)
        for n in range(60):
            world.bucket.delete(f"k{n:03}.md")
        world.sync()
        world.configure(mode=DeleteMode.MIRROR)
        assert world.listing().listing.state is ListingState.BLOCKED
    else:
        blocked(world)
    for n in range(30):
        world.bucket.put(f"k{n:03}.md", f"text {n}" if n % 2 else "another text")
    world.approve()
    ended = {report.key: report.state for report in world.run_batches()}
    assert len(world.keys_indexed()) == 70
    assert {state for key, state in ended.items() if key < "k030"} <= {"unchanged", "updated"}
    assert {state for key, state in ended.items() if key >= "k030"} == {"removed"}
    assert world.sync() == {}
    assert world.store.requests()["HEAD"] == 60


def test_what_nobody_can_ask_for_stays_although_it_is_approved(world):
    blocked(world)
    world.approve()

    def denied(kind, key):
        if kind == "HEAD":
            raise AccessDenied("no", reason="access_denied")

    world.fault = denied
    assert {report.state for report in world.run_batches()} == {"failed"}
    assert len(world.keys_indexed()) == 100
    world.fault = None
    world.clock.seconds += 4000
    assert world.listing().listing.state is ListingState.BLOCKED  # it asks anew
    world.approve()
    world.run_batches()
    assert len(world.keys_indexed()) == 40


def test_a_sidecar_that_was_put_back_before_its_approval_is_followed(world):
    world.configure(auto_sync=AutoSync.METADATA)
    told = {f"{n:02}.meta.json": sidecar(f"{n:02}.txt", f"id-{n}") for n in range(60)}
    for n, (key, content) in enumerate(told.items()):
        world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.bucket.put(key, content)
    world.sync()
    for key in told:
        world.bucket.delete(key)
    assert world.listing().listing.state is ListingState.BLOCKED
    for key, content in told.items():
        world.bucket.put(key, content)
    world.approve()
    world.run_batches()
    assert len(world.keys_indexed()) == 60


def test_who_asks_for_a_key_as_well_puts_its_approval_in_no_doubt(world):
    keys = blocked(world)
    world.approve()
    world.ask(*keys, trigger=Trigger.CLI)
    world.run_batches()
    assert len(world.texts()) == 40
    assert world.listing().listing.state is ListingState.COMPLETE


@pytest.mark.parametrize("dies", [False, True])
def test_sidecars_that_go_first_take_no_approval_away(dies):
    world = make_world(auto_sync=AutoSync.DIRECT)
    keys = [f"z{n:02}.txt" for n in range(60)]
    for key in keys:
        world.bucket.put(key, f"text of {key}")
        text = sidecar(key, custom_id=f"c-{key}", target_collection_name="two")
        world.bucket.put(f"a{key}.meta.json", text)
    for _ in range(3):
        world.sync()
    assert (len(world.texts()), len(world.texts("two"))) == (60, 60)
    for key in keys:
        world.bucket.delete(key)
        world.bucket.delete(f"a{key}.meta.json")
    world.listing()
    world.approve()
    first = world.catalog.batches.reserve(
        world.source.id, take=Take(max_keys=60), owner="w", run_id="r"
    )
    assert all(key.startswith("a") for key in first.keys)
    if dies:  # whoever has the objects meanwhile
        second = world.catalog.batches.reserve(
            world.source.id, take=Take(), owner="w", run_id="another"
        )
    work_on(world, first)
    if dies:
        world.catalog.batches.release(second.token, died=True)
    world.run_batches()
    assert (world.texts(), world.texts("two")) == ({}, {})


def test_an_approval_counts_what_goes_by_then(world):
    keys = blocked(world)
    for key in keys[:20]:
        world.bucket.put(key, f"text of {key}")
        event(world, key, told=world.store.head(key))
    assert world.approve().gone == 40
