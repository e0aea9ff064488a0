"""``/metrics``: counters of this process, and gauges over the catalog, for Prometheus."""

import time
from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from s3sync_dagster.api.access import TOKEN_HEADER, Access, Caller, authorise
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.threads import TenantRoute
from s3sync_dagster.core.state import SourceRow

router = APIRouter(tags=["System"], route_class=TenantRoute)

RECENT_SECONDS = 3600.0
_BEARER = HTTPBearer(auto_error=False)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traffic:
    """Requests of this server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "s3sync_http_requests",
            "Requests by method, route and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "s3sync_http_request_seconds",
            "Seconds until the whole answer was sent.",
            ("route",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
            registry=registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


async def _metrics_caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Caller:
    """Return the caller: Prometheus sends its token as a bearer's."""
    token = request.headers.get(TOKEN_HEADER) or (bearer.credentials if bearer else None)
    access: Access = request.app.state.access
    return await access.aside(authorise, request, token)


@router.get(
    "/metrics",
    operation_id="metrics",
    responses=errors(401, 403, 429, 500, 503),
    response_class=Response,
)
def metrics(caller: Annotated[Caller, Depends(_metrics_caller)], here: Here) -> Response:
    """Give Prometheus what it collects: the tenant's sources, all to owners of a trusted tenant."""
    operates = here.operates(caller)
    rows = here.catalog.sources.rows(tenant=None if operates else caller.tenant)
    text = generate_latest(here.registry) if operates else b""
    gauges = CollectorRegistry()
    found = source_metrics(here, rows) + (server_metrics(here) if operates else [])
    gauges.register(_Ready(found))  # type: ignore[arg-type]
    return Response(text + generate_latest(gauges), media_type=CONTENT_TYPE_LATEST)


class _Ready:
    """A collector over metrics that were read already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterable[Metric]:
        return self._found


def source_metrics(here: Context, rows: Sequence[SourceRow]) -> list[Metric]:
    """Return gauges over sources, from a handful of statements for all of them."""
    history = here.catalog.history
    names = {row.source.id: (row.source.tenant, row.source.name) for row in rows}
    ids = list(names)
    now = time.time()
    objects = _gauge("s3sync_objects", "Objects by state.", "state", "reason")
    live = _gauge("s3sync_invocations_live", "Work that waits or is being done.", "status")
    recent = _gauge(
        "s3sync_invocations_recent",
        "Invocations of the last hour by status and reason.",
        "status",
        "reason",
    )
    lag = _gauge("s3sync_lag_seconds", "Age of the oldest work that waits; 0: none waits.")
    indexed = _gauge("s3sync_last_indexed_seconds", "When records were written last (UNIX time).")
    documents = _gauge("s3sync_documents", "Documents in collections.")
    chunks = _gauge("s3sync_chunks", "Records in collections, each embedded once.")
    text_bytes = _gauge("s3sync_text_bytes", "Text of documents, what embedding services bill.")
    outcomes, queue = history.outcomes(), history.queue()
    asked = history.asked_since(ids, now - RECENT_SECONDS)
    oldest, latest = history.oldest_pending(ids), history.last_indexed(ids)
    written = history.written()
    for source_id, labels in names.items():
        for (state, reason), number in outcomes.get(source_id, {}).items():
            objects.add_metric([*labels, state, reason], number)
        for status in ("pending", "processing"):
            live.add_metric([*labels, status], queue.get(source_id, {}).get(status, 0))
        for (status, reason), number in asked.get(source_id, {}).items():
            recent.add_metric([*labels, status, reason], number)
        lag.add_metric(labels, max(0.0, now - oldest.get(source_id, now)))
        if source_id in latest:
            indexed.add_metric(labels, latest[source_id])
        for gauge, value in zip(
            (documents, chunks, text_bytes), written.get(source_id, (0, 0, 0)), strict=True
        ):
            gauge.add_metric(labels, value)
    return [objects, live, recent, lag, indexed, documents, chunks, text_bytes]


def server_metrics(here: Context) -> list[Metric]:
    """Return what all tenants share: dispatches, and the vector cache with how often it helped."""
    failures = GaugeMetricFamily(
        "s3sync_dispatch_failures",
        "Dispatches of this server that were left to the sensor.",
        value=here.dispatching.failures,
    )
    totals = here.parts.vector_cache.totals()
    texts = {
        "entries": "Vectors in the cache.",
        "bytes": "What they take.",
        "hits": "Texts so far whose vectors were there.",
        "misses": "Texts so far whose vectors were not.",
    }
    return [
        failures,
        *(
            GaugeMetricFamily(f"s3sync_vector_cache_{name}", text, value=totals[name])
            for name, text in texts.items()
        ),
    ]


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["tenant", "source", *labels])
