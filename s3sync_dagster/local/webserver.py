"""Dagster's webserver behind our door: its own command, run as this module."""

import os
from typing import Any

from dagster_webserver import cli

from s3sync_dagster.local.door import Door

PUBLIC_URL = "S3SYNC_DAGSTER_PUBLIC_URL"


def main() -> None:
    """Run Dagster's own command; the application that it makes gets the door."""
    module: Any = cli  # whose name of the maker is no public one
    make = module.create_app_from_workspace_process_context

    def guarded(*arguments: Any, **named: Any) -> Door:
        return Door(make(*arguments, **named), public_url=os.environ.get(PUBLIC_URL))

    # Its command knows no middleware of others.
    module.create_app_from_workspace_process_context = guarded
    cli.main()


if __name__ == "__main__":
    main()
