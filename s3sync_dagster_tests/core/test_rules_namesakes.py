"""Two installations of one repository at one Chroma: their sources of code have the same ids.

Each has a bucket, a collection and a catalog of its own. What is looked for after a restore of one
is never the other's. Nor is what a trial copy of a catalog writes the original's.
"""

from uuid import uuid4

import pytest

from s3sync_dagster.engine.dropping import drop_collection
from s3sync_dagster.engine.last_look import look_elsewhere, read_back_forgotten
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import sidecar, states
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restore_ends import checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_restored_owners import declared, delete
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import s3_source

OTHER = "00000000-0000-4000-8000-0000000000aa"
HR = {"reader_keys": ("team",), "metadata": {"team": ["hr"]}}
STAGING = {"k.md": "staging k", "only.md": "staging only", "gone.md": "staging gone"}
PLACES = pytest.mark.parametrize(
    "place",
    [{"bucket_name": "bucket-staging"}, {"path_prefix": "staging/"}],
    ids=["another bucket", "another prefix"],
)


def two(place, *, mode=DeleteMode.MIRROR, **fields):
    """Return the worlds of production, whose catalog is restored, and of staging, which is not."""
    world = make_world(mode=mode, path_prefix="prod/", **fields)
    for name in ("k.md", "gone.md"):
        world.bucket.put(f"prod/{name}", f"prod {name}")
    world.sync()
    copy = back_up(world)
    where = {"path_prefix": "prod/", **place}
    staging = make_world(mode=mode, collection_name="staging", **where, **fields)
    assert staging.source.id == world.source.id
    staging.collections = world.collections
    staging.__post_init__()
    for name, text in STAGING.items():
        staging.bucket.put(where["path_prefix"] + name, text)
    staging.sync()
    assert there(staging) == set(STAGING.values())
    restore(world, copy)
    return world, staging


def there(staging):
    return set(staging.texts("staging").values())


@PLACES
@pytest.mark.parametrize("readers", [HR, {}], ids=["readers", "none"])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_restore_leaves_the_other_one_s_collection_alone(place, readers, mode):
    world, staging = two(place, mode=mode, **readers)
    told, lines = staging.metadata("staging"), []
    world.bucket.delete("prod/gone.md")
    for _ in range(4):
        goes_on(world, 1)
        checks(world, log=lines.append)
    assert (there(staging), staging.metadata("staging")) == (set(STAGING.values()), told)
    documents = world.catalog.documents.of_source(world.source.id)
    assert {one.collection_name for one in documents} == {"docs"}
    assert world.catalog.sources.looked_through(world.source.id) is None or not readers


@PLACES
def test_a_deletion_after_a_restore_leaves_the_other_one_s_collection_alone(place):
    world, staging = two(place)
    delete(world)
    assert world.texts() == {}
    assert there(staging) == set(STAGING.values())


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.MIRROR])
@PLACES
def test_the_end_of_a_move_and_a_lost_catalog_read_nothing_of_it_back(place, mode):
    world, _ = two(place, mode=mode)
    options = {"catalog": world.catalog, "collections": world.collections}
    assert read_back_forgotten(world.source, **options, log=lambda _: None) == 0
    recover_catalog(world.source, **options, embedder=world.embedder)
    assert world.catalog.documents.collections(world.source.id) == [
        ("default_tenant", "default_database", "docs")
    ]


@PLACES
def test_verify_counts_it_and_deletes_none_of_it(place):
    world, staging = two(place)
    port = world.collections.open(
        "staging", tenant="default_tenant", database="default_database", embedder=world.embedder
    )
    found = verify_collection(
        world.source, collection=port, documents=world.catalog.documents, fix=True
    )
    assert (found.of_namesakes, found.records, found.sound) == (3, 0, True)
    assert there(staging) == set(STAGING.values())


def at_one_collection(*, restored):
    """Return the worlds of both, whose sidecars name one collection."""
    world = declared([])
    staging = make_world(bucket_name="bucket-staging", collection_name="staging")
    staging.collections = world.collections
    staging.__post_init__()
    copy = None
    for one, whose in ((world, "prod"), (staging, "staging")):
        one.bucket.put("k.md", whose)
        told = sidecar("k.md", f"k-{whose}", target_collection_name="shared")
        one.bucket.put("k.md.meta.json", told)
        one.sync()
        copy = copy or back_up(world)
    if restored:
        restore(world, copy)
        goes_on(world, 1)
    assert set(world.texts("shared").values()) == {"prod", "staging"}
    return world, staging


@pytest.mark.parametrize("restored", [True, False])
@pytest.mark.parametrize("ends", ["deleted", "moved", "deleted after a request"])
def test_the_end_of_a_source_leaves_the_other_one_s_records_in_a_collection_of_both(ends, restored):
    world, staging = at_one_collection(restored=restored)
    if ends == "moved":
        move(world, bucket_name="bucket-eu")
        for _ in range(4):
            goes_on(world, 1)
            finish(world)
        assert world.catalog.moves.left_by(world.source.id) == []
    else:
        staging.bucket.put("own.md", "staging's own")
        staging.sync()
        theirs = staging.texts("staging")
        if ends == "deleted after a request":
            world.ask("k.md", target_collection_name="staging", custom_id="asked")
            world.run_batches()
            assert staging.texts("staging") == theirs | {"asked-0": "prod"}
        delete(world)
        assert staging.texts("staging") == theirs
    kept = set(staging.texts("shared").values())
    assert kept == ({"prod", "staging"} if ends == "moved" else {"staging"})


def test_a_record_of_a_document_that_somebody_changed_is_no_other_one_s():
    world, _ = at_one_collection(restored=False)
    port = world.collections.open(
        "shared", tenant="default_tenant", database="default_database", embedder=world.embedder
    )
    port.update_metadata(["k-prod-0"], [{"s3sync_bucket": "x"}])
    found = verify_collection(
        world.source, collection=port, documents=world.catalog.documents, fix=True
    )
    assert (found.changed, found.of_namesakes, found.met) == (["k.md"], 1, 1)
    world.run_batches()
    (record,) = port.get(["k-prod-0"]).values()
    assert record.metadata["s3sync_bucket"] == "bucket"


def test_it_is_told_of_once():
    world, _ = two({"bucket_name": "bucket-staging"})
    lines = []
    for _ in range(3):
        checks(world, log=lines.append)
        goes_on(world, 1)
        look_elsewhere(
            world.source,
            catalog=world.catalog,
            collections=world.collections,
            late=lambda: False,
            log=lines.append,
        )
    (line,) = [one for one in lines if "another installation" in one]
    assert "'staging'" in line
    assert world.source.name in line


def test_what_a_trial_copy_wrote_after_a_move_is_no_record_of_the_original():
    world = declared(["k.md"])
    copy = back_up(world)
    trial = declared([])
    trial.catalog.database.clock.uuid = lambda: str(uuid4())  # not those that the copy has used
    trial.collections = world.collections
    trial.__post_init__()
    restore(trial, copy)
    move(trial, bucket_name="trial")
    trial.bucket.put("new.md", "trial 0\n\ntrial 1")
    goes_on(trial, 1)
    written = {name: text for name, text in world.texts().items() if "trial" in text}
    assert written
    world.bucket.put("new.md", "new")
    goes_on(world)
    assert states(world)["new.md"] == ("failed", "record_ids_taken")
    assert written.items() <= world.texts().items()


@pytest.mark.parametrize(
    ("place", "days"),
    [
        ({"bucket_name": "bucket-staging"}, 1),
        ({"bucket_name": "bucket-staging"}, 100),
        ({"path_prefix": "staging/"}, 1),
        ({}, 8),  # nothing tells them apart: for a week it may be a late worker's
    ],
    ids=str,
)
def test_the_end_of_a_source_frees_no_id_that_the_other_one_has_under_its_name(place, days):
    """Sidecars of staging name the collection of another source of production."""
    world = make_world(path_prefix="prod/")
    where = {"path_prefix": "prod/", **place}
    staging = make_world(collection_name="staging", **where)
    staging.collections = world.collections
    staging.__post_init__()
    key = f"{where['path_prefix']}k.md"
    staging.bucket.put(key, "staging's")
    to_shared = {"target_collection_name": "shared"}
    staging.bucket.put(f"{key}.meta.json", sidecar(key, "k", **to_shared))
    world.bucket.put("prod/own.md", "own")
    world.bucket.put("prod/own.md.meta.json", sidecar("prod/own.md", "own", **to_shared))
    world.sync()
    delete(world)
    staging.sync()
    world.clock.seconds += days * 86_400.0
    other = s3_source(id=OTHER, name="other", bucket_name="bucket-3", collection_name="shared")
    world.catalog.sources.add(other)
    world.source = other
    world.bucket.put("k.md", "other's")
    world.bucket.put("k.md.meta.json", sidecar("k.md", "k"))
    world.sync()
    assert states(world)["k.md"] == ("failed", "record_ids_taken")
    assert staging.texts("shared")["k-0"] == "staging's"
    with pytest.raises(Conflict, match="did not write"):
        drop_collection(
            other,
            world.catalog.listings.latest(other.id),
            catalog=world.catalog,
            collections=world.collections,
            approved=True,
        )
    assert staging.texts("shared")["k-0"] == "staging's"
