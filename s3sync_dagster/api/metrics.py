"""Counters of this process for ``/metrics``; what the catalog knows is read when asked for."""

from prometheus_client import CollectorRegistry, Counter, Histogram


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


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
