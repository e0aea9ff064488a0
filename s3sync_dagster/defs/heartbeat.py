"""Signs of life of a run: its lease is renewed, its keys come back when it ends, people see it."""

import threading
import time

import dagster as dg

from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.batch.lease import Lease

LINE_SECONDS = 60.0


def keep_alive(
    context: dg.OpExecutionContext, runtime: Runtime, lease: Lease, *, keys: int
) -> None:
    """Renew the lease until the run ends; a run that ends early gives its keys back at once.

    A line a minute tells whoever looks at the run, or reaps silent ones, that it works.
    """
    heartbeat = lease.heartbeat()
    heartbeat.__enter__()
    ended = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        while not ended.wait(LINE_SECONDS):
            seconds = time.monotonic() - started
            context.log.info(f"at work on {keys} keys for {seconds:.0f} s")

    line = threading.Thread(target=tell, name="s3sync-line", daemon=True)
    line.start()

    def stop() -> None:
        ended.set()
        heartbeat.__exit__(None, None, None)
        runtime.parts.catalog.batches.release(lease.token, died=False)

    runtime.at_end.append(stop)
