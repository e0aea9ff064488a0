"""The API as a process: what is opened, where it listens, how it ends."""

import logging
from contextlib import suppress
from ipaddress import ip_address

import uvicorn

from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.launching import Launcher
from s3sync_dagster.api.options import read_options
from s3sync_dagster.api.request_log import log_to_stderr
from s3sync_dagster.ports.dagster_runs import DagsterRuns
from s3sync_dagster.settings import Settings
from s3sync_dagster.wiring import Parts, open_parts

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 10
"""Requests under way may end within it when the server is asked to stop."""


def serve(settings: Settings, *, host: str = LOOPBACK, port: int = 8200) -> None:
    """Serve until SIGTERM or SIGINT.

    Without any API token the server listens on loopback alone, whatever ``host`` says, and
    says so.

    Raises:
        S3SyncError: the catalog cannot be opened, or a setting is wrong.
    """
    log_to_stderr()
    parts = open_parts(settings)
    try:
        server = uvicorn.Server(configure(parts, host=host, port=port))
        server.run()
    finally:
        parts.close()


def configure(parts: Parts, *, host: str, port: int) -> uvicorn.Config:
    """Return the configuration of the server."""
    loopback = is_loopback(host)
    if not loopback and not parts.catalog.tokens.configured():
        _log.warning(
            "no API token exists: listening on %s only, not on %s. Create one with "
            "`s3sync token create` and start again.",
            LOOPBACK,
            host,
        )
        host, loopback = LOOPBACK, True
    options = read_options(parts.settings, loopback=loopback)
    dispatch = None
    if options.dagster_url is not None:
        dispatch = Launcher(parts.catalog, DagsterRuns(options.dagster_url))
    app = create_app(parts, options, dispatch=dispatch)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
