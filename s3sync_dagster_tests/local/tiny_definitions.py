"""A code location for the supervisor's tests: sources from a file, a sensor that ticks."""

import os
import time
from pathlib import Path

import dagster as dg
from pydantic import Field

NAMES = Path(os.environ["S3SYNC_HOME"], "tiny-sources.txt").read_text().split()
if "broken" in NAMES:
    raise RuntimeError("tiny definitions are broken on purpose")


class Config(dg.Config):
    keys: list[str] = Field(default_factory=list)
    seconds: float = 0.0


def build(name):
    partitions = dg.DynamicPartitionsDefinition(name=f"s3_{name}")

    @dg.asset(
        name=name,
        key_prefix="s3",
        partitions_def=partitions,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.multi_run(50),
    )
    def the_asset(context: dg.AssetExecutionContext, config: Config):
        end = time.time() + config.seconds
        while time.time() < end:
            time.sleep(0.1)
        for key in config.keys or context.partition_keys:
            if key == "bad":
                raise dg.Failure("bad key", allow_retries=False)
            context.log_event(dg.AssetMaterialization(["s3", name], partition=key))
        return
        yield

    return the_asset, dg.define_asset_job(f"index_{name}", [the_asset])


BUILT = [build(name) for name in NAMES]


@dg.sensor(
    jobs=[job for _, job in BUILT],
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def dispatch(context):
    return dg.SkipReason("nothing pending")


defs = dg.Definitions(
    assets=[asset for asset, _ in BUILT],
    jobs=[job for _, job in BUILT],
    sensors=[dispatch],
    executor=dg.in_process_executor,
)
