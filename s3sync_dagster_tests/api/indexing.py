"""Work done in the test's own process: what a run of Dagster does, without Dagster."""

import time
import uuid

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.run import sync_batch


def work(api, source_id):
    """Do everything that is due for a source; returns how many batches."""
    parts = api.parts
    source = parts.catalog.sources.find(source_id)
    done = 0
    while batch := parts.catalog.batches.reserve(
        source.id, take=Take(by_hand=True), owner=parts.owners.me(), run_id=str(uuid.uuid4())
    ):
        lease = Lease(batch.token, catalog=parts.catalog, clock=parts.clock)
        sync_batch(parts.batch_parts(source, threads=1), lease)
        done += 1
    return done


def listed_and_worked(api, http, source_id, *, state="complete"):
    """List a source, wait until that listing has the state, and do what it asked for."""
    http.post(f"/s3sync/v1/sources/{source_id}/backfill")
    while (one := api.parts.catalog.listings.latest(source_id)) is None or (
        one.state.value != state
    ):
        time.sleep(0.05)
    while api.parts.catalog.listings.live_owner(source_id):
        time.sleep(0.05)
    work(api, source_id)
