"""Dagster's webserver behind our door: its own command, run as this module.

``--fd N`` is ours: a socket that listens already; the other arguments are Dagster's.
"""

import argparse
import os
import sys
from types import SimpleNamespace
from typing import Any

from s3sync_dagster.starting import collect_as_usual, spare_collections

PUBLIC_URL = "S3SYNC_DAGSTER_PUBLIC_URL"


def main() -> None:
    """Run Dagster's own command; the application that it makes gets the door."""
    spare_collections()
    import uvicorn  # noqa: PLC0415  (what these load is what is spared)
    from dagster_webserver import cli  # noqa: PLC0415

    from s3sync_dagster.api.connections import handed_down  # noqa: PLC0415
    from s3sync_dagster.defs.dagster_internals.polling import poll_less  # noqa: PLC0415
    from s3sync_dagster.local.door import Door, door_protocol  # noqa: PLC0415
    from s3sync_dagster.local.doorkeeper import Doorkeeper  # noqa: PLC0415
    from s3sync_dagster.settings import load_settings  # noqa: PLC0415

    module: Any = cli  # whose name of the maker is no public one
    make = module.create_app_from_workspace_process_context

    def guarded(*arguments: Any, **named: Any) -> Any:
        settings = load_settings()
        public_url = settings.environment.get(PUBLIC_URL) or None
        app = make(*arguments, **named)
        collect_as_usual()
        keeper = Doorkeeper(settings, "dagster")
        return keeper.audited(Door(app, public_url=public_url, keeper=keeper))

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--fd", type=int, required=True)
    ours, sys.argv[1:] = parser.parse_known_args()
    listener = handed_down(ours.fd)
    sys.argv += ["-h", "127.0.0.1", "-p", str(listener.getsockname()[1])]  # what its log says

    def run(app: Any, **options: Any) -> None:
        config = uvicorn.Config(app, http=door_protocol(), **options)
        uvicorn.Server(config).run(sockets=[listener])

    poll_less()
    # Its command knows no middleware of others, and hands no protocol or socket to uvicorn.
    module.uvicorn = SimpleNamespace(run=run)
    module.create_app_from_workspace_process_context = guarded
    # uvicorn believes each program of this machine that names an address in X-Forwarded-For:
    # guesses would be counted by what whoever guesses says. A proxy with our secret is believed.
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    cli.main()


if __name__ == "__main__":
    main()
