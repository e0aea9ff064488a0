"""Objects that exchange their ids by sidecars, and ids of those that cannot come elsewhere."""

import copy

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, sidecar, work_on
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]


def asks(world, key, custom_id, name="first"):
    told = sidecar(key, custom_id, target_collection_name=name)
    world.bucket.put(f"{key}.meta.json", told)


def everywhere(world, *names):
    return sorted(one for name in names for one in world.texts(name).values())


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("kind", ["GET", "HEAD"])
@pytest.mark.parametrize(("now", "name"), [("z", "first"), ("x", "other"), ("z", "other")])
@pytest.mark.parametrize("changes", [True, False])
def test_an_id_that_its_sidecar_gives_up_takes_no_text_along_that_cannot_be_written_anew(
    mode, kind, now, name, changes
):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(key, f"text of {key}")
        asks(world, key, custom_id)
    world.sync()

    def fault(asked, key):
        if (asked, key) == (kind, "a.md"):
            raise AccessDenied("not allowed")

    world.fault = fault
    if changes:
        world.bucket.put("a.md", "text of a.md two")
    asks(world, "a.md", now, name)
    asks(world, "b.md", "x")
    for _ in range(3):
        goes_on(world)
    left = everywhere(world, "first", "other")
    assert any(one.startswith("text of a.md") for one in left), left


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.parametrize("order", [("a.md", "b.md", "c.md"), ("b.md", "c.md", "a.md")])
def test_an_id_is_not_taken_of_an_object_that_is_refused_the_one_it_asks_for(mode, changes, order):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    a, b, c = order
    for key, custom_id in ((a, "x"), (b, "y"), (c, "z")):
        world.bucket.put(key, f"text of {key}")
        asks(world, key, custom_id)
    world.sync()
    if changes:
        world.bucket.put(a, f"text of {a} two")
    asks(world, a, "z")
    asks(world, b, "x")
    for _ in range(3):
        goes_on(world)
    left = everywhere(world, "first")
    assert {one.removesuffix(" two") for one in left} >= {f"text of {key}" for key in order}


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("unclean", [True, False])
@pytest.mark.parametrize("names", [("first", "first", "first"), ("first", "other", "docs")])
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("deny", [None, 0, 1, 2])
def test_objects_that_exchange_ids_have_them_in_the_end(mode, unclean, names, number, turn, deny):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    keys = ["a.md", "b.md", "c.md"][:number]
    places = list(zip(["x", "y", "z"], names, strict=True))[:number]
    for key, (custom_id, name) in zip(keys, places, strict=True):
        world.bucket.put(key, f"text of {key}")
        asks(world, key, custom_id, name)
    world.sync()
    denied = keys[deny % number] if deny is not None else None

    def fault(asked, key):
        if (asked, key) == ("GET", denied):
            raise AccessDenied("not allowed")

    world.fault = fault
    moved = places[turn:] + places[:turn]
    for key, (custom_id, name) in zip(keys, moved, strict=True):
        world.bucket.put(key, f"text of {key} two")
        asks(world, key, custom_id, name)

    def turns():
        for _ in range(4):
            world.clock.seconds += 7200
            world.sync()
            if unclean:
                world.catalog.documents.enqueue_unclean(world.source.id)
                world.run_batches()

    def there():
        return {
            (name, custom_id): world.texts(name).get(f"{custom_id}-0") for custom_id, name in places
        }

    turns()
    if denied:
        left = {str(one).removesuffix(" two") for one in there().values()}
        assert left == {f"text of {key}" for key in keys}
    world.fault = None
    turns()
    assert there() == {
        (name, custom_id): f"text of {key} two"
        for key, (custom_id, name) in zip(keys, moved, strict=True)
    }


def everybody(world, collection, group):
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = world.metadata(collection).values()
    return {one["document_key"] for one in found if rights.allow_record(one)}


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("kind", ["GET", "HEAD", None])
@pytest.mark.parametrize("again", ["third", None])
@pytest.mark.parametrize("fails_first", [True, False])
def test_what_a_sidecar_closed_stays_closed_whatever_becomes_of_it(mode, kind, again, fails_first):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode, reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    told = sidecar(KEY, "x", target_collection_name="first")
    world.bucket.put("pay.meta.json", told)
    world.sync()

    def fault(asked, key):
        if (asked, key) == (kind, KEY):
            raise AccessDenied("not allowed")

    world.fault = fault
    if fails_first:
        world.bucket.put(KEY, "salaries two")
        goes_on(world)
    told = sidecar(KEY, "x", target_collection_name="other", metadata=HR)
    world.bucket.put("pay.meta.json", told)
    goes_on(world)
    assert everybody(world, "first", "sales") == set()
    if again == "third":
        told = sidecar(KEY, "z", target_collection_name="first", metadata=HR)
        world.bucket.put("pay.meta.json", told)
    goes_on(world)
    assert everybody(world, "first", "sales") == set()
    world.fault = None
    goes_on(world)
    assert everybody(world, "first", "sales") == everybody(world, "other", "sales") == set()


def test_a_collection_that_does_not_answer_keeps_no_other_document_of_a_restored_source_waiting():
    world = make_world(reader_keys=("team",), **BY_PATH)
    for key in (KEY, "sales/b.md"):
        world.bucket.put(key, "one")
    world.bucket.put("pay.meta.json", sidecar(KEY, "x", target_collection_name="copies"))
    world.sync()
    restore(world, back_up(world))

    class Broken:
        def open(self, name, **options):
            port = copy.copy(world.collections.open(name, **options))

            def away(*_arguments, **_options):
                raise Unavailable("away", reason="chroma_unavailable")

            if name == "copies":
                port.get = port.ids_meeting = port.scan = port.upsert = away
            return port

        def __getattr__(self, name):
            return getattr(world.collections, name)

    for key in (KEY, "sales/b.md", "sales/new.md"):
        world.bucket.put(key, "two")
    for _ in range(3):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(collections=Broken())
    assert world.keys_indexed() >= {"sales/b.md", "sales/new.md"}
    told = {
        one["document_key"]: text
        for one, text in zip(world.metadata().values(), world.texts().values(), strict=True)
    }
    assert (told["sales/b.md"], told["sales/new.md"], told[KEY]) == ("two", "two", "one")
    world.clock.seconds += 7200
    world.sync()
    assert set(world.texts().values()) == set(world.texts("copies").values()) == {"two"}


# --- what became of an object since it was refused an id -----------------------------------------


def tells(world, key):
    there = key in world.bucket.objects()
    ref = world.store.head(key) if there else None
    archived = ref is not None and ref.storage_class == "GLACIER"
    event(world, key, remove=not there, told=ref, skip="archived" if archived else None)


def becomes(world, what):
    if what == "deleted":
        world.bucket.delete("a.md")
    elif what == "403":

        def fault(_kind, key):
            if key == "a.md":
                raise AccessDenied("not allowed")

        world.fault = fault
    else:
        text = {"damaged": "BAD", "archived": "text of a.md", "empty": ""}[what]
        kind = {"storage_class": "GLACIER"} if what == "archived" else {}
        world.bucket.put("a.md", text, **kind)


@pytest.mark.parametrize("told", ["before", "after"])
@pytest.mark.parametrize(
    ("mode", "what"),
    [(DeleteMode.MIRROR, one) for one in ("403", "archived")]
    + [
        (DeleteMode.KEEP_DELETED, one) for one in ("403", "archived", "deleted", "damaged", "empty")
    ],
)
def test_no_id_is_taken_of_an_object_that_cannot_be_read_since_it_was_refused_one(mode, what, told):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id))
        tells(world, key)
        tells(world, f"{key}.meta.json")
    world.run_batches()
    world.bucket.put("a.md.meta.json", sidecar("a.md", "y"))
    tells(world, "a.md.meta.json")
    world.run_batches()
    becomes(world, what)
    if told == "before" and what != "403":
        tells(world, "a.md")
    world.bucket.put("b.md.meta.json", sidecar("b.md", "x"))
    tells(world, "b.md.meta.json")
    world.run_batches()
    if told == "after" and what != "403":
        tells(world, "a.md")
    for _ in range(3):
        world.run_batches()
        assert "text of a.md" in world.texts().values()
        world.clock.seconds += 7200
        world.catalog.documents.enqueue_unclean(world.source.id)


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_requests_exchange_ids_too(mode):
    world = make_world(mode=mode, auto_sync=AutoSync.NONE)
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(key, f"text of {key}")
        world.ask(key, custom_id=custom_id)
    world.run_batches()
    world.ask("a.md", custom_id="y")
    world.ask("b.md", custom_id="x")
    world.run_batches()
    assert world.texts() == {"x-0": "text of b.md", "y-0": "text of a.md"}
    assert world.catalog.invocations.live_count(world.source.id) == 0


@pytest.mark.parametrize("what", ["edited twice", "denied for a while"])
def test_a_document_that_a_mode_kept_for_a_while_is_of_the_ring_still(what):
    world = make_world(mode=DeleteMode.KEEP_DELETED, auto_sync=AutoSync.METADATA)
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id))
    world.sync()
    if what == "denied for a while":
        becomes(world, "403")
        world.bucket.put("a.md", "text of a.md, newer")
        world.sync()
    else:
        world.bucket.put("a.md.meta.json", sidecar("a.md", "y"))
        goes_on(world, 1)
    world.bucket.put("a.md.meta.json", sidecar("a.md", "y", metadata={"n": 1}))
    goes_on(world, 1)
    world.fault = None
    world.bucket.put("b.md.meta.json", sidecar("b.md", "x"))
    goes_on(world, 2)
    newer = ", newer" if what == "denied for a while" else ""
    assert world.texts() == {"x-0": "text of b.md", "y-0": f"text of a.md{newer}"}


@pytest.mark.parametrize("mode", REPLACES)
def test_a_sidecar_that_loses_its_object_to_another_one_closes_no_ring(mode):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    for key, custom_id in (("a.md", "y"), ("b.md", "x"), ("c.md", "w")):
        world.bucket.put(key, f"text of {key}")
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id))
    world.sync()
    world.bucket.put("a0.meta.json", sidecar("b.md", "w"))  # whose key is smaller: b.md is to be w
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(f"{key}.meta.json", sidecar(key, custom_id))
    for _ in range(3):
        goes_on(world, 1)
        assert {f"text of {key}" for key in ("a.md", "b.md", "c.md")} == set(world.texts().values())


@pytest.mark.parametrize("mode", REPLACES)
def test_a_ring_closes_over_batches_by_the_sidecar_that_has_the_claim(mode):
    world = make_world(mode=mode, auto_sync=AutoSync.METADATA)
    for n in range(3):
        world.bucket.put(f"{n}.md", f"text of {n}")
        world.bucket.put(f"{n}.md.meta.json", sidecar(f"{n}.md", f"id-{n}"))
    world.sync()
    for n in range(3):  # what stands beside an object asks still, with a larger key
        folder = "0/" if n else ""
        told = sidecar(f"{n}.md", f"id-{(n + 1) % 3}")
        world.bucket.put(f"{folder}{n}.md.meta.json", told)
    for _ in range(4):
        world.clock.seconds += 7200
        world.listing()
        while batch := world.catalog.batches.reserve(
            world.source.id, take=Take(max_keys=1), owner="w", run_id="r"
        ):
            work_on(world, batch)
            assert set(world.texts().values()) == {f"text of {n}" for n in range(3)}
    assert world.texts() == {f"id-{(n + 1) % 3}-0": f"text of {n}" for n in range(3)}


@pytest.mark.parametrize("mode", REPLACES)
@pytest.mark.parametrize("closes", ["a.md", "b.md"])
@pytest.mark.parametrize("away", [True, False])
def test_what_is_closed_while_ids_are_exchanged_is_shown_under_no_id(mode, closes, away):
    world = make_world(auto_sync=AutoSync.METADATA, mode=mode, reader_keys=("team",))
    for key, custom_id in (("a.md", "x"), ("b.md", "y")):
        world.bucket.put(key, f"text of {key}")
        told = sidecar(key, custom_id, target_collection_name="first", metadata={"team": "sales"})
        world.bucket.put(f"{key}.meta.json", told)
    world.sync()
    for key, custom_id in (("a.md", "y"), ("b.md", "x")):
        team = "hr" if key == closes else "sales"
        told = sidecar(key, custom_id, target_collection_name="first", metadata={"team": team})
        world.bucket.put(f"{key}.meta.json", told)
    world.listing()
    world.clock.seconds += 10
    shown = []

    def look(step):
        if step != "begun":  # before its sidecar was read nobody knows of it
            shown.extend((step, key) for key in everybody(world, "first", "sales") & {closes})

    refusing = Refusing(world, upsert=refuse_with(Unavailable("away", reason="chroma_unavailable")))
    refusing.on = away
    world.run_batches(collections=refusing)
    refusing.on = False
    for _ in range(4):
        assert closes not in everybody(world, "first", "sales")
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(at=look)
    assert not shown
    assert everybody(world, "first", "sales") == {"a.md", "b.md"} - {closes}
    assert world.texts("first") == {"x-0": "text of b.md", "y-0": "text of a.md"}
