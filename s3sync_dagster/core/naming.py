"""What Dagster calls things of a source, for all who start or look for its runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.model.source import Source

TOKEN_TAG = "s3sync/batch"
SOURCE_TAG = "s3sync/source"
KEYS_TAG = "s3sync/keys"


def job_name(source_name: str) -> str:
    """Return the name of a source's job."""
    return f"index_{source_name}"


def asset_path(source: Source, shard: int = FIRST_SHARD) -> list[str]:
    """Return the parts of the key of a source's asset: ``s3/docs``, of a shard ``s3/docs/2``."""
    first = [source.place.asset_prefix, source.name]
    return first if shard == FIRST_SHARD else [*first, str(shard)]


def source_name_of(path: Sequence[str]) -> str:
    """Return the name of the source whose asset, of any shard, has this key."""
    return path[1]


def shard_of(source: Source, path: Sequence[str]) -> int:
    """Return which shard of a source an asset's key is of."""
    further = list(path[:-1]) == asset_path(source) and path[-1].isdecimal()
    return int(path[-1]) if further else FIRST_SHARD


def shard_node_name(source: Source, shard: int) -> str:
    """Return what a further shard's asset is called among the ops of a job.

    What Dagster makes of ``s3/docs/2`` by itself is also what it makes of a source ``docs__2``.
    """
    return "__".join([f"shard_{shard}", *asset_path(source)])


def partitions_name(source: Source, shard: int = FIRST_SHARD) -> str:
    """Return the name of the dynamic partitions of a source's asset."""
    first = "_".join(asset_path(source))  # no source has a slash in its name
    return first if shard == FIRST_SHARD else f"{first}/{shard}"


def run_config(
    source: Source, *, keys: Sequence[str], token: str = "", force: bool = False
) -> dict[str, Any]:
    """Return the run configuration for explicit object keys."""
    config = {"keys": list(keys), "token": token, "force": force}
    return {"ops": {"__".join(asset_path(source)): {"ops": {"extract": {"config": config}}}}}


def run_tags(source_name: str, *, token: str, keys: Sequence[str]) -> Mapping[str, str]:
    """Return the tags of a batch's run."""
    return {TOKEN_TAG: token, SOURCE_TAG: source_name, KEYS_TAG: str(len(keys))}
