"""Limits and trust of the API, from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from s3sync_dagster.api.hosts import names_this_machine
from s3sync_dagster.api.single_sign_on import SingleSignOn, read_single_sign_on
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.ports.aws_guard import DEFAULT_TRUSTED, trusted_tenants
from s3sync_dagster.ports.dagster_runs import LOCATION
from s3sync_dagster.settings import Settings

MAX_FILE_BYTES = 200 * 1024 * 1024
"""Contract: the largest file that ``add-file`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """What an operator may set; the variable of each field is ``S3SYNC_API_`` and its name."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Of a body that is not an upload."""
    uploads_per_tenant: int = 4
    """Uploads in flight at once; one more is answered with 429."""
    searches_per_tenant: int = 8
    """Searches in flight at once; one more is answered with 429."""
    sources_per_tenant: int = 200
    """Each is 10 KB of the 100 MB that Dagster's definitions may have, for all tenants together,
    and 0.05 s of every load. One more, also for an upload to another collection, is answered with
    429 until another one is deleted."""
    upload_bytes_per_tenant: int = 0
    """Of all uploaded files of a tenant that is not trusted; 0: any number. Of an upload beyond it
    nothing is kept."""
    waiting_per_tenant: int = 200_000
    """Requests that wait to be worked on; one more is answered with 429 until some are done."""
    credentials_per_tenant: int = 1000
    """Stored key pairs; one more is answered with 429 until another one is deleted."""
    requests_per_second: float = 0.0
    """For each token (without tokens: for all), with bursts of twice as many; 0: no limit."""
    body_timeout_seconds: float = 30.0
    """How long a client may be silent while it sends a body."""
    head_timeout_seconds: float = 10.0
    """How long the head of a request may take, from its first byte or the connection's start."""
    connections: int = 512
    """Open at once, and never more than half of the files that the process may open. One more
    takes the place of the one that has been without a request for longest."""
    connections_per_address: int = 128
    """Of one client address; behind a proxy that is all of it."""
    agents: bool = False
    """``S3SYNC_API_AGENTS``, ``on`` or ``off``: the door for agents at ``/mcp``."""
    supermemory: bool = False
    """``S3SYNC_API_SUPERMEMORY``, ``on`` or ``off``: Supermemory's calls at ``/v3/connections``."""
    coco: bool = False
    """``S3SYNC_API_COCO``, ``on`` or ``off``: Coco's calls for datasources."""
    trusted_tenants: frozenset[str] = DEFAULT_TRUSTED
    """Tenants that may use the server's own AWS credentials and any endpoint; ``*``: all."""
    dispatch_seconds: float = 0.5
    """How long invocations gather before they are dispatched together."""
    public_url: str | None = None
    """``S3SYNC_API_PUBLIC_URL``: where people find the server, such as behind a TLS proxy; with
    https cookies are Secure, and browsers are told never to come without TLS."""
    loopback: bool = True
    """Set by ``serve``: nobody but this machine reaches the server."""
    dagster_url: str | None = None
    """``S3SYNC_DAGSTER_URL``: the webserver that launches runs; None: sensors dispatch."""
    dagster_location: str = LOCATION
    """``S3SYNC_DAGSTER_LOCATION``: the code location there whose jobs index the sources."""
    reloads: bool = True
    """``S3SYNC_API_RELOADS``: whether the server has Dagster load sources that are new or changed;
    the stack of one machine does it itself."""
    dagster_public_url: str | None = None
    """``S3SYNC_DAGSTER_PUBLIC_URL``: where people's browsers find Dagster; else the above."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Of the process: what a place may be is told there (``model.place.Admission``)."""
    single_sign_on: SingleSignOn | None = None
    """``S3SYNC_SSO_HEADER`` and its like: a proxy before the console signs people in."""
    trace_url: str | None = None
    """``OTEL_EXPORTER_OTLP_ENDPOINT``: where traces go, if the extra ``otel`` is installed."""

    def trusts(self, tenant: str) -> bool:
        """Return whether a tenant administers this server."""
        return "*" in self.trusted_tenants or tenant in self.trusted_tenants


def read_options(settings: Settings, *, loopback: bool = True) -> ApiOptions:
    """Read the options from the settings' environment.

    Raises:
        InvalidSetting: a value is no number or too small; the message names the variable.
    """
    environ = settings.environment
    fallback = ApiOptions()
    return ApiOptions(
        max_body_bytes=int(_number(environ, "MAX_BODY_BYTES", fallback.max_body_bytes, least=1024)),
        uploads_per_tenant=int(
            _number(environ, "UPLOADS_PER_TENANT", fallback.uploads_per_tenant, least=1)
        ),
        searches_per_tenant=int(
            _number(environ, "SEARCHES_PER_TENANT", fallback.searches_per_tenant, least=1)
        ),
        sources_per_tenant=int(
            _number(environ, "SOURCES_PER_TENANT", fallback.sources_per_tenant, least=1)
        ),
        upload_bytes_per_tenant=int(_number(environ, "UPLOAD_BYTES_PER_TENANT", 0, least=0)),
        waiting_per_tenant=int(
            _number(environ, "WAITING_PER_TENANT", fallback.waiting_per_tenant, least=1)
        ),
        credentials_per_tenant=int(
            _number(environ, "CREDENTIALS_PER_TENANT", fallback.credentials_per_tenant, least=1)
        ),
        requests_per_second=_number(environ, "REQUESTS_PER_SECOND", 0.0, least=0.0),
        body_timeout_seconds=_number(
            environ, "BODY_TIMEOUT_SECONDS", fallback.body_timeout_seconds, least=0.1
        ),
        head_timeout_seconds=_number(
            environ, "HEAD_TIMEOUT_SECONDS", fallback.head_timeout_seconds, least=0.1
        ),
        connections=int(_number(environ, "CONNECTIONS", fallback.connections, least=1)),
        connections_per_address=int(
            _number(environ, "CONNECTIONS_PER_ADDRESS", fallback.connections_per_address, least=1)
        ),
        agents=_switch(environ, "AGENTS"),
        supermemory=_switch(environ, "SUPERMEMORY"),
        coco=_switch(environ, "COCO"),
        reloads=_switch(environ, "RELOADS", otherwise="on"),
        trusted_tenants=trusted_tenants(environ),
        dispatch_seconds=_number(environ, "DISPATCH_SECONDS", fallback.dispatch_seconds, least=0.0),
        public_url=_public_url(environ),
        loopback=loopback,
        environment=environ,
        dagster_url=environ.get("S3SYNC_DAGSTER_URL") or None,
        dagster_location=environ.get("S3SYNC_DAGSTER_LOCATION") or LOCATION,
        dagster_public_url=_dagster_public_url(environ),
        single_sign_on=read_single_sign_on(environ),
        trace_url=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
    )


def _public_url(environ: Mapping[str, str]) -> str | None:
    url = environ.get("S3SYNC_API_PUBLIC_URL", "").strip().rstrip("/")
    if url and not re.fullmatch(r"https?://[^\s/@]+", url):
        raise InvalidSetting("S3SYNC_API_PUBLIC_URL is not a URL such as https://sync.example.org.")
    return url or None


def _switch(environ: Mapping[str, str], name: str, *, otherwise: str = "off") -> bool:
    value = environ.get(f"S3SYNC_API_{name}", "").strip().lower() or otherwise
    if value not in ("on", "off"):
        raise InvalidSetting(f"S3SYNC_API_{name} has to be on or off.")
    return value == "on"


def _number(environ: Mapping[str, str], name: str, fallback: float, *, least: float) -> float:
    variable = f"S3SYNC_API_{name}"
    text = environ.get(variable, "")
    if not text:
        return fallback
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value < 2**40:
        raise InvalidSetting(f"{variable} has to be a number from {least:g} on.")
    return value


def _dagster_public_url(environ: Mapping[str, str]) -> str | None:
    """Return where browsers find Dagster: an inner name is told to nobody and leads nowhere."""
    told = environ.get("S3SYNC_DAGSTER_PUBLIC_URL", "")
    inner = environ.get("S3SYNC_DAGSTER_URL", "")
    if not told and names_this_machine([urlsplit(inner).netloc]):
        told = inner
    return told.rstrip("/") or None
