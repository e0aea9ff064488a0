"""Our definitions beside those of other people, in one code location."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from s3sync_dagster import ChromaResource, HttpConfig, S3Source, build_definitions
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.definitions import read_catalog_sources
from s3sync_dagster.defs.building import PROBLEMS
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.settings import load_settings


def s3(name, **fields):
    return S3Source(
        name=name, bucket_name=f"bucket-{name}", collection_name=f"{name}-texts", **fields
    )


def chroma(port):
    return ChromaResource(connection_config=HttpConfig(host="127.0.0.1", port=port))


@dg.op
def work():
    pass


@dg.job
def theirs():
    work()


@dg.asset(deps=[dg.AssetKey(["s3", "docs"])])
def report():
    """Downstream of a source."""


def test_executor_and_jobs_of_other_people_are_left_alone():
    ours = build_definitions([s3("docs")])
    assert ours.executor is None
    both = dg.Definitions.merge(
        ours,
        dg.Definitions(
            jobs=[theirs], assets=[report], executor=dg.multiprocess_executor,
            resources={"in_memory": dg.mem_io_manager, "chroma": "theirs"},
        ),
    )  # fmt: skip
    assert both.resolve_job_def("theirs").executor_def.name == "multiprocess"
    assert both.resolve_job_def("index_docs").executor_def.name == "in_process"
    graph = both.resolve_asset_graph()
    assert graph.get(report.key).parent_keys == {dg.AssetKey(["s3", "docs"])}
    alone = dg.Definitions.merge(ours, dg.Definitions(jobs=[theirs]))
    plain = dg.Definitions(jobs=[theirs])
    names = [one.resolve_job_def("theirs").executor_def.name for one in (alone, plain)]
    assert names == ["multi_or_in_process_executor"] * 2


def test_a_project_gives_its_assets_what_it_wants_them_to_have():
    def attributes(spec):
        fresh = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6))
        return spec.replace_attributes(freshness_policy=fresh).merge_attributes(tags={"tier": "1"})

    definitions = build_definitions([s3("docs")], attributes=attributes)
    spec = definitions.resolve_asset_graph().get(dg.AssetKey(["s3", "docs"]))
    assert spec.tags["tier"] == "1"
    assert spec.tags["s3sync/source"] == "docs"
    assert spec.freshness_policy.fail_window.to_timedelta() == timedelta(hours=6)
    assert list(definitions.resolve_job_def("index_docs").graph.node_dict)
    assert PROBLEMS not in definitions.metadata or len(definitions.metadata[PROBLEMS].value) == 1


def test_what_attributes_raise_is_told_with_its_text_and_the_line_of_ones_own():
    def raising(spec):
        raise ValueError(f"no tier for {spec.key.path[-1]}")

    def before(spec):
        return spec.merge_attributes(deps=["landing"])

    line = raising.__code__.co_firstlineno + 1
    [told, *_] = [
        one
        for one in build_definitions([s3("docs")], attributes=raising).metadata[PROBLEMS].value
        if "left out" in one
    ]
    assert f"raised ValueError: no tier for docs (test_neighbours.py, line {line})." in told
    [told, *_] = [
        one
        for one in build_definitions([s3("docs")], attributes=before).metadata[PROBLEMS].value
        if "left out" in one
    ]
    assert "Can only add additional deps to an op-backed asset" in told
    assert "takes no deps: docs/dagster.md" in told


def test_what_is_downstream_follows_although_one_object_never_worked(monkeypatch):
    """``eager`` waits until no partition is missing, which a damaged file is for ever."""
    docs = dg.AssetKey(["s3", "docs"])
    condition = dg.AutomationCondition.any_deps_updated() & ~dg.AutomationCondition.in_progress()

    @dg.asset(deps=[docs], automation_condition=condition)
    def digest():
        """Of all objects."""

    definitions = dg.Definitions.merge(
        build_definitions([s3("docs")]), dg.Definitions(assets=[digest])
    )
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("s3_docs", ["good", "bad"])

        def asked(before):
            return dg.evaluate_automation_conditions(
                defs=definitions,
                instance=instance,
                asset_selection=dg.AssetSelection.assets(digest),
                cursor=before.cursor if before else None,
            )

        first = asked(None)
        assert first.total_requested == 0
        instance.report_runless_asset_event(dg.AssetMaterialization(docs, partition="good"))
        second = asked(first)
        assert second.total_requested == 1
        observed = dg.AssetObservation(docs, partition="good")
        instance.report_runless_asset_event(observed)
        assert asked(second).total_requested == 0, "what was only observed is no news"


def example_under(heading):
    """What the first Python block under a heading of the page defines."""
    page = (Path(__file__).parents[2] / "docs" / "dagster.md").read_text("utf-8")
    section = page.partition(f"## {heading}")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    names = {"__name__": "example"}
    exec(compile(code, "docs/dagster.md", "exec"), names)
    return names


def test_the_test_of_the_documents_passes(tmp_path, monkeypatch, defs_environment):
    example_under("Tests in process")["test_notes_are_indexed"](tmp_path, monkeypatch)


def test_one_name_in_two_calls_ends_the_loading_as_the_documents_say():
    one, two = build_definitions([s3("docs")]), build_definitions([s3("docs")], name="red")
    told = "different resources with same key 'source_docs'"
    with pytest.raises(dg.DagsterInvariantViolationError, match=told):
        dg.Definitions.merge(one, two)
    page = (Path(__file__).parents[2] / "docs" / "dagster.md").read_text("utf-8")
    assert told.replace("docs", "handbook") in page


def test_a_call_with_a_name_leaves_a_projects_chroma_and_dispatch_alone():
    @dg.sensor(job=theirs)
    def dispatch():
        """Of the project."""

    own = dg.Definitions(jobs=[theirs], sensors=[dispatch], resources={"chroma": "theirs"})
    ours = build_definitions([s3("docs")], chroma=chroma(1), name="red")
    dg.Definitions.validate_loadable(dg.Definitions.merge(ours, own))


def test_the_example_of_the_documents_loads():
    names = example_under("Your own assets")
    repository = names["defs"].get_repository_def()
    graph = repository.asset_graph
    assert graph.get(dg.AssetKey("digest")).parent_keys == {dg.AssetKey(["s3", "handbook"])}
    assert graph.get(dg.AssetKey(["s3", "handbook"])).freshness_policy is not None


def test_several_teams_share_a_location_each_with_its_chroma():
    red = build_definitions(
        [s3("docs", queue_url="https://sqs/1/red")], chroma=chroma(1), name="red"
    )
    blue = build_definitions([s3("mail")], chroma=chroma(2), name="blue")
    plain = build_definitions([s3("wiki")])
    repository = dg.Definitions.merge(red, blue, plain).get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "red_dispatch", "blue_dispatch", "dispatch", "red_red_intake",
        "docs_auto_sync", "mail_auto_sync", "wiki_auto_sync",
    }  # fmt: skip
    targets = {
        sensor.name: {target.job_name for target in sensor.targets}
        for sensor in repository.sensor_defs
    }
    assert targets["red_dispatch"] == {"index_docs"}
    assert targets["dispatch"] == {"index_wiki"}
    resources = repository.get_top_level_resources()
    assert {"s3sync", "s3sync_red", "s3sync_blue", "chroma_red", "chroma_blue"} <= set(resources)
    needed = repository.get_job("index_docs").resource_defs
    assert "s3sync_red" in needed
    assert "s3sync_blue" not in needed


def test_calls_with_and_without_a_name_share_a_location_whatever_chroma_each_has():
    for ours, theirs in ((1, 2), (1, None), (None, 2)):
        plain = build_definitions([s3("docs")], chroma=ours and chroma(ours))
        red = build_definitions([s3("mail")], chroma=theirs and chroma(theirs), name="red")
        repository = dg.Definitions.merge(plain, red).get_repository_def()
        needed = repository.get_job("index_docs").resource_defs
        assert ("chroma" in needed) == (ours is not None)
        needed = repository.get_job("index_mail").resource_defs
        assert ("chroma_red" in needed) == (theirs is not None)


def test_one_source_in_place_of_a_list_is_refused_in_a_sentence():
    with pytest.raises(InvalidSetting, match=r"takes a list: \[S3Source\(\.\.\.\)\]"):
        build_definitions(s3("docs"))


@pytest.mark.parametrize(
    "named", [{"S3SYNC_CHROMA_URL": "http://there:1"}, {"CHROMA_API_KEY": "x"}]
)
def test_definitions_without_a_chroma_load_and_say_so_once(named, monkeypatch, caplog):
    for name in ("S3SYNC_CHROMA_URL", "CHROMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    silent = build_definitions([s3("docs"), s3("mail")])
    (problem,) = silent.metadata[PROBLEMS].value
    told = "no Chroma is named for 'docs', 'mail', so nothing of them is indexed: set S3SYNC_CHROMA"
    assert problem.startswith(told)
    assert caplog.messages == [problem]
    assert PROBLEMS not in (build_definitions([s3("docs")], chroma=chroma(1)).metadata or {})
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert PROBLEMS not in (build_definitions([s3("docs")]).metadata or {})


def test_a_name_that_cannot_name_a_sensor_is_refused():
    with pytest.raises(InvalidSetting):
        build_definitions([s3("docs")], name="red team")


def told(world, keys):
    """Return the partition keys of object keys that Dagster is to be told of."""
    placement = world.catalog.partitions.place(world.source.id, keys)
    return [name for names in placement.untold.values() for name in names]


def job_of_another_executor():
    """What *Materialize* in the UI launches where a project has an executor of its own."""
    sources, _ = read_catalog_sources(load_settings())
    ours = build_definitions(catalog_sources=sources)

    @dg.asset(deps=[dg.AssetKey(["s3", source.name]) for source in sources])
    def digest():
        """Downstream in the same run."""

    everything = dg.define_asset_job("everything", dg.AssetSelection.all().without_checks())
    theirs = dg.Definitions(assets=[digest], jobs=[everything], executor=dg.multiprocess_executor)
    return dg.Definitions.merge(ours, theirs).resolve_job_def("everything")


@pytest.mark.long
def test_a_partition_is_indexed_under_an_executor_with_a_process_for_each_step(defs_world):
    world = defs_world
    world.aws.put_all(world.bucket, {"docs/a.md": "# Some text", "docs/b.pdf": b"%PDF no"})
    world.listing()
    names = told(world, ["docs/a.md", "docs/b.pdf"])
    world.instance.add_dynamic_partitions(world.partitions.name, names)
    job = dg.reconstructable(job_of_another_executor)
    digest = dg.AssetKey("digest")
    for last, succeeds in ((names[-1], False), (names[0], True)):
        some = {
            "dagster/asset_partition_range_start": names[0],
            "dagster/asset_partition_range_end": last,
        }
        with dg.execute_job(job, world.instance, tags=some, raise_on_error=False) as result:
            assert result.success == succeeds
        made = world.instance.get_latest_materialization_event(digest)
        assert (made is not None) == succeeds
    assert world.indexed_keys() == {"docs/a.md"}
    assert world.statuses(*names) == {"docs/a.md": "MATERIALIZED", "docs/b.pdf": "FAILED"}


def run_with_followers(world, key):
    """Run the source's asset with an asset and a check of a project in one run, as the UI does."""
    source = world.asset
    ran = []

    @dg.asset(deps=[source])
    def digest():
        ran.append("digest")

    @dg.asset_check(asset=source)
    def answers():
        ran.append("answers")
        return dg.AssetCheckResult(passed=True)

    job = dg.define_asset_job("both", dg.AssetSelection.assets(source, digest))
    both = dg.Definitions.merge(
        world.defs, dg.Definitions(assets=[digest], asset_checks=[answers], jobs=[job])
    )
    result = both.resolve_job_def("both").execute_in_process(
        partition_key=key, instance=world.instance, raise_on_error=False
    )
    return result, sorted(ran)


@pytest.fixture
def two_keys(defs_world):
    world = defs_world
    world.aws.put_all(world.bucket, {"docs/a.md": "# Some text", "docs/b.pdf": b"%PDF no"})
    world.listing()
    world.instance.add_dynamic_partitions(
        world.partitions.name,
        told(world, ["docs/a.md", "docs/b.pdf"]),
    )
    return world


def test_what_comes_after_a_source_in_one_run_is_done_once_its_key_is(two_keys):
    for state in ("indexed", "unchanged"):
        result, ran = run_with_followers(two_keys, "docs/a.md")
        assert result.success
        assert ran == ["answers", "digest"]
        made = two_keys.events(result, dg.DagsterEventType.ASSET_MATERIALIZATION)
        told = [one.materialization for one in made if one.asset_key == two_keys.asset]
        assert [one.metadata["state"].value for one in told] == [state], "once for its key"
        checked = two_keys.events(result, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        assert [one.event_specific_data.check_name for one in checked] == ["answers"]


def test_what_comes_after_a_source_is_not_done_for_a_key_that_failed(two_keys):
    result, ran = run_with_followers(two_keys, "docs/b.pdf")
    assert not result.success
    assert ran == []


def test_what_comes_after_a_source_is_not_done_for_a_key_that_another_run_has(two_keys):
    held = two_keys.catalog.batches.reserve(
        two_keys.source.id, take=Take(), owner=two_keys.parts.owners.me(), run_id="run-of-another"
    )
    assert "docs/a.md" in held.keys
    result, ran = run_with_followers(two_keys, "docs/a.md")
    assert not result.success
    assert ran == []
    (failure,) = two_keys.events(result, dg.DagsterEventType.STEP_FAILURE)
    told = failure.step_failure_data.error_display_string
    assert "left to another run" in told
    assert "run-of-another" in told
