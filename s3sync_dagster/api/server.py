"""The API as a process: what is opened, where it listens, how it ends."""

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from ipaddress import ip_address
from operator import attrgetter

import uvicorn
from fastapi import FastAPI

from s3sync_dagster.api.access import CALLER
from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.connections import Connections, affordable_connections, handed_down, patient
from s3sync_dagster.api.launching import Launcher
from s3sync_dagster.api.options import ApiOptions, read_options
from s3sync_dagster.api.passes import pass_headers
from s3sync_dagster.api.reloader import Reloader, reloading
from s3sync_dagster.api.request_log import log_to_stderr
from s3sync_dagster.api.tracing import exporting
from s3sync_dagster.ports.dagster_runs import DagsterRuns
from s3sync_dagster.settings import Settings
from s3sync_dagster.starting import collect_as_usual
from s3sync_dagster.wiring import Parts, open_parts

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 10
"""Requests under way may end within it when the server is asked to stop."""


def serve(
    settings: Settings, *, host: str = LOOPBACK, port: int = 8200, descriptor: int | None = None
) -> None:
    """Serve until SIGTERM or SIGINT.

    Without any API token the server listens on loopback alone, whatever ``host`` says, and
    says so.

    Args:
        settings: of the home.
        host: the address to listen on.
        port: there, 0: any free one.
        descriptor: of a socket that listens on a loopback address already, in their place.

    Raises:
        S3SyncError: the catalog cannot be opened, or a setting is wrong.
    """
    log_to_stderr()
    listeners = None if descriptor is None else [handed_down(descriptor)]
    with ExitStack() as stack:
        parts = stack.enter_context(closing(open_parts(settings)))
        proxied = read_options(settings).single_sign_on is not None
        host, loopback = where_to_listen(parts, host, proxied=proxied)
        options = read_options(settings, loopback=loopback)
        dispatch = tracer = None
        if options.dagster_url is not None:
            headers = pass_headers(settings)
            dagster = stack.enter_context(
                DagsterRuns(options.dagster_url, location=options.dagster_location, headers=headers)
            )
            dispatch = Launcher(
                parts.catalog,
                dagster,
                share=parts.runs_of,
                runs_of_source=parts.settings.runs_per_source,
            )
            if options.reloads:
                version = parts.catalog.sources.version
                reloader = Reloader(dagster, version, loaded=False)
                reloader.daemon_started()  # it may have been started with this process
                stack.enter_context(reloading(reloader))
        if options.trace_url is not None:
            tracer = stack.enter_context(exporting(options.trace_url))
        app = create_app(parts, options, dispatch=dispatch, tracer=tracer)
        collect_as_usual()
        Server(configure(app, options, host=host, port=port)).run(listeners)


class Server(uvicorn.Server):
    """A server that ends by returning, so that what was opened is closed.

    uvicorn's own raises the signal again after its shutdown, which ends the process at once.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully at the first signal, at once at the second."""
        before = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def where_to_listen(parts: Parts, host: str, *, proxied: bool = False) -> tuple[str, bool]:
    """Return the address to listen on, and whether only this machine reaches it.

    Args:
        parts: whose catalog knows whether there are tokens.
        host: that was asked for.
        proxied: a proxy signs people in: nobody is let in unasked.
    """
    if is_loopback(host) or proxied or parts.catalog.tokens.configured():
        return host, is_loopback(host)
    _log.warning(
        "no API token exists: listening on %s only, not on %s. Create one with "
        "`s3sync token create` and start again.",
        LOOPBACK,
        host,
    )
    return LOOPBACK, True


def configure(app: FastAPI, options: ApiOptions, *, host: str, port: int) -> uvicorn.Config:
    """Return the configuration of the server."""
    connections = Connections(
        most=min(options.connections, affordable_connections()),
        most_by_address=options.connections_per_address,
        head_seconds=options.head_timeout_seconds,
        known_by=CALLER,
        tenant_of=attrgetter("tenant"),
    )
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=patient(connections),
        ws="none",
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
