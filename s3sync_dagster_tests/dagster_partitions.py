"""What Dagster's UI tells of partitions and backfills, asked as it asks: over GraphQL."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from s3sync_dagster.ports.dagster_runs import DagsterRuns

COUNTS = (
    "query($k:AssetKeyInput!){assetNodeOrError(assetKey:$k){__typename ... on AssetNode"
    "{partitionStats{numPartitions numMaterialized numFailed}}}}"
)
STATES = (
    "query($k:AssetKeyInput!){assetNodeOrError(assetKey:$k){__typename ... on AssetNode"
    "{assetPartitionStatuses{... on DefaultPartitionStatuses{materializedPartitions"
    " failedPartitions unmaterializedPartitions materializingPartitions}}}}}"
)
LAUNCH_BACKFILL = (
    "mutation($p:LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){__typename"
    " ... on LaunchBackfillSuccess{backfillId}}}"
)
BACKFILL = (
    "query($id:String!){partitionBackfillOrError(backfillId:$id){__typename"
    " ... on PartitionBackfill{status runs(limit:1000){runId}}}}"
)


class PartitionCounts(NamedTuple):
    """How many partitions of an asset there are, and are in which state."""

    total: int
    materialized: int
    failed: int


class Backfill(NamedTuple):
    """A backfill and its runs; Dagster updates it every 30 s."""

    status: str
    run_ids: tuple[str, ...]
    finished: bool


def partition_counts(dagster: DagsterRuns, asset: Sequence[str]) -> PartitionCounts:
    """Return the counts of an asset's partitions; ``LookupError`` where there is no such asset."""
    stats = _asset(dagster, COUNTS, asset)["partitionStats"]
    return PartitionCounts(stats["numPartitions"], stats["numMaterialized"], stats["numFailed"])


def partition_states(dagster: DagsterRuns, asset: Sequence[str]) -> dict[str, str]:
    """Return the state of each partition."""
    statuses = _asset(dagster, STATES, asset)["assetPartitionStatuses"]
    states: dict[str, str] = {}
    for name, state in (
        ("unmaterializedPartitions", "missing"),
        ("materializedPartitions", "materialized"),
        ("materializingPartitions", "materializing"),
        ("failedPartitions", "failed"),
    ):
        states.update(dict.fromkeys(statuses[name], state))
    return states


def launch_backfill(dagster: DagsterRuns, asset: Sequence[str], keys: Sequence[str]) -> str:
    """Start a backfill and return its id; its first run begins 20 to 30 s later."""
    parameters = {"assetSelection": [{"path": list(asset)}], "partitionNames": list(keys)}
    answer = _ask(dagster, LAUNCH_BACKFILL, {"p": parameters})["launchPartitionBackfill"]
    return answer["backfillId"]


def find_backfill(dagster: DagsterRuns, backfill_id: str) -> Backfill:
    """Return a backfill."""
    answer = _ask(dagster, BACKFILL, {"id": backfill_id})["partitionBackfillOrError"]
    finished = answer["status"].startswith(("COMPLETED", "FAILED", "CANCELED"))
    return Backfill(answer["status"], tuple(run["runId"] for run in answer["runs"]), finished)


def _asset(dagster: DagsterRuns, query: str, asset: Sequence[str]) -> dict[str, Any]:
    answer = _ask(dagster, query, {"k": {"path": list(asset)}})["assetNodeOrError"]
    if answer["__typename"] != "AssetNode":
        raise LookupError(f"Dagster does not know the asset {asset}")
    return answer


def _ask(dagster: DagsterRuns, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    return dagster._graphql.ask(query, variables)  # the stack's own, with its pass
