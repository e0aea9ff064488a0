"""``python -m s3sync_dagster.api``: the API alone, as ``s3sync up`` and containers start it."""

import argparse
import os
import sys

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.extras import require_extra
from s3sync_dagster.settings import load_settings
from s3sync_dagster.starting import spare_collections


def main() -> int:
    """Parse, serve, and return the exit code."""
    spare_collections()
    parser = argparse.ArgumentParser(prog="python -m s3sync_dagster.api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8200, help="port, 0 for any free one")
    parser.add_argument("--fd", type=int, help="a socket that listens already, in their place")
    chosen = parser.parse_args()
    os.umask(0o077)  # uploads, the catalog and caches are for their user alone
    try:
        require_extra("api", what="The API")
        from s3sync_dagster.api.server import serve  # noqa: PLC0415  (what the extra brings)

        serve(load_settings(), host=chosen.host, port=chosen.port, descriptor=chosen.fd)
    except S3SyncError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
