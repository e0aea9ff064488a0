"""Threads for what asks the catalog or Chroma: so many of each tenant, and those of the door apart.

Who works much keeps those waiting who share his tenant, and nobody else: neither another tenant nor
whoever is only asked who he is.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, wraps
from inspect import iscoroutinefunction, signature
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from s3sync_dagster.api.errors import TooMany

PER_TENANT = 8
WAITING_PER_TENANT = 120
THREADS = 40
LEFT = "s3sync_left"
"""Where a request's scope tells that its client is gone."""
SCOPE: ContextVar[Mapping[str, Any]] = ContextVar("scope")
"""Of the request that is being served."""
_R = TypeVar("_R")


@dataclass(slots=True)
class _Tenant:
    threads: CapacityLimiter
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads of a server that work for tenants."""

    _all: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(THREADS))
    _tenants: dict[str, _Tenant] = field(default_factory=dict[str, _Tenant])

    async def run(self, tenant: str, work: Callable[[], _R]) -> _R:
        """Return what work returns, once a thread of its tenant is free.

        Raises:
            TooMany: too many of the tenant's requests wait already.
            ClientDisconnect: whoever asked has left meanwhile; nothing was done.
        """
        mine = self._tenants.get(tenant)
        if mine is None:
            mine = self._tenants[tenant] = _Tenant(CapacityLimiter(PER_TENANT))
        if mine.requests >= PER_TENANT + WAITING_PER_TENANT:
            raise TooMany(
                f"{mine.requests} requests of this tenant are in flight already; wait until some "
                "have ended.",
                retry_after_seconds=5.0,
            )
        mine.requests += 1
        try:
            async with mine.threads:
                if LEFT in SCOPE.get({}):
                    raise ClientDisconnect
                return await to_thread.run_sync(work, limiter=self._all)
        finally:
            mine.requests -= 1
            if not mine.requests:
                self._tenants.pop(tenant, None)


def for_its_tenant(route: Callable[..., Any]) -> Callable[..., Any]:
    """Have a route that blocks wait for a thread of its caller's tenant.

    Any other is returned as it is: one that blocks nobody, or that asks nobody who he is.
    """
    names = signature(route).parameters.keys()
    if iscoroutinefunction(route) or not names & {"caller", "visitor"}:
        return route
    if not names & {"here", "request"}:
        return route

    @wraps(route)
    async def waiting(*arguments: Any, **named: Any) -> Any:
        caller = named["caller"] if "caller" in named else named["visitor"].caller
        here = named["here"] if "here" in named else named["request"].app.state.context
        threads: Threads = here.threads
        return await threads.run(caller.tenant, partial(route, *arguments, **named))

    return waiting


class TenantRoute(APIRoute):
    """A route that works on a thread of its caller's tenant."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **named: Any) -> None:
        super().__init__(path, for_its_tenant(endpoint), **named)
