"""A source outgrows an asset while the real daemon works: shown, launched and taken back alike."""

import pytest

from s3sync_dagster_tests.dagster_partitions import (
    find_backfill,
    launch_backfill,
    partition_counts,
    partition_states,
)
from s3sync_dagster_tests.end_to_end.stage import close_stage, open_stage, page

pytestmark = pytest.mark.timeout(900)

MOST = 10
SECOND, THIRD = ["s3", "docs", "2"], ["s3", "docs", "3"]
LAUNCH = """
mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId pipelineName } } } }
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory, aws_endpoint):
    opened = open_stage(
        tmp_path_factory.mktemp("stage") / "home",
        aws_endpoint,
        environment={"S3SYNC_PARTITIONS_PER_ASSET": str(MOST)},
    )
    yield opened
    close_stage(opened)


def counts(stage):
    """Return total and materialised partitions of the assets that the UI has by now."""
    found = []
    for asset in (stage.asset, SECOND, THIRD):
        try:
            total, materialized, failed = partition_counts(stage.dagster, asset)
        except LookupError:
            return found
        assert failed == 0
        found.append((total, materialized))
    return found


@pytest.mark.long
def test_a_source_that_grows_gets_assets_by_itself_and_no_key_moves(stage):
    for number in range(8):
        stage.put(f"docs/{number:03d}.md", page(f"{number}"))
    stage.wait_in_step()
    stage.wait(lambda: counts(stage) == [(8, 8)], "one asset shows them")
    runs = len(stage.dagster.runs(limit=100))
    for number in range(8, 25):
        stage.put(f"docs/{number:03d}.md", page(f"{number}"))
    stage.wait_in_step()
    stage.wait(lambda: counts(stage) == [(10, 10), (10, 10), (5, 5)], "three assets show them")
    assert len(stage.dagster.runs(limit=100)) - runs < 17, "batches have keys of several assets"
    assert {run.job for run in stage.dagster.runs(limit=100)} == {"index_docs"}
    assert stage.catalog.views.counts(stage.source.id).indexed == 25


@pytest.mark.long
def test_a_change_shows_where_the_key_stands_and_a_removal_is_taken_back_there(stage):
    stage.put("docs/012.md", page("12, second edition"))
    stage.delete("docs/013.md")
    stage.delete("docs/002.md")
    stage.wait_in_step()
    stage.wait(lambda: counts(stage) == [(9, 9), (9, 9), (5, 5)], "both partitions are taken back")
    assert partition_states(stage.dagster, SECOND)["docs/012.md"] == "materialized"
    stage.put("docs/new.md", page("new"))
    stage.wait_in_step()
    stage.wait(lambda: counts(stage) == [(10, 10), (9, 9), (5, 5)], "its room is used again")


@pytest.mark.long
def test_one_partition_of_a_further_asset_from_the_ui(stage):
    parameters = {
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "docs/015.md"}]},
        "runConfigData": "{}",
        "selector": {
            "repositoryLocationName": "s3sync",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": SECOND}],
            "assetCheckSelection": [],
        },
    }
    answer = stage.dagster._graphql.ask(LAUNCH, {"p": parameters})["launchPipelineExecution"]
    run_id = answer["run"]["runId"]
    stage.wait(lambda: stage.dagster.run(run_id).status == "SUCCESS", "the run ends well")
    assert stage.dagster.run(run_id).tags["s3sync/source"] == stage.source.name


@pytest.mark.long
def test_a_backfill_over_a_further_asset(stage):
    keys = sorted(partition_states(stage.dagster, SECOND))
    backfill = launch_backfill(stage.dagster, SECOND, keys)
    done = stage.wait(
        lambda: (found := find_backfill(stage.dagster, backfill)).finished and found,
        "the backfill has ended",
        600,
    )
    assert done.status == "COMPLETED_SUCCESS"
    assert len(done.run_ids) == 1
