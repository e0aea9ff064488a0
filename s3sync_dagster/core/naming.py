"""What Dagster calls things of a source, for all who start or look for its runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from s3sync_dagster.model.source import Source

TOKEN_TAG = "s3sync/batch"
SOURCE_TAG = "s3sync/source"
KEYS_TAG = "s3sync/keys"


def job_name(source_name: str) -> str:
    """Return the name of a source's job."""
    return f"index_{source_name}"


def asset_path(source: Source) -> list[str]:
    """Return the parts of the key of a source's asset: ``s3/docs``."""
    return [source.place.asset_prefix, source.name]


def partitions_name(source: Source) -> str:
    """Return the name of a source's dynamic partitions."""
    return "_".join(asset_path(source))


def run_config(
    source: Source, *, keys: Sequence[str], token: str = "", force: bool = False
) -> dict[str, Any]:
    """Return the run configuration for explicit object keys."""
    config = {"keys": list(keys), "token": token, "force": force}
    return {"ops": {"__".join(asset_path(source)): {"ops": {"extract": {"config": config}}}}}


def run_tags(source_name: str, *, token: str, keys: Sequence[str]) -> Mapping[str, str]:
    """Return the tags of a batch's run."""
    return {TOKEN_TAG: token, SOURCE_TAG: source_name, KEYS_TAG: str(len(keys))}
