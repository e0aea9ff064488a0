"""One source, several assets: real runs on a real instance, with five partitions an asset."""

import os
from types import SimpleNamespace

import dagster as dg
import pytest

from s3sync_dagster import FolderSource, FolderSyncComponent, asset_keys
from s3sync_dagster.catalog.partitions import Partitions
from s3sync_dagster.core.naming import asset_path, job_name, partitions_name
from s3sync_dagster.definitions import read_catalog_sources
from s3sync_dagster.defs.building import PROBLEMS, build_definitions
from s3sync_dagster.defs.resources import CatalogSource
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.defs.defs_fixture import open_world

MOST = 5
KEYS = [f"docs/{number:02}.md" for number in range(12)]
BAD = "docs/11.pdf"


@pytest.fixture
def world(tmp_path, aws_endpoint, chroma_server, defs_environment, monkeypatch):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", chroma_server)
    monkeypatch.setenv("S3SYNC_PARTITIONS_PER_ASSET", str(MOST))
    with open_world(aws_endpoint, tmp_path / "home", dict(os.environ), name="docs") as one:
        yield one


def put(world, *keys, text="# Text of"):
    world.aws.put_all(world.bucket, {key: f"{text} {key}" for key in keys})


def asset(world, shard):
    return dg.AssetKey(asset_path(world.source, shard))


def partitions(world):
    """Return the partitions of each asset of the source that has some, by shard."""
    found = {
        shard: set(world.instance.get_dynamic_partitions(partitions_name(world.source, shard)))
        for shard in range(1, 6)
    }
    return {shard: names for shard, names in found.items() if names}


def statuses(world, shard, *keys):
    definition = dg.DynamicPartitionsDefinition(name=partitions_name(world.source, shard))
    found = world.instance.get_status_by_partition(asset(world, shard), list(keys), definition)
    return {key: value.value if value else None for key, value in (found or {}).items()}


def told(world, result):
    """Partition -> assets of which a run has told a materialisation."""
    by = {}
    for event in world.events(result, dg.DagsterEventType.ASSET_MATERIALIZATION):
        by.setdefault(event.partition, []).append(event.asset_key.to_user_string())
    return by


def load_again(world):
    world._defs.clear()
    return world.defs


def launch(world, shard, key, **arguments):
    """Do what *Materialize* in the UI does with a partition of an asset."""
    job = world.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=world.instance,
        asset_selection=[asset(world, shard)],
        partition_key=key,
        raise_on_error=False,
        **arguments,
    )


def assets_of(definitions):
    graph = definitions.resolve_asset_graph()
    return sorted(key.to_user_string() for key in graph.materializable_asset_keys)


def test_a_source_that_grows_is_shown_by_further_assets_and_nothing_indexed_is_touched(world):
    put(world, *KEYS[:4])
    (first,) = world.sync()
    assert first.success
    assert partitions(world) == {1: set(KEYS[:4])}
    assert assets_of(world.defs) == ["s3/docs"]

    put(world, *KEYS[4:])
    (grown,) = world.sync()  # its definitions know one asset
    assert grown.success
    assert partitions(world) == {1: set(KEYS[:5]), 2: set(KEYS[5:10]), 3: set(KEYS[10:])}
    homes = {key: [f"s3/docs/{2 if key in KEYS[5:10] else 3}"] for key in KEYS[5:]}
    assert told(world, grown) == {KEYS[4]: ["s3/docs"], **homes}, "nothing of before is told anew"
    assert world.indexed_keys() == set(KEYS)

    load_again(world)
    assert assets_of(world.defs) == ["s3/docs", "s3/docs/2", "s3/docs/3"]
    assert statuses(world, 1, *KEYS[:5]) == dict.fromkeys(KEYS[:5], "MATERIALIZED")
    assert statuses(world, 2, *KEYS[5:10]) == dict.fromkeys(KEYS[5:10], "MATERIALIZED")
    assert statuses(world, 3, *KEYS[10:]) == dict.fromkeys(KEYS[10:], "MATERIALIZED")
    assert world.sync() == []


def test_one_run_has_keys_of_all_shards_and_each_shows_how_it_ended_where_it_stands(world):
    put(world, *KEYS)
    world.aws.put(world.bucket, BAD, b"%PDF-1.7 not really")
    (result,) = world.sync()
    assert not result.success
    assert partitions(world)[3] == {KEYS[10], BAD, KEYS[11]} - set(KEYS[:10])
    assert statuses(world, 3, KEYS[10], BAD) == {KEYS[10]: "MATERIALIZED", BAD: "FAILED"}
    assert statuses(world, 1, BAD) == {BAD: None}
    put(world, KEYS[0], KEYS[6], text="# Changed:")
    (again,) = world.sync()
    assert told(world, again) == {KEYS[0]: ["s3/docs"], KEYS[6]: ["s3/docs/2"]}
    assert again.success


def test_a_partition_of_a_further_asset_is_launched_as_one_of_the_first_is(world):
    put(world, *KEYS)
    world.sync()
    load_again(world)
    result = launch(world, 2, KEYS[6])
    assert result.success
    assert told(world, result) == {KEYS[6]: ["s3/docs/2"]}
    assert world.states(result) == {KEYS[6]: ["unchanged"]}
    run = world.instance.get_run_by_id(result.run_id)
    assert run.tags["s3sync/source"] == "docs"
    span = {
        "dagster/asset_partition_range_start": KEYS[5],
        "dagster/asset_partition_range_end": KEYS[8],
    }
    job = world.defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=world.instance, asset_selection=[asset(world, 2)], tags=span
    )
    assert told(world, result) == {key: ["s3/docs/2"] for key in KEYS[5:9]}


def test_a_key_that_is_launched_on_another_asset_than_its_own_is_answered_on_both(world):
    put(world, *KEYS)
    world.sync()
    load_again(world)
    put(world, KEYS[0], text="# Changed:")
    world.instance.add_dynamic_partitions(partitions_name(world.source, 2), [KEYS[0]])
    result = launch(world, 2, KEYS[0])
    assert result.success
    assert told(world, result) == {KEYS[0]: ["s3/docs", "s3/docs/2"]}
    assert world.states(result) == {KEYS[0]: ["updated", "updated"]}
    assert statuses(world, 2, KEYS[0]) == {KEYS[0]: "MATERIALIZED"}
    assert world.catalog.partitions.place(world.source.id, [KEYS[0]]).shards == {KEYS[0]: 1}


def test_a_key_that_is_shown_on_two_assets_is_taken_back_from_both(world):
    put(world, *KEYS)
    world.sync()
    load_again(world)
    world.instance.add_dynamic_partitions(partitions_name(world.source, 2), [KEYS[0]])
    launch(world, 2, KEYS[0])
    world.aws.delete(world.bucket, KEYS[0])
    world.sync()
    world.dispatcher().keep_house(log=print)
    assert all(KEYS[0] not in names for names in partitions(world).values())


def test_a_key_that_comes_back_after_a_death_in_the_taking_back_of_its_partition_is_shown(
    world, monkeypatch
):
    put(world, *KEYS)
    world.sync()
    world.aws.delete(world.bucket, KEYS[7])
    world.sync()
    with monkeypatch.context() as dying:
        dying.setattr(Partitions, "dropped", lambda *_: 1 / 0)
        world.dispatcher().keep_house(log=print)
    assert KEYS[7] not in partitions(world)[2]
    put(world, KEYS[7])
    world.sync()
    assert KEYS[7] in partitions(world)[2]


@pytest.mark.parametrize("shard", [1, 2])
def test_a_key_that_is_new_stays_in_the_asset_that_somebody_has_added_it_to(world, shard):
    put(world, *KEYS)
    world.sync()
    load_again(world)
    put(world, "docs/new.md")
    world.instance.add_dynamic_partitions(partitions_name(world.source, shard), ["docs/new.md"])
    result = launch(world, shard, "docs/new.md")
    assert told(world, result) == {"docs/new.md": ["/".join(asset_path(world.source, shard))]}
    assert "docs/new.md" in world.indexed_keys()
    world.aws.delete(world.bucket, "docs/new.md")
    world.sync()
    world.dispatcher().keep_house(log=print)
    assert all("docs/new.md" not in names for names in partitions(world).values())


def test_partitions_are_taken_back_from_where_they_stand_and_their_room_is_used(world):
    put(world, *KEYS)
    world.sync()
    for key in (KEYS[1], KEYS[7]):
        world.aws.delete(world.bucket, key)
    world.sync()
    notes = world.dispatcher().keep_house(log=print)
    assert notes == ["docs: 2 partitions of removed objects taken back"]
    before = partitions(world)
    assert before == {
        1: {*KEYS[:5]} - {KEYS[1]}, 2: {*KEYS[5:10]} - {KEYS[7]}, 3: {*KEYS[10:]},
    }  # fmt: skip
    put(world, KEYS[7], "docs/new.md")  # one comes back
    world.sync()
    assert partitions(world) == {
        1: before[1] | {KEYS[7]}, 2: before[2] | {"docs/new.md"}, 3: before[3],
    }  # fmt: skip
    assert world.indexed_keys() == {*KEYS, "docs/new.md"} - {KEYS[1]}


def test_no_partition_is_taken_back_while_a_backfill_of_any_asset_goes_on(world):
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    put(world, *KEYS)
    world.sync()
    world.aws.delete(world.bucket, KEYS[0])
    world.sync()
    backfill = PartitionBackfill(
        backfill_id="one", status=BulkActionStatus.REQUESTED, from_failure=False, tags={},
        backfill_timestamp=0.0, asset_selection=[asset(world, 3)],
    )  # fmt: skip
    world.instance.add_backfill(backfill)
    assert world.dispatcher().keep_house(log=print) == []
    assert KEYS[0] in partitions(world)[1]
    world.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert world.dispatcher().keep_house(log=print) != []
    assert KEYS[0] not in partitions(world)[1]


def test_a_deleted_source_leaves_no_partition_in_any_asset(world):
    put(world, *KEYS)
    world.sync()
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    world.dispatcher().keep_house(log=print)
    assert partitions(world) == {}
    assert world.catalog.sources.ids() == set()


def test_a_deleted_source_leaves_none_that_an_older_catalog_does_not_know(world):
    put(world, *KEYS)
    world.sync()
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM shards WHERE shard > 1")
        tx.exec_driver_sql("DELETE FROM objects WHERE shard > 1")
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    world.dispatcher().keep_house(log=print)
    assert partitions(world) == {}


def test_a_moved_source_that_leaves_keys_out_shows_none_of_them_twice(world):
    put(world, *KEYS)
    world.sync()
    before = partitions(world)
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET origin = 'python'")
    narrower = {"collection_name": "narrower", "exclude_globs": (KEYS[6], KEYS[7])}
    world.catalog.sources.register(world.source.with_changes(**narrower))
    world.source = world.catalog.moves.begin(world.source.name)
    load_again(world)
    world.sync()
    for _ in range(3):
        world.dispatcher().keep_house(log=print)
    assert world.catalog.sources.ids() == {world.source.id}
    world.source = world.source.with_changes(exclude_globs=())
    world.catalog.sources.update(world.source)
    load_again(world)
    world.sync()
    assert {KEYS[6], KEYS[7]} < world.indexed_keys()
    assert partitions(world) == before


def test_a_moved_source_leaves_each_partition_in_the_asset_where_it_stands(world):
    put(world, *KEYS)
    world.sync()
    before = partitions(world)
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET origin = 'python'")
    world.catalog.sources.register(world.source.with_changes(collection_name="elsewhere"))
    world.source = world.catalog.moves.begin(world.source.name)
    load_again(world)
    assert assets_of(world.defs) == ["s3/docs", "s3/docs/2", "s3/docs/3"]
    world.aws.delete(world.bucket, KEYS[6])
    put(world, "docs/new.md", "docs/newer.md")
    world.sync()
    for _ in range(3):
        world.dispatcher().keep_house(log=print)
    assert world.catalog.sources.ids() == {world.source.id}
    expected = {**before, 3: before[3] | {"docs/new.md", "docs/newer.md"}}
    expected[2] = before[2] - {KEYS[6]}
    assert partitions(world) == expected


def test_dispatch_says_which_assets_are_not_loaded_until_they_are(world):
    put(world, *KEYS)
    assert "assets by now" not in world.tick("dispatch").skip_message
    world.sync()
    assert "docs has 3 assets by now, of which 1 are loaded" in world.tick("dispatch").skip_message
    load_again(world)
    assert "assets by now" not in world.tick("dispatch").skip_message


def test_a_declared_source_has_all_of_its_assets_once_it_is_loaded_again(
    world, tmp_path, monkeypatch
):
    (tmp_path / "notes").mkdir()
    for number in range(7):
        (tmp_path / "notes" / f"{number}.md").write_text(f"# Note {number}")

    def notes():
        return FolderSource(
            name="notes",
            folder=str(tmp_path / "notes"),
            collection_name="notes",
            embedding={"kind": "hash"},
        )

    def load():
        return build_definitions([notes()])

    world._defs[:] = [load()]
    world.tick("notes_auto_sync")
    [request] = world.tick("dispatch").run_requests
    job = world.defs.resolve_job_def(request.job_name)
    result = job.execute_in_process(
        run_config=request.run_config, tags=dict(request.tags), instance=world.instance
    )
    assert result.success
    assert assets_of(world.defs) == ["s3/notes"]
    assert assets_of(load()) == ["s3/notes", "s3/notes/2"]
    assert [key.path for key in asset_keys(notes())] == [["s3", "notes"], ["s3", "notes", "2"]]

    with monkeypatch.context() as patched:  # a project that has run nothing yet
        patched.setenv("S3SYNC_DATABASE_URL", f"sqlite:///{tmp_path}/empty/catalog.db")
        assert assets_of(load()) == ["s3/notes"]
        assert not (tmp_path / "empty").exists(), "a look makes nothing"
    with monkeypatch.context() as patched:
        patched.setenv("S3SYNC_DATABASE_URL", "postgresql://somebody:hunter2@127.0.0.1:9/nothing")
        definitions = load()
        assert assets_of(definitions) == ["s3/notes"]
        [problem] = definitions.metadata[PROBLEMS].value
        assert problem.startswith("assets of sources with very many keys are missing: ")
        assert "hunter2" not in problem


def test_what_a_project_gives_the_asset_the_further_ones_have_too(world):
    put(world, *KEYS)
    world.sync()

    def attributes(spec):
        return spec.merge_attributes(tags={"tier": "1"})

    definitions = build_definitions(catalog_sources=[world.source], attributes=attributes)
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert sorted(specs) == ["s3/docs", "s3/docs/2", "s3/docs/3"]
    first, third = specs["s3/docs"], specs["s3/docs/3"]
    for name in ("group_name", "tags", "kinds", "metadata", "owners"):
        assert getattr(third, name) == getattr(first, name), name
    assert third.tags["tier"] == "1"
    assert third.partitions_def.name == "s3_docs/3"
    [job] = [job for job in definitions.jobs if job.name == job_name("docs")]
    assert [node.name for node in job.nodes] == ["s3__docs"], "batches are runs of one job"


def test_what_yaml_gives_the_asset_the_further_ones_have_too(world):
    put(world, *KEYS)
    world.sync()
    component = FolderSyncComponent(
        name="docs", folder="/nowhere", collection_name="ccc",
        asset_attributes={"tags": {"tier": "1"}},
    )  # fmt: skip
    alone = SimpleNamespace(component_tree=SimpleNamespace(get_all_components=lambda of_type: []))
    specs = component.build_defs(alone).resolve_all_asset_specs()
    assert {spec.key.to_user_string(): spec.tags.get("tier") for spec in specs} == dict.fromkeys(
        ["s3/docs", "s3/docs/2", "s3/docs/3"], "1"
    )


def test_what_comes_after_all_assets_of_a_source_hears_of_each_key(world):
    put(world, *KEYS)
    world.sync()
    anything_new = dg.AutomationCondition.any_deps_updated()

    @dg.asset(deps=asset_keys(CatalogSource.of(world.source)), automation_condition=anything_new)
    def digest():
        """After all of it."""

    both = dg.Definitions.merge(load_again(world), dg.Definitions(assets=[digest]))
    only = {"instance": world.instance, "asset_selection": dg.AssetSelection.assets(digest)}
    before = dg.evaluate_automation_conditions(both, **only)
    put(world, KEYS[11], text="# Changed:")
    (result,) = world.sync()
    assert told(world, result) == {KEYS[11]: ["s3/docs/3"]}
    after = dg.evaluate_automation_conditions(both, cursor=before.cursor, **only)
    assert after.get_num_requested(digest.key) == 1


def test_a_source_named_as_a_shard_would_be_loads_beside_it(world):
    put(world, *KEYS)
    world.sync()
    rival = world.source.with_changes(id="rival", name="docs__2", collection_name="other")
    definitions = build_definitions(catalog_sources=[world.source, rival])
    assert PROBLEMS not in definitions.metadata
    dg.Definitions.validate_loadable(definitions)
    assert "s3/docs__2" in assets_of(definitions)
    assert "s3/docs/2" in assets_of(definitions)


def test_the_catalogs_own_sources_load_with_all_of_their_assets(world):
    put(world, *KEYS)
    world.sync()
    from s3sync_dagster.definitions import defs

    assert assets_of(defs()) == ["s3/docs", "s3/docs/2", "s3/docs/3"]
    sources, problems = read_catalog_sources(load_settings())
    assert ([one.name for one in sources], problems) == (["docs"], [])
