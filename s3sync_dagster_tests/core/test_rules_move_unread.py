"""What of a source before is the only text of an object that cannot be read, or asked about."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.model import errors
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.core.rules import sidecar, work_on
from s3sync_dagster_tests.core.test_rules_moved import CHANGES, everything, finish, move
from s3sync_dagster_tests.core.test_rules_restored_owners import declared
from s3sync_dagster_tests.sources import changed

KEYS = [f"k{number}.md" for number in range(8)]
ONE = "k0.md"
TEXT = f"{ONE} one"


def by_a_lifecycle_rule(world):
    world.bucket.put(ONE, f"{ONE} one\n\n{ONE} two", storage_class="GLACIER")


def as_a_read_says(world):
    """Intelligent-Tiering: no listing tells of it."""
    _refuse(world, ONE, errors.NotPossible("archived", reason="archived"))


def _refuse(world, asked, error):
    def fault(kind, key):
        if (kind, key) == ("GET", asked):
            raise error

    world.fault = fault


def is_broken(world):
    world.bucket.put(f"{ONE}.meta.json", "{broken")


def is_denied(world):
    world.bucket.put(f"{ONE}.meta.json", said_of(ONE, 0, metadata={"year": 2026}))
    _refuse(world, f"{ONE}.meta.json", errors.AccessDenied("no", reason="access_denied"))


def is_archived(world):
    body = said_of(ONE, 0, metadata={"year": 2026})
    world.bucket.put(f"{ONE}.meta.json", body, storage_class="GLACIER")


def said_of(key, number, target="docs", **fields):
    return sidecar(key, f"id-{number}", target_collection_name=target, **fields)


def with_sidecars(auto_sync, target="docs"):
    world = declared(KEYS, auto_sync=auto_sync)
    for number, key in enumerate(KEYS):
        world.bucket.put(f"{key}.meta.json", said_of(key, number, target))
    syncs(world)
    return world


def syncs(world, turns=2):
    for _ in range(turns):
        world.clock.seconds += 90_000  # what a read met is looked at each day
        world.sync(approve_deletes=True)


def ends(world):
    for _ in range(3):
        syncs(world, 1)
        said = finish(world)
    return said


@pytest.mark.parametrize(
    ("archived", "changes"),
    [*((by_a_lifecycle_rule, one) for one in CHANGES), (as_a_read_says, {"id_prefix": "p-"})],
)
def test_the_only_text_of_an_archived_object_stays_until_it_is_restored(archived, changes):
    world = declared(KEYS)
    archived(world)
    syncs(world)
    before = move(world, **changes)
    said = ends(world)
    assert "stay: 1 whose objects are archived" in said
    assert "`s3sync source move docs --now` removes them all the same" in said
    assert TEXT in everything(world, before)
    world.fault = lambda *_: None
    world.bucket.put(ONE, f"{ONE} one\n\n{ONE} two")
    assert ends(world) is None
    assert TEXT in everything(world, world.source)


def test_what_is_archived_and_gone_from_the_new_place_goes():
    world = declared(KEYS)
    by_a_lifecycle_rule(world)
    move(world, id_prefix="p-")
    world.bucket.delete(ONE)
    assert ends(world) is None
    assert TEXT not in everything(world, world.source)


@pytest.mark.parametrize("archived", [by_a_lifecycle_rule, as_a_read_says])
def test_what_is_archived_and_not_taken_goes(archived):
    world = declared(KEYS)
    archived(world)
    move(world, id_prefix="p-")
    syncs(world)
    world.source = changed(world.source, exclude_globs=(ONE,))
    world.catalog.sources.update(world.source)
    assert ends(world) is None
    assert TEXT not in everything(world, world.source)


@pytest.mark.parametrize("unread", [is_broken, is_denied, is_archived])
@pytest.mark.parametrize(
    ("target", "auto_sync", "changes"),
    [
        ("docs", AutoSync.METADATA, {"id_prefix": "p-"}),
        ("other", AutoSync.METADATA, {"collection_name": "docs2"}),
        ("other", AutoSync.DIRECT, {"id_prefix": "p-"}),
    ],
)
def test_what_an_unread_sidecar_had_asked_for_stays_until_it_is_read(
    target, auto_sync, unread, changes
):
    world = with_sidecars(auto_sync, target)
    unread(world)
    syncs(world)
    move(world, **changes)
    said = ends(world)
    assert TEXT in set(world.texts(target).values())
    assert "stay: 1 that a sidecar may ask for, as not all were read as they are now" in said
    assert "`s3sync source move docs --now` removes them all the same" in said
    world.fault = lambda *_: None
    world.bucket.put(f"{ONE}.meta.json", said_of(ONE, 0, target, metadata={"year": 2027}))
    assert ends(world) is None
    assert {one["s3sync_source"] for one in world.metadata(target).values()} == {world.source.id}
    assert TEXT in set(world.texts(target).values())


def test_what_no_sidecar_asks_for_goes_once_all_are_read():
    """Which one asked for it before tells nothing: another name may ask for it in the new place."""
    world = with_sidecars(AutoSync.METADATA)
    is_broken(world)
    move(world, id_prefix="p-")
    world.bucket.delete("k1.md.meta.json")
    assert "2 documents of before (4 records) stay: 2 that a sidecar may ask for" in ends(world)
    assert {TEXT, "k1.md one"} <= set(world.texts().values())
    world.bucket.delete(f"{ONE}.meta.json")
    assert ends(world) is None
    assert not {TEXT, "k1.md one"} & set(world.texts().values())


def test_what_reads_as_nothing_goes_whatever_sidecars_say():
    world = with_sidecars(AutoSync.METADATA)
    is_broken(world)
    move(world, id_prefix="p-")
    world.bucket.put("k1.md", "")
    assert "1 documents of before (2 records) stay: 1 that a sidecar" in ends(world)


@pytest.mark.parametrize(
    ("target", "auto_sync"),
    [("docs", AutoSync.METADATA), ("other", AutoSync.METADATA), ("other", AutoSync.DIRECT)],
)
def test_no_text_is_missing_while_sidecars_wait_behind_their_objects(target, auto_sync):
    world = declared([], auto_sync=auto_sync)
    for number in range(30):
        key = f"k{number:02}.md"
        world.bucket.put(key, f"{key} one")
        world.bucket.put(f"meta/{key}.meta.json", said_of(key, number, target))
    syncs(world)
    had = set(world.texts(target).values())
    assert len(had) == 30
    move(world, id_prefix="p-")
    world.listing()
    batches = 0
    while taken := world.catalog.batches.reserve(
        world.source.id, take=Take(max_keys=5), owner="w", run_id="r"
    ):
        work_on(world, taken)
        batches += 1
        finish(world)
        assert set(world.texts(target).values()) >= had
    assert batches > 12
    assert finish(world) is None
    assert {one["s3sync_source"] for one in world.metadata(target).values()} == {world.source.id}
