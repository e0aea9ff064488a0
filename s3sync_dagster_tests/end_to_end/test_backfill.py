"""What people launch in the UI, by the GraphQL calls that it makes (long: it lags a minute)."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.dagster_partitions import (
    find_backfill,
    launch_backfill,
    partition_counts,
    partition_states,
)
from s3sync_dagster_tests.end_to_end.stage import close_stage, open_stage, page

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
]

LAUNCH = """
mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId pipelineName } } } }
"""
STATES = """
query($k: AssetKeyInput!) { assetOrError(assetKey: $k) { ... on Asset {
  assetMaterializations(limit: 300) { runId partition metadataEntries {
    label ... on TextMetadataEntry { text } } } } } }
"""
BLANK = "docs/blank.md"


def states_of(stage, run_id):
    """Partition -> ``state`` of each materialisation that a run logged."""
    answer = stage.dagster._graphql.ask(STATES, {"k": {"path": stage.asset}})
    states = {}
    for one in answer["assetOrError"]["assetMaterializations"]:
        if one["runId"] == run_id:
            labels = {entry["label"]: entry.get("text") for entry in one["metadataEntries"]}
            states.setdefault(one["partition"], []).append(labels["state"])
    return states


@pytest.fixture(scope="module")
def stage(tmp_path_factory, aws_endpoint):
    opened = open_stage(
        tmp_path_factory.mktemp("stage") / "home", aws_endpoint, list_interval_seconds=600
    )
    for number in range(100):
        opened.put(f"docs/{number:03d}.md", page(f"{number}"))
    opened.aws.put(opened.bucket, "docs/bad-1.pdf", b"%PDF-1.4 cut off")
    opened.aws.put(opened.bucket, "docs/bad-2.pdf", b"%PDF-1.4 cut off")
    opened.aws.put(opened.bucket, BLANK, b"\n \n")
    opened.wait_in_step()
    opened.wait(
        lambda: partition_counts(opened.dagster, opened.asset).failed == 2, "both bad keys show"
    )
    yield opened
    close_stage(opened)


def test_a_backfill_over_every_kind_of_key(stage):
    keys = list(partition_states(stage.dagster, stage.asset))
    changed, removed, busy = "docs/000.md", "docs/050.md", ["docs/010.md", "docs/011.md"]
    stage.catalog.sources.set_paused(stage.source.id, paused=True)  # nobody else takes them
    stage.put(changed, page("changed"))
    stage.delete(removed)
    stage.catalog.invocations.request(stage.source, busy, trigger=Trigger.API)
    held = stage.catalog.batches.reserve(
        stage.source.id, take=Take(max_keys=2), owner=stage.parts.owners.me(), run_id="another"
    )
    assert set(held.keys) == set(busy)
    before = {run.id for run in stage.dagster.runs(limit=100)}
    backfill = launch_backfill(stage.dagster, stage.asset, keys)
    done = stage.wait(
        lambda: (found := find_backfill(stage.dagster, backfill)).finished and found,
        "the backfill has ended",
        600,
    )
    assert done.status == "COMPLETED_FAILED"  # two keys are bad
    assert len(done.run_ids) == 1  # up to 500 neighbours a run
    assert not set(done.run_ids) & before
    states = partition_states(stage.dagster, stage.asset)
    bad = {key for key in keys if key.startswith("docs/bad")}
    assert {key for key, state in states.items() if state == "failed"} == bad
    assert {state for key, state in states.items() if key not in bad} == {"materialized"}
    shown = states_of(stage, done.run_ids[0])
    others = {changed: "updated", removed: "removed", BLANK: "skipped"}
    others |= dict.fromkeys(busy, "left_to_run")
    assert shown == {key: [others.get(key, "unchanged")] for key in keys if key not in bad}
    counts = stage.catalog.views.counts(stage.source.id)
    assert (counts.skipped, counts.failed) == ({"empty_text": 1}, {"damaged": 2})
    assert counts.processing == len(busy)
    assert counts.indexed == len(stage.texts) - len(busy)
    stage.catalog.batches.release(held.token, died=False)
    stage.catalog.sources.set_paused(stage.source.id, paused=False)
    stage.wait_in_step()
    stage.wait(
        lambda: removed not in partition_states(stage.dagster, stage.asset),
        "the removed key's partition is taken back",
    )


def test_one_partition_from_the_ui(stage):
    key = "docs/020.md"
    parameters = {
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": key}]},
        "runConfigData": "{}",
        "selector": {
            "repositoryLocationName": "s3sync",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": stage.asset}],
            "assetCheckSelection": [],
        },
    }
    answer = stage.dagster._graphql.ask(LAUNCH, {"p": parameters})["launchPipelineExecution"]
    run_id = answer["run"]["runId"]
    stage.wait(lambda: stage.dagster.run(run_id).status == "SUCCESS", "the run ends well")
    assert stage.dagster.run(run_id).tags["s3sync/source"] == stage.source.name


def test_scattered_keys_in_one_run_from_the_launchpad(stage):
    from s3sync_dagster.core.naming import job_name, run_config

    keys = [f"docs/{number:03d}.md" for number in range(0, 40, 4)]
    config = run_config(stage.source, keys=keys, force=True)
    run_id = stage.dagster.launch(job_name(stage.source.name), run_config=config)
    stage.wait(lambda: stage.dagster.run(run_id).status == "SUCCESS", "the run ends well")
    stage.wait_in_step()
