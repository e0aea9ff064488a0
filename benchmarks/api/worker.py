"""What Dagster's runs do: reserve batches and work on them, until there is nothing for a while."""

import sys
import time
import uuid

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts

DISPATCH_SECONDS = 1.0
"""Runs start at the dispatcher's ticks, not at each request: see ``defs/dispatching.py``."""


def main():
    parts = open_parts(load_settings())
    [source] = parts.catalog.sources.all()
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < float(sys.argv[1]):
        batch = parts.catalog.batches.reserve(
            source.id, take=Take(), owner=parts.owners.me(), run_id=str(uuid.uuid4())
        )
        if batch is None:
            time.sleep(DISPATCH_SECONDS)
            continue
        lease = Lease(batch.token, catalog=parts.catalog, clock=parts.clock)
        with lease.heartbeat():
            sync_batch(parts.batch_parts(source), lease)
        idle_since = time.monotonic()
        time.sleep(DISPATCH_SECONDS)
    parts.close()


if __name__ == "__main__":
    main()
