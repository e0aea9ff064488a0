"""A pool of limited, killable worker processes."""

from s3sync_dagster.workers.pool import LocalPool, open_pool, warm_server_command

__all__ = ["LocalPool", "open_pool", "warm_server_command"]
