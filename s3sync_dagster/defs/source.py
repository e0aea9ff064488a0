"""A source in, Dagster definitions out: partitions, asset, checks, job, its listing sensor."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from s3sync_dagster.core.keys import validate_source_name
from s3sync_dagster.core.naming import (
    SOURCE_TAG,
    asset_path,
    job_name,
    partitions_name,
    shard_node_name,
)
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.defs.checks import build_checks
from s3sync_dagster.defs.ops import build_ops, chunk
from s3sync_dagster.defs.resources import (
    MEMORY_KEY,
    RUNTIME_KEY,
    AnySource,
    Runtime,
    batch_memory,
    runtime_resource,
)
from s3sync_dagster.defs.sensors import build_listing_sensor
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError
from s3sync_dagster.model.source import AutoSync, Source

MAX_RUN_SECONDS = 3600
Attributes = Callable[[dg.AssetSpec], dg.AssetSpec]
BACKFILL_KEYS = 500
RESOURCES: Mapping[str, Any] = {RUNTIME_KEY: runtime_resource, MEMORY_KEY: batch_memory}
"""What each source's ops need."""
TAG_CHARACTERS = 63
"""Of an asset's tag value; tags of runs have no such limit."""


def build_source_definitions(
    source: AnySource,
    *,
    find: Callable[[Runtime], Source] | None = None,
    sensor: bool = True,
    resources: Mapping[str, Any] = RESOURCES,
    runtime_key: str = RUNTIME_KEY,
    attributes: Attributes | None = None,
    shards: int = FIRST_SHARD,
) -> dg.Definitions:
    """Return the definitions of one source.

    Args:
        source: place, collection and rules.
        find: gives the source at run time; None: the declared one, registered in the catalog.
        sensor: False for sources that share ``catalog_auto_sync``.
        resources: what opens the parts of a run, what it needs itself, and the memory of batches.
        runtime_key: which of them opens the parts.
        attributes: returns the asset's spec with what a project wants it to have besides.
        shards: how many assets it has by now; runs tell others of their keys too.

    Raises:
        InvalidSetting: a setting breaks its rule, such as a name that cannot name an asset.
    """
    declared = source.to_source()
    name = declared.name
    validate_source_name(name)
    lookup = find or (lambda runtime: runtime.register(declared))
    extract, upsert = build_ops(name, lookup, runtime_key)
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(declared))

    def compose() -> Any:
        documents = extract.alias("extract")()
        return upsert.alias("upsert")(chunk.alias("chunk")(documents))

    index = dg.graph_asset(
        name=name,
        key_prefix=declared.place.asset_prefix,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(BACKFILL_KEYS),
        group_name=source.group_name or name,
        owners=source.owners or None,
        description=_description(declared),
        kinds={declared.place.kind, "chroma"},
        tags={SOURCE_TAG: name[:TAG_CHARACTERS]},
        metadata={
            "bucket": declared.place.address(),
            "collection": declared.collection_name,
            "chroma_database": f"{declared.tenant}/{declared.database_name}",
        },
    )(compose)

    def more(shard: int) -> dg.AssetsDefinition:
        return _further(index, compose, declared, shard)

    assets = [index, *map(more, range(FIRST_SHARD + 1, shards + 1))]
    if attributes is not None:
        assets = [_with_attributes(asset, attributes) for asset in assets]
    job = dg.define_asset_job(
        job_name(name),
        selection=dg.AssetSelection.assets(assets[0]).without_checks(),
        executor_def=dg.in_process_executor,
        tags={SOURCE_TAG: name, "dagster/max_runtime": str(MAX_RUN_SECONDS)},
        description=f"Bring {declared.collection_name!r} in line with objects of {name!r}.",
    )
    sensors = []
    if sensor and (declared.list_interval_seconds > 0 or declared.place.webhook_secret is not None):
        sensors.append(build_listing_sensor(name, declared, lookup, runtime_key))
    parts: dict[str, Any] = {
        "assets": assets,
        "asset_checks": [build_checks(declared, lookup, runtime_key)],
        "resources": {**resources, f"source_{name}": source},
    }
    # Resolved among its own resources: a job describes all that it could use, and 200 jobs that
    # each describe 200 sources are 85 MB that each reload moves three times.
    resolved = dg.Definitions(jobs=[job], **parts).resolve_job_def(job.name)
    return dg.Definitions(jobs=[resolved], sensors=sensors, **parts)


def _further(
    first: dg.AssetsDefinition, compose: Callable[[], Any], source: Source, shard: int
) -> dg.AssetsDefinition:
    """Return the asset of a further shard: like the first one, with partitions of its own."""
    node = dg.graph(name=shard_node_name(source, shard), out={"result": dg.GraphOut()})(compose)
    asset = dg.AssetsDefinition.from_graph(
        node,
        keys_by_output_name={"result": dg.AssetKey(asset_path(source, shard))},
        partitions_def=dg.DynamicPartitionsDefinition(name=partitions_name(source, shard)),
        backfill_policy=dg.BackfillPolicy.multi_run(BACKFILL_KEYS),
    )
    [like] = first.specs
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(
            description=f"More keys of the source `{source.name}`: its first asset says the rest. "
            "Dagster bears so many partitions in one asset; no key moves from one to another.",
            group_name=like.group_name,
            owners=like.owners,
            tags=like.tags,
            metadata=like.metadata,
        )
    )


def _with_attributes(asset: dg.AssetsDefinition, attributes: Attributes) -> dg.AssetsDefinition:
    """Return the asset as a project wants it. Raises ``InvalidSetting`` with what was raised there.

    The text is told whole: no value of ours is at hand there, only the spec and their own code.
    """
    try:
        return asset.map_asset_specs(attributes)
    except S3SyncError:
        raise
    except Exception as error:
        code = getattr(attributes, "__code__", None)
        lines = [
            f" ({Path(frame.filename).name}, line {frame.lineno})"
            for frame in traceback.extract_tb(error.__traceback__)
            if code is not None and frame.filename == code.co_filename
        ]
        text = str(error).rstrip(".")
        hint = ""
        if "additional deps" in text:
            hint = " The asset of a source takes no deps: docs/dagster.md says what to do instead."
        raise InvalidSetting(
            f"its attributes raised {type(error).__name__}: {text}{''.join(lines[-1:])}.{hint}"
        ) from error


def _listed(source: Source) -> str:
    if source.auto_sync is AutoSync.NONE or not source.list_interval_seconds:
        return "when somebody asks for it"
    return f"every {source.list_interval_seconds} s"


def _description(source: Source) -> str:
    head = (
        f"Objects of `{source.place.address()}` as records of the Chroma "
        f"collection `{source.collection_name}`. Each object key is a partition."
    )
    lines = [head, "", "| setting | value |", "|---|---|"]
    for setting, value in (
        ("endpoint", source.server),
        ("auto_sync", source.auto_sync.value),
        ("listed", _listed(source)),
        ("queue", source.place.queue_url),
        ("inventory", getattr(source.place, "inventory", None)),
        ("mode", source.mode.value),
        ("embedding", source.embedding.kind),
        ("chunking", source.chunking.type),
        ("include", ", ".join(source.include_globs)),
        ("exclude", ", ".join(source.exclude_globs)),
        ("extensions", ", ".join(source.extensions)),
    ):
        if value:
            lines.append(f"| {setting} | `{value}` |")
    return "\n".join(lines)
