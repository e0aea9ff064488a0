"""What Dagster calls things of a source, for all who start or look for its runs."""

from collections.abc import Mapping, Sequence
from typing import Any

TOKEN_TAG = "s3sync/batch"
SOURCE_TAG = "s3sync/source"
KEYS_TAG = "s3sync/keys"


def job_name(source_name: str) -> str:
    """Return the name of a source's job."""
    return f"index_{source_name}"


def partitions_name(source_name: str) -> str:
    """Return the name of a source's dynamic partitions."""
    return f"s3_{source_name}"


def asset_path(source_name: str) -> list[str]:
    """Return the parts of the key of a source's asset."""
    return ["s3", source_name]


def run_config(
    source_name: str, *, keys: Sequence[str], token: str = "", force: bool = False
) -> dict[str, Any]:
    """Return the run configuration for explicit object keys."""
    config = {"keys": list(keys), "token": token, "force": force}
    return {"ops": {f"s3__{source_name}": {"ops": {"extract": {"config": config}}}}}


def run_tags(source_name: str, *, token: str, keys: Sequence[str]) -> Mapping[str, str]:
    """Return the tags of a batch's run."""
    return {TOKEN_TAG: token, SOURCE_TAG: source_name, KEYS_TAG: str(len(keys))}
