"""Traces through OpenTelemetry, where the extra ``otel`` is installed and an address is set."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.request_log import route_of
from s3sync_dagster.model.errors import MissingEngine

SERVICE = "s3sync-api"
_REMOTE_PARENT = ("traceparent", "tracestate")


class Tracer(Protocol):
    """What is used of an OpenTelemetry tracer."""

    def start_as_current_span(self, name: str, **options: Any) -> Any:
        """Return a context with the span."""
        ...


@contextmanager
def exporting(url: str) -> Iterator[Tracer]:
    """Give a tracer that sends to an OTLP address over HTTP; what is left is sent at the end.

    Raises:
        MissingEngine: OpenTelemetry is not installed.
    """
    try:
        # Named as text: the packages are an extra, and a server without them does not look.
        trace = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise MissingEngine(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "install s3sync-dagster[otel], or take the variable away."
        ) from None
    provider = trace.TracerProvider(resource=resources.Resource({"service.name": SERVICE}))
    exporter = otlp.OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer(SERVICE)
    finally:
        provider.shutdown()


class Tracing:
    """ASGI middleware: a span for each request, under the caller's where it sends one."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagate = importlib.import_module("opentelemetry.propagate")
        self._server = importlib.import_module("opentelemetry.trace").SpanKind.SERVER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name.decode("latin-1") in _REMOTE_PARENT
        }
        parent = self._propagate.extract(headers)
        with self._tracer.start_as_current_span(
            scope["method"], context=parent, kind=self._server
        ) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_noted)
            finally:
                route = route_of(scope)
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("s3sync.request_id", scope.get("s3sync_request_id", ""))
