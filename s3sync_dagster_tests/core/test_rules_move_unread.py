"""Objects and sidecars that cannot be read in a new place, or were not: what was known holds."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.model import errors
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import event, sidecar, states, work_on
from s3sync_dagster_tests.core.test_rules_into import into
from s3sync_dagster_tests.core.test_rules_moved import CHANGES, everything, finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import sees
from s3sync_dagster_tests.core.test_rules_restored_owners import declared
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed

KEYS = [f"k{number}.md" for number in range(8)]
ONE = "k0.md"
TEXT = f"{ONE} one"


def by_a_lifecycle_rule(world, key=ONE):
    world.bucket.put(key, f"{key} one\n\n{key} two", storage_class="GLACIER")


def as_a_read_says(world):
    """Intelligent-Tiering: no listing tells of it."""
    _refuse(world, ONE, errors.NotPossible("archived", reason="archived"))


def _refuse(world, asked, error):
    def fault(kind, key):
        if (kind, key) == ("GET", asked):
            raise error

    world.fault = fault


def is_broken(world, side=f"{ONE}.meta.json"):
    world.bucket.put(side, "{broken")


def is_denied(world, side=f"{ONE}.meta.json"):
    world.bucket.put(side, said_of(ONE, 0, metadata={"year": 2026}))
    _refuse(world, side, errors.AccessDenied("no", reason="access_denied"))


def is_archived(world, side=f"{ONE}.meta.json"):
    body = said_of(ONE, 0, metadata={"year": 2026})
    world.bucket.put(side, body, storage_class="GLACIER")


def said_of(key, number, target=None, **fields):
    return sidecar(key, f"id-{number}", target_collection_name=target, **fields)


def reserve(world, keys):
    take = Take(max_keys=keys)
    return world.catalog.batches.reserve(world.source.id, take=take, owner="w", run_id="r")


def with_sidecars(auto_sync, target=None):
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
        (None, AutoSync.METADATA, {"id_prefix": "p-"}),
        (None, AutoSync.METADATA, {"collection_name": "docs2"}),
        ("other", AutoSync.METADATA, {"collection_name": "docs2"}),
        ("other", AutoSync.DIRECT, {"id_prefix": "p-"}),
    ],
)
def test_what_a_sidecar_said_last_holds_until_it_is_read(target, auto_sync, unread, changes):
    world = with_sidecars(auto_sync, target)
    unread(world)
    syncs(world)
    move(world, **changes)
    assert ends(world) is None
    here = target or world.source.collection_name
    assert TEXT in set(world.texts(here).values())
    assert {one["s3sync_source"] for one in world.metadata(here).values()} == {world.source.id}
    world.fault = lambda *_: None
    world.bucket.put(f"{ONE}.meta.json", said_of(ONE, 0, target, metadata={"year": 2027}))
    syncs(world)
    (year,) = {one.get("year") for one in world.metadata(here).values()} - {None}
    assert year == 2027


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("unread", [is_broken, is_denied, is_archived, None])
def test_what_a_sidecar_closed_stays_closed_until_it_is_read(unread, mode):
    world = declared(
        KEYS,
        mode=mode,
        reader_keys=("team",),
        metadata={"team": ["all"]},
        auto_sync=AutoSync.DIRECT,
    )
    side = f"z/{ONE}.meta.json"
    world.bucket.put(side, said_of(ONE, 0, None, metadata={"team": ["hr"]}))
    syncs(world)
    if unread is not None:
        unread(world, side)
        syncs(world)
    assert ONE not in sees(world, "all")
    move(world, id_prefix="p-")
    world.listing()
    while taken := reserve(world, 3):
        work_on(world, taken)
        finish(world)
        assert ONE not in sees(world, "all")
    assert sees(world, "hr") == {ONE}


@pytest.mark.parametrize("changes", [{"id_prefix": "p-"}, {"bucket_name": "bucket-eu"}])
@pytest.mark.parametrize("listed", ["before", "after", "between"])
def test_what_sidecars_asked_for_that_the_new_place_lacks_goes_through_the_guard(listed, changes):
    """Nobody copied them: there is no object in the new place that would be indexed."""
    world = with_sidecars(AutoSync.METADATA)
    before = move(world, **changes)
    had = everything(world, before)
    for key in KEYS:
        world.bucket.delete(f"{key}.meta.json")
    if listed != "before":
        for key in KEYS:
            event(world, key)
    taken = reserve(world, 9) if listed == "between" else None
    if listed == "after":
        world.run_batches()
    world.listing()
    if taken:
        work_on(world, taken)
    for _ in range(3):
        world.run_batches()
        finish(world)
        assert everything(world, before, world.source) >= had
        world.clock.seconds += 90_000
        world.listing()
    syncs(world)
    finish(world)
    assert everything(world, before, world.source) in (set(), had)


def test_of_sidecars_outside_of_the_new_prefix_nothing_is_taken_over(catalog_url):
    keys = [f"a/{key}" for key in KEYS]
    world = declared(keys, auto_sync=AutoSync.METADATA, url=catalog_url)
    world.bucket.put("z/one.meta.json", said_of("a/k0.md", 0))
    world.bucket.put("a/two.meta.json", said_of("a/k1.md", 1))
    syncs(world)
    world.bucket.put("a/two.meta.json", "{broken")
    by_a_lifecycle_rule(world, "a/k0.md")
    move(world, path_prefix="a/")
    assert list(states(world)) == ["a/two.meta.json"]
    said = ends(world)
    assert "1 documents of before (2 records) stay: 1 whose objects are archived" in said
    assert list(states(world)) == [*keys, "a/two.meta.json"]
    assert set(world.texts().values()) == {
        "a/k0.md one", "a/k0.md two", "a/k1.md one", "a/k1.md two",
    }  # fmt: skip


def named_since(**changes):
    """Return a world that is moved to where sidecars name objects that it took by itself."""
    world = declared(KEYS)
    is_broken(world)
    for number, key in list(enumerate(KEYS))[2:]:
        world.bucket.put(f"{key}.meta.json", said_of(key, number, None))
    move(world, id_prefix="p-", auto_sync=AutoSync.METADATA, **changes)
    return world


def test_what_no_sidecar_asks_for_goes_once_all_are_read():
    world = named_since()
    said = ends(world)
    assert "2 documents of before (4 records) stay: 2 that a sidecar may ask for" in said
    assert "`s3sync source move docs --now` removes them all the same" in said
    assert {TEXT, "k1.md one"} <= set(world.texts().values())
    world.bucket.delete(f"{ONE}.meta.json")
    assert ends(world) is None
    assert not {TEXT, "k1.md one"} & set(world.texts().values())


def test_what_reads_as_nothing_goes_whatever_sidecars_say():
    world = named_since()
    world.bucket.put("k1.md", "")
    assert "1 documents of before (2 records) stay: 1 that a sidecar" in ends(world)


@pytest.mark.parametrize("before", [AutoSync.DIRECT, AutoSync.METADATA])
def test_no_text_is_missing_while_sidecars_wait_behind_their_objects(before):
    world = declared([], auto_sync=before)
    for number in range(20):
        key = f"k{number:02}.md"
        world.bucket.put(key, f"{key} one")
        if before is AutoSync.METADATA:
            world.bucket.put(f"meta/{key}.meta.json", said_of(key, number, None))
    syncs(world)
    had = set(world.texts().values())
    assert len(had) == 20
    for number in range(20):
        key = f"k{number:02}.md"
        world.bucket.put(f"meta/{key}.meta.json", said_of(key, number, None))
    move(world, id_prefix="p-", auto_sync=AutoSync.METADATA)
    world.listing()
    while taken := reserve(world, 5):
        work_on(world, taken)
        finish(world)
        assert set(world.texts().values()) >= had
    assert finish(world) is None
    assert {one["s3sync_source"] for one in world.metadata().values()} == {world.source.id}


@pytest.mark.parametrize("broken", [False, True])
def test_what_a_sidecar_closes_is_closed_in_a_second_collection_before_it_was_read(broken):
    world = make_world(reader_keys=("team",), metadata={"team": ["all"]})
    world.bucket.put("a.md", "salaries")
    world.bucket.put("b.md", "menu")
    world.bucket.put("z/a.md.meta.json", sidecar("a.md", "x", metadata={"team": ["hr"]}))
    world.sync()
    if broken:
        world.bucket.put("z/a.md.meta.json", "{broken")
        world.sync()
    into(world)
    assert (sees(world, "hr"), sees(world, "all")) == ({"a.md"}, {"b.md"})
    world.sync()
    assert (sees(world, "hr"), sees(world, "all")) == ({"a.md"}, {"b.md"})
    world.bucket.delete("z/a.md.meta.json")
    world.clock.seconds += 7200
    world.sync(approve_deletes=True)
    assert (sees(world, "hr"), sees(world, "all")) == (set(), {"a.md", "b.md"})


def test_what_a_sidecar_said_last_ends_with_it_where_it_was_never_read():
    world = with_sidecars(AutoSync.METADATA)
    is_broken(world)
    move(world, bucket_name="bucket-eu")
    assert ends(world) is None
    assert TEXT in set(world.texts().values())
    world.bucket.delete(f"{ONE}.meta.json")
    syncs(world)
    assert TEXT not in set(world.texts().values())
    assert len(world.texts()) == 14
