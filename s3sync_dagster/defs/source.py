"""A source in, Dagster definitions out: partitions, asset, job, and its listing sensor."""

from collections.abc import Callable

import dagster as dg

from s3sync_dagster.core.keys import validate_source_name
from s3sync_dagster.defs.ops import build_ops
from s3sync_dagster.defs.resources import Runtime, S3Source, runtime_resource
from s3sync_dagster.defs.sensors import build_listing_sensor
from s3sync_dagster.model.source import Source

MAX_RUN_SECONDS = 3600
BACKFILL_KEYS = 500


def partitions_name(source_name: str) -> str:
    """Return the name of a source's dynamic partitions."""
    return f"s3_{source_name}"


def job_name(source_name: str) -> str:
    """Return the name of a source's job."""
    return f"index_{source_name}"


def build_source_definitions(
    source: S3Source,
    *,
    find: Callable[[Runtime], Source] | None = None,
    sensor: bool = True,
    runtime: dg.ResourceDefinition = runtime_resource,
) -> dg.Definitions:
    """Return the definitions of one source.

    Args:
        source: bucket, prefix, collection and rules.
        find: gives the source at run time; None: the declared one, registered in the catalog.
        sensor: False for sources that share ``catalog_auto_sync``.
        runtime: what opens the parts of a run; a one-shot sync hands over its own.

    Raises:
        InvalidSetting: the name cannot name an asset, a job and a sensor.
    """
    name = source.name
    validate_source_name(name)
    declared = source.to_source()
    lookup = find or (lambda runtime: runtime.parts.catalog.sources.register(declared))
    extract, chunk, upsert = build_ops(name, lookup)
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(name))

    @dg.graph_asset(
        name=name,
        key_prefix="s3",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(BACKFILL_KEYS),
        group_name=name,
        description=_description(declared),
        kinds={"s3", "chroma"},
        tags={"s3sync/source": name},
        metadata={
            "bucket": f"s3://{source.bucket_name}/{source.path_prefix}",
            "collection": source.collection_name,
        },
    )
    def index() -> None:
        documents = extract.alias("extract")()
        return upsert.alias("upsert")(chunk.alias("chunk")(documents))

    job = dg.define_asset_job(
        job_name(name),
        selection=[index],
        executor_def=dg.in_process_executor,
        tags={"s3sync/source": name, "dagster/max_runtime": str(MAX_RUN_SECONDS)},
        description=f"Bring {source.collection_name!r} in line with objects of {name!r}.",
    )
    sensors = []
    if sensor and declared.list_interval_seconds > 0:
        sensors.append(build_listing_sensor(name, declared, lookup))
    return dg.Definitions(
        assets=[index],
        jobs=[job],
        sensors=sensors,
        resources={
            f"source_{name}": source,
            "s3sync": runtime,
            "in_memory": dg.mem_io_manager,
        },
        executor=dg.in_process_executor,
    )


def run_config(source_name: str, *, keys: list[str], token: str = "", force: bool = False) -> dict:
    """Return the run configuration for explicit object keys."""
    config = {"keys": keys, "token": token, "force": force}
    return {"ops": {f"s3__{source_name}": {"ops": {"extract": {"config": config}}}}}


def _description(source: Source) -> str:
    head = (
        f"Objects of `s3://{source.bucket_name}/{source.path_prefix}` as records of the Chroma "
        f"collection `{source.collection_name}`. Each object key is a partition."
    )
    lines = [head, "", "| setting | value |", "|---|---|"]
    for setting, value in (
        ("endpoint", source.endpoint_url),
        ("auto_sync", source.auto_sync.value),
        (
            "listed every",
            f"{source.list_interval_seconds} s" if source.list_interval_seconds else "never",
        ),
        ("queue", source.queue_url),
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
